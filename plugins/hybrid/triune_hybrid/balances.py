"""The ways to balance rules against labels, each as an object that a run asks and tells."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Protocol, cast

from triune import Schedule
from triune_hybrid.dual import Held, Multipliers, pooled_violation
from triune_hybrid.uncertainty import RunningLosses

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from triune import Step
    from triune.confidences import Evidence
    from triune.schedules import Weight
    from triune.types import JSON
    from triune_hybrid.confidences import Confidences
    from triune_hybrid.groups import Group
    from triune_hybrid.settings import Dual, Fixed, Scheduled, Uncertainty

Metrics = "Mapping[str, JSON]"


class Balancing(Protocol):
    """What decides how much rules count.

    Attributes:
        weight: of the loss term.
    """

    weight: Weight

    def shares(self, step: Step) -> Sequence[float]:
        """Return (groups,) how much each group of rules counts within the term."""
        ...

    def stepped(self, labels: float, rules: float) -> None:
        """Take in the losses of a step that was done, as they were weighted."""
        ...

    def evaluated(self, metrics: Mapping[str, JSON], step: Step) -> None:
        """Take in what was measured on held-out text."""
        ...

    def prefers(self, metrics: Mapping[str, JSON], best: Mapping[str, JSON] | None) -> bool | None:
        """Return whether a model goes before the best so far; None leaves that to the metric."""
        ...

    def noted(self) -> dict[str, dict[str, float]]:
        """Return the values that change over time."""
        ...

    def note(self) -> str:
        """Return what the plan says."""
        ...

    def state_dict(self) -> dict[str, object]:
        """Return all that changes."""
        ...

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take it back."""
        ...


class Stated:
    """A weight that is known before the run: fixed, or a schedule."""

    def __init__(self, weight: Schedule, groups: int) -> None:
        self.weight: Weight = weight
        self._shares = [1.0] * groups

    def shares(self, step: Step) -> Sequence[float]:
        """Return a one for each group."""
        return self._shares

    def stepped(self, labels: float, rules: float) -> None:
        """Learn nothing from it."""

    def evaluated(self, metrics: Mapping[str, JSON], step: Step) -> None:
        """Learn nothing from it."""

    def prefers(self, metrics: Mapping[str, JSON], best: Mapping[str, JSON] | None) -> bool | None:
        """Leave it to the metric."""
        return None

    def noted(self) -> dict[str, dict[str, float]]:
        """Return nothing."""
        return {}

    def note(self) -> str:
        """Return nothing, as the plan shows weights anyway."""
        return ""

    def state_dict(self) -> dict[str, object]:
        """Return nothing."""
        return {}

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take nothing back."""


class Inverse(Stated):
    """Each side by the inverse of its running loss."""

    def __init__(self, newest: float, groups: int) -> None:
        self.losses = RunningLosses(newest)
        super().__init__(Schedule.constant(1.0), groups)
        self.weight = self.losses

    def stepped(self, labels: float, rules: float) -> None:
        """Let the running losses run."""
        self.losses.see(labels, rules / self.losses.ratio)

    def noted(self) -> dict[str, dict[str, float]]:
        """Return the weight, and what it is made of."""
        labels, rules = self.losses.running
        return {"weight": {"rules": self.losses.ratio}, "running loss": {"labels": labels, "rules": rules}}

    def state_dict(self) -> dict[str, object]:
        """Return the running losses."""
        return self.losses.state_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take them back."""
        self.losses.load_state_dict(state)


class Bounded:
    """A multiplier for each group, by dual ascent to its bound."""

    def __init__(
        self, settings: Dual, groups: Sequence[Group], confidences: Confidences, evidence: Evidence, metric: str
    ) -> None:
        """Take the groups, what labels say of every rule of the run, and the metric that chooses the best model."""
        self.weight: Weight = Schedule.constant(1.0)
        self.settings, self.groups, self.confidences, self.metric = settings, groups, confidences, metric
        counts = zip(evidence.broken.tolist(), evidence.judged.tolist(), strict=True)
        self.counts: dict[str, tuple[float, float]] = {  # broken, judged
            rule.name: one for rule, one in zip(confidences.rules, counts, strict=True)
        }
        self.multipliers = Multipliers(settings, len(groups))

    def shares(self, step: Step) -> Sequence[float]:
        """Return the multipliers, zeros while labels teach alone."""
        return self.multipliers.values if step.share >= self.settings.after else [0.0] * len(self.groups)

    def stepped(self, labels: float, rules: float) -> None:
        """Learn nothing from it: what counts is text that was not learnt from."""

    def evaluated(self, metrics: Mapping[str, JSON], step: Step) -> None:
        """Move the multipliers."""
        self.multipliers.move(self.held(metrics), step.index, step.share > self.settings.after)

    def prefers(self, metrics: Mapping[str, JSON], best: Mapping[str, JSON] | None) -> bool | None:
        """Return whether a model goes before the best so far: by the floor of the metric, then by the bounds."""
        return self.multipliers.prefers(self.held(metrics), None if best is None else self.held(best))

    def held(self, metrics: Mapping[str, JSON]) -> Held:
        """Return what the metrics of held-out text say of the groups."""
        report = cast("Mapping[str, Mapping[str, float | None]]", metrics["rules"])
        value, examples, labelled = metrics.get(self.metric), metrics["examples"], metrics["labelled"]
        assert isinstance(examples, int) and isinstance(labelled, int)
        each = [pooled_violation(self._acting(group), report, examples) for group in self.groups]
        return Held(
            tuple(violation for violation, _ in each),
            tuple(map(self.bound, self.groups)),
            tuple(fired for _, fired in each),
            float(value) if isinstance(value, int | float) else None,
            labelled,
        )

    def bound(self, group: Group) -> float:
        """Return what is asked of a group: its bound, or how often the labels break its rules where that is more."""
        counts = [self.counts[name] for name in self._acting(group)]
        broken, judged = (sum(one[place] for one in counts) for place in (0, 1))
        return max(self.stated(group), broken / max(judged, 1))

    def stated(self, group: Group) -> float:
        """Return the bound that the user stated for a group."""
        at_most = self.settings.at_most
        return at_most[group.name] if isinstance(at_most, dict) else at_most

    def _acting(self, group: Group) -> list[str]:
        """Return the names of the rules of a group that are pushed: those whose labels do not contradict them."""
        nats = self.confidences.nats()
        return [rule.name for rule in group.rules if nats[rule.name] > 0]

    def noted(self) -> dict[str, dict[str, float]]:
        """Return multipliers, running violations and bounds, by group."""
        names, found = [group.name for group in self.groups], self.multipliers
        rows = {"multipliers": found.values, "violation": found.running, "bounds": found.bounds}
        each = {name: zip(names, values, strict=True) for name, values in rows.items()}
        return {name: {group: value for group, value in pairs if not isnan(value)} for name, pairs in each.items()}

    def note(self) -> str:
        """Return the bounds, and the noise floor where that is what is asked."""
        said = [
            f"{group.name} {bound:.3g}" + (f" (labels break it so often; asked {stated:.3g})" if bound > stated else "")
            for group in self.groups[:5]
            for bound, stated in [(self.bound(group), self.stated(group))]
        ]
        return f"broken at most: {', '.join(said)}{', …' if len(self.groups) > 5 else ''}"

    def state_dict(self) -> dict[str, object]:
        """Return the state of the multipliers."""
        return self.multipliers.state_dict()

    def load_state_dict(self, state: Mapping[str, object]) -> None:
        """Take it back."""
        self.multipliers.load_state_dict(state)


class Around(Protocol):
    """What a balance is made from, beside its settings."""

    groups: tuple[Group, ...]
    confidences: Confidences
    evidence: Evidence
    metric: str


def fixed(settings: Fixed, around: Around) -> Balancing:
    """Return one weight for good."""
    return Stated(Schedule.constant(settings.weight), len(around.groups))


def scheduled(settings: Scheduled, around: Around) -> Balancing:
    """Return a weight that changes as was said."""
    return Stated(settings.weight, len(around.groups))


def uncertainty(settings: Uncertainty, around: Around) -> Balancing:
    """Return the weights of running losses."""
    return Inverse(settings.newest, len(around.groups))


def dual(settings: Dual, around: Around) -> Balancing:
    """Return multipliers."""
    return Bounded(settings, around.groups, around.confidences, around.evidence, around.metric)


MADE: Mapping[str, Callable[..., Balancing]] = {
    "fixed": fixed,
    "scheduled": scheduled,
    "uncertainty": uncertainty,
    "dual": dual,
}
