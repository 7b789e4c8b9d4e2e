"""LoRA: beside each linear layer, a product of two thin matrices learns, and the layer itself rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, Field, model_validator

from triune import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

    from triune import ModelLayout, ParameterClaim, Run
    from triune.adapters import Injected


class Lora:
    """Train low-rank adapters and the head (Hu et al. 2022), with DoRA, rsLoRA and PiSSA as options."""

    conflicts = ("head-only", "bitfit")  # they give the head a rate of their own, and rates would multiply

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        rank: int = Field(8, ge=1, strict=True, description="r: the inner dimension of the product.")
        alpha: float | None = Field(
            None,
            gt=0,
            allow_inf_nan=False,
            description="The product counts α / r times (rslora: α / √r). null: twice the rank.",
        )
        dropout: float = Field(0.05, ge=0, lt=1, description="Dropout on what goes into an adapter.")
        targets: tuple[str, ...] | None = Field(
            None,
            min_length=1,
            description="Which layers get an adapter: globs of paths or of their ends, `query`, "
            "`layer.1?.*`. null: every linear layer of the blocks.",
        )
        dora: bool = Field(
            False, strict=True, description="Whether a layer's weights are parted into size and direction (DoRA)."
        )
        rslora: bool = Field(False, strict=True, description="Whether to scale by α / √r instead of α / r (rsLoRA).")
        init: Literal["default", "gaussian", "orthogonal", "olora", "pissa"] = Field(
            "default",
            description="How adapters begin: at zero (default, gaussian, orthogonal), or with the largest singular "
            "values of the layer, which leave the layer's own weights (pissa, olora).",
        )
        learning_rate: float = Field(
            2e-4,
            gt=0,
            allow_inf_nan=False,
            description="Highest learning rate of adapters and head, in place of training.learning_rate.",
        )
        alone: bool = Field(
            True,
            strict=True,
            description="Whether the model's own weights must rest; false: another method may train some of them.",
        )
        merge: bool = Field(
            True,
            strict=True,
            description="Whether the exported model has the adapters in its weights; false: beside them only.",
        )
        adapter_name: str = Field(
            "default", pattern=r"^[\w-]+$", description="What peft calls the adapter; several in a run differ."
        )

        @model_validator(mode="after")
        def _together(self) -> Self:
            if self.dora and self.init in ("olora", "pissa"):
                raise ValueError(f"dora begins from the layer's own weights and init: {self.init} changes them")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config
        self._injected: Injected | None = None
        self._head: frozenset[str] = frozenset()

    @hookimpl
    def adapt_model(self, run: Run, model: nn.Module) -> None:
        """Put adapters beside the layers; a finished run whose model has them in its weights needs none."""
        from triune.adapters import reopen
        from triune_lora.adapting import adapted

        if run.finished is None:
            self._injected = adapted(model, self.config)
        elif not self.config.merge:
            reopen(model, run.finished.model, "lora", self.config.adapter_name)

    @hookimpl
    def claim_parameters(self, run: Run, layout: ModelLayout) -> Iterable[ParameterClaim]:
        """Claim adapters and head at their own rate, and that the model's own weights rest."""
        from triune.adapters import adapter_claims
        from triune.select import Head

        injected = self._injected
        assert injected is not None
        self._head = frozenset(one.name for one in layout.where(Head()))
        scale = self.config.learning_rate / run.config.training.learning_rate
        yield from adapter_claims(layout, injected.names, scale, alone=self.config.alone, sets_head=injected.first)

    @hookimpl
    def fold_model(self, model: nn.Module) -> None:
        """Take the adapters out of the model, merged into its weights unless told not to."""
        assert self._injected is not None
        self._injected.fold(model, merge=self.config.merge)

    @hookimpl
    def export(self, model: nn.Module, directory: Path) -> None:
        """Write the adapter, with the head, in peft's format."""
        from triune.adapters import place_of, write_adapter
        from triune_lora.adapting import portable

        assert self._injected is not None
        place = place_of(directory, self.config.adapter_name)
        write_adapter(place, *portable(self._injected), model, self._head)
