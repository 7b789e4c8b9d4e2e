"""Rules on one table as arrays: what each allows, where it fires, what they vote for and what breaking them costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.audit.satisfying import plain
from triune.conditions import ground_all
from triune.logic import Formula, FormulaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune.types import Rule

    Floats = NDArray[np.float64]

PRIOR = 4.0
"""How many examples the written confidence of a rule is worth beside those that have a label."""

SURE = 0.99
"""No rule is taken to be right more often."""


@dataclass(frozen=True, slots=True)
class Voting:
    """The rules that say a formula of labels.

    Attributes:
        names: (rules,) what each is called.
        fires: (examples, rules) where each fires.
        allowed: (rules, labels) which labels each allows.
        confidence: (rules,) how often each says it is right; of hard ones `SURE`.
    """

    names: tuple[str, ...]
    fires: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    confidence: Floats

    def only(self, rules: NDArray[np.intp]) -> Voting:
        """Return some of the rules."""
        names = tuple(self.names[rule] for rule in rules)
        return Voting(names, self.fires[:, rules], self.allowed[rules], self.confidence[rules])

    def shares(self) -> Floats:
        """Return (examples, labels) the share of votes; zeros where no rule votes.

        A rule that allows at most half of the labels votes, its vote split among them.
        """
        counts = self.allowed.sum(axis=1, keepdims=True)  # (rules, 1)
        ballots = self.allowed * (counts <= self.allowed.shape[1] / 2) / counts.clip(1)
        votes = self.fires @ ballots
        total = votes.sum(axis=1, keepdims=True)
        shares: Floats = votes / total.clip(1e-12)
        return shares

    def costs(self, nats: Floats) -> Floats:
        """Return (examples, labels) what each label costs by the rules it breaks, each of (rules,) nats."""
        costs: Floats = (self.fires * nats) @ (~self.allowed).astype(float)
        return costs

    def right(self, gold: NDArray[np.intp], rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Return (rules,) on how many of some labelled rows each is right, and on how many it fires."""
        fires = self.fires[rows]
        kept = self.allowed.T[gold[rows]]  # (rows, rules)
        return (fires & kept).sum(axis=0).astype(float), fires.sum(axis=0).astype(float)

    def estimated(self, gold: NDArray[np.intp], rows: NDArray[np.intp]) -> Floats:
        """Return (rules,) how often each is right: a posterior mean, its written confidence the prior."""
        right, of = self.right(gold, rows)
        found: Floats = ((PRIOR * self.confidence + right) / (PRIOR + of)).clip(1 - SURE, SURE)
        return found

    def lift(self, confidence: Floats, shares: Floats) -> Floats:
        """Return (rules,) log-odds of confidences above those of chance, by the (labels,) shares of the labels."""
        chance = (self.allowed @ shares).clip(1 - SURE, SURE)
        found: Floats = (_log_odds(confidence) - _log_odds(chance)).clip(0)
        return found

    def stated(self) -> Floats:
        """Return (rules,) the nats that breaking each costs, by its own confidence."""
        found: Floats = _log_odds(self.confidence.clip(1 - SURE, SURE)).clip(0)
        return found


def voting_of(
    rules: Sequence[Rule], table: pd.DataFrame, roles: Mapping[str, str], labels: Sequence[str]
) -> Voting | None:
    """Return what rules say of a table; None if none of them says a formula of labels.

    Raises:
        RuleError: a rule cannot be asked of the table.
    """
    import numpy as np

    found = ground_all(rules, table, roles)
    formulas = {place: formula for place, rule in enumerate(rules) if (formula := _formula(rule)) is not None}
    if not formulas:
        return None
    places = list(formulas)
    allowed = [[formula.holds((label,)) for label in labels] for formula in formulas.values()]
    return Voting(
        names=tuple(rules[place].name for place in places),
        fires=found.fires[places].T.copy(),
        allowed=np.array(allowed, dtype=np.bool_),
        confidence=np.array([SURE if rules[place].hard else rules[place].confidence for place in places]),
    )


def _formula(rule: Rule) -> Formula | None:
    try:
        return plain(rule.then) if isinstance(rule.then, Formula) else None
    except FormulaError:
        return None


def _log_odds(p: Floats) -> Floats:
    import numpy as np

    found: Floats = np.log(p) - np.log1p(-p)
    return found
