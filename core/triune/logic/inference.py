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

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from triune.errors import TriuneError, listed
from triune.logic.costs import Budget
from triune.logic.formulas import Formula, FormulaError, Not
from triune.logic.patterns import ByPattern
from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from torch import Generator, Tensor

    from triune.logic.costs import Cost
    from triune.logic.variables import Space
    from triune.types import Rule

CERTAIN_ODDS = 6.0
"""The weight of a rule of confidence 1 that is not hard: Hu et al. take C = 6, odds of 400 to 1."""


class ContradictionError(TriuneError):
    """Rules that always hold leave no answer."""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A rule as the engine needs it.

    Attributes:
        name: for messages.
        then: what the outputs satisfy.
        weight: what breaking it costs, in nats at strength 1; below zero, what it gains.
        hard: it may never be broken, whatever the strength.
        always: it fires on every example; what `fires` says of it is not read.
    """

    name: str
    then: Formula
    weight: float = 1.0
    hard: bool = False
    always: bool = False


def log_odds(confidence: float) -> float:
    """Return log(p / (1 - p)), at most 6: the weight of a rule that holds with probability p."""
    if confidence <= 0:
        return -CERTAIN_ODDS
    odds = confidence / (1 - confidence) if confidence < 1 else math.inf
    return max(-CERTAIN_ODDS, min(CERTAIN_ODDS, math.log(odds)))


class Engine(Protocol):
    """One exact form. `penalties` are (formulas, batch), from 0 to 1e30; `mask` is (batch, tokens) for sequences."""

    @property
    def cost(self) -> Cost:
        """What it costs."""
        ...

    @property
    def possible(self) -> bool:
        """Whether the formulas that always hold leave an answer."""
        ...

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return the log-probability of every label, in the shape of the scores."""
        ...

    def log_z(self, scores: Tensor, penalties: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,)."""
        ...

    def best(self, scores: Tensor, penalties: Tensor, mask: Tensor | None) -> Tensor:
        """Return booleans in the shape of the scores."""
        ...

    def draws(
        self, n: int, scores: Tensor, penalties: Tensor, mask: Tensor | None, generator: Generator | None
    ) -> Tensor:
        """Return booleans (n, *shape of the scores)."""
        ...


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
            RuleCostError: exact inference would exceed the budget.
            ContradictionError: hard rules that always fire leave no answer.
        """
        from triune.logic.engines import engine_of

        always = tuple(rule for rule in self.rules if rule.always and rule.hard)
        others = tuple(rule for rule in self.rules if not (rule.always and rule.hard))
        signs = tuple(Not(rule.then) if rule.weight < 0 and not rule.hard else rule.then for rule in others)
        formulas = tuple(dict.fromkeys(signs))
        engine = engine_of(formulas, tuple(rule.then for rule in always), space, budget)
        if not engine.possible:
            raise _contradiction(always, space, budget)
        which = tuple(formulas.index(sign) for sign in signs)
        places = tuple(place for place, rule in enumerate(self.rules) if not (rule.always and rule.hard))
        return Compiled(self, engine, len(formulas), which, places)


@dataclass(frozen=True, slots=True)
class Compiled:
    """Rules over an output space, ready for any batch.

    Every method takes `scores`, (batch, labels) or (batch, tokens, tags); `fires`, (rules, batch) or None where
    all do; `strength`, C, up to `math.inf`; and `mask`, (batch, tokens), which tokens of sequences count.

    Attributes:
        rules: the rules, in the order of `fires`.
        engine: the exact form.
        formulas: how many distinct formulas have penalties.
        which: the formula of each rule that has one.
        places: the rule that each of `which` is.
    """

    rules: RuleSet
    engine: Engine = field(repr=False)
    formulas: int
    which: tuple[int, ...]
    places: tuple[int, ...]

    @property
    def cost(self) -> Cost:
        """What one example costs."""
        return self.engine.cost

    def prepare(self, fires: Tensor, strength: float = 1.0) -> None:
        """Compile now what batches of these examples will need, for `fires` (rules, examples) of a whole table.

        Raises:
            RuleCostError: some example's rules exceed the budget.
        """
        import torch

        if isinstance(self.engine, ByPattern):
            penalties = self.penalties(torch.zeros(fires.shape[1], 1), fires, strength)
            self.engine.prepare(penalties)

    def log_z(
        self,
        scores: Tensor,
        fires: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return (batch,) log Z, differentiable once; see the module.

        `weights`, (rules,) from 0, are the nats that breaking each rule costs, in place of strength and weight; hard
        rules stay hard.
        """
        scores = _full(scores)
        return self.engine.log_z(scores, self.penalties(scores, fires, strength, weights), mask)

    def expected_violations(
        self,
        scores: Tensor,
        fires: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return (rules, batch) the probability under q that each rule is broken, 0 where it does not fire."""
        import torch

        found = torch.zeros(len(self.rules.rules), len(scores), dtype=scores.dtype, device=scores.device)
        if not self.places:
            return found
        with torch.inference_mode(False), torch.enable_grad():
            scores = _full(scores).detach().clone()
            acting = None if fires is None else fires.clone()
            costs = self.penalties(scores, acting, strength, weights).detach()
            acts = self.penalties(scores, acting, 1.0, torch.ones(len(self.rules.rules))) > 0
            # the slope at no cost at all is that at next to none
            costs = torch.where(acts, costs.clamp(min=1e-6), costs).requires_grad_()
            (slope,) = torch.autograd.grad(self.engine.log_z(scores, costs, mask).sum(), costs)
        each = -slope[list(self.which)].clamp(-1, 0)
        if fires is not None:
            each = each * self._fired(fires.to(scores.device))
        found[list(self.places)] = each.to(found.dtype)
        return found

    def marginals(
        self, scores: Tensor, fires: Tensor | None = None, strength: float = 1.0, mask: Tensor | None = None
    ) -> Tensor:
        """Return the probability of every label under q, in the shape of the scores, without gradient.

        For independent softmax and sigmoid outputs, d log Z / d score is q's marginal less p's.
        """
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            leaf = _full(scores).detach().clone().requires_grad_()
            value = self.log_z(leaf, None if fires is None else fires.clone(), strength, mask)
            (gap,) = torch.autograd.grad(value.sum(), leaf)
            own = self.engine.log_probabilities(leaf.detach()).exp()
        return (own + gap).clamp(0, 1)

    def most_likely(
        self, scores: Tensor, fires: Tensor | None = None, strength: float = 1.0, mask: Tensor | None = None
    ) -> Tensor:
        """Return the likeliest answer under q, as booleans in the shape of the scores."""
        import torch

        with torch.no_grad():
            scores = _full(scores)
            return self.engine.best(scores, self.penalties(scores, fires, strength), mask)

    def samples(
        self,
        n: int,
        scores: Tensor,
        fires: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return n answers drawn from q, as booleans (n, *shape of the scores)."""
        import torch

        with torch.no_grad():
            scores = _full(scores)
            return self.engine.draws(n, scores, self.penalties(scores, fires, strength), mask, generator)

    def penalties(self, scores: Tensor, fires: Tensor | None, strength: float, weights: Tensor | None = None) -> Tensor:
        """Return (formulas, batch) what breaking each formula costs on each example, from 0 to 1e30."""
        import torch

        total = scores.new_zeros((self.formulas, len(scores)))
        if not self.places:
            return total
        nats = [_nats(self.rules.rules[place], strength) for place in self.places]
        own = torch.tensor(nats, dtype=scores.dtype, device=scores.device)
        if weights is not None:
            hard = torch.tensor([self.rules.rules[place].hard for place in self.places], device=scores.device)
            own = torch.where(hard, own, weights.to(own)[list(self.places)])
        each = own[:, None].expand(-1, len(scores))
        if fires is not None:
            each = each * self._fired(fires.to(scores.device)).to(scores.dtype)
        which = torch.tensor(self.which, device=scores.device)
        return total.index_add_(0, which, each).clamp_(max=-NEVER)

    def _fired(self, fires: Tensor) -> Tensor:
        always = [self.rules.rules[place].always for place in self.places]
        return fires[list(self.places)].bool() | fires.new_tensor(always).bool()[:, None]


def _weighted(rule: Rule, always: bool) -> Weighted:
    if not isinstance(rule.then, Formula):
        raise FormulaError(f"rule {rule.name!r} says a SoftFormula: exact inference needs a formula over labels")
    return Weighted(rule.name, rule.then, log_odds(rule.confidence), rule.hard, always)


def _nats(rule: Weighted, strength: float) -> float:
    if rule.hard:
        return -NEVER
    return 0.0 if rule.weight == 0 else min(strength * abs(rule.weight), -NEVER)


def _full(scores: Tensor) -> Tensor:
    return scores if scores.is_floating_point() and scores.element_size() > 2 else scores.float()


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
