"""`triune report RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("run", type=Path, metavar="RUN", help="the folder of a finished run, or of a comparison")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where to write it; otherwise report.html in RUN")


def execute(arguments: Namespace) -> int:
    """Draw the report and say where it is."""
    from triune.cli.printing import print_json
    from triune.report.writing import write_report_of

    place = write_report_of(arguments.run, arguments.output)
    if arguments.json:
        print_json({"report": str(place)})
    else:
        print(f"Report:  {place}")
    return 0
