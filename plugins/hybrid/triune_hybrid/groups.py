"""The rules in the groups that are weighed together, and what each group costs on a batch, exactly."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune import Formula
from triune.errors import PlanError, listed, nearest
from triune.logic import Not
from triune.logic.inference import Weighted
from triune.logic.variables import NEVER
from triune.types import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import Tensor

    from triune import Batch, Outputs, Rule
    from triune.logic.inference import Compiled
    from triune.seats import Seated

ALL, OTHERS = "rules", "others"


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that share a weight.

    Attributes:
        name: "rules" of all, else that of a rule or of a tag.
        seated: the rules.
        compiled: those that say a formula, in exact form.
    """

    name: str
    seated: Seated
    compiled: Compiled

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules, those about tokens last."""
        all_rules = self.seated.grounded.rules
        return tuple(all_rules[place] for place in (*self.seated.places, *self.seated.pointing))

    def cost(self, batch: Batch, outputs: Outputs, nats: Mapping[str, float]) -> Tensor:
        """Return (batch,) −log Z where breaking each rule costs `nats`, from zero.

        Hard rules stay hard. Zero as well where they leave no answer, as in a sequence too short for what they ask.
        """
        import torch

        scores, mask = outputs.scores, outputs.mask
        weights = torch.tensor([nats[rule.name] for rule in self.seated.rules], dtype=scores.dtype)
        tokens = None
        if self.seated.pointing:
            tokens = self.seated.tokens(batch, scores.shape[1], lambda rule: nats[rule.name])
        fires = self.seated.fires(batch)
        log_z = self.compiled.log_z(scores, fires, mask=mask, weights=weights.to(scores.device), tokens=tokens)
        return torch.where(log_z > NEVER / 2, -log_z, 0.0 * log_z.detach())


def total_cost(
    groups: Iterable[tuple[Group, float]], batch: Batch, outputs: Outputs, nats: Mapping[str, float]
) -> Tensor:
    """Return (batch,) the cost of groups, each by its weight; one that weighs nothing is not computed."""
    total = (0.0 * outputs.scores.clamp(-1, 1)).flatten(1).sum(1)  # a gradient path, though nothing weighs anything
    for group, weight in groups:
        if weight > 0:
            total = total + weight * group.cost(batch, outputs, nats)
    return total


def grouped(seated: Seated, members: Mapping[str, Sequence[str]]) -> tuple[Group, ...]:
    """Return the groups of a seat's rules, compiled, from the names of their members.

    Raises:
        RuleCostError: exact inference would exceed the budget.
        ContradictionError: hard rules that always fire leave no answer.
    """
    return tuple(_group(name, seated, set(rules)) for name, rules in members.items())


def _group(name: str, seated: Seated, members: set[str]) -> Group:
    rules = seated.grounded.rules
    places, pointing = (
        tuple(place for place in some if rules[place].name in members) for some in (seated.places, seated.pointing)
    )
    own = replace(seated, places=places, soft=(), pointing=pointing)
    return Group(name, own, own.compiled(_weighted))


def _weighted(rule: Rule) -> Weighted:
    """Return how a rule acts: whether it or its opposite costs is settled for good, how much is not."""
    assert isinstance(rule.then, Formula)
    then = rule.then if rule.confidence >= 0.5 else Not(rule.then)
    return Weighted(rule.name, then, 1.0, rule.hard, rule.hard and rule.when == ALWAYS)


def members_of(rules: Sequence[Rule], bounds: float | Mapping[str, float], by: str) -> dict[str, list[str]]:
    """Return the names of the rules of each group, by the group's name, from the bounds that the user states.

    Raises:
        PlanError: a bound names what is neither rule nor tag; a rule has no bound, or two.
    """
    names = [rule.name for rule in rules]
    if not isinstance(bounds, dict):
        return {ALL: names} if by == "all" else {name: [name] for name in names}
    known = sorted({*names, *(tag for rule in rules for tag in rule.tags)})
    problems = [
        f"at_most names {name!r}, neither a rule nor a tag of one; known: {listed(known)}{nearest(name, known)}"
        for name in bounds
        if name not in known and name != OTHERS
    ]
    found: dict[str, list[str]] = {}
    for rule in rules:
        stated = [rule.name] if rule.name in bounds else sorted(rule.tags & bounds.keys())
        if len(stated) > 1:
            problems.append(f"{rule.where} has bounds by its tags {listed(map(repr, stated))}: state its own")
        if not stated and OTHERS not in bounds:
            problems.append(f"{rule.where} has no bound: name it or a tag of it in at_most, or state one for 'others'")
        found.setdefault(stated[0] if stated else OTHERS, []).append(rule.name)
    if problems:
        raise PlanError(f"hybrid: {problem}" for problem in problems)
    return found
