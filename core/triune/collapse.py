"""The watch on collapse: rules that are pushed can be satisfied by predicting one label, and that must not go unseen.

A label is said to have taken over where its share of the predictions is beyond the middle between what is expected of
it and all: share > (1 + expected) / 2. Of eight labels alike that is 56 %, of one that is right nine times in ten
95 %. Expected is what a method states as its prior, else what labels show, else the same for every label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.context import seed_of
from triune.guard import Guarded, stated
from triune.hooks import declared
from triune.types import Seat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.context import Run
    from triune.evaluation import Answers
    from triune.examples import Examples
    from triune.hooks import Hooks
    from triune.spaces import OutputSpace

PUSHING = frozenset({Seat.LOSS, Seat.REGULARISER, Seat.POLICY})
SAMPLE = 256
"""How many training examples are looked at where there is no validation table."""
GRACE = 0.5
"""Share of the run in which one label may be all that is predicted, as it is of a model that has learnt little."""


@dataclass(frozen=True, slots=True)
class CollapseWatch:
    """What is expected of predictions.

    Attributes:
        labels: the labels of the task.
        expected: (labels,) the share of predictions that each is expected to have.
        basis: where that comes from: "of 40 labels".
        sample: the training examples that are looked at where there is no validation table.
    """

    labels: tuple[str, ...]
    expected: NDArray[np.float64]
    basis: str
    sample: NDArray[np.int64]

    def verdict(self, answers: Sequence[Answers]) -> str:
        """Return a sentence on the label that has taken over the answers, or nothing."""
        shares = shares_of(answers)
        label = int(shares.argmax())
        share, expected = float(shares[label]), float(self.expected[label])
        if share <= (1 + expected) / 2:
            return ""
        return (
            f"{100 * share:.0f} % of the predictions are {self.labels[label]!r}, where {100 * expected:.0f} % are "
            f"expected ({self.basis}): rules may be satisfied by predicting one label; lower their weight, or raise "
            "their guard"
        )


def shares_of(answers: Sequence[Answers]) -> NDArray[np.float64]:
    """Return (labels,) the share of the decisions that each label has; of sequences, of their tokens."""
    import numpy as np

    totals, decisions = np.zeros(answers[0].decided.shape[-1]), 0
    for one in answers:
        decided = (one.decided if one.mask is None else one.decided[one.mask]).numpy()
        totals += decided.sum(axis=0)
        decisions += len(decided)
    return totals / max(decisions, 1)


def pushing(hooks: Hooks) -> bool:
    """Return whether a method of the run pushes rules: into the loss, a regulariser or an outside policy."""
    return any(PUSHING & set(map(Seat, declared(plugin, "seats"))) for plugin in hooks.plugins.values())


def watch_of(
    run: Run, hooks: Hooks, examples: Mapping[str, Examples], learnt: Examples, space: OutputSpace
) -> CollapseWatch | None:
    """Return the watch of a run; None where nothing pushes rules, or nothing can be expected of the labels.

    Args:
        run: the run.
        hooks: its plugins.
        examples: those of the tables as they came, before rules labelled any.
        learnt: what is learnt from.
        space: what is predicted.
    """
    import numpy as np

    if run.config.training.collapse == "ignore" or not pushing(hooks):
        return None
    found = expectation(hooks, examples, space)
    if found is None:
        return None
    drawn = np.random.default_rng(seed_of(run.seed, "collapse")).permutation(len(learnt))[:SAMPLE]
    return CollapseWatch(tuple(map(str, space.labels)), *found, np.sort(drawn))


def expectation(
    hooks: Hooks, examples: Mapping[str, Examples], space: OutputSpace
) -> tuple[NDArray[np.float64], str] | None:
    """Return (labels,) how often each label is expected, and where that comes from."""
    import numpy as np

    settings = [getattr(plugin, "config", None) for plugin in hooks.plugins.values()]
    for one in settings:
        if isinstance(one, Guarded) and one.prior:
            return stated(one.prior, space)[0].astype(np.float64), "the stated prior"
    for split in ("valid", "train"):
        totals, decisions = examples[split].label_totals() if split in examples else (np.zeros(0), 0)
        if decisions:
            return totals / decisions, f"of {decisions:,} labels of {split}"
    if space.kind == "binaries":
        return None  # without a label nobody knows how many hold at once
    return np.full(len(space.labels), 1 / len(space.labels)), "all labels alike"
