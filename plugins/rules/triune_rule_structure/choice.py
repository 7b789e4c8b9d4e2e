"""One choice among labels: what hard rules forbid on an example is out of reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.seats import Seated

BELOW = 1e4
"""How far a forbidden label's score lies below the best allowed one: its probability is zero, its loss finite."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A mask of labels.

    Attributes:
        broken: (rules, labels) whether the label breaks the rule.
    """

    broken: NDArray[np.bool_]
    joint: bool = False
    said: str = "a mask of the labels that they forbid"

    def allowed(self, fires: Tensor) -> Tensor:
        """Return (batch, labels)."""
        import torch

        broken = torch.from_numpy(self.broken).to(fires.device, torch.float32)  # (rules, labels)
        return fires.t().to(torch.float32) @ broken == 0

    def conditioned(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return the scores, those of forbidden labels far below: softmax over the rest is p(label | rules)."""
        allowed = self.allowed(fires)
        best = scores.detach().masked_fill(~allowed, float("-inf")).amax(-1, keepdim=True)
        return scores.where(allowed, best - BELOW)

    def decided(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch, labels) true at the best allowed label."""
        from torch.nn.functional import one_hot

        best = scores.masked_fill(~self.allowed(fires), float("-inf")).argmax(-1)
        return one_hot(best, scores.shape[-1]).bool()

    def loss(self, scores: Tensor, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) the cross-entropy over the allowed labels; doubt about forbidden ones does not count."""
        log_q = self.conditioned(scores, fires, mask).log_softmax(-1)
        return -(targets * log_q).where(self.allowed(fires), 0.0).sum(-1)

    def possible(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether any label is allowed."""
        return self.allowed(fires).any(-1)

    def kept(self, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether the likeliest label is allowed."""
        return self.allowed(fires).gather(1, targets.argmax(-1, keepdim=True))[:, 0]


def choice(rules: Seated) -> Choice:
    """Return the mask of hard rules about one choice.

    Raises:
        ContradictionError: rules that always fire leave no label.
        RuleCostError: the table would exceed the budget.
    """
    import numpy as np
    import torch

    from triune.logic.inference import RuleSet

    rules.compiled()  # what contradicts itself always is refused here, with the rules that do
    space = rules.grounded.space
    assert space is not None
    certain = torch.eye(len(space.labels)) * BELOW
    once = {rule.then: rule for rule in rules.rules}
    truths = {then: RuleSet.of([rule]).compiled(space).log_z(certain) > -1 for then, rule in once.items()}
    return Choice(np.stack([~truths[rule.then].numpy() for rule in rules.rules]))
