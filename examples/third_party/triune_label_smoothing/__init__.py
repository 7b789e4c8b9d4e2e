"""Label smoothing: never quite believe a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import LossTerm, TermValues, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from triune import Batch, Outputs, Step


class LabelSmoothing:
    """Learn from labels mixed with a little of every label (Szegedy et al. 2016, §7)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        amount: float = Field(0.1, ge=0, lt=1, description="How much of a target is spread over all labels.")

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def loss_terms(self) -> Iterable[LossTerm]:
        """Contribute the smoothed cross-entropy in place of the task's."""
        yield LossTerm("smoothed", self.values, counts=counted, replaces=("task",))

    def values(self, step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        """Return (batch,) −log p(smoothed target); where several labels may hold, the mean over the labels."""
        even = 1 / 2 if outputs.space.kind == "binaries" else 1 / outputs.scores.shape[-1]
        targets = (1 - self.config.amount) * batch.targets + self.config.amount * even  # (batch, classes)
        values = -outputs.space.log_likelihood(outputs.scores, targets)
        return TermValues(values if values.dim() == 1 else values.mean(-1), batch.labelled * batch.weights)


def counted(batch: Batch) -> Tensor:
    """Return the sum of the mask, (): with it, a batch that is split into parts is forwarded only once."""
    return (batch.labelled * batch.weights).sum()
