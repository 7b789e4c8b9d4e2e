"""A file becomes a raw frame: its bytes, its format, its place in messages."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from triune.data import Source
from triune.errors import DataError, listed
from triune.reading import bytes_of, decoded, unzipped
from triune_table.rows import delimited, json_lines, parquet

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


class Reading(Protocol):
    """How a file is written, as the plugin's `Config` says it."""

    @property
    def format(self) -> str:
        """A value of `SUFFIXES`, or "auto"."""
        ...

    @property
    def encoding(self) -> str:
        """The encoding of text."""
        ...

    @property
    def quote(self) -> str | None:
        """What quotes a cell; None where nothing does."""
        ...


def read(path: Path, place: str, reading: Reading) -> tuple[pd.DataFrame, Source]:
    """Return a file as a raw frame, its index holding the line or row of each example.

    Args:
        path: the file.
        place: what messages call it.
        reading: how it is written.

    Raises:
        DataError: the file cannot be read as what it is said to be; it says where.
    """
    written = bytes_of(path, place)
    kind = _format(path, place) if reading.format == "auto" else reading.format
    if not written:
        raise DataError(f"{place}: the file is empty; give it a header and examples")
    if kind == "parquet":
        frame = parquet(written, place)
    else:
        text = decoded(unzipped(written, place), reading.encoding, place)
        if kind == "jsonl":
            frame = json_lines(text, place)
        else:
            frame = delimited(text, place, "\t" if kind == "tsv" else ",", reading.quote)
    return frame, Source(place, str(frame.index.name), sha256(written).hexdigest(), len(frame))


def told_format(path: Path) -> str | None:
    """Return the format that the name of a file tells, or None."""
    return SUFFIXES.get(_suffix(path))


def _suffix(path: Path) -> str:
    return Path(path.name.lower().removesuffix(".gz")).suffix


def _format(path: Path, place: str) -> str:
    told = told_format(path)
    if told is None:
        raise DataError(
            f"{place}: {_suffix(path) or path.name!r} does not say how the file is written; "
            f"known: {listed(SUFFIXES)}; rename it, or name data.format"
        )
    return told
