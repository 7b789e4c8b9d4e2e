"""What each rule is trusted: as it was written, or as the labels say by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.logic.inference import log_odds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triune import Rule
    from triune_hybrid.evidence import Counts


class Confidences:
    """The probability that each rule holds where it speaks, and what breaking it costs for that.

    Of labels it is the mean of a Beta posterior: `pseudo` examples at the prior, and the labelled ones. The prior is
    the confidence that was written, lowered by how much less the labels agree with rules as a whole than was written:
    a rule that fires on no labelled example is trusted as its siblings turned out.
    """

    def __init__(self, rules: Sequence[Rule], train: Sequence[Counts], valid: Sequence[Counts], pseudo: float) -> None:
        """Begin from the labels of the training table; `pseudo` of 0 leaves confidences as they were written."""
        self.rules, self.pseudo = tuple(rules), pseudo
        self._train = tuple(train)
        self._all = tuple(one + other for one, other in zip(train, valid, strict=True))
        self.counts = self._train
        self.values = self._estimated()

    def update(self) -> None:
        """Take in the held-out labels: from the first evaluation on they count beside those of the training table."""
        self.counts = self._all
        self.values = self._estimated()

    def _estimated(self) -> tuple[float, ...]:
        """Return (rules,) confidences."""
        if not self.pseudo:
            return tuple(rule.confidence for rule in self.rules)
        trust = self._trust()
        return tuple(self._posterior(rule, counts, trust) for rule, counts in zip(self.rules, self.counts, strict=True))

    def _trust(self) -> float:
        """Return how much of what was written labels bear out, over all rules: from 0 to 1."""
        shares = [(rule, *_upright(rule, counts)) for rule, counts in zip(self.rules, self.counts, strict=True)]
        soft = [(written, kept, judged) for rule, written, kept, judged in shares if not rule.hard and judged]
        borne_out = sum(kept / (judged + self.pseudo) for _, kept, judged in soft)
        expected = sum(written * judged / (judged + self.pseudo) for written, _, judged in soft)
        return min((borne_out + 1) / (expected + 1), 1.0)

    def _posterior(self, rule: Rule, counts: Counts, trust: float) -> float:
        if rule.hard:
            return rule.confidence
        written, kept, judged = _upright(rule, counts)
        mean = (self.pseudo * written * trust + kept) / (self.pseudo + judged)
        return mean if rule.confidence >= 0.5 else 1 - mean

    def nats(self) -> dict[str, float]:
        """Return what breaking each rule costs: the log-odds of its confidence, nothing where labels contradict it."""
        return {rule.name: _nats(rule, value) for rule, value in zip(self.rules, self.values, strict=True)}

    def state_dict(self) -> dict[str, object]:
        """Return how far they are."""
        return {"held_out": self.counts is not self._train}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Go back there."""
        if state["held_out"]:
            self.update()


def _upright(rule: Rule, counts: Counts) -> tuple[float, int, int]:
    """Return the confidence, how often it is kept, how often judged: of the opposite, where that is what is likely."""
    if rule.confidence >= 0.5:
        return rule.confidence, counts.kept, counts.judged
    return 1 - rule.confidence, counts.broken, counts.judged


def _nats(rule: Rule, confidence: float) -> float:
    if rule.hard:
        return 1e30
    odds = log_odds(confidence)
    return max(odds if rule.confidence >= 0.5 else -odds, 0.0)
