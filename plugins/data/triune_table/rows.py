"""The text of a file becomes rows, each with the line it starts at; what does not fit is told with its line."""

from __future__ import annotations

import csv
import json
from io import BytesIO, StringIO
from typing import TYPE_CHECKING

from triune.errors import DataError, EnvironmentProblem
from triune.reading import first_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd


def delimited(text: str, place: str, delimiter: str, quote: str | None) -> pd.DataFrame:
    """Return the rows of CSV or TSV as text; the index "line" is where each starts.

    Raises:
        DataError: there is only a header, a row has too few or too many cells, or a quote is left open.
    """
    import pandas as pd

    rows: list[list[str]] = []
    lines: list[int] = []
    problems: list[str] = []
    for line, row in _records(text, place, delimiter, quote, problems):
        blank = len(row) == 1 and not row[0].strip()
        if not rows:
            _check_delimiter(row, f"{place}:{line}", delimiter)
        if blank and (not rows or len(rows[0]) > 1):
            continue
        if rows and len(row) != len(rows[0]):
            problems.append(_wrong_width(f"{place}:{line}", len(row), len(rows[0]), delimiter, quote))
        else:
            rows.append(row)
            lines.append(line)
    if problems:
        raise DataError(first_of(problems))
    header = [name.strip() for name in rows[0]]
    if len(rows) == 1:
        raise DataError(f"{place}: a header and no examples; columns: {', '.join(header)}; give it examples")
    frame = pd.DataFrame(rows[1:], columns=pd.Index(header, dtype=object), dtype=object)
    frame.index = pd.Index(lines[1:], name="line")
    return frame


def _records(
    text: str, place: str, delimiter: str, quote: str | None, problems: list[str]
) -> Iterator[tuple[int, list[str]]]:
    """Yield each row that has cells with its first line; a broken quote ends them with a problem."""
    if len(text) > csv.field_size_limit():
        csv.field_size_limit(len(text))  # one for the process, so it is only ever raised
    lines = StringIO(text, newline="")  # a line break inside a quoted cell stays what it is
    if quote is None:
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines, delimiter=delimiter, quotechar=quote, strict=True)
    start = 1
    try:
        for row in reader:
            if row:
                yield start, row
            start = reader.line_num + 1
    except csv.Error:
        problems.append(
            f"{place}:{start}: a quoted cell that begins on this line does not end as it should; "
            f"double the {quote} inside it and close it, or say data.quote: null if nothing is quoted"
        )


def _check_delimiter(header: Sequence[str], place: str, delimiter: str) -> None:
    others = {",": "comma", ";": "semicolon", "\t": "tab"}
    found = [name for other, name in others.items() if other != delimiter and len(header) == 1 and other in header[0]]
    if found:
        wanted = others[delimiter]
        raise DataError(
            f"{place}: the header {header[0]!r} is one cell, and looks separated by {found[0]}s; "
            f"separate the cells by {wanted}s, or name data.format (csv: commas, tsv: tabs)"
        )


def _wrong_width(place: str, found: int, wanted: int, delimiter: str, quote: str | None) -> str:
    name = "tab" if delimiter == "\t" else repr(delimiter)
    cells = "1 cell" if found == 1 else f"{found} cells"
    if found < wanted:
        return f"{place}: {cells}, and the header has {wanted}; add what is missing"
    remedy = f"put {quote} around" if quote else "remove it from"
    return f"{place}: {cells}, and the header has {wanted}; {remedy} a cell that holds a {name}"


def json_lines(text: str, place: str) -> pd.DataFrame:
    """Return the objects of JSON lines; the index "line" is where each stands.

    Raises:
        DataError: a line is no JSON object.
    """
    import pandas as pd

    rows: list[dict[str, object]] = []
    lines, problems = [], []
    for line, written in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold U+2028 as it is
        if written.strip():
            try:
                rows.append(_object(written))
                lines.append(line)
            except (ValueError, RecursionError) as error:
                problems.append(f"{place}:{line}: {error}")
    if problems:
        raise DataError(first_of(problems))
    columns = {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    return _of_columns(columns, pd.Index(lines, name="line"))


def _object(written: str) -> dict[str, object]:
    try:
        row = json.loads(written, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"no JSON ({error.msg} at column {error.colno}); write one object a line, or name data.format"
        ) from None
    if not isinstance(row, dict):
        raise ValueError(f'found a {type(row).__name__}, wanted an object a line: {{"text": "…", "label": "…"}}')
    return row


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands there twice; keep one")
    return row


def parquet(written: bytes, place: str) -> pd.DataFrame:
    """Return the rows of a Parquet file as Python values; the index "row" counts them from 0.

    Raises:
        DataError: it is no Parquet file.
        EnvironmentProblem: pyarrow is not installed.
    """
    import pandas as pd

    try:
        from pyarrow import ArrowException  # type: ignore[import-untyped]
        from pyarrow.parquet import read_table  # type: ignore[import-untyped]
    except ImportError:
        raise EnvironmentProblem(
            f"{place}: reading Parquet needs pyarrow, which is not installed; "
            'pip install "triune[parquet]", or write the table as CSV'
        ) from None
    try:
        table = read_table(BytesIO(written))
    except (ArrowException, OSError) as error:
        raise DataError(
            f"{place}: no Parquet file, or a damaged one ({str(error).splitlines()[0]}); "
            "write it again, or name data.format"
        ) from error
    # column by column as Python values: pandas would make whole numbers beside a null floats
    columns = [table.column(n).to_pylist() for n in range(table.num_columns)]
    frame = _of_columns(dict(enumerate(columns)), pd.RangeIndex(table.num_rows, name="row"))
    frame.columns = pd.Index(table.column_names, dtype=object)
    return frame


def _of_columns(columns: dict[str, list[object]] | dict[int, list[object]], index: pd.Index) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame({name: pd.Series(cells, index=index, dtype=object) for name, cells in columns.items()})
    return frame.set_axis(index)
