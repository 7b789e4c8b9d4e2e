"""Head only: the pretrained encoder stays as it is, and the task's head learns on top of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import ParameterClaim, hookimpl
from triune.select import Brought, Head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import Run


class HeadOnly:
    """Train the task's head and nothing else (feature extraction: Peters et al. 2019)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        learning_rate: float = Field(
            1e-3,
            gt=0,
            allow_inf_nan=False,
            description="Highest learning rate of the head, in place of training.learning_rate.",
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def claim_parameters(self, run: Run) -> Iterable[ParameterClaim]:
        """Claim the head at its own rate; what no other method trains stays frozen."""
        scale = self.config.learning_rate / run.config.training.learning_rate
        yield ParameterClaim(~Brought(), trainable=False, default=True)
        yield ParameterClaim(Head(), trainable=True, lr_scale=scale)
