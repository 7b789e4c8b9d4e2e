"""Layer-wise decay: the further a block is from the head, the lower its learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import ParameterClaim, hookimpl
from triune.errors import PlanError
from triune.select import Depth, Name, Outside

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune import ModelLayout


class LayerwiseDecay:
    """Scale the learning rate down from the top block to the embeddings (Sun et al. 2019, §5.3.3)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        decay: float = Field(
            0.95, gt=0, lt=1, description="Learning rate of a block, relative to that of the block above it."
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def claim_parameters(self, layout: ModelLayout) -> Iterable[ParameterClaim]:
        """Scale each block by decay^(blocks above it), and what lies outside of blocks as one block further down.

        Whether a parameter trains is left to other methods; where there is none, all do.

        Raises:
            PlanError: the model has no blocks.
        """
        if not layout.blocks:
            raise PlanError(
                [
                    "layerwise-decay: no blocks are found in this model (it has none, or they share one set of "
                    "weights, as ALBERT's do): leave it out"
                ]
            )
        yield ParameterClaim(Name("*"), trainable=True, default=True)
        for above in range(layout.blocks):
            yield ParameterClaim(Depth(-1 - above), trainable=None, lr_scale=self.config.decay**above)
        if layout.where(Outside()):
            yield ParameterClaim(Outside(), trainable=None, lr_scale=self.config.decay**layout.blocks)
