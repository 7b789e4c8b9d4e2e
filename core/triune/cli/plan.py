"""`triune plan CONFIG`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.cli.options import add_configuration

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    add_configuration(parser)


def execute(arguments: Namespace) -> int:
    """Print the plan of a run."""
    from triune import runs
    from triune.cli.printing import print_json
    from triune.plan_page import as_json, page

    plan = runs.plan(
        arguments.config, overrides=arguments.overrides, without=arguments.without, output=arguments.output
    )
    if arguments.json:
        print_json(as_json(plan))
    else:
        print(page(plan), end="")
    return 0
