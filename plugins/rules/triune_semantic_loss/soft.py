"""Rules whose truth is any differentiable function: −log truth, with what such a function may return checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import PluginError

if TYPE_CHECKING:
    from torch import Tensor

    from triune import Batch, Outputs, Rule
    from triune.seats import Seated

LEAST = 1e-6
"""What a truth of zero counts as: its logarithm stays finite and keeps its slope."""
ROUNDING = 1e-4


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
            truth = checked(rule, rule.then.fn(outputs, batch), fires[place], batch, outputs)  # type: ignore[union-attr]
            truth, weight = truth.clamp(0, 1), rule.confidence
            if weight < 0.5 and not rule.hard:  # it is the opposite that holds more often than not
                truth, weight = 1 - truth, 1 - weight
            value = -(LEAST + (1 - LEAST) * truth).log() * weight
            total = total + torch.where(fires[place], value, 0.0)
        return total


def checked(rule: Rule, truth: object, fires: Tensor, batch: Batch, outputs: Outputs) -> Tensor:
    """Return the truth of a rule, (batch,), if it is one where the rule fires.

    Raises:
        PluginError: it is none; names the rule, its place, and what was found.
    """
    import torch

    examples = len(batch.rows)
    if not isinstance(truth, torch.Tensor) or truth.shape != (examples,):
        found = tuple(truth.shape) if isinstance(truth, torch.Tensor) else type(truth).__name__
        raise PluginError(f"{rule.where}: its function returns {found}: return a tensor ({examples},), one an example")
    spoken = truth.detach()[fires]
    wrong = ~((spoken >= -ROUNDING) & (spoken <= 1 + ROUNDING))  # NaN is wrong too
    if bool(wrong.any()):
        row = batch.rows[fires][wrong][0].item()
        raise PluginError(
            f"{rule.where}: its function returns {spoken[wrong][0].item():g} for example {row} of the {batch.split} "
            "table: a truth is from 0, broken, to 1, kept"
        )
    if torch.is_grad_enabled() and outputs.scores.requires_grad and not truth.requires_grad:
        raise PluginError(
            f"{rule.where}: its function loses the gradient: compute from outputs.scores with torch operations, "
            "without detach, item or numpy"
        )
    return truth
