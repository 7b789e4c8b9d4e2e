"""Which tags there are and what they mean, read off the training table."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, cast

from triune.errors import DataError, listed
from triune.spaces import Tags, labels_in_order
from triune_token_classification.schemes import NONE, check_fits, completed, follows, recognised

if TYPE_CHECKING:
    from triune.data import Data
    from triune.types import LabelValue
    from triune_token_classification.schemes import Cell


def check_tokens(data: Data) -> None:
    """Refuse texts that are not lists of tokens.

    Raises:
        DataError: they are whole texts.
    """
    if not data.tokenised:
        place = data.place(next(iter(data.splits)))
        raise DataError(
            f"{place}: texts are whole, and this task tags tokens: give lists of tokens, or say what parts them as "
            "data.token_separator"
        )


def space_of(data: Data, given: tuple[LabelValue, ...] | None, scheme: str) -> tuple[Tags, str]:
    """Return the tags, in their natural order, and their scheme.

    Args:
        data: the tables; only the tags of the training table are read.
        given: the tags that there are, for tables in which not all of them occur, or none does.
        scheme: the scheme, or "auto".

    Raises:
        DataError: there are no tags, or one only, or they are of no scheme.
    """
    place = data.place("train")
    cells = sequences_of(data, "train")
    found = [cell for cell in cells if cell is not None]
    tags = given or labels_in_order(found)
    if not tags:
        raise DataError(
            f"{place}: no token has a tag: name the column as data.label, or, where rules are to say the tags, write "
            "which there are as task.labels"
        )
    names = [str(tag) for tag in tags]
    _check_distinct(names, "task.labels" if given else place)

    def where(tag: str) -> str:
        return "task.labels" if given else _place_of(tag, cells, data)

    if scheme == "auto":
        scheme = recognised(names, found, where)
    else:
        check_fits(scheme, names, where)
    whole = tags if given or scheme == NONE else labels_in_order(completed(scheme, names))
    if len(whole) < 2:
        raise DataError(f"{place}: every tag is {whole[0]!r}, and there must be two or more: check the column of tags")
    return Tags(whole), scheme


def sequences_of(data: Data, split: str) -> list[Cell | None]:
    """Return the tags of each example of a table, None where it has none."""
    cells = data.labels(split)
    return [None] * len(data.splits[split]) if cells is None else cast("list[Cell | None]", cells.tolist())


def scheme_note(scheme: str, given: str) -> str:
    """Return what the plan says of the scheme."""
    how = "recognised" if given == "auto" else "as task.scheme says"
    if scheme == NONE:
        return f"tags mark no spans ({how}): figures are of single tokens"
    return f"tags mark spans in the scheme {scheme.upper()} ({how}): figures are of whole spans"


def breaks_of(data: Data, split: str, scheme: str) -> list[str]:
    """Return a note on the gold sequences of a table that break the scheme."""
    if scheme == NONE:
        return []
    cells, index = sequences_of(data, split), data.splits[split].index
    broken = [
        row for row, cell in enumerate(cells) if cell is not None and None not in cell and not follows(scheme, cell)
    ]
    if not broken:
        return []
    places = listed([data.place(split, index[row]) for row in broken], 3)
    return [
        f"{len(broken)} of {sum(cell is not None for cell in cells)} tag sequences of {data.place(split)} break the "
        f"scheme {scheme.upper()} ({places}); their spans are read as conlleval reads them"
    ]


def _check_distinct(names: list[str], place: str) -> None:
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(
            f"{place}: tags {listed(map(repr, twice))} occur twice, or as number and as text: write each once"
        )


def _place_of(tag: str, cells: list[Cell | None], data: Data) -> str:
    for row, cell in enumerate(cells):
        for token, found in enumerate(cell or ()):
            if str(found) == tag:
                return f"{data.place('train', data.train.index[row])}, token {token + 1}"
    return data.place("train")
