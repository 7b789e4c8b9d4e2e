"""The method `hybrid`: rules and labels in one run, balanced against each other.

`settings` says what a user may ask for, `balances` what answers it: `dual` and `uncertainty` hold the mathematics.
`groups` is the loss, `confidences` what labels make of rules, `conflicts` the projection of gradients.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from triune import LossTerm, TermValues, hookimpl
from triune.config import EarlyStopping
from triune.errors import PlanError, listed
from triune.events import Evaluated, Finished, Stepped
from triune.guard import Guarded, MethodGuard
from triune.seats import On, counting, decisions, own_labels, seated
from triune.types import Seat
from triune_hybrid.settings import Balance, Dual, Fixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor, nn

    from triune import Batch, Bundle, Event, GroundedRules, Outputs, Run, Step
    from triune.confidences import Evidence
    from triune.examples import Examples
    from triune.seats import Seated
    from triune.types import JSON
    from triune_hybrid.balances import Balancing
    from triune_hybrid.confidences import Confidences
    from triune_hybrid.groups import Group

TERM, GUARD = "hybrid", "hybrid-prior"
SILENT = "rules that say a SoftFormula have no exact cost, and no other may act here: push them by another method"


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is pushed in a run, and how much each part of it counts.

    Attributes:
        seated: the rules.
        groups: them, in the groups that share a weight.
        confidences: how far each is trusted.
        evidence: what the labels of training and validation table say of every rule of the run.
        metric: chooses the best model.
    """

    seated: Seated
    groups: tuple[Group, ...]
    confidences: Confidences
    evidence: Evidence
    metric: str


class Hybrid:
    """Balance rules against labels: by a weight, by a bound on violations, or by the losses themselves."""

    seats = (Seat.LOSS,)

    class Config(Guarded, frozen=True, extra="forbid"):
        """How rules and labels are balanced."""

        balance: Balance = Field(
            Fixed(),
            description="How much rules count beside labels: `fixed`, `scheduled`, `dual` (the weight at which rules "
            "are broken as seldom as asked) or `uncertainty`; a name, or `use: NAME` with its settings.",
        )
        conflicts: Literal["ignore", "project"] = Field(
            "ignore",
            description="project: where the gradients of rules and of labels pull against each other, each gives up "
            "that part (PCGrad). Two more backward passes a step.",
        )
        confidences: Literal["labels", "fixed"] = Field(
            "labels",
            description="labels: how far a rule is trusted is estimated from labelled examples, beside which what was "
            "written counts as `pseudo_counts` more. fixed: as written.",
        )
        pseudo_counts: float = Field(
            2.0, gt=0, allow_inf_nan=False, description="How many labelled examples a written confidence is worth."
        )
        on: On = Field("all", description="Which examples learn from rules.")

    def __init__(self, config: Config) -> None:
        self.config = config
        self.guard = MethodGuard()
        self.pushed: Pushed | None = None
        self.balance: Balancing | None = None
        self.parameters: list[nn.Parameter] = []
        self.counted = [1.0, 1.0]  # what rules and labels counted in the last step, after projection
        self.over = False

    @hookimpl
    def loss_terms(self, run: Run, rules: GroundedRules, train: Examples, bundle: Bundle) -> Iterable[LossTerm]:
        """Contribute "hybrid", what broken rules cost where any fires, and "hybrid-prior", its guard.

        Raises:
            PlanError: no rule may act here or none fires, hard rules leave no answer on a training example, a bound
                is of no rule, or something is not there that the settings need.
            RuleCostError: exact inference would exceed the budget.
        """
        from triune_hybrid.balances import MADE

        self.pushed = self._pushed(run, rules, train)
        self.balance = MADE[self.config.balance.use](self.config.balance, self.pushed)
        self.parameters = list(bundle.model.parameters())
        yield LossTerm(TERM, self._compute, self.balance.weight, counts=self._counts, note=self._note())
        assert rules.space is not None
        yield from self.guard.terms(GUARD, self.config, rules.space, train)

    def _pushed(self, run: Run, rules: GroundedRules, train: Examples) -> Pushed:
        from triune.confidences import evidence_of
        from triune_hybrid.confidences import Confidences
        from triune_hybrid.groups import grouped, members_of

        mine = self._seated(run, rules, train)
        own, held_out = evidence_of(rules, "train"), evidence_of(rules, "valid")
        pseudo = self.config.pseudo_counts if self.config.confidences == "labels" else 0.0
        balance = self.config.balance
        bounds, by = (balance.at_most, balance.by) if isinstance(balance, Dual) else (0.0, "all")
        spoken = [rules.rules[place] for place in (*mine.places, *mine.pointing)]
        return Pushed(
            mine,
            grouped(mine, members_of(spoken, bounds, by)),
            Confidences(rules.rules, own, held_out, pseudo),
            own + held_out,
            (run.config.training.early_stopping or EarlyStopping()).metric,
        )

    def _seated(self, run: Run, rules: GroundedRules, train: Examples) -> Seated:
        """Return the rules that may act in the loss, if all is there that the settings need."""
        found = seated(rules, Seat.LOSS)
        if found is None or rules.space is None:
            raise PlanError(["hybrid: no rule may act in the loss: name some under rules, or leave hybrid out"])
        mine = replace(found, soft=())
        problems = mine.problems(self.config.on, train) if mine.places or mine.pointing else [SILENT]
        parts = run.config.training.accumulate
        if isinstance(self.config.balance, Dual) and "valid" not in rules.fires:
            problems.append(
                "balance: dual asks how often rules are broken on held-out text, and there is no validation table: "
                "give data.valid, or a training.validation above 0"
            )
        if self.config.conflicts == "project" and run.processes.size > 1:
            problems.append(
                f"conflicts: project compares gradients of the whole batch, and {run.processes.size} processes share "
                "it, where they are never there together: train on one process, or set conflicts to ignore"
            )
        if self.config.conflicts == "project" and parts > 1:
            problems.append(
                f"conflicts: project compares gradients of the whole batch, and training.accumulate parts it in {parts}"
                ", which are never there together: set accumulate to 1, or conflicts to ignore"
            )
        if problems:
            raise PlanError(f"hybrid: {problem}" for problem in problems)
        return mine

    def _note(self) -> str:
        """Return what the plan says of the term."""
        assert self.pushed and self.balance
        groups, soft = self.pushed.groups, seated(self.pushed.seated.grounded, Seat.LOSS)
        left = [self.pushed.seated.grounded.rules[place].name for place in (soft.soft if soft else ())]
        nats = self.pushed.confidences.nats()
        silenced = [rule.name for group in groups for rule in group.rules if not nats[rule.name]]
        return "; ".join(
            part
            for part in (
                f"−log Z, {groups[0].compiled.cost}" + (f" and {len(groups) - 1} more" if len(groups) > 1 else ""),
                self.balance.note(),
                f"labels contradict {listed(map(repr, silenced), 5)}, which weigh nothing" if silenced else "",
                f"without {listed(map(repr, left))}, which have no exact cost" if left else "",
            )
            if part
        )

    def _compute(self, step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        from triune_hybrid.groups import total_cost

        assert self.pushed and self.balance
        weighed = zip(self.pushed.groups, self.balance.shares(step), strict=True)
        cost = total_cost(weighed, batch, outputs, self.pushed.confidences.nats())
        return TermValues(cost / decisions(batch), self._mask(batch))

    def _counts(self, batch: Batch) -> Tensor:
        return self._mask(batch).sum()

    def _mask(self, batch: Batch) -> Tensor:
        """Return (batch,) the weight of each example on which a rule fires; of a sequence, of all its tokens."""
        assert self.pushed
        learnt = counting(self.config.on, own_labels(batch))
        return self.pushed.seated.fired(batch) * learnt * batch.weights * decisions(batch)

    @hookimpl
    def compose_loss(self, terms: Mapping[str, Tensor]) -> Tensor | None:
        """Decide the sum of both sides, each without what pulls against the other; None where that is not asked for.

        What rules cost and its guard are one side, all other terms the other.
        """
        if self.config.conflicts == "ignore":
            return None
        import torch

        ours = [term for name, term in terms.items() if name in (TERM, GUARD)]
        others = [term for name, term in terms.items() if name not in (TERM, GUARD)]
        sides = [torch.stack(side).sum() for side in (ours, others) if side]
        if len(sides) == 2 and all(side.requires_grad for side in sides):  # else asked for the value of a step done
            self.counted = self._projected(sides)
        return torch.stack([by * side for by, side in zip(self.counted, sides, strict=False)]).sum()

    def _projected(self, sides: Sequence[Tensor]) -> list[float]:
        """Return what each side counts."""
        from triune_hybrid.conflicts import inner_products, projected

        moving = [parameter for parameter in self.parameters if parameter.requires_grad]
        return projected(inner_products(sides, moving), [[1], [0]])

    @hookimpl
    def prefer_model(self, metrics: Mapping[str, JSON], best: Mapping[str, JSON] | None) -> bool | None:
        """Decide for the model that keeps its bounds, where there are some and the metric allows it."""
        return self.balance.prefers(metrics, best) if self.balance else None

    @hookimpl
    def observe(self, event: Event) -> None:
        """Let balance, confidences and guard take in a step or an evaluation that was done."""
        if self.balance is None or self.pushed is None:
            return
        self.guard.observe(event)
        if isinstance(event, Stepped):
            labels = sum(value for name, value in event.terms.items() if name not in (TERM, GUARD))
            self.balance.stepped(labels, event.terms.get(TERM, 0.0))
        elif isinstance(event, Evaluated) and event.split == "valid" and not self.over:
            self.balance.evaluated(event.metrics, event.step)
            self.pushed.confidences.update()
        self.over = self.over or isinstance(event, Finished)  # what follows measures the model that was chosen

    @hookimpl
    def note_values(self) -> Mapping[str, Mapping[str, float]]:
        """Contribute multipliers, violations and bounds by group, or what else moves, and every rule's confidence."""
        if self.balance is None or self.pushed is None:
            return {}
        confidences = self.pushed.confidences
        trusted = {rule.name: value for rule, value in zip(confidences.rules, confidences.values, strict=True)}
        return {**self.balance.noted(), **({"confidences": trusted} if confidences.pseudo else {})}

    @hookimpl
    def measure(self, run: Run) -> Mapping[str, JSON]:
        """Contribute "hybrid": where the balance stands, and what became of each rule's confidence.

        A finished run that is opened again has none.
        """
        if self.balance is None or self.pushed is None or run.finished:
            return {}
        confidences = self.pushed.confidences
        kept, broken = ([int(one) for one in ones] for ones in (confidences.evidence.kept, confidences.evidence.broken))
        rows = zip(confidences.rules, confidences.values, kept, broken, strict=True)
        each: dict[str, JSON] = {
            rule.name: {"written": rule.confidence, "confidence": value, "kept": right, "broken": wrong}
            for rule, value, right, wrong in rows
        }
        return {"hybrid": {**self.balance.noted(), "rules": each}}

    def state_dict(self) -> dict[str, object]:
        """Return the state of balance, confidences and guard."""
        return {
            "balance": self.balance.state_dict() if self.balance else {},
            "confidences": self.pushed.confidences.state_dict() if self.pushed else {},
            "guard": self.guard.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Give it back."""
        if self.balance and self.pushed:
            self.balance.load_state_dict(state["balance"])
            self.pushed.confidences.load_state_dict(state["confidences"])
        self.guard.load_state_dict(state["guard"])
