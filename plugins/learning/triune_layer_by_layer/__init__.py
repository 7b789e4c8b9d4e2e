"""Layer by layer: the network thaws from the head down, a few blocks a phase.

`schedule` says which parts thaw in which phase, and when phases begin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from triune import ParameterClaim, hookimpl
from triune.select import Name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import ModelLayout

Share = Annotated[float, Field(gt=0, le=1)]
LENGTHS = ("phase_steps", "phase_epochs", "phase_fractions", "phase_patience")


class LayerByLayer:
    """Thaw the model from the top down (Howard & Ruder 2018, §3.3), or train part by part (Felbo et al. 2017)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method; of the four lengths of a phase, at most one is given."""

        blocks_per_phase: int = Field(1, ge=1, strict=True, description="How many blocks thaw together.")
        phase_steps: int | None = Field(
            None, ge=1, strict=True, description="Length of a phase in steps. All four lengths null: equal shares."
        )
        phase_epochs: float | None = Field(
            None, gt=0, allow_inf_nan=False, description="Length of a phase in passes over the training examples."
        )
        phase_fractions: tuple[Share, ...] | None = Field(
            None, description="Length of each phase as a share of the run; together 1."
        )
        owner: str | None = Field(
            None,
            description="The adapter method whose parameters thaw, block by block, where the model's own rest: lora. "
            "null: all there are.",
        )
        phase_patience: int | None = Field(
            None,
            ge=1,
            strict=True,
            description="A phase ends when the validation metric was no better in so many evaluations in a row; its "
            "best model is restored.",
        )
        phase_metric: str = Field(
            "macro_f1", min_length=1, description="The metric of `phase_patience`: that which chooses the best model."
        )
        thaw: Literal["cumulative", "one-at-a-time"] = Field(
            "cumulative",
            description="Whether a part that thawed goes on learning, or rests until a last phase in which all learn.",
        )
        embeddings: bool = Field(
            True,
            strict=True,
            description="Whether embeddings, and what else lies outside of blocks and head, thaw in the end.",
        )
        lr_divisor: float = Field(
            2.0,
            ge=1,
            allow_inf_nan=False,
            description="The learning rate of a phase's part is that of the part above it, divided by this.",
        )
        lowest_lr_scale: float = Field(
            0.01, gt=0, le=1, description="No part has a lower share of the learning rate than this, however deep."
        )

        @model_validator(mode="after")
        def _one_length(self) -> Self:
            given = [name for name in LENGTHS if getattr(self, name) is not None]
            if len(given) > 1:
                raise ValueError(f"{given[0]} and {given[1]} both say how long a phase is; leave one out")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def claim_parameters(self, layout: ModelLayout) -> Iterable[ParameterClaim]:
        """Claim each part for its windows; what no other method trains is frozen outside of them.

        Raises:
            PlanError: the schedule does not fit the model.
        """
        from triune_layer_by_layer.schedule import claims_of

        yield ParameterClaim(Name("*"), trainable=False, default=True)
        yield from claims_of(self.config, layout)
