"""What one cell of a table may be, by the role of its column: a text, a label, a weight, a yes or no.

Each function returns the cell as `triune.data.Data` promises it, or raises a `ValueError` that completes
the sentence "train.csv:3: label 'intent' …"; `{found}` in it stands for the cell.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd

    from triune.types import LabelValue


def plain_cells(column: pd.Series) -> list[object]:
    """Return the cells of a column as Python values, None where pandas calls one missing."""
    missing = column.isna().tolist()
    return [None if gone else _plain(cell) for cell, gone in zip(column.tolist(), missing, strict=True)]


def _plain(cell: object) -> object:
    as_python = getattr(cell, "tolist", None)  # what numpy's scalars and arrays have
    return cell if as_python is None else as_python()


def text_cell(cell: object) -> str:
    """Return a cell as the text of an example.

    Raises:
        ValueError: the cell is empty or no text; it says so.
    """
    if isinstance(cell, int | float):
        return str(cell)
    if cell is not None and not isinstance(cell, str):
        raise ValueError("is no text (found {found}); write text")
    if cell is None or not cell.strip():
        raise ValueError("is empty; fill these rows or remove them")
    return _whole(cell)


def token_cells(separator: str | None) -> Callable[[object], list[str]]:
    """Return a function that reads a text cell as a list of tokens; a separator parts the tokens of a text."""

    def tokens(cell: object) -> list[str]:
        parts = _parted(cell, separator)
        if not isinstance(parts, list | tuple):
            raise ValueError("is no list of tokens (found {found}); write a list, or say data.token_separator")
        if not parts:
            raise ValueError("holds no token; fill these rows or remove them")
        wrong = next((one for one in parts if not isinstance(one, str | int | float) or one == ""), None)
        if wrong is not None or None in parts:
            raise ValueError("holds a token that is empty or no text (found {found}); write text")
        return [_whole(str(one)) for one in parts]

    return tokens


def tag_cells(separator: str | None) -> Callable[[object], list[LabelValue | None] | None]:
    """Return a function that reads a label cell as a list of tags, None for a token without one."""

    def tags(cell: object) -> list[LabelValue | None] | None:
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            return None
        parts = _parted(cell, separator)
        if not isinstance(parts, list | tuple):
            raise ValueError("is no list of tags (found {found}); write a tag for each token")
        return [None if one is None or one == "" else _label(one) for one in parts]

    return tags


def _parted(cell: object, separator: str | None) -> object:
    if not isinstance(cell, str) or separator is None:
        return cell
    return [one for one in cell.split(separator if separator.strip() else None) if one]


def weight_cell(cell: object) -> float:
    """Return a cell as the weight of an example: a number, at least 0."""
    try:
        weight = float(cell) if isinstance(cell, str | int | float) else math.nan
    except (ValueError, OverflowError):
        weight = math.nan
    if not (math.isfinite(weight) and weight >= 0):
        raise ValueError("is no number of at least 0 (found {found}); write one, 1 being usual")
    return weight


def indicator_cell(cell: object) -> bool | None:
    """Return whether a cell of a 0/1 column says yes; None where it is empty."""
    known = {"": None, "0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}
    written = "" if cell is None else str(cell).strip().lower()
    if written not in known:
        raise ValueError("is neither 0 nor 1 (found {found}); write 0 or 1, or name one column with all labels")
    return known[written]


def label_cell(cell: object) -> LabelValue | list[LabelValue] | None:
    """Return a cell as its label, a list of labels, or None for no label.

    Text and whole numbers stay what they are, `1.0` becomes 1, True becomes 'True'.

    Raises:
        ValueError: the cell is no label; it says why.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        return None
    return _distinct(map(_label, cell)) if isinstance(cell, list | tuple | set | frozenset) else _label(cell)


def _label(cell: object) -> LabelValue:
    if isinstance(cell, bool):
        return str(cell)  # before int, which a bool is too
    if isinstance(cell, float) and cell.is_integer():
        return int(cell)
    if isinstance(cell, float) and math.isfinite(cell):
        raise ValueError("is {found}, which looks like a regression target; write classes, as text or whole numbers")
    if isinstance(cell, int):
        return cell
    if isinstance(cell, str) and cell.strip():
        return _whole(cell)
    raise ValueError("is no label (found {found}); write text, a whole number or a list of those")


def split_by(separator: str) -> Callable[[object], list[LabelValue]]:
    """Return a function that reads a text cell as the labels between separators; an empty one as no labels."""

    def split(cell: object) -> list[LabelValue]:
        if isinstance(cell, str):
            return _distinct(part.strip() for part in cell.split(separator) if part.strip())
        labels = label_cell(cell)
        return labels if isinstance(labels, list) else [] if labels is None else [labels]

    return split


def _distinct(labels: Iterable[LabelValue]) -> list[LabelValue]:
    return list(dict.fromkeys(labels))


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a character (found {found}); mend its encoding") from None
    return text
