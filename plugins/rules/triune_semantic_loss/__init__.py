"""The method `semantic-loss`: what a rule forbids costs in the loss as much as the model believes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from triune import LossTerm, Schedule, TermValues, hookimpl
from triune.errors import PlanError, count
from triune.guard import Guarded, MethodGuard
from triune.schedules import PositiveSchedule
from triune.seats import On, counting, decisions, own_labels, seated
from triune.types import Seat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import torch
    from torch import Tensor

    from triune import Batch, Event, GroundedRules, Outputs, Step
    from triune.examples import Examples
    from triune.seats import Seated

    Value = Callable[[Batch, Outputs], Tensor]


class SemanticLoss:
    """Penalise −log of the probability that rules hold (Xu et al. 2018)."""

    seats = (Seat.LOSS,)

    class Config(Guarded, frozen=True, extra="forbid"):
        """How much broken rules cost, and in which form."""

        weight: PositiveSchedule = Field(
            Schedule.constant(1.0), description="How much the term counts beside the task's."
        )
        kind: Literal["exact", "product", "lukasiewicz"] = Field(
            "exact",
            description="exact: −log of the probability that the rules hold. product, lukasiewicz: fuzzy penalties of "
            "the formulas as they are written, with known failure modes.",
        )
        on: On = Field("all", description="Which examples learn from rules.")
        detach_premise: bool = Field(
            False,
            description="For product and lukasiewicz: the premise of if/then is trusted, so that a rule is not "
            "satisfied by making its premise false.",
        )

        @model_validator(mode="after")
        def _premises_are_fuzzy(self) -> Self:
            if self.detach_premise and self.kind == "exact":
                raise ValueError("detach_premise needs kind: product or kind: lukasiewicz; kind: exact has no premises")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config
        self.guard = MethodGuard()

    @hookimpl
    def loss_terms(self, rules: GroundedRules, train: Examples) -> Iterable[LossTerm]:
        """Contribute "rules", the loss of examples on which a rule fires, and "rules-prior", its guard.

        Raises:
            PlanError: no rule may act here or none fires, or hard rules leave no answer on a training example.
            RuleCostError: exact inference would exceed the budget.
        """
        mine = seated(rules, Seat.LOSS)
        if mine is None or rules.space is None:
            raise PlanError(["semantic-loss: no rule may act in the loss: name some under rules, or leave it out"])
        problems = mine.problems(self.config.on, train)
        if problems:
            raise PlanError(f"semantic-loss: {problem}" for problem in problems)
        value, note = self._value(mine)
        yield LossTerm("rules", self._term(mine, value), self.config.weight, counts=self._counts(mine), note=note)
        yield from self.guard.terms("rules-prior", self.config, rules.space, train)

    def _value(self, mine: Seated) -> tuple[Value, str]:
        """Return the value of each example, and what the plan says of it."""
        from triune_semantic_loss.exact import exact
        from triune_semantic_loss.soft import SoftTruths
        from triune_semantic_loss.tnorms import fuzzy

        soft = SoftTruths(mine)
        if self.config.kind != "exact":
            hard = fuzzy(mine, self.config.kind, self.config.detach_premise)
            return lambda batch, outputs: hard(batch, outputs) + soft(batch, outputs), f"{self.config.kind} t-norm"
        whole = exact(mine)
        note, contradicted = f"−log Z, {whole.compiled.cost}", whole.contradicted()
        if contradicted:
            where = count(contradicted, "example")
            note += f"; on {where} rules of confidence 1 contradict each other, and cost odds of 400 to 1"
        return lambda batch, outputs: whole(batch, outputs) + soft(batch, outputs), note

    def _term(self, mine: Seated, value: Value) -> Callable[[Step, Batch, Outputs], TermValues]:
        def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
            return TermValues(value(batch, outputs) / decisions(batch), self._mask(mine, batch))

        return compute

    def _counts(self, mine: Seated) -> Callable[[Batch], Tensor]:
        return lambda batch: self._mask(mine, batch).sum()

    def _mask(self, mine: Seated, batch: Batch) -> Tensor:
        """Return (batch,) the weight of each example on which a rule fires; of a sequence, of all its tokens."""
        return mine.fired(batch) * counting(self.config.on, own_labels(batch)) * batch.weights * decisions(batch)

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
