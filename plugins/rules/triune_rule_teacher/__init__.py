"""The method `rule-teacher`: the student imitates its own projection onto the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from triune import LossTerm, Schedule, hookimpl
from triune.errors import PlanError
from triune.guard import Guarded, MethodGuard
from triune.seats import seated
from triune.types import Seat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

    from triune import Event, GroundedRules, Run
    from triune.examples import Examples
    from triune.schedules import Weight


class RuleTeacher:
    """Distil the student's own projection onto the rules (Hu et al. 2016)."""

    seats = (Seat.POLICY,)

    class Config(Guarded, frozen=True, extra="forbid"):
        """How strict the teacher is, and how far the student follows it."""

        strength: float = Field(
            1.0,
            gt=0,
            allow_inf_nan=False,
            description="C: how strict the teacher is, a factor on what breaking a rule costs. At 1 a rule of "
            "confidence p costs log(p / (1 − p)), at most 6, the C of Hu et al.; a hard rule is never broken.",
        )
        imitation: Schedule | None = Field(
            None,
            description="π: how much of what is learnt comes from the teacher; labels keep 1 − π. null: "
            "min(pi0, 1 − alpha^t) after t epochs.",
        )
        pi0: float = Field(0.9, gt=0, le=1, description="The largest π, where imitation is null.")
        alpha: float = Field(
            0.5, ge=0, lt=1, description="How slowly π grows, where imitation is null: 0 is pi0 from the first step."
        )

        @field_validator("imitation")
        @classmethod
        def _is_a_share(cls, value: Schedule | None) -> Schedule | None:
            if value and not (0 <= value.start <= 1 and 0 <= value.end <= 1):
                raise ValueError(f"π is a share, from 0 to 1, and not {value}")
            return value

    def __init__(self, config: Config) -> None:
        self.config = config
        self.guard = MethodGuard()

    @hookimpl
    def loss_terms(self, run: Run, rules: GroundedRules, train: Examples) -> Iterable[LossTerm]:
        """Contribute "teacher", which leaves 1 − π to the task, and "teacher-prior", its guard.

        Raises:
            PlanError: no rule may act here or none fires, the teacher cannot be made of one, or hard rules leave no
                answer on a training example.
            RuleCostError: exact inference would exceed the budget.
        """
        from triune_rule_teacher.imitation import Rest
        from triune_rule_teacher.projection import counts_of, imitated, teacher_of

        mine = seated(rules, Seat.POLICY)
        if mine is None or rules.space is None:
            raise PlanError(["rule-teacher: no rule may act as its policy: name some under rules, or leave it out"])
        problems = mine.contradictions()
        if not mine.grounded.fires["train"][[*mine.places, *mine.soft, *mine.pointing]].any():
            problems.append("no rule fires on any training example: it would do nothing")
        if problems:
            raise PlanError(f"rule-teacher: {problem}" for problem in problems)
        teacher = teacher_of(mine, rules.space, self.config.strength)
        share = self._share(run, train)
        yield LossTerm(
            "teacher",
            imitated(teacher),
            weight=share,
            counts=counts_of(rules.space),
            scales={"task": Rest(share)},
            note=f"the teacher has {teacher.cost}",
        )
        yield from self.guard.terms("teacher-prior", self.config, rules.space, train)

    def _share(self, run: Run, train: Examples) -> Weight:
        """Return π; without labels there is nothing to leave a share to."""
        from triune_rule_teacher.imitation import Approach

        if not train.labelled.any():
            return Schedule.constant(1.0)
        per_epoch = -(-len(train) // run.config.training.batch_size)
        return self.config.imitation or Approach(self.config.pi0, self.config.alpha, per_epoch)

    @hookimpl
    def observe(self, event: Event) -> None:
        """Let the guard remember a step that was done."""
        self.guard.observe(event)

    def state_dict(self) -> dict[str, object]:
        """Return what the guard remembers."""
        return self.guard.state_dict()

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Give it back to the guard."""
        self.guard.load_state_dict(state)
