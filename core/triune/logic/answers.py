"""What compiled rules answer: log Z of a batch, marginals, the best answer, draws, and how often rules are broken."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.logic.costs import Budget, UnansweredError
from triune.logic.formulas import FormulaError, Not
from triune.logic.patterns import ByPattern
from triune.logic.queries import Query
from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    from triune.logic.costs import Cost
    from triune.logic.formulas import Formula
    from triune.logic.inference import RuleSet
    from triune.logic.queries import Engine
    from triune.logic.variables import Space
    from triune.logic.weighing import Weighing

NO_LESS = 1e-18
"""Nats that change no value: a rule that costs so much is asked for its slope."""

SURE = 80.0
"""Nats at which log Z is the log-probability of a formula, to 1e-35."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """Rules over an output space, ready for any batch.

    Every method takes `scores`, (batch, labels) or (batch, tokens, tags), and most of them what decides q:

    - `fires`: (rules, batch), or None where all do;
    - `strength`: C, up to `math.inf`;
    - `mask`: (batch, tokens), which tokens of sequences count;
    - `weights`: (rules,) nats from 0 in place of strength and weight, what breaking each rule costs; hard rules
      stay hard. log Z is differentiable in them: d log Z / d weight = -E_q[the rule fires and is broken];
    - `tokens`: of sequences, (batch, tokens, tags) nats from 0 to 1e30, what each tag costs at each token, beside
      what the rules say of the whole;
    - `generator`: of what is drawn, where answers are estimated.

    Attributes:
        rules: the rules, in the order of `fires`.
        engine: the form in which they are asked.
        weighing: which formula is whose.
        space: the outputs.
        budget: what it may cost.
    """

    rules: RuleSet
    engine: Engine = field(repr=False)
    weighing: Weighing = field(repr=False)
    space: Space
    budget: Budget = Budget()  # noqa: RUF009 - frozen
    alone: dict[Formula, Engine] = field(default_factory=dict, compare=False, repr=False)
    upright: list[Compiled] = field(default_factory=list, compare=False, repr=False)

    @property
    def cost(self) -> Cost:
        """What one example costs."""
        return self.engine.cost

    @property
    def formulas(self) -> int:
        """How many distinct formulas have penalties."""
        return self.weighing.formulas

    def prepare(self, fires: Tensor, strength: float = 1.0) -> None:
        """Compile now what batches of these examples will need, for `fires` (rules, examples) of a whole table.

        Raises:
            RuleCostError: some example's rules exceed the budget.
        """
        import torch

        if isinstance(self.engine, ByPattern):
            scores = torch.zeros(fires.shape[1], 1)
            self.engine.prepare(self.weighing.penalties(scores, fires, strength, None, 0.0))

    def log_z(
        self,
        scores: Tensor,
        fires: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        *,
        weights: Tensor | None = None,
        tokens: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return (batch,) log Z, differentiable once in scores, weights and tokens; see the module.

        Raises:
            UnansweredError: log Z is estimated, and no draw satisfies the hard rules of some example.
        """
        one, query = self._asked(scores, fires, strength, mask, weights, tokens, generator)
        return one.ask(lambda engine: engine.log_z(query))

    def marginals(
        self,
        scores: Tensor,
        fires: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        *,
        weights: Tensor | None = None,
        tokens: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return the probability of every label under q, in the shape of the scores, without gradient.

        For independent softmax and sigmoid outputs, d log Z / d score is q's marginal less p's.
        """
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            leaf = _full(scores).detach().clone().requires_grad_()
            own = [None if given is None else given.detach().clone() for given in (fires, mask, weights, tokens)]
            one, query = self._asked(leaf, own[0], strength, own[1], own[2], own[3], generator)
            value = one.ask(lambda engine: engine.log_z(query))
            (gap,) = torch.autograd.grad(value.sum(), leaf)
            own_marginals = self.engine.log_probabilities(leaf.detach()).exp()
        return (own_marginals + gap).clamp(0, 1)

    def most_likely(
        self,
        scores: Tensor,
        fires: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        *,
        weights: Tensor | None = None,
        tokens: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return the likeliest answer under q, as booleans in the shape of the scores."""
        import torch

        with torch.no_grad():
            one, query = self._asked(scores, fires, strength, mask, weights, tokens, generator)
            return one.ask(lambda engine: engine.best(query))

    def samples(
        self,
        n: int,
        scores: Tensor,
        fires: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        generator: Generator | None = None,
        *,
        weights: Tensor | None = None,
        tokens: Tensor | None = None,
    ) -> Tensor:
        """Return n answers drawn from q, as booleans (n, *shape of the scores)."""
        import torch

        with torch.no_grad():
            one, query = self._asked(scores, fires, strength, mask, weights, tokens, generator)
            return one.ask(lambda engine: engine.draws(n, query))

    def expected_violations(
        self,
        scores: Tensor,
        fires: Tensor | None = None,
        strength: float = 1.0,
        mask: Tensor | None = None,
        *,
        weights: Tensor | None = None,
        tokens: Tensor | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Return (rules, batch) the probability under q that a rule fires and is broken, without gradient."""
        import torch

        with torch.inference_mode(False), torch.enable_grad():
            scores = _full(scores).detach().clone()
            own = [None if given is None else given.detach().clone() for given in (fires, mask, weights, tokens)]
            one, query = self._asked(scores, own[0], strength, own[1], own[2], own[3], generator, NO_LESS)
            leaf = query.penalties.requires_grad_()
            log_z = one.ask(lambda engine: engine.log_z(query))
            if not one.formulas:
                return one.weighing.of_rules(leaf.detach(), own[0])
            (slope,) = torch.autograd.grad(log_z.sum(), leaf)
        broken = one.weighing.of_rules((-slope).clamp(0, 1), own[0])
        lost = log_z.detach() <= NEVER / 2  # q is p where nothing is allowed
        if lost.any():
            here = 1 - self.satisfaction(scores, own[1], generator=generator)
            broken[:, lost] = (here if own[0] is None else here * one.weighing.firing(own[0], here))[:, lost]
        return broken

    def satisfaction(self, scores: Tensor, mask: Tensor | None = None, *, generator: Generator | None = None) -> Tensor:
        """Return (rules, batch) the probability under p that each rule's formula holds, wherever the rule fires.

        Each formula is asked alone, so it is exact even where all together are too much; differentiable once.
        """
        import torch

        scores, found = _full(scores), {}
        sure = scores.new_full((1, len(scores)), SURE)
        query = Query(scores, sure, mask, None, generator)
        for then in dict.fromkeys(rule.then for rule in self.rules.rules):
            found[then] = self._alone(then).log_z(query).exp()
        each = [found[rule.then] for rule in self.rules.rules]
        return torch.stack(each) if each else scores.new_zeros((0, len(scores)))

    def penalties(self, scores: Tensor, fires: Tensor | None = None, strength: float = 1.0) -> Tensor:
        """Return (formulas, batch) what breaking each distinct formula costs on each example, from 0 to 1e30."""
        return self.weighing.penalties(_full(scores), fires, strength, None, 0.0)

    def ask(self, question: Callable[[Engine], Tensor]) -> Tensor:
        """Return the engine's answer.

        Raises:
            UnansweredError: it has none for some example; the error names the rules.
        """
        try:
            return question(self.engine)
        except UnansweredError as error:
            says = {Not(rule.then) if rule.turned else rule.then: rule.name for rule in reversed(self.rules.rules)}
            raise error.of_rules([says[one] for one in error.unmet]) from None

    def _asked(
        self,
        scores: Tensor,
        fires: Tensor | None,
        strength: float,
        mask: Tensor | None,
        weights: Tensor | None,
        tokens: Tensor | None,
        generator: Generator | None,
        least: float = 0.0,
    ) -> tuple[Compiled, Query]:
        """Return what is asked, and of whom: where weights are given, rules that gain by being broken cost."""
        if tokens is not None and self.space.kind != "tags":
            raise FormulaError(f"only tags of tokens cost something at each token; these outputs are {self.space.kind}")
        one, scores = self if weights is None else self._weighable(), _full(scores)
        least = max(least, 0.0 if weights is None else NO_LESS)
        penalties = one.weighing.penalties(scores, fires, strength, weights, least)
        return one, Query(scores, penalties, mask, tokens, generator)

    def _weighable(self) -> Compiled:
        if not any(rule.turned for rule in self.rules.rules):
            return self
        if not self.upright:
            self.upright.append(self.rules.upright().compiled(self.space, self.budget))
        return self.upright[0]

    def _alone(self, then: Formula) -> Engine:
        from triune.logic.engines import engine_of

        if then not in self.alone:
            self.alone[then] = engine_of((then,), (), self.space, self.budget)
        return self.alone[then]


def _full(scores: Tensor) -> Tensor:
    return scores if scores.is_floating_point() and scores.element_size() > 2 else scores.float()
