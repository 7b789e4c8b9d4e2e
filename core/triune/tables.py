"""From the cells of a file or frame to the tables of a run: what may be a text, a label, a weight.

Every plugin that loads data hands its raw frames to `assembled`, so that a label means the same wherever
it was read. Cells arrive as Python, numpy or pandas values; they leave as `Data` promises them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from reprlib import repr as shortened
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, Field, model_validator

from triune.cells import (
    indicator_cell,
    label_cell,
    plain_cells,
    split_by,
    tag_cells,
    text_cell,
    token_cells,
    weight_cell,
)
from triune.data import SPLITS, Data, Source, fingerprint, label_set, missing_column
from triune.errors import DataError, listed, nearest
from triune.overlaps import contradicted, repeated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd

TEXTS = ("text", "text_pair", "prompt", "completion")


class Columns(BaseModel, frozen=True, extra="forbid"):
    """Which column means what; the common part of the `Config` of every plugin that loads data."""

    text: str = Field("text", description="Column of the text; where only a prompt is given, the prompt.")
    text_pair: str | None = Field(None, description="Column of a second text, for tasks on pairs.")
    label: str | list[str] | None = Field(
        None, description="Column of the label, or a list of 0/1 columns; null: 'label' where there is one."
    )
    label_separator: str | None = Field(None, min_length=1, description="Splits a label cell into several labels.")
    token_separator: str | None = Field(
        None,
        min_length=1,
        description="For tasks on tokens: what parts the tokens of a text cell, and the tags of a label cell; a blank "
        "stands for any blanks. null: such cells are lists.",
    )
    weight: str | None = Field(None, description="Column of how much an example counts.")
    prompt: str | None = Field(None, description="Column of the prompt, for generation.")
    completion: str | None = Field(None, description="Column of what should follow the prompt.")

    def roles(self, frames: Mapping[str, pd.DataFrame]) -> dict[str, str]:
        """Return the column of each role that these frames have or must have."""
        text = self.prompt if self.prompt and "text" not in self.model_fields_set else self.text
        named = {"text": text, "text_pair": self.text_pair, "prompt": self.prompt, "completion": self.completion}
        named |= {"weight": self.weight, "label": self._label(frames)}
        return {role: column for role, column in named.items() if column is not None}

    @model_validator(mode="after")
    def _one_way_of_several_labels(self) -> Self:
        if isinstance(self.label, list) and not self.label:
            raise ValueError("label is an empty list; name the 0/1 columns, or one column")
        if isinstance(self.label, list) and self.label_separator is not None:
            raise ValueError("label_separator splits the cells of one column, and label names several; drop one")
        if self.token_separator is not None and (isinstance(self.label, list) or self.label_separator is not None):
            raise ValueError("token_separator is for one column of tags; drop label_separator, or the list of labels")
        return self

    def _label(self, frames: Mapping[str, pd.DataFrame]) -> str | None:
        taken = {column for frame in frames.values() for column in frame.columns}
        if isinstance(self.label, list):
            return next((name for name in ("label", "labels") if name not in taken), "gathered labels")
        return self.label or ("label" if "label" in taken else None)


def assembled(columns: Columns, frames: Mapping[str, pd.DataFrame], sources: Mapping[str, Source]) -> Data:
    """Return the tables of a run, from raw frames whose index holds the line or row of the source.

    Raises:
        DataError: columns are missing or cells are not what their role needs; it tells all problems at once.
    """
    roles = columns.roles(frames)
    places = Data({}, {}, sources)  # without tables, but it knows what to call them
    tokenised = columns.token_separator is not None or any(_in_tokens(one, roles["text"]) for one in frames.values())
    tables = {split: _Table(split, frame, places, tokenised) for split, frame in frames.items()}
    splits = {split: table.normalised(columns, roles) for split, table in tables.items()}
    problems = [problem for table in tables.values() for problem in _first(table.problems)]
    if problems:
        raise DataError("\n".join(problems))
    data = Data(splits, roles, sources)
    notes = [note for table in tables.values() for note in table.notes]
    return Data(splits, roles, sources, (*notes, *repeated(data), *contradicted(data)))


def checked_frames(frames: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return tables that come from Python, by split.

    Raises:
        DataError: a name is no split, or a value no frame.
    """
    import pandas as pd

    for split, frame in frames.items():
        if split not in SPLITS:
            raise DataError(f"data[{split!r}]: not a split; splits: {listed(SPLITS)}{nearest(split, SPLITS)}")
        if not isinstance(frame, pd.DataFrame):
            raise DataError(
                f"data[{split!r}]: found {type(frame).__name__}, wanted a pandas DataFrame; "
                "pass one, or name a file in the configuration"
            )
    return dict(frames)


def framed(split: str, frame: pd.DataFrame) -> tuple[pd.DataFrame, Source]:
    """Return a frame from Python as a raw table, its index counting the rows, and where it came from."""
    import pandas as pd

    table = frame.copy(deep=False)
    table.columns = pd.Index([str(name) for name in frame.columns], dtype=object)
    table.index = pd.RangeIndex(len(frame), name="row")
    return table, Source(f"the frame given as {split}", "row", fingerprint(frame), len(frame))


def _in_tokens(frame: pd.DataFrame, text: str) -> bool:
    """Return whether the texts of a frame are lists of tokens."""
    if text not in frame.columns or list(frame.columns).count(text) > 1:
        return False
    return any(isinstance(cell, list | tuple) for cell in plain_cells(frame[text].iloc[:1]))


def _first(problems: Sequence[str], most: int = 5) -> list[str]:
    rest = len(problems) - most
    return [*problems[:most], *([f"… and {rest} more"] if rest > 0 else [])]


@dataclass(slots=True)
class _Table:
    """One table while its cells are read, and what was found on the way."""

    split: str
    raw: pd.DataFrame
    places: Data
    tokenised: bool = False
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def place(self) -> str:
        return self.places.place(self.split)

    def normalised(self, columns: Columns, roles: Mapping[str, str]) -> pd.DataFrame:
        if self.raw.empty:
            self.problems.append(f"{self.place}: no examples; give at least one")
        if self.badly_named():
            return self.raw
        changed: dict[str, list[object]] = {}
        for role in TEXTS:
            if role in roles and not (self.split == "unlabelled" and role == "completion"):
                tokens = token_cells(columns.token_separator) if self.tokenised and role == "text" else text_cell
                changed[roles[role]] = self.cells(roles[role], role, tokens)
        if "weight" in roles and (self.split == "train" or roles["weight"] in self.raw.columns):
            changed[roles["weight"]] = self.weights(roles["weight"])
        if "label" in roles:
            changed |= self.labels(columns, roles["label"], changed.get(roles["text"], []))
        return self.with_columns(changed)

    def badly_named(self) -> bool:
        names = list(self.raw.columns)
        twice = sorted({str(name) for name in names if names.count(name) > 1} - {""})
        if twice:
            self.problems.append(f"{self.place}: column {twice[0]!r} stands there twice; give each column its own name")
        if "" in names:
            self.problems.append(
                f"{self.place}: column {names.index('') + 1} has no name; "
                "name it, or write the table without an index (pandas: index=False)"
            )
        return bool(self.problems)

    def with_columns(self, changed: Mapping[str, list[object]]) -> pd.DataFrame:
        import pandas as pd

        table = self.raw.copy(deep=False)
        for column, cells in changed.items():
            if len(cells) == len(table):  # a column that is missing was told as a problem
                # dtype object, as pandas would turn None into NaN and 1 into 1.0 beside it
                table[column] = pd.Series(cells, index=table.index, dtype=object)
        return table

    def cells(self, column: str, role: str, normal: Callable[[object], object]) -> list[object]:
        """Return the cells of a column as its role needs them; what is wrong becomes one problem a kind."""
        if column not in self.raw.columns:
            self.problems.append(missing_column(self.place, column, role, list(self.raw.columns)))
            return []
        good: list[object] = []
        wrong: dict[str, list[int]] = {}
        raw = plain_cells(self.raw[column])
        for position, cell in enumerate(raw):
            try:
                good.append(normal(cell))
            except ValueError as error:
                good.append(None)
                wrong.setdefault(str(error), []).append(position)
        for fault, positions in wrong.items():
            found = shortened(raw[positions[0]])
            self.problems.append(f"{self.some(positions)}: {role} {column!r} {fault.format(found=found)}")
        return good

    def weights(self, column: str) -> list[object]:
        """Return how much each example counts; where none does, training would learn nothing and say nothing."""
        found = self.cells(column, "weight", weight_cell)
        if self.split == "train" and found and not any(found) and not self.problems:
            self.problems.append(
                f"{self.place}: column {column!r} weighs every example 0, so nothing would be learnt; "
                "give some a weight above 0, or leave data.weight out"
            )
        return found

    def some(self, positions: Sequence[int]) -> str:
        """Return up to three places and how many more there are."""
        shown = ", ".join(self.places.place(self.split, self.raw.index[one]) for one in positions[:3])
        return shown + (f" and {len(positions) - 3} more ({len(positions)} in all)" if len(positions) > 3 else "")

    def labels(self, columns: Columns, role: str, texts: Sequence[object]) -> dict[str, list[object]]:
        """Return the label column, unless this table has none and needs none."""
        named = columns.label if isinstance(columns.label, list) else [role]
        present = [column for column in named if column in self.raw.columns]
        demanded = self.split == "train" and columns.label is not None
        if self.split == "unlabelled" or not (present or demanded):
            if present and self.split == "unlabelled":
                self.notes.append(f"{self.place}: given as unlabelled, so its labels are not read")
            elif columns.label is not None and "train" in self.places.sources:
                self.notes.append(f"{self.place}: no column {named[0]!r}, so it cannot be evaluated")
            empty: list[object] = [None] * len(self.raw)
            return {role: empty} if present or self.split == "train" else {}
        if isinstance(columns.label, list):
            indicators = {column: self.cells(column, "label", indicator_cell) for column in named}
            labels = self.gathered(indicators)
        elif self.tokenised:
            labels = self.cells(role, "label", tag_cells(columns.token_separator))
            self.check_lengths(texts, labels)
        else:
            separator = columns.label_separator
            labels = self.cells(role, "label", label_cell if separator is None else split_by(separator))
        self.check_labels(labels)
        return {role: labels}

    def check_lengths(self, texts: Sequence[object], tags: Sequence[object]) -> None:
        """Note rows that have more or fewer tags than tokens."""
        for position, (text, cell) in enumerate(zip(texts, tags, strict=False)):
            if isinstance(text, list) and isinstance(cell, list) and len(text) != len(cell):
                counts = f"{len(text)} token{'s' * (len(text) != 1)} and {len(cell)} tag{'s' * (len(cell) != 1)}"
                self.problems.append(f"{self.some([position])}: {counts}; write one tag for each token")

    def gathered(self, indicators: Mapping[str, list[object]]) -> list[object]:
        """Return the names of the indicator columns that are 1, row by row; None where every one is empty."""
        if self.problems:
            return []
        rows = list(zip(*indicators.values(), strict=True))
        partly = [n for n, row in enumerate(rows) if None in row and set(row) != {None}]
        if partly:
            self.problems.append(f"{self.some(partly)}: some label columns are empty; write 0 or 1 in all or none")
        return [
            None if None in row else [name for name, one in zip(indicators, row, strict=True) if one] for row in rows
        ]

    def check_labels(self, labels: Sequence[object]) -> None:
        distinct = {label for cell in labels for label in label_set(cell) or () if label is not None}
        for label in sorted(one for one in distinct if isinstance(one, int) and str(one) in distinct):
            self.problems.append(f"{self.place}: label {label} stands there as number and as text; write one of them")
