"""How right rules are, estimated from the labels that there are, and how much that is above chance.

What an author writes is a guess of p, how often a rule is right where it fires; of a rule below one half, of the
opposite. Labels correct it twice (empirical Bayes of a beta-binomial). What a rule did itself makes of its prior a
posterior, Beta(n p t + kept, n (1 - p t) + broken), n being the number of examples that a prior is worth. And how
right all rules were, over how right they were said to be, is t, which moves the prior of each, so that a rule that no
label judged is trusted as its siblings turned out:

    t = (1 + Σ kept / (judged + n)) / (1 + Σ p judged / (judged + n))

A rule counts in it as the inverse of its variance, judged / (judged + n): many labels make its own share surer, but it
stays one rule of several. The ones are a prior worth a rule that is as right as it was said to be.

```python
evidence = evidence_of(rules, "train") + evidence_of(rules, "valid")
estimated(rules.rules, evidence)                          # (rules,)
lift(0.7, chance=0.2)                                     # log-odds of 0.7 less those of 0.2
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.data import label_set
from triune.logic.formulas import Formula
from triune.logic.inference import log_odds
from triune.rule_report import Cells, tallies

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.types import GroundedRules, Rule

PRIOR = 4.0
"""How many examples the prior of a rule is worth."""

SURE = 0.99
"""No prior of a soft rule says that it is right more often, nor wrong more often, than this."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What labels say of rules; of a rule about tokens, at every stretch that it points at.

    Attributes:
        kept: (rules,) on how many labelled examples each fires and is kept.
        judged: (rules,) on how many labelled examples each fires.
        examples: how many distinct labelled examples there are.
    """

    kept: NDArray[np.float64]
    judged: NDArray[np.float64]
    examples: int

    @property
    def broken(self) -> NDArray[np.float64]:
        """(rules,) on how many labelled examples each fires and is broken."""
        return self.judged - self.kept

    def __add__(self, other: Evidence) -> Evidence:
        return Evidence(self.kept + other.kept, self.judged + other.judged, self.examples + other.examples)


def evidence_of(rules: GroundedRules, split: str) -> Evidence:
    """Return what the labels of a table say of every rule of the run, nothing where there is no such table.

    Only the table's own labels count, not what rules decided, and a row that stands in it several times, as a resampled
    one does, counts once. A rule that says a `SoftFormula` is never judged.
    """
    import numpy as np

    if rules.data is None or split not in rules.data.splits:
        return Evidence(np.zeros(len(rules)), np.zeros(len(rules)), 0)
    answers = _once(rules, split)
    without = [None] * (rules.fires[split].shape[1] - len(answers))  # unlabelled text, below the training table
    found = tallies(rules, split, Cells.of([*answers, *without]))
    return Evidence(
        kept=np.asarray([one.judged - one.broken for one in found], dtype=np.float64),
        judged=np.asarray([one.judged for one in found], dtype=np.float64),
        examples=sum(answer is not None for answer in answers),
    )


def estimated(rules: Sequence[Rule], evidence: Evidence, prior: float = PRIOR) -> NDArray[np.float64]:
    """Return (rules,) how often each rule is right: what is written of hard rules, else the posterior mean.

    Args:
        rules: the rules.
        evidence: of the same rules.
        prior: how many examples the prior of a rule is worth.
    """
    import numpy as np

    written = np.asarray([rule.confidence for rule in rules], dtype=np.float64)
    soft = np.asarray([not rule.hard and isinstance(rule.then, Formula) for rule in rules], dtype=np.bool_)
    upright = written >= 0.5  # the others say that their opposite is likely
    p, kept = np.where(upright, written, 1 - written), np.where(upright, evidence.kept, evidence.broken)
    share = np.where(soft, 1 / (prior + evidence.judged), 0.0)
    trust = (1 + (kept * share).sum()) / (1 + (p * evidence.judged * share).sum())
    expected = (p * trust).clip(1 - SURE, SURE)
    posterior = (prior * expected + kept) / (prior + evidence.judged)
    found: NDArray[np.float64] = np.where(upright, posterior, 1 - posterior)
    return np.where(soft, found, written)


def lift(confidence: float, chance: float) -> float:
    """Return the nats that breaking a rule costs, if it is right so often where it fires: log-odds above chance.

    Of a model that knows no more than how often the rule's statement holds anywhere, it makes one that believes the
    statement with the rule's confidence. A rule that is no better than chance costs nothing.
    """
    return max(log_odds(confidence) - log_odds(chance), 0.0)


def _once(rules: GroundedRules, split: str) -> list[object]:
    """Return the label cell of each row; None where there is none, in part or as a whole, or the row came before."""
    assert rules.data is not None
    cells, table = rules.data.labels(split), rules.data.splits[split]
    if cells is None:
        return [None] * len(table)
    said = [column for role, column in rules.data.roles.items() if role not in ("label", "weight")]
    seen: set[str] = set()
    answers: list[object] = []
    for cell, *texts in zip(cells, *(table[column] for column in said if column in table), strict=True):
        labels, key = label_set(cell), repr((texts, cell))
        known = labels is not None and None not in labels and key not in seen
        answers.append(cell if known else None)
        seen.update([key] if known else [])
    return answers
