"""The method `rule-regulariser`: rules hold as often as they say, in expectation, and no more often."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from triune import LossTerm, Schedule, hookimpl
from triune.errors import PlanError, listed
from triune.events import Stepped
from triune.guard import Guarded, MethodGuard
from triune.schedules import PositiveSchedule
from triune.seats import On, seated
from triune.types import Seat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

    from triune import Event, GroundedRules, Rule, Run
    from triune.examples import Examples
    from triune.logic.inference import Compiled
    from triune.seats import Seated
    from triune.types import JSON
    from triune_rule_regulariser.multipliers import Multipliers


NOTHING_PROJECTED = "a rule that says a SoftFormula or speaks of single tokens has no projection: push it in the loss"


class RuleRegulariser:
    """Draw outputs to where each rule is broken at most as often as it allows (Ganchev et al. 2010)."""

    seats = (Seat.REGULARISER,)

    class Config(Guarded, frozen=True, extra="forbid"):
        """How closely rules are kept, and how fast that is reached."""

        weight: PositiveSchedule = Field(
            Schedule.constant(1.0), description="How much the term counts beside the task's."
        )
        slack: float = Field(
            0.0, ge=0, lt=1, description="ε: how much more often than 1 − confidence a rule may be broken."
        )
        rate: float = Field(
            1.0, gt=0, allow_inf_nan=False, description="How fast the multiplier of a rule follows what it does."
        )
        on: On = Field("all", description="Which examples learn from rules.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.guard = MethodGuard()
        self.multipliers: Multipliers | None = None
        self.rules: tuple[Rule, ...] = ()

    @hookimpl
    def loss_terms(self, run: Run, rules: GroundedRules, train: Examples) -> Iterable[LossTerm]:
        """Contribute "regulariser", KL(q ‖ p) of examples on which a rule fires, and "regulariser-prior", its guard.

        Raises:
            PlanError: no rule may act here or none fires, or hard rules leave no answer on a training example.
            RuleCostError: exact inference would exceed the budget.
        """
        from triune_rule_regulariser.multipliers import Multipliers
        from triune_rule_regulariser.projection import Projection, acting

        mine = seated(rules, Seat.REGULARISER)
        if mine is None or rules.space is None:
            raise PlanError(
                ["rule-regulariser: no rule may act as a regulariser: name some under rules, or leave it out"]
            )
        projected = replace(mine, soft=(), pointing=())
        problems = projected.problems(self.config.on, train) if mine.rules else [NOTHING_PROJECTED]
        if problems:
            raise PlanError(f"rule-regulariser: {problem}" for problem in problems)
        bounds = [1 - rule.confidence + self.config.slack for rule in mine.rules]
        self.rules = mine.rules
        self.multipliers = Multipliers(bounds, self.config.rate, run.config.training.batch_size)
        whole = Projection(projected, mine.compiled(acting), self.multipliers, self.config.on)
        yield LossTerm(
            "regulariser",
            whole.features,
            self.config.weight,
            of_means=whole.mean,
            note=self._note(mine, whole.compiled),
        )
        yield from self.guard.terms("regulariser-prior", self.config, rules.space, train)

    def _note(self, mine: Seated, compiled: Compiled) -> str:
        """Return what the plan says of the term."""
        left = [mine.grounded.rules[place].name for place in (*mine.soft, *mine.pointing)]
        without = f"; without {listed(map(repr, left))}, which have no projection" if left else ""
        return f"KL(q ‖ p), {compiled.cost}{without}"

    @hookimpl
    def measure(self, run: Run) -> Mapping[str, JSON]:
        """Contribute "multipliers": λ of each soft rule, how often it was broken under q when last seen, and its bound.

        A finished run that is opened again has none.
        """
        if self.multipliers is None or run.finished:
            return {}
        each = zip(
            self.rules,
            self.multipliers.values.tolist(),
            self.multipliers.expected.tolist(),
            self.multipliers.bounds.tolist(),
            strict=True,
        )
        return {
            "multipliers": {
                rule.name: {"multiplier": λ, "expected_violation": rate if rate == rate else None, "bound": bound}
                for rule, λ, rate, bound in each
                if not rule.hard
            }
        }

    @hookimpl
    def observe(self, event: Event) -> None:
        """Let multipliers move and the guard remember, when a step was done."""
        if self.multipliers is not None and isinstance(event, Stepped):
            self.multipliers.commit()
        self.guard.observe(event)

    def state_dict(self) -> dict[str, object]:
        """Return multipliers and what the guard remembers."""
        return {
            "multipliers": self.multipliers.state_dict() if self.multipliers else {},
            "guard": self.guard.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
        """Give both back."""
        if self.multipliers is not None:
            self.multipliers.load_state_dict(state["multipliers"])
        self.guard.load_state_dict(state["guard"])
