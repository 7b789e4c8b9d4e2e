"""The lines of a CoNLL file become sentences: a row each, with a list for every column."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING

from triune.data import Source
from triune.errors import DataError
from triune.reading import bytes_of, decoded, described, first_of, unzipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pandas as pd

    from triune_conll import Conll

Line = tuple[int, list[str]]  # the number of a line, and its cells

DOCUMENT = "-DOCSTART-"
REMARK = re.compile(r" *[\w.-]+ = | *(newdoc|newpar)\b")
"""How the comments of CoNLL-U go on; where columns are parted by blanks, one can have as many words as tokens have."""

NO_WORD = re.compile(r"\d+[-.]\d+")
"""What CoNLL-U numbers beside its words: several words that are written as one, and words that are not written."""


def read(path: Path, folder: Path, config: Conll.Config, *, tagged: bool) -> tuple[pd.DataFrame, Source]:
    """Return a file as a raw table, its index holding the line at which each sentence begins.

    Args:
        path: the file.
        folder: where paths in messages start.
        config: how it is written.
        tagged: whether it must have the column of tags.

    Raises:
        DataError: it cannot be read as what it is said to be; the line is named.
    """
    import pandas as pd

    place = described(path, folder)
    written = bytes_of(path, place)
    if not written:
        raise DataError(f"{place}: the file is empty; give it sentences")
    found = list(sentences(decoded(unzipped(written, place), config.encoding, place), config))
    if not found:
        raise DataError(
            f"{place}: no sentence; write a token a line and a blank line between sentences, or say data.comment: null "
            f"if tokens begin with {config.comment!r}"
        )
    width = len(found[0][0][1])
    if uneven := _uneven(found, width, place):
        raise DataError(first_of(uneven))
    wanted = _columns(config, width, place, tagged=tagged)
    index = pd.Index([one[0][0] for one in found], name="line")
    columns = {name: [[cells[number] for _, cells in one] for one in found] for name, number in wanted.items()}
    frame = pd.DataFrame({name: pd.Series(cells, index=index, dtype=object) for name, cells in columns.items()})
    return frame, Source(place, "line", sha256(written).hexdigest(), len(frame))


def sentences(text: str, config: Conll.Config) -> Iterator[list[Line]]:
    """Yield the lines of each sentence, without those that begin documents, comment, or number what is no word."""
    lines = re.split(r"\r\n|\n|\r", text)
    separator = config.separator or ("\t" if "\t" in text else None)
    rows = [_parted(line, separator) for line in lines]
    width = _width(lines, rows, config)
    numbered = config.tokens not in (0, *(config.columns or ())[:1])
    sentence: list[Line] = []
    for number, (line, cells) in enumerate(zip([*lines, ""], [*rows, []], strict=True), 1):
        if not cells:
            if sentence:
                yield sentence
            sentence = []
        elif not (
            _comments(line, cells, width, config) or DOCUMENT in cells or (numbered and NO_WORD.fullmatch(cells[0]))
        ):
            sentence.append((number, cells))


def names_of(config: Conll.Config) -> tuple[str, str]:
    """Return what the columns of tokens and of tags are called."""
    named = config.columns or ()

    def name(column: int | str, otherwise: str) -> str:
        if isinstance(column, str):
            return column
        return named[column] if -len(named) <= column < len(named) else otherwise

    return name(config.tokens, "tokens"), name(config.tags, "tags")


def _parted(line: str, separator: str | None) -> list[str]:
    # not `split()`, which would part a token at its non-breaking space
    if not line.strip():
        return []
    if separator is None:
        return re.split(r"[ \t]+", line.strip(" \t"))
    return [cell.strip(" ") for cell in line.split(separator)]


def _width(lines: Sequence[str], rows: Sequence[list[str]], config: Conll.Config) -> int:
    """Return how many columns tokens have: those of the first line that begins no comment and no document."""
    comment = config.comment
    told = (
        len(cells)
        for line, cells in zip(lines, rows, strict=True)
        if cells and DOCUMENT not in cells and not (comment and line.startswith(comment))
    )
    return next(told, 0)


def _comments(line: str, cells: list[str], width: int, config: Conll.Config) -> bool:
    """Return whether a line comments: it begins so, and does not look like a token of that width."""
    if config.comment is None or not line.startswith(config.comment):
        return False
    return len(cells) != width or REMARK.match(line.removeprefix(config.comment)) is not None


def _uneven(found: Sequence[list[Line]], width: int, place: str) -> list[str]:
    """Return a problem for each line that has fewer or more columns than the first."""
    return [
        f"{place}:{number}: {len(cells)} column{'s' * (len(cells) > 1)}, and the first token has {width}; "
        "write them all, or say data.separator"
        for one in found
        for number, cells in one
        if len(cells) != width
    ]


def _columns(config: Conll.Config, width: int, place: str, *, tagged: bool) -> dict[str, int]:
    """Return the number of each column that is read, by its name.

    Raises:
        DataError: a column that must be there is not.
    """
    named = config.columns or ()
    has = f"tokens have {width} column{'s' * (width > 1)}, counted from 0"
    if len(named) < width and named:
        raise DataError(f"{place}: data.columns names {len(named)} columns, and {has}; name them all, or none")
    tokens, tags = (_number(column, named, width) for column in (config.tokens, config.tags))
    if tokens is None:
        raise DataError(f"{place}: no column {config.tokens!r} for the tokens; {has}; name another as data.tokens")
    if tags == tokens:
        tags = None
    if tags is None and tagged:
        raise DataError(f"{place}: no column {config.tags!r} for the tags; {has}; name another as data.tags")
    name_of_tokens, name_of_tags = names_of(config)
    names = {number: named[number] if named else f"column {number}" for number in range(width)}
    names[tokens] = name_of_tokens
    if tags is not None:
        names[tags] = name_of_tags
    return {name: number for number, name in names.items()}


def _number(column: int | str, named: Sequence[str], width: int) -> int | None:
    """Return the number of a column from 0, or None where the file has it not."""
    number = named.index(column) if isinstance(column, str) else column
    number = number + (len(named) or width) if number < 0 else number
    return number if 0 <= number < width else None
