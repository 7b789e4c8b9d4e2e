"""Token classification: a tag for each token of a text, such as the names in it, its slots, its parts of speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from triune import LossTerm, Rule, TermValues, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas as pd
    from torch import Tensor

    from triune import Batch, Bundle, Data, Outputs, Run, Step
    from triune.types import JSON


class TokenClassification:
    """A pretrained encoder with a linear head that reads the first piece of each token (Devlin et al. 2019, §5.3)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the task."""

        model: str = Field(min_length=1, description="A pretrained model: a folder, or an id of the hub.")
        labels: tuple[str | int, ...] | None = Field(
            None,
            min_length=2,
            description="The tags that there are, in their order. null: those of the training table, with O and every "
            "letter of the scheme that occurs for every kind of span.",
        )
        scheme: Literal["auto", "bio", "iob1", "bioes", "bilou", "bmes", "none"] = Field(
            "auto",
            description="How tags mark spans; none: they do not, as in parts of speech. auto: as the tags show, which "
            "the plan says.",
        )
        transitions: bool = Field(
            True,
            description="Whether the order of tags that the scheme allows is a hard rule of the run: wherever a method "
            "asks for rules it acts, and the report says how often it is broken.",
        )
        dropout: float | None = Field(
            None, ge=0, lt=1, description="Dropout everywhere in the model. null: as it was pretrained."
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.scheme = "none"  # known once there are data, or a finished run

    @hookimpl
    def build_model(self, run: Run, data: Data) -> Bundle:
        """Decide model, encoding and output space."""
        from triune_token_classification.encoder import bundle

        made, self.scheme = bundle(self.config, run, data)
        return made

    @hookimpl
    def rules(self) -> Iterable[Rule]:
        """Contribute the order of tags that the scheme allows, as a hard rule."""
        from triune_token_classification.transitions import Follows

        if self.config.transitions and self.scheme != "none":
            note = f"the scheme {self.scheme.upper()} of the tags; task.transitions: false leaves it out"
            yield Rule(f"{self.scheme}-transitions", Follows(self.scheme), hard=True, place="task", note=note)

    @hookimpl
    def loss_terms(self) -> Iterable[LossTerm]:
        """Contribute "task": the cross-entropy of every token that has a tag and was read."""
        yield LossTerm("task", cross_entropy, counts=counted)

    @hookimpl
    def measure(self, predictions: pd.DataFrame) -> Mapping[str, JSON]:
        """Contribute precision, recall and F1 of spans, or of tags where there are no spans, and accuracies."""
        from triune_token_classification.metrics import metrics_of

        return metrics_of(predictions, self.scheme)


def cross_entropy(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
    """Return (batch, words) −log p(tag); padding, words without a tag and words that were not read do not count."""
    return TermValues(-outputs.space.log_likelihood(outputs.scores, batch.targets), learnt(batch))


def counted(batch: Batch) -> Tensor:
    """Return the sum of the mask of `cross_entropy`, ()."""
    return learnt(batch).sum()


def learnt(batch: Batch) -> Tensor:
    """Return (batch, words) how much each word counts."""
    from triune_token_classification.alignment import read

    seen = read(batch.inputs["words"], batch.targets.shape[1]) & batch.targets.any(-1)
    return seen * (batch.labelled * batch.weights)[:, None]
