"""The data plugin `balance`: what to do where some labels are rare. It touches training data and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from triune import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import Run
    from triune.data import Data
    from triune.types import LossTerm

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
BY_RESAMPLING = ("ratio", "max_copies")


class Balance:
    """Resample examples, weigh classes, or focus the loss on what is still wrong."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Three independent remedies, of which at least one is on."""

        resample: Literal["over", "under", "synthesise"] | None = Field(
            None, description="Copy examples of small classes, drop some of large ones, or make new ones."
        )
        ratio: Annotated[float, Field(gt=0, le=1)] | Literal["auto"] = Field(
            "auto", description="Size of the small classes as a share of the largest afterwards; auto is 1."
        )
        max_copies: int | None = Field(
            10, ge=2, description="How many times its size a class may grow at most; null: no limit."
        )
        class_weights: Literal["none", "balanced", "effective-number"] | dict[str | int, Positive] = Field(
            "none", description="Weight of an example by its label: computed from the training table, or given."
        )
        beta: float = Field(
            0.999, ge=0, lt=1, description="For effective-number: how soon another example adds little."
        )
        focal: float | None = Field(
            None, ge=0, allow_inf_nan=False, description="Gamma of the focal loss; it replaces the loss of the task."
        )

        @model_validator(mode="after")
        def _does_something(self) -> Self:
            if self.resample is None and self.class_weights in ("none", {}) and self.focal is None:
                raise ValueError("balance does nothing as it stands; name resample, class_weights or focal")
            idle = [name for name in BY_RESAMPLING if name in self.model_fields_set and self.resample is None]
            if idle:
                raise ValueError(f"{idle[0]} has no effect without resample; name resample, or leave it out")
            if "beta" in self.model_fields_set and self.class_weights != "effective-number":
                raise ValueError("beta has no effect without class_weights: effective-number; name it, or leave it out")
            if self.resample == "under" and "max_copies" in self.model_fields_set:
                raise ValueError("max_copies has no effect on resample: under; leave it out")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def prepare_data(self, run: Run, data: Data) -> Data:
        """Return the data with another training table: other rows, or a column of weights."""
        from triune_balance.classes import Classes
        from triune_balance.resampling import resampled
        from triune_balance.weighting import weighted

        if "train" not in data.splits:
            return data
        classes = Classes.of(data)
        classes.check(data.place("train"))
        config = self.config
        if config.resample is not None:
            share = 1.0 if config.ratio == "auto" else config.ratio
            generator = run.generators.numpy("balance")
            data = resampled(data, classes, config.resample, share, config.max_copies, generator)
        # after resampling: weights on top of a table that is even already must not even it twice
        return data if config.class_weights in ("none", {}) else weighted(data, config.class_weights, config.beta)

    @hookimpl
    def loss_terms(self) -> Iterable[LossTerm]:
        """Contribute the focal loss in place of the task's."""
        from triune_balance.focal import focal_term

        return () if self.config.focal is None else (focal_term(self.config.focal),)
