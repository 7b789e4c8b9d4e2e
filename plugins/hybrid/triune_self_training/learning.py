"""What is learnt: the cross-entropy from targets to the model, where there is no label and the target is sure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from triune import TermValues
from triune.seats import own_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from triune import Batch, Outputs, Step
    from triune.examples import Examples
    from triune.guard import Guard
    from triune.spaces import OutputSpace
    from triune_self_training.targets import Targets

SMALLEST = 1e-7

SCARCE = 0.2
"""The share of labelled examples below which many batches of usual size hold few labels."""


class Strictness(Protocol):
    """How much of a target is learnt: the settings of that name."""

    @property
    def certainty(self) -> bool:
        """Whether what is unsure counts less."""
        ...

    @property
    def min_confidence(self) -> float:
        """Below which probability nothing is learnt."""
        ...

    @property
    def sharpness(self) -> float:
        """The power that targets are raised to."""
        ...


@dataclass(frozen=True, slots=True)
class SelfTaught:
    """The values of the term: −Σ q log p for each decision on text without a label, times how sure q is.

    Attributes:
        targets: what rules make of what the model believes; None: nothing.
        guard: knows how often each label is predicted.
        prior: (labels,) how often each is expected, where there is no guard.
        settings: how much of a target is learnt.
    """

    targets: Targets | None
    guard: Guard | None
    prior: Tensor | None
    settings: Strictness

    def __call__(self, step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        """Return a value a decision: an example, one of its yes-or-no labels, or a token."""
        space = outputs.space
        q = self.believed(batch, outputs)
        values = -space.log_likelihood(outputs.scores, sharpened(q, self.settings.sharpness, space))
        return TermValues(values * self.counts_for(q, space), spread(without_label(batch), values, outputs))

    def believed(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return q before it is sharpened, in the shape of the scores."""
        if self.targets is None:
            return outputs.space.probabilities(outputs.scores).detach()
        return self.targets(batch, outputs, self.guard.running if self.guard else self.prior)

    def counts_for(self, q: Tensor, space: OutputSpace) -> Tensor:
        """Return how much each decision counts, from 0 to 1."""
        sure = most_probable(q, space) >= self.settings.min_confidence
        return sure * certainty(q, space) if self.settings.certainty else sure.to(q)


def without_label(batch: Batch) -> Tensor:
    """Return (batch,) how much each example counts that has no label of the table's own."""
    return (1 - own_labels(batch)) * batch.weights


def spread(counts: Tensor, values: Tensor, outputs: Outputs) -> Tensor:
    """Return (batch,) counts in the shape of values, zero for tokens that do not count."""
    each = counts.reshape(-1, *[1] * (values.dim() - 1)).expand(values.shape)
    return each if outputs.mask is None else each * outputs.mask


def certainty(q: Tensor, space: OutputSpace) -> Tensor:
    """Return 1 − H(q) / log K of each decision, K the number of its answers (Yu et al. 2021, eq. 6)."""
    p = q.clamp(SMALLEST, 1 - SMALLEST)
    if space.kind == "binaries":
        return 1 + (p * p.log() + (1 - p) * (1 - p).log()) / math.log(2)
    return 1 + (p * p.log()).sum(-1) / math.log(max(q.shape[-1], 2))


def most_probable(q: Tensor, space: OutputSpace) -> Tensor:
    """Return the probability of the likeliest answer of each decision."""
    return q.maximum(1 - q) if space.kind == "binaries" else q.amax(-1)


def sharpened(q: Tensor, power: float, space: OutputSpace) -> Tensor:
    """Return q raised to a power and made a distribution again."""
    if power == 1:
        return q
    p = q.clamp(SMALLEST, 1 - SMALLEST)
    return (power * p.logit()).sigmoid() if space.kind == "binaries" else (power * p.log()).softmax(-1)


def unlabelled_marginals(guard: Guard) -> Callable[[Step, Batch, Outputs], TermValues]:
    """Return the values of the guard's term: labels are drawn somehow, text without them is as it comes."""

    def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        found = guard.marginals(step, batch, outputs)
        free = (1 - own_labels(batch)).reshape(-1, *[1] * (found.mask.dim() - 1))
        return TermValues(found.values, found.mask * free)

    return compute


def of_labels(until: float) -> Callable[[Step, Batch, Outputs], TermValues]:
    """Return the values of the term in place of the task's: labels that rules decided count for a part of the run."""

    def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        values = -outputs.space.log_likelihood(outputs.scores, batch.targets)
        labelled = batch.labelled if step.share < until else own_labels(batch)
        counts = spread(labelled * batch.weights, values, outputs)
        return TermValues(values, counts * batch.targets.any(-1) if outputs.mask is not None else counts)

    return compute


def mixing(train: Examples, share: float | None) -> Iterator[str]:
    """Yield what the plan says where labels would be in few batches, as nothing mixes labelled and other text."""
    labelled = float((train.gold > 0).mean())
    if share is None and 0 < labelled < SCARCE:
        yield f"{labelled:.0%} of the examples have a label: training.labelled_share 0.5 puts labels into every batch"
