"""From rules that fire to what breaking each formula costs on each example."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from triune.logic.formulas import Formula

CERTAIN_ODDS = 6.0
"""The weight of a rule of confidence 1 that is not hard: Hu et al. take C = 6, odds of 400 to 1."""

ENDLESS = 1e36
"""A strength that makes any weight 1e30, and one of zero nothing."""


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

    @property
    def turned(self) -> bool:
        """Whether it is its opposite that costs: breaking the rule gains."""
        return self.weight < 0 and not self.hard


def log_odds(confidence: float) -> float:
    """Return log(p / (1 - p)), at most 6: the weight of a rule that holds with probability p."""
    if confidence <= 0:
        return -CERTAIN_ODDS
    odds = confidence / (1 - confidence) if confidence < 1 else math.inf
    return max(-CERTAIN_ODDS, min(CERTAIN_ODDS, math.log(odds)))


@dataclass(frozen=True, slots=True)
class Weighing:
    """Which formula is whose.

    Attributes:
        rules: the rules, in the order of `fires`.
        places: which of them have penalties: those that are not always in force and hard.
        which: the formula of each of these.
        formulas: how many there are.
        made: the same as tensors, by device and type, made when first used.
    """

    rules: tuple[Weighted, ...]
    places: tuple[int, ...]
    which: tuple[int, ...]
    formulas: int
    made: dict[tuple[torch.device, torch.dtype], Mapping[str, Tensor]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def penalties(
        self, scores: Tensor, fires: Tensor | None, strength: float, weights: Tensor | None, least: float
    ) -> Tensor:
        """Return (formulas, batch) what breaking each formula costs on each example, from 0 to 1e30.

        Args:
            scores: (batch, …).
            fires: (rules, batch), None where all do.
            strength: what weights are multiplied with.
            weights: (rules,) nats in place of both; None: their own.
            least: nats that a rule that fires costs at least.
        """
        import torch

        if not self.places:
            return scores.new_zeros((self.formulas, len(scores)))
        own = self._on(scores)
        nats = own["nats"] * min(strength, ENDLESS) if weights is None else weights.to(scores)[own["places"]]
        each = torch.where(own["hard"], -NEVER, (nats + least).clamp(max=-NEVER))[:, None]
        each = each.expand(-1, len(scores)) if fires is None else each * self.fired(fires, scores).to(scores.dtype)
        if self.which == tuple(range(self.formulas)):
            return each.clamp(max=-NEVER)
        return scores.new_zeros((self.formulas, len(scores))).index_add(0, own["which"], each).clamp(max=-NEVER)

    def of_rules(self, of_formulas: Tensor, fires: Tensor | None) -> Tensor:
        """Return (rules, batch) the probability that each rule is broken, from (formulas, batch) that its formula is.

        A rule that does not fire is not broken; one that always holds is never.
        """
        found = of_formulas.new_zeros((len(self.rules), of_formulas.shape[1]))
        if self.places:
            own = self._on(of_formulas)
            each = of_formulas[own["which"]]
            each = each + own["turned"][:, None] * (1 - 2 * each)
            found[own["places"]] = each if fires is None else each * self.fired(fires, of_formulas)
        return found

    def firing(self, fires: Tensor, like: Tensor) -> Tensor:
        """Return (rules, batch) whether each fires, those that always hold included."""
        import torch

        found = torch.ones((len(self.rules), fires.shape[1]), dtype=torch.bool, device=like.device)
        if self.places:
            found[self._on(like)["places"]] = self.fired(fires, like)
        return found

    def fired(self, fires: Tensor, like: Tensor) -> Tensor:
        """Return (rules with penalties, batch) whether each fires."""
        own = self._on(like)
        return fires.to(like.device)[own["places"]].bool() | own["always"][:, None]

    def _on(self, like: Tensor) -> Mapping[str, Tensor]:
        import torch

        key = (like.device, like.dtype)
        if key not in self.made:
            rules = [self.rules[place] for place in self.places]
            self.made[key] = {
                "places": torch.tensor(self.places, device=like.device),
                "which": torch.tensor(self.which, device=like.device),
                "nats": torch.tensor([abs(rule.weight) for rule in rules], dtype=like.dtype, device=like.device),
                "hard": torch.tensor([rule.hard for rule in rules], device=like.device),
                "turned": torch.tensor([rule.turned for rule in rules], device=like.device),
                "always": torch.tensor([rule.always for rule in rules], device=like.device),
            }
        return self.made[key]
