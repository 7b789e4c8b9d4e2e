"""Labels or tags under rules that tie them together: exact inference by the rule engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic.variables import NEVER
from triune_rule_structure.through import AS_SCORES, log_p, through

if TYPE_CHECKING:
    from torch import Tensor

    from triune.logic.inference import Compiled
    from triune.seats import Seated

CERTAIN = 1e6
"""Scores so large that one answer has all the probability."""


@dataclass(frozen=True, slots=True)
class Joint:
    """The model's own distribution, given the rules: p(y | rules) = p(y) [y keeps the rules] / Z.

    Attributes:
        compiled: the rules.
        kind: of the outputs.
        said: what it does.
    """

    compiled: Compiled
    kind: str
    said: str
    joint: bool = True

    def conditioned(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return scores of which the task makes the marginals given the rules."""
        plain = None if mask is None else mask.clone()
        free = scores.detach().double()
        q = self.compiled.marginals(free, fires, mask=plain)
        return through(scores, AS_SCORES[self.kind](free, q))

    def decided(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return the likeliest assignment, or path (Viterbi), that keeps the rules."""
        return self.compiled.most_likely(scores, fires, mask=mask)

    def loss(self, scores: Tensor, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) -log p(targets) + log Z; a token without a label may have any tag."""
        log_z = self.compiled.log_z(scores, fires, mask=mask)
        own = log_p(self.kind, scores, targets)
        if unlabelled(targets, mask):
            own = own + self.compiled.log_z(clamped(scores, targets), fires, mask=mask)
        return log_z - own

    def possible(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether there is an answer."""
        return possible(self.compiled, scores, fires, mask)

    def kept(self, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether labels keep the rules, or can be completed so that they do."""
        return kept(self.compiled, self.kind, targets, fires, mask)


def possible(compiled: Compiled, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
    """Return (batch,) whether there is an answer."""
    return compiled.log_z(scores, fires, mask=mask) > NEVER / 10


def kept(compiled: Compiled, kind: str, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
    """Return (batch,) whether labels keep the rules, or can be completed so that they do."""
    targets = targets.double()
    sure = (targets > 0.5).double() if kind == "binaries" else targets
    scores = (2 * sure - 1) * CERTAIN if kind == "binaries" else clamped(targets * 0, targets)
    return compiled.log_z(scores, fires, mask=mask) > -CERTAIN / 2


def clamped(scores: Tensor, targets: Tensor) -> Tensor:
    """Return scores (batch, tokens, tags) that leave a labelled token its tag alone."""
    known = targets.any(-1, keepdim=True)
    return scores.masked_fill(known & (targets == 0), -CERTAIN)


def unlabelled(targets: Tensor, mask: Tensor | None) -> bool:
    """Return whether tokens that count have no label."""
    return mask is not None and bool((mask.bool() & ~targets.any(-1)).any())


def joint(rules: Seated) -> Joint:
    """Return exact inference under hard rules about labels or tags.

    Raises:
        ContradictionError: rules that always fire leave no answer.
        RuleCostError: inference would exceed the budget.
    """
    space = rules.grounded.space
    assert space is not None
    compiled = rules.compiled()
    said = {"binaries": "exact inference over the labels", "tags": "a constrained Viterbi path"}[space.kind]
    return Joint(compiled, space.kind, f"{said} ({compiled.cost})")
