"""What rules say of examples, as votes: which labels each rule leaves possible, and where it abstains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic import Formula
from triune.types import Seat

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.types import GroundedRules, LabelValue, Rule

ABSTAIN = -1


@dataclass(frozen=True, slots=True)
class Votes:
    """The votes of rules on examples.

    Attributes:
        names: the rules, by name.
        labels: the classes, in the order of the task.
        ballots: (ballots, classes) which labels a vote leaves possible. The first ballots are the single labels, in
            order; further ones are sets of labels, as of a rule "one of NUM, ENTY".
        cast: (rules, examples) which ballot a rule casts, -1 where it abstains.
        confidences: (rules,) how often each rule is right, as its author says; in (0, 1].
    """

    names: tuple[str, ...]
    labels: tuple[LabelValue, ...]
    ballots: NDArray[np.bool_]
    cast: NDArray[np.int64]
    confidences: NDArray[np.float64]

    @property
    def spoken(self) -> NDArray[np.bool_]:
        """(examples,) whether any rule votes."""
        voted: NDArray[np.bool_] = (self.cast != ABSTAIN).any(axis=0)
        return voted

    @property
    def overlap(self) -> float:
        """The share of examples on which two rules or more vote."""
        both = (self.cast != ABSTAIN).sum(axis=0) > 1
        return float(both.mean()) if both.size else 0.0

    @property
    def voters(self) -> int:
        """How many rules vote at all."""
        return int((self.cast != ABSTAIN).any(axis=1).sum())

    def tally(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (examples, classes) the sum of what each vote gives each class.

        Args:
            weights: (rules, ballots, classes).
        """
        import numpy as np

        total = np.zeros((self.cast.shape[1], len(self.labels)))
        for weight, cast in zip(weights, self.cast, strict=True):
            votes = np.flatnonzero(cast != ABSTAIN)
            total[votes] += weight[cast[votes]]
        return total


def votes_of(rules: GroundedRules, labels: Sequence[LabelValue]) -> tuple[Votes, list[Rule]]:
    """Return the votes on the training table, and the rules that ask for this seat and cannot vote.

    A rule votes for the labels that satisfy its formula, whatever the formula's form: one label, or a set of which one
    is true. One that no label satisfies, or that every label does, says nothing of a single example; a `SoftFormula`
    says it of scores alone.
    """
    import numpy as np

    asked = [(number, rule) for number, rule in enumerate(rules.rules) if Seat.LABELS in rule.seats]
    possible = {number: _possible(rule, labels) for number, rule in asked}
    able = [(number, rule) for number, rule in asked if 0 < sum(possible[number]) < len(labels)]
    places: dict[tuple[bool, ...], int] = {tuple(row): place for place, row in enumerate(_identity(len(labels)))}
    chosen = [places.setdefault(possible[number], len(places)) for number, _ in able]
    fires = rules.fires["train"][[number for number, _ in able]]  # (rules, examples)
    votes = Votes(
        names=tuple(rule.name for _, rule in able),
        labels=tuple(labels),
        ballots=np.asarray(list(places), dtype=np.bool_),
        cast=np.where(fires, np.asarray(chosen, dtype=np.int64)[:, None], ABSTAIN),
        confidences=np.asarray([rule.confidence for _, rule in able], dtype=np.float64),
    )
    return votes, [rule for number, rule in asked if not 0 < sum(possible[number]) < len(labels)]


def single_votes(names: Sequence[str], labels: Sequence[LabelValue], cast: NDArray[np.int64]) -> Votes:
    """Return votes for single labels from (rules, examples) places among the labels, -1 where a rule abstains."""
    import numpy as np

    ballots = np.eye(len(labels), dtype=np.bool_)
    return Votes(tuple(names), tuple(labels), ballots, cast.astype(np.int64), np.ones(len(names)))


def together(first: Votes, second: Votes) -> Votes:
    """Return the votes of both on the same examples; the second ones are for single labels."""
    from dataclasses import replace

    import numpy as np

    return replace(
        first,
        names=(*first.names, *second.names),
        cast=np.concatenate([first.cast, second.cast]),
        confidences=np.concatenate([first.confidences, second.confidences]),
    )


def patterns(votes: Votes) -> tuple[Votes, NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct columns of votes, how many examples have each, and (examples,) which one each has."""
    from dataclasses import replace

    import numpy as np

    cast, places, counts = np.unique(votes.cast, axis=1, return_inverse=True, return_counts=True)
    return replace(votes, cast=cast), counts, places.reshape(-1)


def gold_places(gold: Mapping[LabelValue, NDArray[np.float64]], labels: Sequence[LabelValue]) -> NDArray[np.int64]:
    """Return (examples,) the place of the gold label, -1 where there is none; `gold` has a column a label."""
    import numpy as np

    columns = np.stack([np.asarray(gold[label], dtype=np.float64) for label in labels], axis=1)
    return np.where(np.isnan(columns).any(axis=1), ABSTAIN, np.nan_to_num(columns).argmax(axis=1))


def _possible(rule: Rule, labels: Sequence[LabelValue]) -> tuple[bool, ...]:
    if not isinstance(rule.then, Formula):
        return (False,) * len(labels)
    return tuple(bool(rule.then.holds((label,))) for label in labels)


def _identity(size: int) -> list[list[bool]]:
    return [[row == column for column in range(size)] for row in range(size)]
