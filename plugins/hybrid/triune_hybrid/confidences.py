"""What each rule is trusted: as it was written, or as the labels say by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.confidences import estimated
from triune.logic.inference import log_odds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triune import Rule
    from triune.confidences import Evidence


class Confidences:
    """The probability that each rule holds where it speaks, and what breaking it costs for that."""

    def __init__(self, rules: Sequence[Rule], train: Evidence, valid: Evidence, pseudo: float) -> None:
        """Begin from the labels of the training table; `pseudo` of 0 leaves confidences as they were written."""
        self.rules, self.pseudo = tuple(rules), pseudo
        self._train = train
        self._all = train + valid
        self.evidence = train
        self.values = self._estimated()

    def update(self) -> None:
        """Take in the held-out labels: from the first evaluation on they count beside those of the training table."""
        self.evidence = self._all
        self.values = self._estimated()

    def _estimated(self) -> tuple[float, ...]:
        """Return (rules,) confidences."""
        if not self.pseudo:
            return tuple(rule.confidence for rule in self.rules)
        return tuple(estimated(self.rules, self.evidence, self.pseudo).tolist())

    def nats(self) -> dict[str, float]:
        """Return what breaking each rule costs: the log-odds of its confidence, nothing where labels contradict it."""
        return {rule.name: _nats(rule, value) for rule, value in zip(self.rules, self.values, strict=True)}

    def state_dict(self) -> dict[str, object]:
        """Return how far they are."""
        return {"held_out": self.evidence is not self._train}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go back there."""
        if state["held_out"]:
            self.update()


def _nats(rule: Rule, confidence: float) -> float:
    if rule.hard:
        return 1e30
    odds = log_odds(confidence)
    return max(odds if rule.confidence >= 0.5 else -odds, 0.0)
