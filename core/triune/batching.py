"""The order of examples: seeded, bucketed by length, a pure function of (seed, epoch, position).

Nothing iterates and nothing is remembered, so a resumed run asks for the next position and gets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.context import seed_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW = 50
"""Batches whose examples are sorted together: more pads less and mixes less."""


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of a training table.

    Attributes:
        lengths: (examples,) tokens of each example.
        size: examples a batch.
        seed: of the order.
    """

    lengths: NDArray[np.int64]
    size: int
    seed: int

    @property
    def per_epoch(self) -> int:
        """How many batches an epoch has; the last one of an epoch may be smaller."""
        return max(-(-len(self.lengths) // self.size), 1)

    def of_epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the rows of every batch of an epoch, in the order they are learnt from.

        Examples are shuffled, sorted by length inside windows of `WINDOW` batches and cut into batches,
        and the batches are shuffled: each holds examples of about one length, in an order of its own.
        """
        import numpy as np

        generator = np.random.default_rng(seed_of(self.seed, f"order/{epoch}"))
        order = generator.permutation(len(self.lengths))
        window = self.size * WINDOW
        windows = [order[start : start + window] for start in range(0, len(order), window)]
        by_length = np.concatenate([rows[np.argsort(self.lengths[rows], kind="stable")] for rows in windows])
        batches = [by_length[start : start + self.size] for start in range(0, len(by_length), self.size)]
        return [batches[place] for place in generator.permutation(len(batches))]


def by_length(lengths: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return the rows in batches of similar length, longest first: for evaluation, where order is free."""
    import numpy as np

    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


def parts_of(rows: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Return the rows of a batch in `count` parts of nearly equal size, none of them empty."""
    import numpy as np

    return [part for part in np.array_split(rows, count) if len(part)]
