"""`triune plan CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune.cli.options import add_configuration

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    add_configuration(parser)
    parser.add_argument(
        "--write-schedule",
        metavar="FILE",
        type=Path,
        help="write which parameters train and when, for editing; the method `schedule` takes it back",
    )


def execute(arguments: Namespace) -> int:
    """Print the plan of a run."""
    from triune import runs
    from triune.cli.printing import print_json
    from triune.errors import OutputError
    from triune.files import write_whole
    from triune.plan_page import as_json, page
    from triune.processes import speaks
    from triune.schedule_file import written

    plan = runs.plan(
        arguments.config, overrides=arguments.overrides, without=arguments.without, output=arguments.output
    )
    if arguments.write_schedule and speaks():
        if arguments.write_schedule.exists():
            raise OutputError(f"{str(arguments.write_schedule)!r} exists: name another file, or move it away first")
        bringing = {one.owner for one in plan.layout.parameters if one.brought}
        write_whole(arguments.write_schedule, written(plan.claims, bringing))
    if arguments.json:
        print_json(as_json(plan))
    else:
        print(page(plan), end="")
    return 0
