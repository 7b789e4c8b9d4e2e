"""`triune evaluate RUN FILE`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from triune.cli.options import add_run_and_table

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    from triune.types import JSON

SHOWN = ("accuracy", "macro_f1", "micro_f1", "token_accuracy")


def lines_of_members(members: JSON) -> Iterator[str]:
    """Yield how each of several runs does, where they were asked together."""
    if isinstance(members, Mapping):
        yield f"The mean of {members['count']} runs; each of them alone, mean ± standard deviation:"
        for name in SHOWN:
            one = members.get(name)
            if isinstance(one, Mapping):
                yield f"  {name}  {one['mean']:.4f} ± {one['deviation']:.4f}"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    add_run_and_table(parser)


def execute(arguments: Namespace) -> int:
    """Print the metrics of a finished run on a table."""
    from triune import runs
    from triune.cli.printing import metrics_lines, print_json
    from triune.cli.table_input import table_of
    from triune.rule_table import beside_lines

    metrics = runs.evaluate(arguments.run, table_of(arguments.run, arguments.file))
    if arguments.json:
        print_json(metrics)
    else:
        print("\n".join(metrics_lines({arguments.file: metrics}, first=())))
        print("\n".join(lines_of_members(metrics.get("members"))))
        print("\n".join(beside_lines({arguments.file: metrics}, among=(arguments.file,))))
    return 0
