"""Top layers: the head and the blocks nearest to it learn, the rest stays as it was pretrained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import ParameterClaim, hookimpl
from triune.errors import PlanError
from triune.select import Brought, Depth, Head

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import ModelLayout


class TopLayers:
    """Train the head and the top blocks (Lee et al. 2019)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        blocks: int = Field(2, ge=1, strict=True, description="How many blocks learn, counted from the top.")

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def claim_parameters(self, layout: ModelLayout) -> Iterable[ParameterClaim]:
        """Claim head and top blocks for the whole run; what no other method trains stays frozen.

        Raises:
            PlanError: the model has not so many blocks.
        """
        if self.config.blocks > layout.blocks:
            raise PlanError([_too_many(self.config.blocks, layout.blocks)])
        yield ParameterClaim(~Brought(), trainable=False, default=True)
        if layout.where(Head()):
            yield ParameterClaim(Head(), trainable=True)
        for place in range(1, self.config.blocks + 1):
            yield ParameterClaim(Depth(-place), trainable=True)


def _too_many(asked: int, there: int) -> str:
    if not there:
        return (
            "top-layers: no blocks are found in this model (it has none, or they share one set of weights, as ALBERT's "
            "do): use head-only or end-to-end"
        )
    return f"top-layers: blocks: found {asked}, wanted at most {there}, which is how many the model has"
