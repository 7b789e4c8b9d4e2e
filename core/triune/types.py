"""The frozen values that cross the hooks.

A plugin author reads `Rule` (in `rules`), `LossTerm`, `ParameterClaim` (what one contributes) and `Step`, `Batch`,
`Outputs` (what one is given). Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from triune.conditions.functions import TextMatches as TextMatches
from triune.rules import ALL as ALL
from triune.rules import ALWAYS as ALWAYS
from triune.rules import Always as Always
from triune.rules import Condition as Condition
from triune.rules import GroundedRules as GroundedRules
from triune.rules import Rule as Rule
from triune.rules import RuleLabels as RuleLabels
from triune.rules import Seat as Seat
from triune.schedules import Schedule, Weight

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from triune.data import Data
    from triune.examples import Examples
    from triune.select import Selector
    from triune.spaces import OutputSpace

LabelValue = str | int
JSON = Mapping[str, "JSON"] | list["JSON"] | str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Epochs:
    """A time in passes over the training examples: `Epochs(1)` is when each was learnt from once."""

    count: int | Fraction

    def __repr__(self) -> str:
        return f"Epochs({self.count})"


@dataclass(frozen=True, slots=True)
class OnPlateau:
    """A time that only training tells: a phase ends when a validation metric no longer rises.

    Its best model is restored then, and the next phase begins from it.

    Attributes:
        metric: which metric; the one that chooses the run's best model.
        patience: evaluations in a row that were no better.
        phase: which phase ends, counted from 0; phases end one after the other.
    """

    metric: str
    patience: int = 3
    phase: int = 0

    def __str__(self) -> str:
        return f"the end of phase {self.phase + 1}"


When = int | Fraction | Epochs | OnPlateau


@dataclass(frozen=True, slots=True)
class Step:
    """A moment of the run: `index` optimiser steps are done, of `total`."""

    index: int
    total: int
    epoch: int = 0

    @property
    def share(self) -> float:
        """How much of the run is done, in [0, 1]."""
        return self.index / max(self.total, 1)


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples on their way through the model; every tensor's first dimension is (batch,)."""

    rows: Tensor  # (batch,) positions of the examples in their table
    inputs: Mapping[str, Tensor]  # what the model's forward takes, by name
    targets: Tensor  # (batch, classes), of sequences (batch, tokens, tags), probabilities; zeros without a label
    labelled: Tensor  # (batch,) 1.0 where the example has a label, else 0.0
    weights: Tensor  # (batch,) how much the example counts
    split: str = "train"  # the table that `rows` point into
    gold: Tensor | None = None  # (batch,) as `labelled`, but of the table's own labels alone; None: all are
    mask: Tensor | None = None  # (batch, tokens) which tokens of sequences are there, not padding

    def to(self, device: str) -> Batch:
        """Return the batch on a device."""
        return Batch(
            rows=self.rows.to(device),
            inputs={name: tensor.to(device) for name, tensor in self.inputs.items()},
            targets=self.targets.to(device),
            labelled=self.labelled.to(device),
            weights=self.weights.to(device),
            split=self.split,
            gold=None if self.gold is None else self.gold.to(device),
            mask=None if self.mask is None else self.mask.to(device),
        )


@dataclass(frozen=True, slots=True)
class Outputs:
    """What the model says of a batch."""

    scores: Tensor  # (batch, classes) the task's raw scores; of sequences (batch, tokens, tags)
    space: OutputSpace  # what the scores are scores of
    hidden: Tensor | None = None  # (batch, features) the representation the head reads, where there is one
    mask: Tensor | None = None  # (batch, tokens) which tokens of sequences count
    decided: Tensor | None = None  # booleans like the scores: the answer, where a structure decides it as a whole
    free: Tensor | None = None  # the scores before a structure conditioned them on rules
    read: Tensor | None = None  # (batch, tokens) which tokens the model has read; None where it read all


@dataclass(frozen=True, slots=True)
class TermValues:
    """A term's unreduced values and how much each counts.

    The core divides the sum of `values * mask` by the sum of `mask` over everything one optimiser step
    learns from, so that parts and processes add up to the whole batch.
    """

    values: Tensor  # (batch, …); of a term of means (batch, …, features)
    mask: Tensor  # same shape, without the features; 0 where the term does not apply, else the value's weight


@dataclass(frozen=True, slots=True)
class LossTerm:
    """A named, unreduced loss with a mask, a weight and a schedule.

    Attributes:
        name: unique in the run: "task", "rules", "distance".
        compute: the values and their mask, from the step, the batch and the outputs.
        weight: a number that may change during the run: a `Schedule`, or what has `at` as one has.
        counts: the sum of the mask, (), from the batch alone. Without it a batch that is split into parts is
            forwarded once more, to learn what to divide by.
        replaces: names of terms that this one stands in for.
        scales: what terms of other names are multiplied by while this one acts. Factors of several terms multiply, so
            order does not matter; one for a term that is replaced goes to what replaces it.
        of_means: makes a term of the means of `compute`'s features, (features,), over everything the step learns
            from, where a loss is no mean of losses: label marginals against a prior (Mann & McCallum 2007).
        note: what the plan says beside it.
    """

    name: str
    compute: Callable[[Step, Batch, Outputs], TermValues]
    weight: Weight = field(default_factory=lambda: Schedule.constant(1.0))
    counts: Callable[[Batch], Tensor] | None = None
    replaces: tuple[str, ...] = ()
    scales: Mapping[str, Weight] = field(default_factory=dict)
    of_means: Callable[[Step, Tensor], Tensor] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class ParameterClaim:
    """What a plugin asks of parameters: train or freeze, from when to when, at what learning-rate scale.

    Attributes:
        where: which parameters: `Name("*.bias")`, `Owner("adapter") & Depth(3)`, `~Head()`.
        trainable: whether they train inside the window; None leaves that to others and only scales what trains.
        lr_scale: multiplies the learning rate; scales of several claims multiply, so order does not matter.
        start: first step of the half-open window: a step, a `Fraction` of the run, `Epochs`, or `OnPlateau`.
        stop: first step after the window; None is the end of the run.
        default: a default yields to any claim that is none; of several defaults, one to freeze goes first.
    """

    where: Selector
    trainable: bool | None
    lr_scale: float = 1.0
    start: When = 0
    stop: When | None = None
    default: bool = False


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a task makes of the data: a model, and how examples go in and predictions come out.

    Attributes:
        model: the network, on the CPU and in full precision.
        space: the random variables that the task predicts.
        encode: a split of the data into token ids and targets.
        forward: one pass of the model over a batch.
        save: write the model so that plain `transformers` loads it.
        head: globs of the parameter names that belong to the task's head, not to the encoder.
        usage: a line of Python that loads the exported model, for its card.
        notes: what the reader should know, for the plan.
    """

    model: nn.Module
    space: OutputSpace
    encode: Callable[[Data, str], Examples]
    forward: Callable[[nn.Module, Batch], Outputs]
    save: Callable[[nn.Module, Path], None]
    head: tuple[str, ...] = ()
    usage: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParameterInfo:
    """One parameter tensor as the layout knows it."""

    name: str
    owner: str  # the plugin that brought it; the task for the model's own
    depth: int | None  # the block it belongs to, counted from the input; None outside blocks
    head: bool
    elements: int
    decays: bool = True  # whether weight decay applies: to matrices, not to biases and scales
    brought: bool = False  # by a method, beside the model's own parameters


@dataclass(frozen=True, slots=True)
class ModelLayout:
    """The parameters of a model: whose they are and where they sit."""

    parameters: tuple[ParameterInfo, ...]
    blocks: int  # how many blocks the encoder has

    def where(self, selector: Selector) -> tuple[ParameterInfo, ...]:
        """Return the parameters that a selector takes."""
        return tuple(one for one in self.parameters if selector.takes(one, self))


@dataclass(frozen=True, slots=True)
class RunLength:
    """How long a run is, in optimiser steps."""

    total: int
    per_epoch: int  # a pass over the training examples


@dataclass(frozen=True, slots=True)
class ParamGroup:
    """Parameters that share an optimiser setting."""

    names: tuple[str, ...]
    parameters: tuple[nn.Parameter, ...]
    learning_rate: float
    weight_decay: float
