"""The method `rule-reward`: the model draws answers, and those that keep the rules become more likely."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from triune import LossTerm, Schedule, hookimpl
from triune.errors import PlanError
from triune.guard import Guarded, MethodGuard
from triune.schedules import PositiveSchedule
from triune.seats import seated
from triune.types import Seat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from triune import Batch, Event, GroundedRules, Outputs, Run, Step, TermValues
    from triune.examples import Examples
    from triune_rule_reward.start import Start


class RuleReward:
    """Policy gradient with kept rules as the reward, against a leave-one-out baseline (Ahmadian et al. 2024)."""

    seats = (Seat.POLICY,)

    class Config(Guarded, frozen=True, extra="forbid"):
        """How many answers are drawn, what they are worth, and how far the model may go."""

        weight: PositiveSchedule = Field(
            Schedule.constant(1.0), description="How much the reward counts beside the task."
        )
        samples: int = Field(8, ge=2, strict=True, description="How many answers are drawn of each example and step.")
        weigh: Literal["odds", "confidence"] = Field(
            "odds",
            description="What a kept rule is worth among those that fire: the log-odds of its confidence, at most 6, "
            "or its confidence.",
        )
        hard: float = Field(
            2.0, gt=0, allow_inf_nan=False, description="How many rules of confidence 1 a hard rule is worth."
        )
        kl: PositiveSchedule = Field(
            Schedule.constant(0.1),
            description="What it costs to move away from the model of the start: the weight of KL(p ‖ p at the start). "
            "0 leaves it out.",
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.guard = MethodGuard()
        self.start: Start | None = None

    @hookimpl
    def loss_terms(self, run: Run, rules: GroundedRules, train: Examples) -> Iterable[LossTerm]:
        """Contribute "reward", "reward-start", which keeps the model near where it began, and "reward-prior".

        Raises:
            PlanError: no rule may act here or none fires, or hard rules leave no answer on a training example.
            RuleCostError: exact evaluation would exceed the budget.
        """
        from triune_rule_reward.draws import Draws
        from triune_rule_reward.gradient import rewarded
        from triune_rule_reward.rewards import rewards_of

        mine = seated(rules, Seat.POLICY)
        if mine is None or rules.space is None:
            raise PlanError(["rule-reward: no rule may act as its policy: name some under rules, or leave it out"])
        problems = mine.contradictions()
        if not mine.grounded.fires["train"][[*mine.places, *mine.soft, *mine.pointing]].any():
            problems.append("no rule fires on any training example: it would do nothing")
        if problems:
            raise PlanError(f"rule-reward: {problem}" for problem in problems)
        rewards = rewards_of(mine, self.config.weigh, self.config.hard)
        draws = Draws(run.generators.torch("rule-reward").initial_seed(), self.config.samples)
        note = f"the share of rules that {self.config.samples} drawn answers break"
        yield LossTerm("reward", rewarded(draws, rewards), self.config.weight, note=note)
        if self.config.kl != Schedule.constant(0):
            yield LossTerm("reward-start", self._distance(), self.config.kl, note="KL(p ‖ p at the start)")
        yield from self.guard.terms("reward-prior", self.config, rules.space, train)

    def _distance(self) -> Callable[[Step, Batch, Outputs], TermValues]:
        from triune_rule_reward.start import distance

        return lambda step, batch, outputs: distance(self.start, batch, outputs)

    @hookimpl
    def before_training(self, step: Step, forward: Callable[[Batch], Outputs], train: Examples) -> None:
        """Note what the model says of the training examples before it learns."""
        from triune_rule_reward.start import start_of

        if step.index == 0 and self.config.kl != Schedule.constant(0):
            self.start = start_of(forward, train)

    @hookimpl
    def observe(self, event: Event) -> None:
        """Let the guard remember a step that was done."""
        self.guard.observe(event)

    def state_dict(self) -> dict[str, object]:
        """Return what the guard remembers, and what the model said at the start."""
        return {"guard": self.guard.state_dict(), "start": self.start.state_dict() if self.start else {}}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take both back."""
        from triune_rule_reward.start import Start

        self.guard.load_state_dict(state["guard"])
        self.start = Start(**state["start"]) if state["start"] else None
