"""The one primitive of every seat: log Z of a rule set under the outputs, its marginals, best answer and draws.

    log Z(x) = log E_{y ~ p(. | x)} exp(-C sum_l weight_l fires_l(x) [rule l is broken by y])

p is what the scores say, all variables independent; C is the strength. At C = inf, or for hard rules, it is
the logarithm of the probability that no rule is broken, and -log Z the semantic loss (Xu et al. 2018). The
distribution behind it, q(y) = p(y) exp(-C …) / Z, is the teacher of Hu et al. (2016) and the projection of
posterior regularisation (Ganchev et al. 2010), and the gradient of -log Z with respect to the scores is that
of the cross-entropy from q, held fixed, to p: distilling the teacher and pushing log Z are one thing.

Where no answer satisfies the hard rules that fire on an example, log Z is -1e30, its gradient is zero and
the marginals are the model's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.errors import TriuneError, listed
from triune.logic.answers import Compiled
from triune.logic.costs import Budget
from triune.logic.formulas import Formula, FormulaError, Not
from triune.logic.weighing import CERTAIN_ODDS, Weighing, Weighted, log_odds

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from triune.logic.variables import Space
    from triune.types import Rule

__all__ = ["CERTAIN_ODDS", "Compiled", "ContradictionError", "RuleSet", "Weighted", "log_odds"]


class ContradictionError(TriuneError):
    """Rules that always hold leave no answer."""


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules that act together. Rules with the same formula share its evaluation."""

    rules: tuple[Weighted, ...]

    @classmethod
    def of(cls, rules: Iterable[Rule], always: Collection[str] = ()) -> RuleSet:
        """Return the rules of a run, weighted by the log-odds of their confidence.

        Args:
            rules: the rules, in the order of `fires`.
            always: the names of those that fire on every example, now and at prediction.

        Raises:
            FormulaError: a rule is a `SoftFormula`, whose truth nothing but a loss can read.
        """
        return cls(tuple(_weighted(rule, rule.name in always) for rule in rules))

    def compiled(self, space: Space, budget: Budget = Budget()) -> Compiled:  # noqa: B008 - frozen
        """Return the rules in their cheapest exact form over an output space.

        Raises:
            FormulaError: a rule names an unknown label, or does not speak of such outputs.
            RuleCostError: exact inference would exceed the budget, and it allows no estimate.
            ContradictionError: hard rules that always fire leave no answer.
        """
        from triune.logic.engines import engine_of

        places = tuple(place for place, rule in enumerate(self.rules) if not (rule.always and rule.hard))
        always = tuple(rule for place, rule in enumerate(self.rules) if place not in set(places))
        signs = tuple(Not(rule.then) if rule.turned else rule.then for rule in map(self.rules.__getitem__, places))
        formulas = tuple(dict.fromkeys(signs))
        engine = engine_of(formulas, tuple(rule.then for rule in always), space, budget)
        if not engine.possible:
            raise _contradiction(always, space, budget)
        number = {formula: place for place, formula in enumerate(formulas)}
        weighing = Weighing(self.rules, places, tuple(number[sign] for sign in signs), len(formulas))
        return Compiled(self, engine, weighing, space, budget)

    def upright(self) -> RuleSet:
        """Return the rules with what breaking each one weighs, where it gained too."""
        return RuleSet(tuple(replace(rule, weight=abs(rule.weight)) for rule in self.rules))


def _weighted(rule: Rule, always: bool) -> Weighted:
    if not isinstance(rule.then, Formula):
        raise FormulaError(f"rule {rule.name!r} says a SoftFormula: exact inference needs a formula over labels")
    return Weighted(rule.name, rule.then, log_odds(rule.confidence), rule.hard, always)


def _contradiction(always: Sequence[Weighted], space: Space, budget: Budget) -> ContradictionError:
    """Return the error that names a smallest set of rules that contradict each other, by leaving out one at a time."""
    from triune.logic.engines import engine_of

    core = list(always)
    for rule in always:
        fewer = [one for one in core if one is not rule]
        if not engine_of((), tuple(one.then for one in fewer), space, budget).possible:
            core = fewer
    if len(core) == 1:
        return ContradictionError(f"rule {core[0].name!r} can never hold: {core[0].then}; mend it or leave it out")
    said = "; ".join(f"{rule.name!r} says {rule.then}" for rule in core)
    return ContradictionError(
        f"rules {listed(repr(rule.name) for rule in core)} contradict each other and are hard: {said}; "
        f"make one of them soft or leave it out"
    )
