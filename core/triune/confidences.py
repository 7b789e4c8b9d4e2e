"""How right rules are, estimated from the labels that there are, and how much that is above chance.

What an author writes is a guess of p, how often a rule is right where it fires. Labels correct it twice: how right
all rules were, against what was written, moves the prior of each (empirical Bayes), and what a rule did itself makes
of its prior a posterior, Beta(n p + kept, n (1 - p) + broken) with n the number of examples that a prior is worth.

```python
evidence = evidence_of(rules, train)
estimated(rules.rules, evidence)                          # (rules,)
lift(0.7, chance=0.2)                                     # log-odds of 0.7 less those of 0.2
```
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.evaluation import gold_cells
from triune.logic.formulas import Formula
from triune.logic.inference import log_odds
from triune.rule_report import Cells, tallies

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.examples import Examples
    from triune.types import GroundedRules, Rule

PRIOR = 4.0
"""How many examples the prior of a rule is worth."""

TRUST = 10.0
"""How many examples what authors write is worth, of all rules together."""

SURE = 0.99
"""No soft rule is taken to be right more often, nor to be wrong more often, than this."""


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


def evidence_of(rules: GroundedRules, train: Examples) -> Evidence:
    """Return what the labels of a table say of its rules.

    Only the table's own labels count, not what rules decided, and an example that is there several times counts once.
    """
    import numpy as np

    own = _once(train) & (train.gold > 0)
    targets = train.targets if train.decided is None else np.where(train.decided[:, None], 0, train.targets)
    judged = replace(train, targets=targets.astype(np.float32), labelled=own.astype(np.float32))
    assert rules.space is not None
    found = tallies(rules, train.split, Cells.of(gold_cells(judged, rules.space)))
    return Evidence(
        kept=np.asarray([one.judged - one.broken for one in found], dtype=np.float64),
        judged=np.asarray([one.judged for one in found], dtype=np.float64),
        examples=int(own.sum()),
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
    kept, judged = np.where(soft, evidence.kept, 0.0), np.where(soft, evidence.judged, 0.0)
    # how right rules were over how right they were said to be
    trust = (TRUST + kept.sum()) / (TRUST + (judged * written).sum())
    expected = (written * trust).clip(1 - SURE, SURE)
    posterior: NDArray[np.float64] = (prior * expected + kept) / (prior + judged)
    return np.where(soft, posterior, written)


def lift(confidence: float, chance: float) -> float:
    """Return the nats that breaking a rule costs, if it is right so often where it fires: log-odds above chance.

    Of a model that knows no more than how often the rule's statement holds anywhere, it makes one that believes the
    statement with the rule's confidence. A rule that is no better than chance costs nothing.
    """
    return max(log_odds(confidence) - log_odds(chance), 0.0)


def _once(train: Examples) -> NDArray[np.bool_]:
    """Return (examples,) whether each is the first of its kind: the same inputs and the same targets."""
    import numpy as np

    seen: set[bytes] = set()
    found = np.zeros(len(train), dtype=np.bool_)
    for row in range(len(train)):
        of = slice(row, row + 1) if train.bounds is None else slice(train.bounds[row], train.bounds[row + 1])
        ids = [one.values[one.offsets[row] : one.offsets[row + 1]].tobytes() for one in train.inputs.values()]
        key = b"/".join([*ids, train.targets[of].tobytes()])
        found[row] = key not in seen
        seen.add(key)
    return found
