"""Rules as values: what an author writes, in which seats they act, and on which examples each fires."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.data import Data
    from triune.logic import Formula, SoftFormula
    from triune.spaces import OutputSpace
    from triune.token_rules import TokenRules
    from triune.types import Batch


class Seat(Enum):
    """Where a rule may act."""

    LABELS = "labels"
    LOSS = "loss"
    REGULARISER = "regulariser"
    STRUCTURE = "structure"
    POLICY = "policy"


ALL = frozenset(Seat)


class Condition(Protocol):
    """A predicate on examples, grounded once for a whole table."""

    def ground(self, examples: pd.DataFrame, roles: Mapping[str, str]) -> NDArray[np.bool_]:
        """Return (examples,) whether the condition holds; `roles` names the column of the text."""
        ...


@dataclass(frozen=True, slots=True)
class Always:
    """The condition that every example satisfies."""

    def ground(self, examples: pd.DataFrame, roles: Mapping[str, str]) -> NDArray[np.bool_]:
        """Return (examples,) true."""
        import numpy as np

        return np.ones(len(examples), dtype=np.bool_)

    def __str__(self) -> str:
        return "always"


ALWAYS = Always()


@dataclass(frozen=True, slots=True)
class Rule:
    """When an example satisfies a condition, then the outputs satisfy a formula.

    Attributes:
        name: unique in the run.
        then: what the outputs satisfy.
        when: which examples the rule speaks of.
        confidence: p in (0, 1]; a weight of log(p / (1 - p)) where a mechanism needs one.
        hard: whether the rule may never be broken.
        seats: where it may act; by default wherever an active method asks.
        place: where it was written, `rules.yaml:14:5`, for messages; no part of what the rule says.
        note: where the knowledge comes from.
        tags: groups that it can be switched on and off with.
    """

    name: str
    then: Formula | SoftFormula
    when: Condition = ALWAYS
    confidence: float = 1.0
    hard: bool = False
    seats: frozenset[Seat] = ALL
    place: str = field(default="", compare=False)
    note: str = field(default="", compare=False)
    tags: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def where(self) -> str:
        """How messages begin that speak of the rule: `rules.yaml:14:5: rule 'asks-for-a-place'`."""
        return f"{self.place}: rule {self.name!r}" if self.place else f"rule {self.name!r}"


@dataclass(frozen=True, slots=True)
class GroundedRules:
    """The rules of a run and the examples on which each fires."""

    rules: tuple[Rule, ...]
    fires: Mapping[str, NDArray[np.bool_]]  # split → (rules, examples)
    abstained: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)  # split → (rules,) how many could not
    reasons: Mapping[str, str] = field(default_factory=dict)  # by the rule's name: why it abstained
    space: OutputSpace | None = None  # the outputs that the rules speak of
    tokens: Mapping[str, TokenRules] = field(default_factory=dict)  # split → the tokens that rules speak of
    data: Data | None = None  # the tables whose examples they fire on

    def __len__(self) -> int:
        return len(self.rules)

    def on(self, batch: Batch) -> Tensor:
        """Return (rules, batch) whether each rule fires on each example of a batch."""
        import torch

        fires = self.fires[batch.split][:, batch.rows.cpu().numpy()]
        return torch.from_numpy(fires).to(batch.rows.device)

    def at(self, split: str, rows: NDArray[np.int64]) -> GroundedRules:
        """Return where the rules fire on some rows of a split, which are counted anew; other splits are left out."""
        tokens = {split: self.tokens[split].at(rows)} if split in self.tokens else {}
        return replace(self, fires={split: self.fires[split][:, rows]}, abstained={}, tokens=tokens)

    def place(self, split: str, row: int) -> str:
        """Return where an example stands, `train.csv:17`; unlabelled text lies below the training table."""
        if self.data is None:
            return f"{split}: row {row}"
        below = row - len(self.data.splits[split])
        if split == "train" and below >= 0:
            split, row = "unlabelled", below
        return self.data.place(split, self.data.splits[split].index[row])


@dataclass(frozen=True, slots=True)
class RuleLabels:
    """Labels that were decided from rules.

    Attributes:
        probabilities: a row for each example and a column for each label; NaN where no rule speaks.
        notes: what the reader should know, for the plan.
    """

    probabilities: pd.DataFrame
    notes: tuple[str, ...] = ()
