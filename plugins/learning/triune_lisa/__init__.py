"""LISA: every so many steps, other blocks are drawn at random that learn, and the rest rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import ParameterClaim, hookimpl
from triune.select import Brought, Head, Outside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import ModelLayout, Run
    from triune.types import RunLength


class Lisa:
    """Train the head, the embeddings and a few blocks drawn anew each period (Pan et al. 2024)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        blocks: int = Field(2, ge=1, strict=True, description="γ: how many blocks learn at a time.")
        period: int = Field(20, ge=1, strict=True, description="K: for how many steps, until others are drawn.")
        embeddings: bool = Field(
            True,
            strict=True,
            description="Whether embeddings, and what else lies outside of blocks and head, learn all the time.",
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def claim_parameters(self, run: Run, layout: ModelLayout, length: RunLength) -> Iterable[ParameterClaim]:
        """Claim each block for the periods in which it is drawn; the draw is that of the run's seed.

        Raises:
            PlanError: the model has not so many blocks.
        """
        from triune_lisa.drawing import drawn, windows

        yield ParameterClaim(~Brought(), trainable=False, default=True)
        if layout.where(Head()):
            yield ParameterClaim(Head(), trainable=True)
        if self.config.embeddings and layout.where(Outside()):
            yield ParameterClaim(Outside(), trainable=True)
        periods = drawn(self.config, layout.blocks, length.total, run)
        yield from windows(periods, self.config.period, length.total)
