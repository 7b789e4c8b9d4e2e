"""Prompt tuning: vectors in front of the text learn, and the network rests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from torch import nn

    from triune import ModelLayout, ParameterClaim, Run
    from triune.adapters import Prompted


class PromptTuning:
    """Train vectors that stand in front of the text as words do, and the head (Lester et al. 2021)."""

    conflicts = ("head-only", "bitfit")  # they give the head a rate of their own, and rates would multiply

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        tokens: int = Field(20, ge=1, strict=True, description="How many vectors stand in front of the text.")
        learning_rate: float = Field(
            1e-2,
            gt=0,
            allow_inf_nan=False,
            description="Highest learning rate of prompt and head, in place of training.learning_rate.",
        )
        alone: bool = Field(
            True,
            strict=True,
            description="Whether the model's own weights must rest; false: another method may train some of them.",
        )
        adapter_name: str = Field(
            "default", pattern=r"^[\w-]+$", description="What peft calls the adapter; several in a run differ."
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self._prompted: Prompted | None = None
        self._head: frozenset[str] = frozenset()

    @hookimpl
    def adapt_model(self, run: Run, model: nn.Module) -> None:
        """Put the prompt in front of the text."""
        from triune.adapters import recall
        from triune_prompt_tuning.prompting import prompted

        self._prompted = prompted(model, self.config)
        if run.finished:
            recall(self._prompted, run.finished.model, self.config.adapter_name)

    @hookimpl
    def claim_parameters(self, run: Run, layout: ModelLayout) -> Iterable[ParameterClaim]:
        """Claim prompt and head at their own rate, and that the model's own weights rest."""
        from triune.adapters import adapter_claims
        from triune.select import Head

        added = self._prompted
        assert added is not None
        self._head = frozenset(one.name for one in layout.where(Head()))
        scale = self.config.learning_rate / run.config.training.learning_rate
        yield from adapter_claims(layout, added.names, scale, alone=self.config.alone, sets_head=added.first)

    @hookimpl
    def fold_model(self, model: nn.Module) -> None:
        """Take the prompt out of the model."""
        assert self._prompted is not None
        self._prompted.fold(model)

    @hookimpl
    def export(self, model: nn.Module, directory: Path) -> None:
        """Write the prompt, with the head, in peft's format."""
        from triune.adapters import place_of, write_adapter

        added = self._prompted
        assert added is not None
        place = place_of(directory, self.config.adapter_name)
        write_adapter(place, added.config, added.state, model, self._head)
