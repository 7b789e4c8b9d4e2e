"""What is predicted, read off the labels of the training table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.data import label_set
from triune.errors import DataError, listed
from triune.spaces import Binaries, Categorical, OutputSpace, labels_in_order

if TYPE_CHECKING:
    from triune.data import Data
    from triune.types import LabelValue


def check_texts(data: Data) -> None:
    """Refuse lists of tokens.

    Raises:
        DataError: the texts are such.
    """
    if data.tokenised:
        place = data.place(next(iter(data.splits)))
        raise DataError(
            f"{place}: texts are lists of tokens, and this task labels whole texts: join the tokens, or name a task "
            "that tags tokens"
        )


def space_of(data: Data, multi_label: bool | None, given: tuple[LabelValue, ...] | None = None) -> OutputSpace:
    """Return the output space: one label of several, or any number of them.

    Args:
        data: the tables; only the labels of the training table are read.
        multi_label: whether several labels may hold at once; None if that is so where cells are lists.
        given: the labels that there are, for tables in which not all of them occur, or none does.

    Raises:
        DataError: there are no labels, or one class only, or lists of labels where one is asked for.
    """
    place = data.place("train")
    cells = data.labels("train")
    found = [] if cells is None else [cell for cell in cells if cell is not None]
    if not found and not given:
        raise DataError(
            f"{place}: no example has a label: name the column as data.label, give labels, or, where rules are to give "
            "them, say which there are as task.labels"
        )
    several = any(isinstance(cell, list | tuple) for cell in found)
    if multi_label is False and several:
        raise DataError(
            f"{place}: label cells are lists and task.multi_label is false: leave it out, or give one label a row"
        )
    labels = given or labels_in_order(found)
    if given:
        place = "task.labels"
        _check_given(given)
    else:
        _check_names(labels, place)
    if multi_label or several:
        return Binaries(_at_least(1, labels, place))
    return Categorical(_at_least(2, labels, place))


def shares_of(data: Data, space: OutputSpace) -> list[float]:
    """Return the share of labelled training examples that have each label, one example and one without added."""
    cells = data.labels("train")
    sets = [label_set(cell) for cell in (() if cells is None else cells)]
    found = [set(map(str, labels)) for labels in sets if labels is not None]
    return [(1 + sum(str(label) in one for one in found)) / (2 + len(found)) for label in space.labels]


def _at_least(least: int, labels: tuple[LabelValue, ...], place: str) -> tuple[LabelValue, ...]:
    if not labels:
        raise DataError(f"{place}: every list of labels is empty: check the label column")
    if len(labels) < least:
        raise DataError(
            f"{place}: every label is {labels[0]!r}, and a classifier needs two classes or more: check the label column"
        )
    return labels


def _check_given(labels: tuple[LabelValue, ...]) -> None:
    written = [str(label) for label in labels]
    twice = sorted({text for text in written if written.count(text) > 1})
    if twice:
        raise DataError(
            f"task.labels: labels {listed(map(repr, twice))} are given twice, or as number and as text: write each once"
        )


def _check_names(labels: tuple[LabelValue, ...], place: str) -> None:
    written = [str(label) for label in labels]
    twice = sorted({text for text in written if written.count(text) > 1})
    if twice:
        raise DataError(f"{place}: labels {listed(map(repr, twice))} occur as number and as text: write them one way")
