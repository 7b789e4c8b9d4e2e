"""The models of a configuration: what a user may write, with its bounds, its defaults and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

# Strict: `true` is no number and `"5"` is text, whatever pydantic would make of them.
Count: TypeAlias = Annotated[int, Field(strict=True, ge=1)]
Seed: TypeAlias = Annotated[int, Field(strict=True, ge=0, lt=2**32)]
Real: TypeAlias = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _named(value: object) -> object:
    if value == "":
        raise ValueError("found an empty text, wanted a path")
    return value


def _from_folder(path: Path, info: ValidationInfo) -> Path:
    context = info.context if isinstance(info.context, Mapping) else {}
    folder = context.get("folder")
    # Links are not followed: a cache's target has a name, and an ending, that says nothing.
    return (folder if isinstance(folder, Path) else Path.cwd()) / path.expanduser()


def _no_truth(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError('found a truth value, wanted bytes, or a text such as "2 GiB"')
    return value


Bytes: TypeAlias = Annotated[ByteSize, BeforeValidator(_no_truth), Field(gt=0)]
"""A number of bytes, or a text with its unit."""

InputPath: TypeAlias = Annotated[Path, BeforeValidator(_named), AfterValidator(_from_folder)]
"""A path that a plugin reads; in a configuration file it starts at the file's folder. It need not exist yet."""


class EarlyStopping(BaseModel):
    """Stop when the metric has not become better for a while."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: Annotated[str, Field(min_length=1, strict=True)] = Field(
        "macro_f1", description="The metric of the validation data that decides, also on which model is best."
    )
    patience: Count = Field(3, description="Evaluations without a better value after which training ends.")
    min_delta: Annotated[Real, Field(ge=0)] = Field(0.0, description="How much better a value must be to count.")


class Training(BaseModel):
    """How a run learns, whatever it learns."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Annotated[Real, Field(gt=0)] | None = Field(
        None, description="Passes over the examples. null: 3, or as many as make 100 steps if that is more."
    )
    max_steps: Count | None = Field(None, description="Optimiser steps after which training ends, if that is sooner.")
    batch_size: Count = Field(32, description="Examples an optimiser step learns from, on all processes together.")
    accumulate: Count = Field(
        1, description="Parts that each process splits its examples into; the result is the same, memory falls."
    )
    learning_rate: Annotated[Real, Field(gt=0)] = Field(2e-5, description="The highest rate of the schedule.")
    schedule: Literal["linear", "cosine", "constant"] = Field(
        "linear", description="How the learning rate goes on after the warm-up: it falls to zero, or stays."
    )
    warmup: Annotated[Real, Field(ge=0, lt=1)] = Field(
        0.06, description="Share of the steps in which the learning rate rises from zero."
    )
    weight_decay: Annotated[Real, Field(ge=0)] = Field(
        0.01, description="Decoupled weight decay (AdamW); none on biases and normalisation layers."
    )
    clip: Annotated[Real, Field(gt=0)] | None = Field(
        1.0, description="Largest norm of the gradient; longer ones are shortened to it. null: no limit."
    )
    max_length: Count | None = Field(
        256, description="Tokens of an example; the rest is cut off. null: as many as the model takes."
    )
    seed: Seed = Field(42, description="Where all random numbers of the run start.")
    data_seed: Seed | None = Field(
        None, description="Where those of the split and the order of the examples start. null: at `seed`."
    )
    threads: Count | None = Field(
        None, description="Threads of the CPU, for each process. null: as many as are measured to be fastest."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Where to compute. auto: on a GPU if there is one."
    )
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto", description="Numbers of the forward pass. auto: bf16 where the hardware computes it fast."
    )
    dropout: Literal["fast", "torch"] = Field(
        "fast", description="Who draws dropout masks: a fast generator of ours, or torch, whose numbers others know."
    )
    labelled_share: Annotated[Real, Field(gt=0, lt=1)] | None = Field(
        None,
        description="The share of each batch whose examples have a label of the table's own; labelled or unlabelled "
        "ones are repeated as that takes. null: as many as there happen to be.",
    )
    validation: Annotated[Real, Field(ge=0, lt=1)] | None = Field(
        None, description="Share of train set aside without a valid table. null: 0.1, if that makes 20 examples."
    )
    evaluate_every: Count | None = Field(
        None, description="Steps between evaluations. null: each epoch, or a tenth of a run that null epochs made long."
    )
    checkpoint_every: Count | None = Field(
        None, description="Steps between checkpoints. null: as often as there are evaluations by default."
    )
    early_stopping: EarlyStopping | None = Field(
        EarlyStopping(), description="When to stop before the last epoch. null: never."
    )
    keep_best: Annotated[bool, Field(strict=True)] = Field(
        True, description="Whether the run ends with its best model rather than with its last."
    )

    cache: Literal["auto", "off", "ram", "disk"] = Field(
        "auto",
        description="Where outputs of frozen blocks below what trains are kept, to be computed once an example instead "
        "of at every step. auto: in memory if they fit, else on the disk if they fit there, else nowhere.",
    )
    cache_limit: Bytes | None = Field(
        None, description='The most that is kept: bytes, or "2 GiB". null: half of what is free.'
    )
    collapse: Literal["warn", "stop", "ignore"] = Field(
        "warn",
        description="What to do where rules are pushed and one label takes over the predictions: its share is beyond "
        "the middle between what is expected of it and all. stop: end training there, with the best model so far.",
    )
    baselines: Annotated[bool, Field(strict=True)] = Field(
        True,
        description="Whether a run in which rules act is followed by two without: one whose predictions are projected "
        "onto the rules, one that learns from the validation labels too. Each costs as many steps as the run itself.",
    )
    report: Literal["full", "without-texts", "off"] = Field(
        "full",
        description="What the run shows of itself in report.html: all; all but the texts of the examples on which "
        "rules, labels and model disagree or a training label is in doubt; or nothing, and then predictions.jsonl is "
        "not written either.",
    )

    @field_validator("accumulate")
    @classmethod
    def _parts_hold_an_example(cls, parts: int, info: ValidationInfo) -> int:
        batch = info.data.get("batch_size")
        if isinstance(batch, int) and parts > batch:
            raise ValueError(f"found {parts}, wanted at most batch_size ({batch}): each part needs an example")
        return parts


class Section(BaseModel):
    """A plugin as a configuration names it; its own settings are `settings`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    use: Annotated[str, Field(min_length=1, strict=True)] = Field(description="The plugin's name.")
    name: Annotated[str, Field(min_length=1, strict=True)] | None = Field(
        None, description="What the run calls it, where it is used twice."
    )

    @model_validator(mode="before")
    @classmethod
    def _bare_name(cls, value: object) -> object:
        return {"use": value} if isinstance(value, str) else value

    @property
    def settings(self) -> dict[str, object]:
        """What the section says to the plugin."""
        return dict(self.model_extra or {})


Family: TypeAlias = Literal["rules", "labels", "hybrid"]
"""What a way of learning learns from: from rules alone, from labels alone, or from both."""


def _several(value: object) -> object:
    return (value,) if isinstance(value, str | Mapping | Section) else value


class Arm(BaseModel):
    """One way of learning among those that `triune compare` compares."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(strict=True, pattern=r"^\w[\w.+-]*$", max_length=64)] = Field(
        description="What it is called, in the table and as a folder."
    )
    methods: Annotated[tuple[Section, ...], BeforeValidator(_several)] = Field((), description="How it learns.")
    rules: Annotated[tuple[Section, ...] | None, BeforeValidator(_several)] = Field(
        None, description="Its rules. null: those of the configuration."
    )
    family: Family | None = Field(
        None,
        description="rules: the labels of the training table are hidden from it. null: hybrid where its methods make "
        "rules act, else labels.",
    )
    training: dict[str, object] = Field(
        {},
        description="Keys of `training` put over the configuration's; length, seeds and splits are the same for all.",
    )


class Compare(BaseModel):
    """What `triune compare` compares, how often and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    strategies: Annotated[tuple[str, ...], BeforeValidator(_several)] | None = Field(
        None,
        description="Installed strategies, and `yours` for the methods of the configuration. null: `yours` and, where "
        "no arms are given, the default ones.",
    )
    arms: tuple[Arm, ...] = Field((), description="Ways of learning of your own.")
    seeds: Annotated[Count, Field(le=1000)] | Annotated[tuple[Seed, ...], Field(min_length=1)] = Field(
        3, description="How many seeds each is done with, counted up from training.seed; or the seeds."
    )
    steps: Count | None = Field(
        None,
        description="Optimiser steps of every arm. null: as many as training says for all examples, unlabelled too.",
    )
    seconds: Annotated[Real, Field(gt=0)] | None = Field(
        None,
        description="Seconds that every arm may learn, instead of steps: each does as many steps as its measured speed "
        "allows.",
    )
    metric: Annotated[str, Field(min_length=1, strict=True)] | None = Field(
        None, description="The metric that decides. null: that of training.early_stopping, else macro_f1."
    )
    violations: Annotated[Real, Field(ge=0, le=1)] | None = Field(
        None, description="The share of broken rules that is allowed. null: that of the right answers themselves."
    )

    @model_validator(mode="after")
    def _each_once(self) -> Compare:
        names = [one.name for one in self.arms]
        for what, given in (("arms", names), ("seeds", self.seeds), ("strategies", self.strategies or ())):
            twice = [one for one in given if list(given).count(one) > 1] if isinstance(given, list | tuple) else []
            if twice:
                raise ValueError(f"{what} name {twice[0]!r} twice, wanted each once")
        if self.steps is not None and self.seconds is not None:
            raise ValueError("found both steps and seconds, wanted one of them: the other follows from it")
        return self


class RunConfig(BaseModel):
    """A whole run: what is predicted, from which data, by which methods and rules, and how it is trained."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Section = Field(description="What is predicted.")
    data: tuple[Section, ...] = Field(description="Where examples come from; the first loads, the others prepare.")
    methods: tuple[Section, ...] = Field((), description="How the model learns.")
    rules: tuple[Section, ...] = Field((), description="What is known beside the labels.")
    training: Training = Field(Training(), description="How long and how fast it learns.")
    compare: Compare | None = Field(None, description="What `triune compare` sets beside it; a run does not read it.")
    output: Path | None = Field(None, description="The folder for all that the run leaves behind.")

    @field_validator("data", "methods", "rules", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: object) -> object:
        return _several(value)
