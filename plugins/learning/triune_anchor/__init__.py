"""Anchor: stay near the pretrained weights, so that little of what they know is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import LossTerm, Schedule, hookimpl
from triune.schedules import PositiveSchedule
from triune.select import Brought, Head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import Bundle, ModelLayout


class Anchor:
    """Penalise the squared distance from the pretrained weights: L2-SP (Li et al. 2018)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        weight: PositiveSchedule = Field(
            Schedule.constant(0.3), description="α: how much moving away from the pretrained weights costs."
        )
        head_weight: PositiveSchedule = Field(
            Schedule.constant(0.01), description="β: how much the size of the head's weights costs; 0: nothing."
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def loss_terms(self, layout: ModelLayout, bundle: Bundle) -> Iterable[LossTerm]:
        """Contribute "anchor", ½‖w − w₀‖² of the encoder, and "anchor of the head", ½‖w‖² of the new weights.

        No state is kept in checkpoints: a run that is resumed makes its model from the pretrained one as it did
        at first, before it takes the checkpoint's weights.
        """
        from triune_anchor.penalty import distance, examples_of, on_every_example, size, start_of

        model = bundle.model
        head = {one.name for one in layout.where(Head())}
        start = start_of(model, {one.name for one in layout.where(~Head() & ~Brought())})
        if start:
            yield LossTerm("anchor", on_every_example(lambda: distance(model, start)), self.config.weight, examples_of)
        if head and self.config.head_weight != Schedule.constant(0):
            value = on_every_example(lambda: size(model, head))
            yield LossTerm("anchor of the head", value, self.config.head_weight, examples_of)
