"""The watch on collapse: rules can be satisfied by predicting one label, or label all alike; that must not go unseen.

A label is said to have taken over where its share of the predictions is beyond the middle between what is expected of
it and all: share > (1 + expected) / 2. Of eight labels alike that is 56 %, of one that is right nine times in ten
95 %. Expected is what a method states as its prior, else what labels show, else the same for every label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.alignment import count
from triune.context import seed_of
from triune.guard import Guarded, stated
from triune.rule_plan import asked_seats
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
PUSHED = "rules may be satisfied by predicting one label; lower their weight, or raise their guard"
LABELLED = "rules may have given most examples that one; write rules for the other labels, or give labels of your own"
"""What may be wrong, and what to do: where rules are pushed, and where they label."""
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
        remedy: what may be wrong, and what to do.
    """

    labels: tuple[str, ...]
    expected: NDArray[np.float64]
    basis: str
    sample: NDArray[np.int64]
    remedy: str = PUSHED

    def verdict(self, answers: Sequence[Answers]) -> str:
        """Return a sentence on the label that has taken over the answers, or nothing."""
        shares = shares_of(answers)
        label = int(shares.argmax())
        share, expected = float(shares[label]), float(self.expected[label])
        if share <= (1 + expected) / 2:
            return ""
        return (
            f"{100 * share:.0f} % of the predictions are {self.labels[label]!r}, where {100 * expected:.0f} % are "
            f"expected ({self.basis}): {self.remedy}"
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


def remedy_of(hooks: Hooks) -> str:
    """Return what to do where a label takes over; nothing where no method pushes rules or labels by them."""
    asked = asked_seats(hooks)
    if PUSHING & asked:
        return PUSHED
    return LABELLED if Seat.LABELS in asked else ""


def watch_of(
    run: Run, hooks: Hooks, examples: Mapping[str, Examples], learnt: Examples, space: OutputSpace
) -> CollapseWatch | None:
    """Return the watch of a run; None where rules neither push nor label, or nothing can be expected of the labels.

    Args:
        run: the run.
        hooks: its plugins.
        examples: those of the tables as they came, before rules labelled any.
        learnt: what is learnt from.
        space: what is predicted.
    """
    import numpy as np

    remedy = remedy_of(hooks)
    if run.config.training.collapse == "ignore" or not remedy:
        return None
    found = expectation(hooks, examples, space, learnt)
    if found is None:
        return None
    drawn = np.random.default_rng(seed_of(run.seed, "collapse")).permutation(len(learnt))[:SAMPLE]
    return CollapseWatch(tuple(map(str, space.labels)), *found, np.sort(drawn), remedy)


def expectation(
    hooks: Hooks, examples: Mapping[str, Examples], space: OutputSpace, learnt: Examples | None = None
) -> tuple[NDArray[np.float64], str] | None:
    """Return (labels,) how often each label is expected, and where that comes from.

    Raises:
        PlanError: a method states a prior that is none; the error names its plugin.
    """
    import numpy as np

    for name, plugin in hooks.plugins.items():
        settings = getattr(plugin, "config", None)
        if isinstance(settings, Guarded) and settings.prior:
            return stated(settings.prior, space, name)[0].astype(np.float64), "the stated prior"
    for split in ("valid", "train"):
        totals, decisions = examples[split].label_totals() if split in examples else (np.zeros(0), 0)
        if decisions:
            return totals / decisions, f"of {count(decisions, 'label')} of {split}"
    given = np.zeros(0) if learnt is None else learnt.targets[learnt.targets.any(axis=1)]
    if len(given):
        return given.mean(axis=0, dtype=np.float64), f"of {count(len(given), 'label')} that rules gave"
    if space.kind == "binaries":
        return None  # without a label nobody knows how many hold at once
    return np.full(len(space.labels), 1 / len(space.labels)), "all labels alike"
