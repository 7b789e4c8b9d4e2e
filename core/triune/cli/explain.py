"""`triune explain RUN`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune.errors import TriuneError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    import pandas as pd


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a finished run")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        help="a table of texts, in place of --text; - reads standard input, one text or JSON object a line",
    )
    parser.add_argument("--text", action="append", default=[], help="the text to explain; may be repeated")
    parser.add_argument(
        "--label", help="which label to explain; otherwise the predicted ones. Of tags, where that is predicted"
    )
    parser.add_argument(
        "--column",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        dest="columns",
        help="a column that rules or the task read beside the text of --text; may be repeated",
    )
    parser.add_argument(
        "--nearest", metavar="N", type=int, default=5, help="how many training examples to look up; 0: none"
    )
    parser.add_argument(
        "--steps",
        metavar="N",
        type=int,
        default=50,
        help="points on the path of integrated gradients, more where they are too few; 0: no tokens",
    )


def execute(arguments: Namespace) -> int:
    """Print why a run says of texts what it says."""
    from triune import runs
    from triune.cli.explanation_page import explanation_lines
    from triune.cli.printing import print_json

    for name in ("nearest", "steps"):
        if getattr(arguments, name) < 0:
            raise TriuneError(f"--{name} is {getattr(arguments, name)}: give a number from 0")
    found = runs.explain(
        arguments.run,
        _texts(arguments),
        label=arguments.label,
        columns=dict(map(_column, arguments.columns)),
        nearest=arguments.nearest,
        steps=arguments.steps,
    )
    if arguments.json:
        print_json(found.document())
    else:
        print("\n".join(explanation_lines(found)))
    return 0


def _texts(arguments: Namespace) -> list[str] | Path | pd.DataFrame:
    from triune.cli.table_input import STDIN, table_of

    if arguments.text and arguments.file is not None:
        raise TriuneError(f"--text and {arguments.file!r} are both given: give texts or a table")
    if arguments.text:
        texts: list[str] = arguments.text
        return texts
    return table_of(arguments.run, STDIN if arguments.file is None else arguments.file)


def _column(written: str) -> tuple[str, str]:
    name, sign, value = written.partition("=")
    if not sign or not name:
        raise TriuneError(f"--column {written!r} is not NAME=VALUE, such as --column stars=5")
    return name, value
