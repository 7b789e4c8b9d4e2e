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

    from triune.examples import Examples
    from triune.settings import Training

WINDOW = 50
"""Batches whose examples are sorted together: more pads less and mixes less."""


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of a training table.

    Attributes:
        lengths: (examples,) tokens of each example.
        size: examples a batch.
        seed: of the order.
        mix: which examples have labels, and which share of each batch is to be of these; None: as it comes.
    """

    lengths: NDArray[np.int64]
    size: int
    seed: int
    mix: Mix | None = None

    @property
    def per_epoch(self) -> int:
        """How many batches an epoch has; the last one of an epoch may be smaller."""
        return max(-(-(sum(self.mix.counts) if self.mix else len(self.lengths)) // self.size), 1)

    def of_epoch(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the rows of every batch of an epoch, in the order they are learnt from.

        Examples are shuffled, sorted by length inside windows of `WINDOW` batches and cut into batches,
        and the batches are shuffled: each holds examples of about one length, in an order of its own.
        """
        import numpy as np

        generator = np.random.default_rng(seed_of(self.seed, f"order/{epoch}"))
        batches = self._mixed(generator, self.mix) if self.mix else self._plain(generator)
        return [batches[place] for place in generator.permutation(len(batches))]

    def _plain(self, generator: np.random.Generator) -> list[NDArray[np.int64]]:
        order = self._by_length(generator.permutation(len(self.lengths)), self.size * WINDOW)
        return [order[start : start + self.size] for start in range(0, len(order), self.size)]

    def _mixed(self, generator: np.random.Generator, mix: Mix) -> list[NDArray[np.int64]]:
        """Return batches that each hold their share of labelled examples, all of about one length."""
        import numpy as np

        batches = self.per_epoch
        kinds = []
        for rows, count in zip(mix.kinds, mix.counts, strict=True):
            drawn = np.concatenate([generator.permutation(rows) for _ in range(-(-count // len(rows)))])[:count]
            kinds.append(self._by_length(drawn, -(-count // batches) * WINDOW))
        labelled = np.array_split(kinds[0], batches)
        # split from the end, so that what is left over comes to other batches than the labelled ones' rest
        unlabelled = np.array_split(kinds[1][::-1], batches)[::-1]
        return [np.concatenate(parts) for parts in zip(labelled, unlabelled, strict=True)]

    def _by_length(self, rows: NDArray[np.int64], window: int) -> NDArray[np.int64]:
        """Return rows sorted by length inside windows."""
        import numpy as np

        windows = [rows[start : start + window] for start in range(0, len(rows), window)]
        return np.concatenate([some[np.argsort(self.lengths[some], kind="stable")] for some in windows])


@dataclass(frozen=True, slots=True)
class Mix:
    """Labelled and unlabelled examples in the same batches.

    Attributes:
        labelled: (examples,) whether each has a label of the table's own; some have, and some have not.
        share: of each batch that has one.
    """

    labelled: NDArray[np.bool_]
    share: float

    @property
    def kinds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows with a label, and those without."""
        import numpy as np

        return np.flatnonzero(self.labelled), np.flatnonzero(~self.labelled)

    @property
    def counts(self) -> tuple[int, int]:
        """How many of both an epoch has: all of one kind once, and of the other as many as the share takes."""
        with_label, without = map(len, self.kinds)
        odds = self.share / (1 - self.share)
        return max(with_label, round(without * odds)), max(without, round(with_label / odds))


def order_of(training: Training, train: Examples) -> Batches:
    """Return the order in which a run learns from its examples."""
    import numpy as np

    seed = training.seed if training.data_seed is None else training.data_seed
    gold = np.asarray(train.gold > 0)
    mixes = training.labelled_share is not None and gold.any() and not gold.all()
    mix = Mix(gold, training.labelled_share) if mixes and training.labelled_share else None
    return Batches(train.lengths, training.batch_size, seed, mix)


def by_length(lengths: NDArray[np.int64], size: int) -> list[NDArray[np.int64]]:
    """Return the rows in batches of similar length, longest first: for evaluation, where order is free."""
    import numpy as np

    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


def parts_of(rows: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    """Return the rows of a batch in `count` parts of nearly equal size, none of them empty."""
    import numpy as np

    return [part for part in np.array_split(rows, count) if len(part)]
