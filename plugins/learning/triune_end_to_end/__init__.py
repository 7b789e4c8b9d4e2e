"""End to end: every parameter of the model learns from the first step to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import ParameterClaim, hookimpl
from triune.select import Head, Name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import ModelLayout


class EndToEnd:
    """Train everything (Devlin et al. 2019, §3); a default, so that any other claim goes first."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        head_lr_scale: float = Field(1.0, gt=0, description="Learning rate of the task's head, relative to the rest.")

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def claim_parameters(self, layout: ModelLayout) -> Iterable[ParameterClaim]:
        """Claim every parameter for the whole run."""
        if self.config.head_lr_scale == 1.0 or not layout.where(Head()):
            yield ParameterClaim(Name("*"), trainable=True, default=True)
            return
        yield ParameterClaim(~Head(), trainable=True, default=True)
        yield ParameterClaim(Head(), trainable=True, lr_scale=self.config.head_lr_scale, default=True)
