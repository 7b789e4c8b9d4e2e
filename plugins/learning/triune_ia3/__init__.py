"""IA³: one factor for each key, value and inner activation learns, and every matrix rests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, Field, model_validator

from triune import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

    from triune import ModelLayout, ParameterClaim, Run
    from triune.adapters import Injected


class Ia3:
    """Train factors of keys, values and inner activations, and the head (Liu et al. 2022)."""

    conflicts = ("head-only", "bitfit")  # they give the head a rate of their own, and rates would multiply

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        targets: tuple[str, ...] | None = Field(
            None,
            min_length=1,
            description="Which layers get factors: globs of paths or of their ends. null: keys, values and the last "
            "layer of each feed-forward network, where peft knows the architecture.",
        )
        feedforward: tuple[str, ...] | None = Field(
            None,
            description="Which of the targets have factors on what goes in, instead of what comes out. null: with "
            "targets, none; without, the feed-forward layers.",
        )
        learning_rate: float = Field(
            1e-2,
            gt=0,
            allow_inf_nan=False,
            description="Highest learning rate of factors and head, in place of training.learning_rate.",
        )
        alone: bool = Field(
            True,
            strict=True,
            description="Whether the model's own weights must rest; false: another method may train some of them.",
        )
        merge: bool = Field(
            True,
            strict=True,
            description="Whether the exported model has the factors in its weights; false: beside them only.",
        )
        adapter_name: str = Field(
            "default", pattern=r"^[\w-]+$", description="What peft calls the adapter; several in a run differ."
        )

        @model_validator(mode="after")
        def _feedforward_of_targets(self) -> Self:
            if self.feedforward is not None and self.targets is None:
                raise ValueError("feedforward says which of the targets it means; name the targets too")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config
        self._injected: Injected | None = None
        self._head: frozenset[str] = frozenset()

    @hookimpl
    def adapt_model(self, run: Run, model: nn.Module) -> None:
        """Put factors beside the layers; a finished run whose model has them in its weights needs none."""
        from triune.adapters import reopen
        from triune_ia3.adapting import adapted

        if run.finished is None:
            self._injected = adapted(model, self.config)
        elif not self.config.merge:
            reopen(model, run.finished.model, "ia3", self.config.adapter_name)

    @hookimpl
    def claim_parameters(self, run: Run, layout: ModelLayout) -> Iterable[ParameterClaim]:
        """Claim factors and head at their own rate, and that the model's own weights rest."""
        from triune.adapters import adapter_claims
        from triune.select import Head

        injected = self._injected
        assert injected is not None
        self._head = frozenset(one.name for one in layout.where(Head()))
        scale = self.config.learning_rate / run.config.training.learning_rate
        yield from adapter_claims(layout, injected.names, scale, alone=self.config.alone, sets_head=injected.first)

    @hookimpl
    def fold_model(self, model: nn.Module) -> None:
        """Take the factors out of the model, merged into its weights unless told not to."""
        assert self._injected is not None
        self._injected.fold(model, merge=self.config.merge)

    @hookimpl
    def export(self, model: nn.Module, directory: Path) -> None:
        """Write the factors, with the head, in peft's format."""
        from triune.adapters import place_of, write_adapter

        injected = self._injected
        assert injected is not None
        place = place_of(directory, self.config.adapter_name)
        write_adapter(place, injected.config, injected.state, model, self._head)
