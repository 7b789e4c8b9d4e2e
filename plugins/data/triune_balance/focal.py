"""The focal loss: what is already right counts little."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.types import LossTerm, TermValues

if TYPE_CHECKING:
    from torch import Tensor

    from triune.types import Batch, Outputs, Step

SMALLEST = 1e-12  # keeps the slope of x ** gamma finite at 0 for gamma below 1


def focal_term(gamma: float) -> LossTerm:
    """Return the term (1 - p_t)^gamma · -log p_t: Lin et al. 2017, "Focal Loss for Dense Object Detection".

    p_t is the probability of what is true, for each example, or for each label of it where labels are
    independent; for targets that are no single label it is the exponential of their log-likelihood.
    """

    def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        log_p = outputs.space.log_likelihood(outputs.scores, batch.targets)  # (batch,) or (batch, classes)
        values = (-log_p.expm1()).clamp_min(SMALLEST) ** gamma * -log_p
        # an example counts once, however many labels it is asked about: so `counts` needs no space
        weights = batch.labelled * batch.weights / (log_p.shape[1] if log_p.ndim > 1 else 1)
        mask = weights.reshape(-1, *[1] * (log_p.ndim - 1)).expand_as(values)
        return TermValues(values, mask)

    def counts(batch: Batch) -> Tensor:
        return (batch.labelled * batch.weights).sum()

    return LossTerm("focal", compute, counts=counts, replaces=("task",))
