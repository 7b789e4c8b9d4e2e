"""EWC: weights that matter to what the model knew are held faster than those that do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, Field

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
    from triune_ewc.penalty import Held

FILE = "fisher.safetensors"


def _in_folder(path: Path) -> Path:
    """Return the file in a model's folder, so that what is in it is part of the run."""
    return path / FILE if path.is_dir() else path


class Ewc:
    """Penalise ½ Σ Fᵢ (wᵢ − w₀ᵢ)², F the diagonal of the Fisher information (Kirkpatrick et al. 2017)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        weight: PositiveSchedule = Field(Schedule.constant(100_000.0), description="λ: how much forgetting costs.")
        fisher_from: Annotated[InputPath, AfterValidator(_in_folder)] | None = Field(
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
        self._held: Held | None = None

    @hookimpl
    def loss_terms(self, run: Run, layout: ModelLayout, train: Examples, bundle: Bundle) -> Iterable[LossTerm]:
        """Contribute "ewc"; frozen parameters, the head and adapters are no part of it.

        Raises:
            PlanError: the file is of another model.
        """
        from triune_ewc.fisher import Fisher, read
        from triune_ewc.penalty import Held

        names = [one.name for one in layout.where(~Head() & ~Brought())]
        self._estimate = Fisher(bundle, train, names, self.config.examples, run)
        self._held = Held(bundle.model, names)
        if self.config.fisher_from is not None:
            self._held.fisher = read(self.config.fisher_from, bundle.model, names)
        if self.config.weight != Schedule.constant(0):
            yield self._held.term(self.config.weight)

    @hookimpl
    def before_training(self) -> None:
        """Estimate the Fisher information, unless a file has given it or nothing is held by it.

        No state is kept in checkpoints: a run that is resumed estimates the same again, at the weights that it
        started from.
        """
        held, estimate = self._held, self._estimate
        assert held is not None and estimate is not None
        if held.fisher is None and self.config.weight != Schedule.constant(0):  # else it is for a later run alone
            with held.at_start():
                held.fisher = estimate.diagonal()

    @hookimpl
    def export(self, model: nn.Module, directory: Path) -> None:
        """Write the Fisher information of the finished model on its own task, if asked for."""
        from triune_ewc.fisher import write

        if self.config.keep and self._estimate is not None:
            write(self._estimate.diagonal(), directory / FILE)
