"""Which evaluated model is the best one, done right where the validation table is tiny.

Of a table of 30 examples one more right answer is three points of accuracy: the best of ten such figures is as often
the luckiest model as the best. There, figures within one standard error of the highest are taken for ties, and the mean
log loss, to which every example adds how sure the model was, decides among them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune.evaluation import Answers
    from triune.examples import Examples
    from triune.spaces import OutputSpace

TINY = 100
"""Labelled examples below which a validation table is tiny."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How an evaluated model does: its metric, and its log loss."""

    value: float
    loss: float


def slack_of(highest: float, labelled: int) -> float:
    """Return how far below the highest value one is still a tie: a standard error of a share, of tiny tables alone."""
    if labelled >= TINY or not 0 <= highest <= 1:
        return 0.0
    share = (highest * labelled + 1) / (labelled + 2)  # as if one right and one wrong answer more: 1.0 is not certain
    return sqrt(share * (1 - share) / labelled)


def is_better(new: Standing, old: Standing, highest: float, labelled: int, margin: float) -> bool:
    """Return whether a model is to be kept instead of the one kept so far.

    Args:
        new: the model just evaluated.
        old: the one kept so far.
        highest: the best value of any model before.
        labelled: how many examples of the validation table have a label.
        margin: how much better a value must be to count.
    """
    slack = slack_of(max(highest, new.value), labelled)
    if not slack:
        return new.value > old.value + margin
    floor = max(highest, new.value) - slack
    return new.value >= floor and (old.value < floor or new.loss < old.loss)


def log_loss(answers: Sequence[Answers], examples: Examples, space: OutputSpace) -> float:
    """Return the mean of −log of the probability of the labels, in nats a decision; infinite where none is labelled."""
    import torch

    total, count = 0.0, 0.0
    for one in answers:
        batch = examples.batch(one.rows)
        p = space.probabilities(one.scores).double().clamp(1e-12, 1 - 1e-12)
        cost = -(batch.targets * p.log())
        if space.kind == "binaries":
            cost = cost - (1 - batch.targets) * (-p).log1p()
        cost = cost.sum(-1)  # (batch,) or (batch, tokens)
        counts = batch.labelled if batch.mask is None else batch.labelled[:, None] * batch.mask[:, : cost.shape[1]]
        total += float(torch.where(counts > 0, cost, 0.0).sum())
        count += float(counts.sum())
    return total / count if count else float("inf")
