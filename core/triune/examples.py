"""Tokenised examples in flat arrays, and how a few of them become a padded batch.

Token ids of all examples lie in one array with offsets; a batch is cut out and padded by numpy, which
is some twenty times faster than a list of lists through a collator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.data import Data
    from triune.types import Batch


@dataclass(frozen=True, slots=True)
class Ragged:
    """Rows of different length in one flat array."""

    values: NDArray[np.int32]  # (total,)
    offsets: NDArray[np.int64]  # (rows + 1,)
    padding: int

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], padding: int) -> Ragged:
        """Return the rows laid end to end."""
        import numpy as np

        lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        offsets = np.concatenate([np.zeros(1, dtype=np.int64), lengths.cumsum()])
        values = np.fromiter((one for row in rows for one in row), dtype=np.int32, count=int(offsets[-1]))
        return cls(values, offsets, padding)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The length of each row, (rows,)."""
        import numpy as np

        return np.diff(self.offsets)

    def at(self, rows: NDArray[np.int64]) -> Ragged:
        """Return the rows at these places alone."""
        return Ragged.of(
            [self.values[self.offsets[row] : self.offsets[row + 1]].tolist() for row in rows], self.padding
        )

    def padded(self, rows: NDArray[np.int64], width: int) -> NDArray[np.int64]:
        """Return (len(rows), width) the rows, padded on the right."""
        import numpy as np

        columns = np.arange(width)
        inside = columns < self.lengths[rows, None]  # (rows, width)
        padded = np.full(inside.shape, self.padding, dtype=np.int64)
        padded[inside] = self.values[(self.offsets[rows, None] + columns)[inside]]
        return padded


@dataclass(frozen=True, slots=True)
class Examples:
    """The examples of one split, ready for the model."""

    inputs: Mapping[str, Ragged]  # by the name the model's forward knows, all of the same lengths
    targets: NDArray[np.float32]  # (examples, classes); of sequences (tokens, tags), laid end to end
    labelled: NDArray[np.float32]  # (examples,) 1.0 where there is a label
    weights: NDArray[np.float32]  # (examples,)
    split: str = "train"
    bounds: NDArray[np.int64] | None = None  # of sequences: (examples + 1,) where each begins in `targets`
    notes: tuple[str, ...] = ()  # what the reader should know, for the plan
    own: NDArray[np.float32] | None = None  # (examples,) as `labelled`, of the table's own labels; None: all are
    decided: NDArray[np.bool_] | None = None  # of each row of `targets`: whether rules decided it; None: none is

    @property
    def gold(self) -> NDArray[np.float32]:
        """Whether each example has a label of the table's own, (examples,): not one that rules decided."""
        return self.labelled if self.own is None else self.own

    def __len__(self) -> int:
        return len(self.labelled)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The number of token ids of each example, (examples,)."""
        return next(iter(self.inputs.values())).lengths

    def batch(self, rows: NDArray[np.int64], multiple: int = 1) -> Batch:
        """Return the examples at `rows`, padded to the longest of them or to a multiple, with their attention mask."""
        import numpy as np
        import torch

        from triune.types import Batch

        lengths = self.lengths[rows]
        width = -(-int(lengths.max(initial=1)) // multiple) * multiple
        inputs = {name: torch.from_numpy(ragged.padded(rows, width)) for name, ragged in self.inputs.items()}
        inputs["attention_mask"] = torch.from_numpy((np.arange(width) < lengths[:, None]).astype(np.int64))
        targets, mask = self._padded_targets(rows)
        return Batch(
            rows=torch.from_numpy(rows),
            inputs=inputs,
            targets=torch.from_numpy(targets),
            labelled=torch.from_numpy(self.labelled[rows]),
            weights=torch.from_numpy(self.weights[rows]),
            split=self.split,
            mask=None if mask is None else torch.from_numpy(mask),
            gold=None if self.own is None else torch.from_numpy(self.own[rows]),
        )

    def _padded_targets(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Return the targets of some examples, of sequences (rows, tokens, tags) with a mask (rows, tokens)."""
        import numpy as np

        if self.bounds is None:
            return self.targets[rows], None
        lengths = np.diff(self.bounds)[rows]
        columns = np.arange(max(int(lengths.max(initial=1)), 1))
        mask = columns < lengths[:, None]
        targets = np.zeros((*mask.shape, self.targets.shape[1]), dtype=np.float32)
        targets[mask] = self.targets[(self.bounds[rows, None] + columns)[mask]]
        return targets, mask

    def at(self, rows: NDArray[np.int64]) -> Examples:
        """Return the examples at `rows` alone."""
        import numpy as np

        targets, mask = self._padded_targets(rows)
        bounds = None if mask is None else np.concatenate([np.zeros(1, dtype=np.int64), mask.sum(axis=1).cumsum()])
        return replace(
            self,
            inputs={name: ragged.at(rows) for name, ragged in self.inputs.items()},
            targets=targets if mask is None else targets[mask],
            labelled=self.labelled[rows],
            weights=self.weights[rows],
            bounds=bounds,
            own=None if self.own is None else self.own[rows],
            decided=None if self.decided is None else self.decided[self._places(rows)],
        )

    def _places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return which rows of `targets` some examples have."""
        import numpy as np

        if self.bounds is None:
            return rows
        return np.concatenate([np.arange(self.bounds[row], self.bounds[row + 1]) for row in rows])

    def label_totals(self) -> tuple[NDArray[np.float64], int]:
        """Return (classes,) how often each label holds in labelled examples, and how many decisions that is of.

        Labels that rules decided do not count: they say how rules vote, not how often a label is right.
        """
        import numpy as np

        labelled = self.labelled > 0 if self.bounds is None else self.targets.any(axis=1)
        labelled = labelled if self.decided is None else labelled & ~self.decided
        return self.targets[labelled].sum(axis=0, dtype=np.float64), int(labelled.sum())

    def as_they_came(self) -> Examples:
        """Return the examples under the table's own labels: what rules decided is no label."""
        import numpy as np

        if self.decided is None:
            return self
        targets = np.where(self.decided[:, None], np.float32(0), self.targets)
        return replace(self, targets=targets, labelled=self.gold, own=None, decided=None)

    def with_targets(
        self, targets: NDArray[np.float32], labelled: NDArray[np.float32], decided: NDArray[np.bool_]
    ) -> Examples:
        """Return the examples with other targets; those that rules `decided` are not the table's own."""
        return replace(self, targets=targets, labelled=labelled, own=self.gold, decided=decided)


def weights_of(data: Data, split: str) -> NDArray[np.float32]:
    """Return (examples,) how much each counts: 1 where no column says."""
    import numpy as np

    table, column = data.splits[split], data.roles.get("weight")
    if column is None or column not in table.columns:
        return np.ones(len(table), dtype=np.float32)
    return table[column].to_numpy(dtype=np.float32)


def joined(first: Examples, second: Examples) -> Examples:
    """Return the examples of both, one after the other."""
    import numpy as np

    both = first.bounds is not None and second.bounds is not None
    return Examples(
        inputs={name: _end_to_end(ragged, second.inputs[name]) for name, ragged in first.inputs.items()},
        targets=np.concatenate([first.targets, second.targets]),
        labelled=np.concatenate([first.labelled, second.labelled]),
        weights=np.concatenate([first.weights, second.weights]),
        split=first.split,
        bounds=_offsets(first.bounds, second.bounds) if both else None,  # type: ignore[arg-type]
        notes=(*first.notes, *second.notes),
    )


def _end_to_end(first: Ragged, second: Ragged) -> Ragged:
    import numpy as np

    values = np.concatenate([first.values, second.values])
    return Ragged(values, _offsets(first.offsets, second.offsets), first.padding)


def _offsets(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    import numpy as np

    return np.concatenate([first, second[1:] + first[-1]])
