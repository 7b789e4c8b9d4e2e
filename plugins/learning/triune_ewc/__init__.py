"""EWC: weights that matter to what the model knew are held faster than those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import LossTerm, Schedule, hookimpl
from triune.config import InputPath
from triune.schedules import PositiveSchedule
from triune.select import Brought, Head

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

    from triune import Bundle, ModelLayout, Run
    from triune.examples import Examples
    from triune_ewc.fisher import Fisher


class Ewc:
    """Penalise ½ Σ Fᵢ (wᵢ − w₀ᵢ)², F the diagonal of the Fisher information (Kirkpatrick et al. 2017)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        weight: PositiveSchedule = Field(Schedule.constant(1000.0), description="λ: how much forgetting costs.")
        fisher_from: InputPath | None = Field(
            None,
            description="The `fisher.safetensors` that a run on the earlier task kept, or its model's folder. null: "
            "the Fisher information is estimated on the training texts, before the first step.",
        )
        examples: int = Field(256, ge=1, strict=True, description="On how many texts it is estimated.")
        keep: bool = Field(
            False,
            strict=True,
            description="Whether the finished run writes the Fisher information of its own task beside its model, for "
            "a later run's fisher_from.",
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self._estimate: Fisher | None = None

    @hookimpl
    def loss_terms(self, run: Run, layout: ModelLayout, train: Examples, bundle: Bundle) -> Iterable[LossTerm]:
        """Contribute "ewc"; frozen parameters, the head and adapters are no part of it.

        No state is kept in checkpoints: a run that is resumed makes its model from the pretrained one as it did at
        first, and estimates or reads the same again, before it takes the checkpoint's weights.

        Raises:
            PlanError: the file is of another model.
        """
        from triune_ewc.fisher import Fisher, read
        from triune_ewc.penalty import held

        names = [one.name for one in layout.where(~Head() & ~Brought())]
        self._estimate = Fisher(bundle, train, names, self.config.examples, run)
        source = self.config.fisher_from
        fisher = self._estimate.diagonal() if source is None else read(source, bundle.model, names)
        yield held(bundle.model, fisher, self.config.weight)

    @hookimpl
    def export(self, model: nn.Module, directory: Path) -> None:
        """Write the Fisher information of the finished model on its own task, if asked for."""
        from triune_ewc.fisher import write

        if self.config.keep and self._estimate is not None:
            write(self._estimate.diagonal(), directory)
