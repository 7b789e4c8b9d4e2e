"""The texts, what network and run say of them, and where the rules of the run act."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from triune.answers import certainly, truth_of
from triune.explaining.structured import in_structure
from triune.hooks import declared
from triune.hookspecs import RuleApplication
from triune.logic import SoftFormula
from triune.machine import autocast_of
from triune.reopened import SPLIT
from triune.types import Seat

if TYPE_CHECKING:
    from collections.abc import Callable

    from triune.data import Data
    from triune.examples import Examples
    from triune.hooks import Hooks
    from triune.opening import Opened
    from triune.spaces import OutputSpace
    from triune.types import Batch, GroundedRules, Outputs


@dataclass(frozen=True, slots=True)
class Scene:
    """The texts, and what network and run say of them."""

    opened: Opened
    rules: GroundedRules
    data: Data
    examples: Examples
    batch: Batch
    free: Outputs
    outputs: Outputs
    lengths: tuple[int | None, ...]  # of sequences

    @property
    def space(self) -> OutputSpace:
        """The outputs."""
        return self.opened.bundle.space

    def text(self, row: int) -> tuple[object, tuple[str, ...]]:
        """Return a text as it was given, and its tokens where it is one of several tokens."""
        cell = self.data.splits[SPLIT][self.data.roles["text"]].iloc[row]
        return cell, tuple(map(str, cell)) if isinstance(cell, list) else ()


def observed(opened: Opened, rules: GroundedRules, data: Data, examples: Examples) -> Scene:
    """Return the texts with what network and run say of them."""
    import numpy as np
    import torch

    batch = examples.batch(np.arange(len(examples))).to(opened.run.device)
    with torch.no_grad():
        with autocast_of(opened.run)():
            free = opened.bundle.forward(opened.bundle.model, batch)
        outputs = opened.constraining(rules)(free, batch)
    bounds = examples.bounds
    lengths = [None] * len(examples) if bounds is None else [stop - start for start, stop in pairwise(bounds.tolist())]
    return Scene(opened, rules, data, examples, batch, free, outputs, tuple(lengths))


def truths_of(scene: Scene) -> dict[tuple[int, int], tuple[float, float]]:
    """Return how true each `SoftFormula` is of the network and of the prediction, by rule and example."""
    import torch

    found: dict[tuple[int, int], tuple[float, float]] = {}
    decided = scene.space.decide(scene.outputs.scores) if scene.outputs.decided is None else scene.outputs.decided
    fires = torch.from_numpy(scene.rules.fires[SPLIT]).to(scene.batch.rows.device)
    for place, rule in enumerate(scene.rules.rules):
        if isinstance(rule.then, SoftFormula) and fires[place].any():
            network = truth_of(rule, scene.free, scene.batch, fires[place]).tolist()
            answer = truth_of(rule, certainly(scene.free, decided), scene.batch, fires[place]).tolist()
            found |= {(place, row): pair for row, pair in enumerate(zip(network, answer, strict=True))}
    return found


def acting(rules: GroundedRules, hooks: Hooks) -> list[list[str]]:
    """Return, for each rule, where it acts in the run: the seat, and the plugins that read rules in it."""
    readers = {seat: _readers(seat, hooks) for seat in Seat}
    kept = in_structure(rules)
    return [
        [
            f"{seat.value} ({', '.join(names)})"
            for seat, names in readers.items()
            if names and seat in rule.seats and (seat is not Seat.STRUCTURE or place in kept)
        ]
        for place, rule in enumerate(rules.rules)
    ]


def _readers(seat: Seat, hooks: Hooks) -> list[str]:
    implied: dict[Seat, Callable[..., object]] = {
        Seat.LABELS: RuleApplication.label_examples,
        Seat.STRUCTURE: RuleApplication.constrain_outputs,
    }
    own = hooks.implementers(implied[seat]) if seat in implied else ()
    return [
        name for name, plugin in hooks.plugins.items() if name in own or seat in map(Seat, declared(plugin, "seats"))
    ]
