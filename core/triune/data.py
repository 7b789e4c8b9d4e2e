"""Tables on their way through a run: the splits, the roles of their columns, where each row came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from triune.errors import DataError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    import pandas as pd

    from triune.types import LabelValue

SPLITS = ("train", "valid", "test", "unlabelled")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a table came from, and its fingerprint."""

    place: str  # a path, or "a frame"
    unit: str  # what the table's index counts: "line", "row"
    sha256: str
    rows: int


@dataclass(frozen=True, slots=True)
class Data:
    """The tables of a run.

    Each table keeps the user's columns. Its index holds the line (or row) of the source, so that
    `where` can name it; a resampled table may hold an index twice. A label cell is a string or an
    integer, a list of those (several labels), or None (no label). Where texts are lists of tokens, a label
    cell is a list of as many tags, in which None stands for a token without one.

    Attributes:
        splits: the tables by name, of "train", "valid", "test", "unlabelled".
        roles: what columns mean: "text", and where given "text_pair", "label", "weight", "prompt", "completion".
        sources: where each table came from.
        notes: what the reader should know, for the plan.
    """

    splits: Mapping[str, pd.DataFrame]
    roles: Mapping[str, str]
    sources: Mapping[str, Source] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, table in self.splits.items():
            if name not in SPLITS:
                raise DataError(f"{name!r} is not a split; splits: {listed(SPLITS)}{nearest(name, SPLITS)}")
            required = {role: column for role, column in self.roles.items() if name != "unlabelled" or role == "text"}
            for role, column in required.items():
                if column not in table.columns and not (role in ("label", "weight") and name != "train"):
                    raise DataError(missing_column(self.place(name), column, role, list(table.columns)))

    @property
    def train(self) -> pd.DataFrame:
        """The table that is learnt from."""
        return self.splits["train"]

    @property
    def tokenised(self) -> bool:
        """Whether texts are lists of tokens, and labels lists of tags."""
        texts = (table[self.roles["text"]] for table in self.splits.values())
        return any(isinstance(cell, list) for column in texts for cell in column.iloc[:1])

    def place(self, split: str, index: object = None) -> str:
        """Return where a table, or a row of it by its index value, came from: `train.csv:17`."""
        source = self.sources.get(split)
        place = source.place if source else split
        if index is None:
            return place
        return f"{place}:{index}" if source and source.unit == "line" else f"{place}: row {index}"

    def labels(self, split: str) -> pd.Series[Any] | None:
        """Return the label cells of a split, or None where it has no label column."""
        column = self.roles.get("label")
        table = self.splits[split]
        return table[column] if column is not None and column in table.columns else None

    def with_split(self, name: str, table: pd.DataFrame, *notes: str) -> Data:
        """Return the data with one table replaced."""
        return replace(self, splits={**self.splits, name: table}, notes=(*self.notes, *notes))


def missing_column(place: str, column: str, role: str, known: Sequence[object]) -> str:
    """Return the sentence about a column that is not there."""
    return (
        f"{place}: no column {column!r} for the {role}; columns: {listed(known)}{nearest(column, known)}; "
        f"name the right one as data.{role}, or rename it to {column!r}"
    )


def label_set(cell: object) -> tuple[LabelValue, ...] | None:
    """Return the labels of one cell: none for None, one for a single label, several for a list.

    Of a list of tags it is the sequence, with None for a token without one.
    """
    if cell is None:
        return None
    if isinstance(cell, list | tuple):
        return tuple(cell)
    return (cell,) if isinstance(cell, str | int) else (str(cell),)


VALIDATION, FEWEST = 0.1, 20
"""The share that is set aside where nothing is said, and how many examples it must make."""


def set_aside_validation(data: Data, share: float | None, generator: np.random.Generator) -> Data:
    """Return the data with a stratified share of the training table as its validation table.

    Without a single label none is set aside, as there would be nothing to measure by; nor where the share is None and
    the labels are few. Each example counts for its rarest label. A class with fewer than two examples stays in training
    as a whole, and a note names it.
    """
    import numpy as np

    if share == 0:
        return data
    cells = data.labels("train")
    labels = 0 if cells is None else sum(cell is not None for cell in cells)
    if cells is None or not labels:
        return replace(
            data, notes=(*data.notes, "no training example has a label, so none is set aside for validation")
        )
    if share is None and labels * VALIDATION < FEWEST:
        note = (
            f"{labels} labels are too few to set some aside for validation, so the last model is what you get: "
            f"give data.valid, or training.validation ({VALIDATION:g} of them), to have the best one chosen"
        )
        return replace(data, notes=(*data.notes, note))
    share = VALIDATION if share is None else share
    strata = list(_strata(list(cells)))
    members: dict[object, list[int]] = {}
    for position, stratum in enumerate(strata):
        members.setdefault(stratum, []).append(position)
    chosen: list[int] = []
    small: list[object] = []
    for stratum, positions in members.items():
        if len(positions) < 2:
            small.append(stratum)
            continue
        size = min(max(round(len(positions) * share), 1), len(positions) - 1)
        chosen.extend(generator.permutation(np.asarray(positions))[:size].tolist())
    picked = np.zeros(len(strata), dtype=bool)
    picked[chosen] = True
    notes = [f"no validation table: {len(chosen)} of {len(strata)} training examples set aside, stratified by label"]
    if small:
        notes.append(f"too small to be validated, so all in training: {listed(repr(one) for one in small)}")
    if not chosen:
        return replace(data, notes=(*data.notes, *notes[1:], "too few examples to set any aside for validation"))
    source = data.sources.get("train")
    return replace(
        data,
        splits={**data.splits, "train": data.train[~picked], "valid": data.train[picked]},
        sources={**data.sources, "valid": source} if source else data.sources,
        notes=(*data.notes, *notes),
    )


def _strata(cells: Sequence[object]) -> Iterator[object]:
    sets = [[label for label in label_set(cell) or () if label is not None] for cell in cells]
    counts = Counter(label for labels in sets for label in labels)
    for labels in sets:
        yield min(labels, key=lambda label: counts[label], default=None)


def fingerprint(table: pd.DataFrame) -> str:
    """Return a sha256 over the columns and values of a table, whatever its dtypes."""
    digest = sha256(repr(list(table.columns)).encode())
    for row in table.itertuples(index=False, name=None):
        digest.update(repr(row).encode())
    return digest.hexdigest()
