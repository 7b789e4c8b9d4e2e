"""−log Z of all rules that fire together, exact: Xu et al. 2018, and at finite cost for rules that may be broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic.inference import CERTAIN_ODDS, RuleSet, Weighted, log_odds
from triune.logic.variables import NEVER
from triune.seats import unanswerable
from triune.types import ALWAYS

if TYPE_CHECKING:
    from torch import Tensor

    from triune import Batch, Formula, Outputs, Rule
    from triune.logic.inference import Compiled
    from triune.seats import Seated


@dataclass(frozen=True, slots=True)
class Exact:
    """The value −log Z of each example.

    Hard rules and rules of confidence 1, the *certain* ones, may not be broken: without others it is −log of the
    probability that they hold. Where certain rules leave no answer they cost the odds of `CERTAIN_ODDS` instead.

    Attributes:
        seated: the rules.
        certain: which of them have confidence 1 and are not hard.
        compiled: all of them, the certain ones as hard, and below them the certain ones once more, at finite cost.
    """

    seated: Seated
    certain: tuple[int, ...]
    compiled: Compiled

    def __call__(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return (batch,) values, from zero; zero as well where not even the hard rules leave an answer."""
        import torch

        scores, mask, fires = outputs.scores, outputs.mask, self.seated.fires(batch)
        tokens = self.seated.tokens(batch, scores.shape[1], nats_of) if self.seated.pointing else None
        log_z = self.compiled.log_z(scores, self.firm(fires), mask=mask, tokens=tokens)
        again = (log_z <= NEVER / 2).nonzero()[:, 0]
        if len(again):
            loose = self.compiled.log_z(
                scores[again],
                self.loose(fires[:, again]),
                mask=None if mask is None else mask[again],
                tokens=None if tokens is None else tokens[again],
            )
            log_z = log_z.index_put((again,), loose)
        return torch.where(log_z > NEVER / 2, -log_z, 0.0 * log_z.detach())

    def firm(self, fires: Tensor) -> Tensor:
        """Return which rules of `compiled` act where certain rules may not be broken."""
        import torch

        return torch.cat((fires, torch.zeros_like(fires[: len(self.certain)])))

    def loose(self, fires: Tensor) -> Tensor:
        """Return which rules of `compiled` act where certain rules may be broken at a cost."""
        import torch

        certain = list(self.certain)
        others = fires.clone()
        others[certain] = False
        return torch.cat((others, fires[certain]))

    def contradicted(self, split: str = "train") -> int:
        """Return on how many examples certain rules leave no answer."""
        grounded = self.seated.grounded
        firm = [place for place, rule in enumerate(self.compiled.rules.rules) if rule.hard]
        if grounded.space is None or not self.certain:
            return 0
        rules = [Weighted(one.name, one.then, hard=True) for one in map(self.compiled.rules.rules.__getitem__, firm)]
        fires = grounded.fires[split][[self.seated.places[place] for place in firm]]
        return sum(len(rows) for _, rows in unanswerable(rules, fires, grounded.space))


def nats_of(rule: Rule) -> float:
    """Return what breaking a rule costs at a token; below zero, what keeping one does that is likelier broken."""
    return -NEVER if rule.hard else log_odds(rule.confidence)


def exact(seated: Seated) -> Exact:
    """Return the loss of the rules of a seat, and compile what every table of the run will need.

    Raises:
        RuleCostError: exact inference would exceed the budget.
        ContradictionError: hard rules that always fire leave no answer.
    """
    import torch

    rules = seated.rules
    certain = tuple(place for place, rule in enumerate(rules) if rule.confidence == 1 and not rule.hard)
    firm = tuple(map(firmly, rules, seated.formulas))
    loose = (Weighted(firm[place].name, firm[place].then, CERTAIN_ODDS) for place in certain)
    assert seated.grounded.space is not None
    compiled = RuleSet((*firm, *loose)).compiled(seated.grounded.space)
    found = Exact(seated, certain, compiled)
    for table in seated.grounded.fires.values():
        compiled.prepare(found.firm(torch.from_numpy(table[list(seated.places)])))
    return found


def firmly(rule: Rule, then: Formula) -> Weighted:
    """Return how a rule acts: for good if it is hard or certain, else at the log-odds of its confidence."""
    hard = rule.hard or rule.confidence == 1
    return Weighted(rule.name, then, log_odds(rule.confidence), hard, rule.hard and rule.when == ALWAYS)
