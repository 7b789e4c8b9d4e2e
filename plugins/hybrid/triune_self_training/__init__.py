"""The method `self-training`: text without labels is learnt from what the model believes and rules say of it.

`targets` is what is learnt, `learning` how much of it counts.
"""

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
    from collections.abc import Iterable, Mapping

    import torch

    from triune import Event, GroundedRules, Run
    from triune.examples import Examples
    from triune.seats import Seated


class SelfTraining:
    """Learn text without labels from the model's belief and the rules that fire (Yu et al. 2021; Hu et al. 2016)."""

    seats = (Seat.POLICY,)

    class Config(Guarded, frozen=True, extra="forbid"):
        """What is learnt from text without labels, and how much of it."""

        weight: PositiveSchedule = Field(
            Schedule.constant(1.0), description="How much text without labels counts beside labels."
        )
        without_text: Literal["refuse", "rest"] = Field(
            "refuse",
            description="Where every training example has a label: stop before the run, or take no part in it.",
        )
        certainty: bool = Field(
            True, description="Text counts the less, the less sure its target is: 1 − its entropy over the largest."
        )
        min_confidence: float = Field(
            0.0, ge=0, lt=1, description="Text whose most probable answer is less probable is not learnt from."
        )
        sharpness: float = Field(
            1.0,
            ge=1,
            allow_inf_nan=False,
            description="The power that targets are raised to: above 1 they are surer than model and rules. Without "
            "rules nothing is learnt at 1, as the model believes itself already.",
        )
        estimate: bool = Field(
            True,
            description="Estimate from the labels how right each rule is; what is written is the prior. Hard rules "
            "stay hard.",
        )
        prior_worth: float = Field(
            4.0,
            gt=0,
            allow_inf_nan=False,
            description="With estimate: how many labelled examples the prior of a rule is worth.",
        )
        rule_labels_until: float = Field(
            0.2,
            ge=0,
            le=1,
            description="Where a method labels text by rules: the share of the run after which those labels no longer "
            "count, and the model's own belief takes over.",
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.guard = MethodGuard()

    @hookimpl
    def loss_terms(self, run: Run, rules: GroundedRules, train: Examples) -> Iterable[LossTerm]:
        """Contribute "self-training", and "self-training-prior", its guard; "labels" where rules decided some.

        Raises:
            PlanError: there is no text without a label, nothing to begin from, or hard rules leave no answer.
            RuleCostError: exact inference would exceed the budget.
        """
        from triune_self_training.learning import SelfTaught, mixing, of_labels, unlabelled_marginals
        from triune_self_training.targets import prior_of, targets_of

        if train.gold.all() and self.config.without_text == "rest":
            return
        assert rules.space is not None
        mine = seated(rules, Seat.POLICY)
        self._check(mine, train)
        targets, note = targets_of(mine, rules.space, train, self.config.prior_worth if self.config.estimate else None)
        guard, said = self.guard.made(self.config, rules.space, train)
        marginals = prior_of(self.config, rules.space, train)
        taught = SelfTaught(targets, guard, marginals, self.config)
        note = "; ".join([note, *mixing(train, run.config.training.labelled_share)])
        yield LossTerm("self-training", taught, weight=self.config.weight, note=note)
        if guard:
            yield LossTerm(
                "self-training-prior",
                unlabelled_marginals(guard),
                weight=self.config.guard,
                of_means=guard.divergence,
                note=said,
            )
        if (train.labelled > train.gold).any():
            until = self.config.rule_labels_until
            yield LossTerm("labels", of_labels(until), replaces=("task",), note=f"those of rules until {until:.0%}")

    def _check(self, mine: Seated | None, train: Examples) -> None:
        """Raise where nothing would be learnt."""
        problems = []
        if train.gold.all():
            problems.append(
                "self-training: every training example has a label: put text without labels below it, with empty label "
                "cells, or into data.unlabelled"
            )
        fired = mine is not None and mine.grounded.fires[train.split][[*mine.places, *mine.pointing]].any()
        if not train.labelled.any() and not fired:
            problems.append(
                "self-training: no example has a label and no rule fires on one: there is nothing to begin from"
            )
        elif not fired and self.config.sharpness == 1:
            problems.append(
                "self-training: no rule acts here, and at sharpness 1 the model learns only what it believes already: "
                "set sharpness to 2, or name rules under rules"
            )
        if mine is not None:
            problems.extend(f"self-training: {problem}" for problem in mine.contradictions(train.split))
        if problems:
            raise PlanError(problems)

    @hookimpl
    def observe(self, event: Event) -> None:
        """Let the guard remember a step that was done."""
        self.guard.observe(event)

    def state_dict(self) -> dict[str, object]:
        """Return what the guard remembers: how often each label is predicted."""
        return self.guard.state_dict()

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Give it back to the guard."""
        self.guard.load_state_dict(state)
