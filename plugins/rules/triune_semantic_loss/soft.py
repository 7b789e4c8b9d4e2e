"""Rules whose truth is any differentiable function: −log truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.answers import belief_of

if TYPE_CHECKING:
    from torch import Tensor

    from triune import Batch, Outputs
    from triune.seats import Seated

LEAST = 1e-6
"""What a truth of zero counts as: its logarithm stays finite and keeps its slope."""


@dataclass(frozen=True, slots=True)
class SoftTruths:
    """The value Σ confidence · −log truth over the `SoftFormula` rules that fire; below one half, of the opposite."""

    seated: Seated

    def __call__(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return (batch,) values, from zero.

        Raises:
            PluginError: a function returns what is no truth, or loses the gradient.
        """
        import torch

        total = outputs.scores.new_zeros(len(batch.rows))
        fires = self.seated.grounded.on(batch)
        for place in self.seated.soft:
            rule = self.seated.grounded.rules[place]
            truth, weight = belief_of(rule, outputs, batch, fires[place]), rule.confidence
            if weight < 0.5 and not rule.hard:  # it is the opposite that holds more often than not
                truth, weight = 1 - truth, 1 - weight
            value = -(LEAST + (1 - LEAST) * truth).log() * weight
            total = total + torch.where(fires[place], value, 0.0)
        return total
