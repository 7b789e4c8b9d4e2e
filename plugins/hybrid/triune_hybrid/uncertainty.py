"""Homoscedastic uncertainty in its closed form: Kendall et al. 2018."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triune import Step

LEAST = 1e-4
"""The least running loss: below it a side has nothing left to learn, and its weight says nothing."""
FURTHEST = 100.0
"""How many times one side may count as much as the other."""


class RunningLosses:
    """The weight of rules where each side counts as the inverse of its running loss.

    Σ L_i / σ_i² + log σ_i² is least at σ_i² = L_i, so the side i counts 1 / L_i. As only the ratio matters to what is
    learnt, labels keep the weight 1 and rules have L_labels / L_rules.
    """

    def __init__(self, newest: float) -> None:
        """Begin at a weight of 1."""
        self.newest = newest
        self.labels = 0.0  # running losses, each with the sum of the weights in it
        self.rules = 0.0
        self.seen = [0.0, 0.0]

    def at(self, step: Step) -> float:
        """Return the weight of rules, whatever the step."""
        return self.ratio

    @property
    def ratio(self) -> float:
        """The weight of rules by now."""
        if not all(self.seen):
            return 1.0
        labels, rules = (max(loss, LEAST) for loss in self.running)
        return min(max(labels / rules, 1 / FURTHEST), FURTHEST)

    @property
    def running(self) -> tuple[float, float]:
        """The running losses of labels and of rules."""
        return self.labels / (self.seen[0] or 1.0), self.rules / (self.seen[1] or 1.0)

    def see(self, labels: float, rules: float) -> None:
        """Take in the losses of a step that was done, both unweighted; one of zero is of a step without examples."""
        if labels:
            self.labels, self.seen[0] = self._newer(self.labels, labels), self._newer(self.seen[0], 1.0)
        if rules:
            self.rules, self.seen[1] = self._newer(self.rules, rules), self._newer(self.seen[1], 1.0)

    def _newer(self, old: float, new: float) -> float:
        return (1 - self.newest) * old + self.newest * new

    def __str__(self) -> str:
        return "running loss of labels / running loss of rules"

    def state_dict(self) -> dict[str, object]:
        """Return the running losses."""
        return {"labels": self.labels, "rules": self.rules, "seen": list(self.seen)}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take them back."""
        for name, value in state.items():
            setattr(self, name, value)
