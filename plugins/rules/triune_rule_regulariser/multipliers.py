"""Lagrange multipliers of bounds on how often rules are broken: projected dual ascent, one move a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

FIRM = 0.0025
"""The least bound: a rule of confidence 1 may be broken once in 400, as odds of 6 nats say."""
FLAT = 0.05
"""The least curvature that a move is divided by, so that bounds near zero do not make it jump."""
DOUBT = 8.0
"""How many examples a step's average must be of to count one half."""
STRIDE, MOST = 2.0, 20.0
"""Nats: the longest move of one step, and the largest multiplier."""


class Multipliers:
    """One multiplier λ for each rule, zero at first.

    The dual of min KL(q ‖ p) so that E_q[rule broken] ≤ bound has the gradient E_q[rule broken] − bound (Ganchev et
    al. 2010, §2.3). Near the bound b an expectation moves by −b (1 − b) for each nat of λ, which is what the gradient
    is divided by.
    """

    def __init__(self, bounds: Sequence[float], rate: float, batch: int) -> None:
        """Begin at zero, for (rules,) bounds; `batch` is how many examples a step learns from."""
        import torch

        self.bounds = torch.tensor(bounds, dtype=torch.float32).clamp(FIRM, 1.0)
        self.values = torch.zeros_like(self.bounds)  # λ
        self.expected = torch.full_like(self.bounds, float("nan"))  # E_q[broken | fires] when it was last seen
        self.rate, self.batch = rate, batch
        self._next = (self.values, self.expected)

    def see(self, broken: Tensor, fired: Tensor) -> None:
        """Note what one step learns from: (rules,) how many of its examples break each rule and fire it, as shares."""
        import torch

        broken, fired = broken.detach().float().cpu(), fired.detach().float().cpu()
        seen = fired > 0
        rate = torch.where(seen, broken / fired.clamp(min=1e-12), self.bounds).clamp(0, 1)
        examples = fired * self.batch
        curvature = (self.bounds * (1 - self.bounds)).clamp(min=FLAT)
        move = self.rate * examples / (examples + DOUBT) * (rate - self.bounds) / curvature
        values = (self.values + move.clamp(-STRIDE, STRIDE)).clamp(0, MOST)
        self._next = (torch.where(seen, values, self.values), torch.where(seen, rate, self.expected))

    def commit(self) -> None:
        """Move: the step was done."""
        self.values, self.expected = self._next

    def state_dict(self) -> dict[str, Tensor]:
        """Return multipliers and expectations."""
        return {"values": self.values, "expected": self.expected}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take them back."""
        self.values, self.expected = self._next = state["values"], state["expected"]
