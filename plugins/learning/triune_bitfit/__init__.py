"""BitFit: only the biases of the encoder learn, and the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import ParameterClaim, hookimpl
from triune.errors import PlanError
from triune.select import Brought, Head, Name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import ModelLayout, Run

BIASES = Name("*.bias") & ~Head()


class BitFit:
    """Train every bias and the head (Ben Zaken et al. 2022)."""

    conflicts = ("head-only",)  # both give the head a rate of its own, and the two would multiply

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        learning_rate: float = Field(
            1e-3,
            gt=0,
            allow_inf_nan=False,
            description="Highest learning rate of biases and head, in place of training.learning_rate.",
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def claim_parameters(self, run: Run, layout: ModelLayout) -> Iterable[ParameterClaim]:
        """Claim biases and head at their own rate; what no other method trains stays frozen.

        Raises:
            PlanError: the encoder has no biases.
        """
        if not layout.where(BIASES):
            raise PlanError(["bitfit: the encoder has no biases, so only the head would learn: use head-only"])
        scale = self.config.learning_rate / run.config.training.learning_rate
        yield ParameterClaim(~Brought(), trainable=False, default=True)
        yield ParameterClaim(BIASES, trainable=True, lr_scale=scale)
        if layout.where(Head()):
            yield ParameterClaim(Head(), trainable=True, lr_scale=scale)
