"""Dual ascent: multipliers that are driven by how often predictions for held-out text break rules."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isnan, nan, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triune_hybrid.settings import Dual

FALL = 0.5
"""What multipliers are multiplied by where the metric has fallen below its floor."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one evaluation of held-out text says.

    Attributes:
        violation: (groups,) the share of broken rules where they fire; None where none does.
        bounds: (groups,) what is asked: the stated bound, or the noise floor where that is higher.
        fired: (groups,) how often rules fire there.
        metric: the value that chooses the best model, None where nothing is measured.
        labelled: how many examples it is of.
    """

    violation: tuple[float | None, ...]
    bounds: tuple[float, ...]
    fired: tuple[float, ...]
    metric: float | None
    labelled: int

    @property
    def excess(self) -> float:
        """How far the worst group is beyond its bound and one standard error of it; zero where all bounds are met."""
        each = zip(self.violation, self.bounds, self.fired, strict=True)
        return max([0.0, *(v - bound - error(bound, n) for v, bound, n in each if v is not None)])

    def below(self, best: float, floor: float) -> bool:
        """Return whether the metric is further below the best value seen than it may be."""
        return self.metric is not None and self.metric < best - floor - error(best, self.labelled)


def error(share: float, examples: float) -> float:
    """Return the standard error of a share over so many examples."""
    share = min(max(share, 0.0), 1.0)
    return sqrt(share * (1 - share) / max(examples, 1.0))


class Multipliers:
    """One multiplier λ for each group of rules: λ ← clip(λ + rate · (running violation − bound), 0, most).

    Unlike that of Nandwani et al. (2019) it falls as well as it rises: a violation below its bound counts against it.
    """

    def __init__(self, settings: Dual, groups: int) -> None:
        """Begin at the start."""
        self.settings = settings
        self.values = [settings.start] * groups
        self.running = [nan] * groups  # violation
        self.bounds = [nan] * groups
        self.best = -inf  # the metric
        self.moved = 0  # the step of the last move

    def move(self, held: Held, step: int, pushing: bool = True) -> None:
        """Move, once a step, by what an evaluation says; until rules are pushed, only remember it."""
        if step <= self.moved:
            return
        self.moved = step
        self.best = max(self.best, -inf if held.metric is None else held.metric)
        self.running = [self._smoothed(old, new) for old, new in zip(self.running, held.violation, strict=True)]
        self.bounds = list(held.bounds)
        if pushing and held.below(self.best, self.settings.accuracy_floor):
            self.values = [FALL * value for value in self.values]
        elif pushing:
            self.values = list(map(self._moved, self.values, held.violation, self.running, held.bounds))

    def _moved(self, value: float, violation: float | None, running: float, bound: float) -> float:
        if violation is None:
            return value
        return min(max(value + self.settings.rate * (running - bound), 0.0), self.settings.most)

    def _smoothed(self, old: float, new: float | None) -> float:
        if new is None or isnan(old):
            return old if new is None else new
        return self.settings.newest * new + (1 - self.settings.newest) * old

    def prefers(self, new: Held, best: Held | None) -> bool | None:
        """Return whether a model goes before the best so far; None leaves that to the metric.

        One whose metric is not below the floor goes before one whose is; then one that is nearer to its bounds, where
        all that meet them are alike.
        """
        if best is None:
            return True
        top = max(self.best, *(-inf if one.metric is None else one.metric for one in (new, best)))
        low, was_low = (one.below(top, self.settings.accuracy_floor) for one in (new, best))
        if low != was_low:
            return was_low
        return None if low or new.excess == best.excess else new.excess < best.excess

    def state_dict(self) -> dict[str, object]:
        """Return all that changes."""
        return {name: getattr(self, name) for name in ("values", "running", "bounds", "best", "moved")}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take it back."""
        for name, value in state.items():
            setattr(self, name, value)


def pooled_violation(
    rules: Sequence[str], report: Mapping[str, Mapping[str, float | None]], examples: int
) -> tuple[float | None, float]:
    """Return how often rules are broken where they fire, all together, and on how many examples they do."""
    spoken = [report[name] for name in rules if report[name]["violation_rate"] is not None]
    fired = sum(examples * (one["coverage"] or 0.0) for one in spoken)
    broken = sum(examples * (one["coverage"] or 0.0) * (one["violation_rate"] or 0.0) for one in spoken)
    return (broken / fired if fired else None), fired
