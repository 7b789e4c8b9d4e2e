"""How much of what is learnt comes from the teacher, π, and what it leaves to the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune import Step
    from triune.schedules import Weight


@dataclass(frozen=True, slots=True)
class Approach:
    """π = min(π₀, 1 − αᵗ) after t epochs: Hu et al. 2016, §4."""

    pi0: float
    alpha: float
    per_epoch: int  # steps

    def at(self, step: Step) -> float:
        """Return π at a step of the run."""
        grown: float = 1 - self.alpha ** (step.index / self.per_epoch)
        return min(self.pi0, grown)

    def __str__(self) -> str:
        return f"min({self.pi0:g}, 1 − {self.alpha:g}^epochs)"


@dataclass(frozen=True, slots=True)
class Rest:
    """1 − π."""

    of: Weight

    def at(self, step: Step) -> float:
        """Return what π leaves at a step of the run."""
        return 1 - self.of.at(step)

    def __str__(self) -> str:
        return f"1 − {self.of}"
