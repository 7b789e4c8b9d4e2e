"""`triune predict RUN FILE`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from triune.cli.options import add_overwrite, add_run_and_table
from triune.errors import DataError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    import pandas as pd

DECIMALS = 6  # of a probability


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    add_run_and_table(parser)
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="write there, in the format of its name; otherwise CSV is printed"
    )
    parser.add_argument("--probabilities", action="store_true", help="add a column for the probability of each label")
    add_overwrite(parser, "the output")


def execute(arguments: Namespace) -> int:
    """Write or print the table with a column of predictions."""
    from triune.cli.table_files import as_bytes, check_new, format_of, lines_of_cells
    from triune.cli.table_input import table_of
    from triune.files import write_whole
    from triune.reopened import predicted

    if arguments.output is not None:
        format_of(arguments.output)
        check_new(arguments.output, overwrite=arguments.overwrite)
    found = predicted(arguments.run, table_of(arguments.run, arguments.file))
    predictions = found.predictions.drop(columns="gold")
    result = joined(found.table, predictions if arguments.probabilities else predictions[["predicted"]], found.place)
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    as_lines = not arguments.json if arguments.output is None else lines_of_cells(arguments.output)
    if found.tokenised and as_lines:
        result = spaced(result)
    if arguments.output is None:
        _print(result, arguments)
    else:
        write_whole(arguments.output, as_bytes(result, arguments.output))
        _tell(predictions["predicted"].tolist(), arguments)
    return 0


def joined(table: pd.DataFrame, predictions: pd.DataFrame, place: str) -> pd.DataFrame:
    """Return the columns of the input with those of the predictions after them.

    Raises:
        DataError: a column of the input has the name of one of ours.
    """
    import pandas as pd

    for name in predictions.columns:
        if name in table.columns:
            raise DataError(f"{place}: has a column {name!r} already, which predict adds: rename it, or leave it out")
    columns = {name: cells if name == "predicted" else _rounded(cells) for name, cells in predictions.items()}
    rounded = pd.DataFrame(columns, index=predictions.index)
    return pd.concat([table.reset_index(drop=True), rounded.reset_index(drop=True)], axis=1)


def _rounded(cells: pd.Series) -> pd.Series:
    if cells.dtype == object:  # a number for each token
        return cells.map(lambda row: [round(one, DECIMALS) for one in row])
    return cells.astype("float64").round(DECIMALS)  # what float32 rounds to is long


def spaced(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose columns of lists are words with blanks between, as far as no word holds a blank."""
    return table.apply(_spaced)


def _spaced(cells: pd.Series) -> pd.Series:
    words = [str(word) for cell in cells if isinstance(cell, list) for word in cell]
    if any(word.split() != [word] for word in words):
        return cells
    return cells.map(lambda cell: " ".join(map(str, cell)) if isinstance(cell, list) else cell)


def _print(result: pd.DataFrame, arguments: Namespace) -> None:
    from triune.cli.printing import print_bytes, print_json
    from triune.cli.table_files import delimited, records

    if arguments.json:
        print_json({"predictions": records(result)})  # type: ignore[dict-item]
    else:
        print_bytes(delimited(result, ",").encode())


def _tell(cells: Sequence[object], arguments: Namespace) -> None:
    from triune.cli.printing import print_json

    if arguments.json:
        print_json({"output": str(arguments.output), "rows": len(cells)})
        return
    counts = Counter(str(label) for cell in cells for label in (cell if isinstance(cell, list) else [cell]))
    shown = ", ".join(f"{label} {number:,}" for label, number in counts.most_common(8))
    print(f"Written: {arguments.output}, {len(cells):,} rows; predicted: {shown}", file=sys.stdout)
