"""Tables of predictions as bytes of a format: CSV, TSV, JSONL or Parquet."""

from __future__ import annotations

import csv
import gzip
import io
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from triune.errors import EnvironmentProblem, OutputError, listed, nearest

if TYPE_CHECKING:
    import pandas as pd

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def format_of(path: Path) -> str:
    """Return the format that a file's name asks for.

    Raises:
        OutputError: its ending is none of ours.
        EnvironmentProblem: what writes the format is not installed.
    """
    ending = Path(path.name.removesuffix(".gz")).suffix.lower()
    if ending not in FORMATS or (path.suffix == ".gz" and FORMATS[ending] == "parquet"):
        raise OutputError(
            f"output {str(path)!r}: its ending says no format; endings: {listed(FORMATS)}, "
            f"and .gz after those of text{nearest(ending, FORMATS) if ending else ''}"
        )
    if FORMATS[ending] == "parquet" and find_spec("pyarrow") is None:
        raise EnvironmentProblem(
            f'output {str(path)!r}: Parquet needs pyarrow; pip install "triune[parquet]", or write .csv or .jsonl'
        )
    return FORMATS[ending]


def lines_of_cells(path: Path) -> bool:
    """Return whether a file of that name has a line of text cells for each row: CSV, TSV."""
    return format_of(path) in ("csv", "tsv")


def check_new(path: Path, *, overwrite: bool) -> None:
    """Make sure that writing a file loses nothing.

    Raises:
        OutputError: something is there.
    """
    if path.is_dir():
        raise OutputError(f"output {str(path)!r} is a folder: give the name of a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"output {str(path)!r} exists: give another name, or --overwrite to replace it")


def as_bytes(table: pd.DataFrame, path: Path) -> bytes:
    """Return a table as the bytes of a file of that name.

    Raises:
        OutputError: the format cannot hold a column.
    """
    kind = format_of(path)
    if kind == "parquet":
        return _parquet(table, path)
    content = (json_lines(table) if kind == "jsonl" else delimited(table, "\t" if kind == "tsv" else ",")).encode()
    return gzip.compress(content, mtime=0) if path.suffix == ".gz" else content


def delimited(table: pd.DataFrame, delimiter: str) -> str:
    """Return a table as CSV or TSV: nothing where a cell is empty, JSON where it holds several values."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(table.columns)
    writer.writerows([_cell(cell) for cell in row] for row in _rows(table))
    return text.getvalue()


def json_lines(table: pd.DataFrame) -> str:
    """Return a table as a JSON object a line."""
    return "".join(json.dumps(record, ensure_ascii=False, default=str) + "\n" for record in records(table))


def records(table: pd.DataFrame) -> list[dict[str, object]]:
    """Return the rows of a table as mappings of plain values."""
    names = [str(name) for name in table.columns]
    return [dict(zip(names, row, strict=True)) for row in _rows(table)]


def _rows(table: pd.DataFrame) -> list[tuple[object, ...]]:
    from triune.cells import plain_cells

    columns = [plain_cells(table.iloc[:, place]) for place in range(table.shape[1])]
    return list(zip(*columns, strict=True))


def _cell(cell: object) -> object:
    if cell is None:
        return ""
    return json.dumps(cell, ensure_ascii=False, default=str) if isinstance(cell, list | tuple | dict) else cell


def _parquet(table: pd.DataFrame, path: Path) -> bytes:
    buffer = io.BytesIO()
    try:
        table.to_parquet(buffer, index=False)
    except (ValueError, TypeError) as error:  # pyarrow's own errors derive from these
        reason = str(error).splitlines()[0]
        raise OutputError(f"output {str(path)!r}: Parquet cannot hold this table ({reason}); write .jsonl") from error
    return buffer.getvalue()
