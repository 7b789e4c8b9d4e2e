"""What happens in a run, as the values that observers are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from triune.types import JSON, Step


class EndRun(Exception):  # noqa: N818 - a wish, no error
    """Raised by an observer of the caller to end the run there: `triune.run` raises it in its turn.

    The checkpoints so far stay, so `resume="auto"` would go on; without one nothing is left of the run. Of plugins
    it is an error like any other, and ends nothing.
    """


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made and holds; step 0 is next."""

    plan: object
    folder: Path


@dataclass(frozen=True, slots=True)
class Stepped:
    """An optimiser step is done."""

    step: Step
    loss: float
    terms: Mapping[str, float]
    learning_rates: tuple[float, ...]
    examples: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A split was evaluated; of the finished model its predictions are there too."""

    step: Step
    split: str
    metrics: Mapping[str, JSON]
    best: bool
    predictions: pd.DataFrame | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Noted:
    """A plugin noted values that change over time: `values` of `name`, each by what it is of."""

    step: Step
    plugin: str
    name: str
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Checkpointed:
    """A checkpoint is whole and on disk."""

    step: Step
    path: Path


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the reader should know and the run goes on."""

    message: str


@dataclass(frozen=True, slots=True)
class PhaseEnded:
    """A phase reached its plateau; the model of step `best_step` was restored, and the next phase begins."""

    step: Step
    phase: int  # counted from 1
    best_step: int


@dataclass(frozen=True, slots=True)
class Cached:
    """The outputs of frozen blocks were computed for a split, once for the steps to come."""

    step: Step
    split: str
    blocks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Finished:
    """Training is over: `reason` says why."""

    step: Step
    reason: str


@dataclass(frozen=True, slots=True)
class Beside:
    """Something happened in a run that is done beside this one, such as a baseline; `name` says which."""

    name: str
    event: Event


Event = Planned | Stepped | Evaluated | Noted | Checkpointed | PhaseEnded | Cached | Warned | Finished | Beside
