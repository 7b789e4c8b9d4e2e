"""Anchor: stay near the pretrained weights, so that little of what they know is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import LossTerm, Schedule, hookimpl
from triune.schedules import PositiveSchedule
from triune.select import Head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn

    from triune import ModelLayout, Run


class Anchor:
    """Penalise the squared distance from the pretrained weights: L2-SP (Li et al. 2018)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        weight: PositiveSchedule = Field(
            Schedule.constant(0.01), description="α: how much moving away from the pretrained weights costs."
        )
        head_weight: PositiveSchedule = Field(
            Schedule.constant(0.01), description="β: how much the size of the head's weights costs; 0: nothing."
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self._model: nn.Module | None = None
        self._start: dict[str, Tensor] = {}

    @hookimpl
    def adapt_model(self, run: Run, model: nn.Module) -> None:
        """Copy the pretrained weights, and leave the model as it is.

        No state is kept in checkpoints: a run that is resumed makes its model from the pretrained one as it did
        at first, before it takes the checkpoint's weights.
        """
        from triune_anchor.penalty import start_of

        if run.finished is None:  # what a finished run opens is trained already
            self._model, self._start = model, start_of(model)

    @hookimpl
    def loss_terms(self, layout: ModelLayout) -> Iterable[LossTerm]:
        """Contribute "anchor", ½‖w − w₀‖² of the encoder, and "anchor of the head", ½‖w‖² of the new weights."""
        from triune_anchor.penalty import distance, examples_of, on_every_example, size

        model = self._model
        if model is None:
            return
        head = {one.name for one in layout.where(Head())}
        start = {name: weight for name, weight in self._start.items() if name not in head}
        if start:
            yield LossTerm("anchor", on_every_example(lambda: distance(model, start)), self.config.weight, examples_of)
        if head and self.config.head_weight != Schedule.constant(0):
            value = on_every_example(lambda: size(model, head))
            yield LossTerm("anchor of the head", value, self.config.head_weight, examples_of)
