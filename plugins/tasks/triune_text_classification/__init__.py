"""Text classification: one label of several, or several at once, for a text or a pair of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import LossTerm, TermValues, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from torch import Tensor

    from triune import Batch, Bundle, Data, Outputs, Run, Step
    from triune.types import JSON


class TextClassification:
    """A pretrained encoder with a linear head (Devlin et al. 2019, §4.1)."""

    classifies_text = True

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the task."""

        model: str = Field(min_length=1, description="A pretrained model: a folder, or an id of the hub.")
        labels: tuple[str | int, ...] | None = Field(
            None,
            min_length=1,
            description="The labels that there are, in their order. null: those of the training table.",
        )
        multi_label: bool | None = Field(
            None, description="Whether several labels may hold at once. null: if label cells are lists."
        )
        prior_bias: bool = Field(
            True,
            description="Where several labels may hold: whether the head starts at how often each does, rather than at "
            "one half, from which rare labels take hundreds of steps.",
        )
        dropout: float | None = Field(
            None, ge=0, lt=1, description="Dropout everywhere in the model. null: as it was pretrained."
        )

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def build_model(self, run: Run, data: Data) -> Bundle:
        """Decide model, encoding and output space."""
        from triune_text_classification.encoder import bundle

        return bundle(self.config, run, data)

    @hookimpl
    def loss_terms(self) -> Iterable[LossTerm]:
        """Contribute "task": the cross-entropy of labelled examples, binary for each label where several may hold."""
        yield LossTerm("task", cross_entropy, counts=counted)

    @hookimpl
    def measure(self, predictions: pd.DataFrame) -> Mapping[str, JSON]:
        """Contribute accuracy, precision, recall, F1, AUROC, calibration error and the confusion matrix."""
        from triune_text_classification.metrics import metrics_of

        return metrics_of(predictions)


def cross_entropy(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
    """Return (batch,) −log p(target); where several labels may hold, the mean over the labels."""
    values = -outputs.space.log_likelihood(outputs.scores, batch.targets)
    return TermValues(values if values.dim() == 1 else values.mean(-1), batch.labelled * batch.weights)


def counted(batch: Batch) -> Tensor:
    """Return the sum of the mask of `cross_entropy`, ()."""
    return (batch.labelled * batch.weights).sum()
