"""What an audit found, as values."""

from __future__ import annotations

from dataclasses import dataclass

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wrong:
    """An example whose label breaks a rule that fires on it."""

    place: str
    text: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """One rule on the table.

    Attributes:
        name: the rule's.
        place: where it was written.
        says: the rule as a sentence.
        hard: whether it may never be broken.
        confidence: what it says of itself.
        fires: on how many examples.
        coverage: the share of all examples; None without a table.
        overlaps: the share of those on which another rule fires too.
        conflicts: the share of those on which another rule says what cannot be true at once.
        abstained: on how many examples its condition could not be asked.
        reason: why.
        labelled: on how many examples with a label it fires.
        right: how many of these obey it.
        accuracy: `right / labelled`.
        interval: the 95 % interval of the accuracy (Wilson 1927).
        suggested: a confidence that so many examples justify, (right + 1) / (labelled + 2) (Laplace).
        wrong: some of the examples that break it.
    """

    name: str
    place: str
    says: str
    hard: bool
    confidence: float
    fires: int = 0
    coverage: float | None = None
    overlaps: float | None = None
    conflicts: float | None = None
    abstained: int = 0
    reason: str = ""
    labelled: int = 0
    right: int = 0
    accuracy: float | None = None
    interval: Interval | None = None
    suggested: float | None = None
    wrong: tuple[Wrong, ...] = ()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Hard rules that cannot hold together; without any of them the others can.

    Attributes:
        rules: their names, as few as possible.
        always: whether they speak of the same examples whatever the table.
        examples: how many examples of the table are left without an allowed answer.
        places: some of these.
    """

    rules: tuple[str, ...]
    always: bool
    examples: int = 0
    places: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Implied:
    """A rule that says nothing which others do not say already; `by` is empty where it can never be broken."""

    rule: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Votes:
    """What the rules say together, each with a vote split over the labels that it allows.

    Attributes:
        covered: examples with a vote.
        labelled: those that have a label.
        accuracy: the share of these that the vote labels rightly, ties counted by their chance.
        interval: its 95 % interval.
        ties: examples on which several labels lead.
    """

    covered: int
    labelled: int
    accuracy: float | None
    interval: Interval | None
    ties: int


@dataclass(frozen=True, slots=True)
class Audit:
    """Everything that was found.

    Attributes:
        examples: rows of the table; None without one.
        labelled: how many have a label.
        labels: all labels, of the table and of the rules.
        several: whether an example may have several labels, or none.
        rules: the rules, in their order.
        covered: examples on which a rule with a condition fires.
        never: names of rules that fire nowhere.
        duplicates: names of rules that say the same of the same examples.
        implied: rules that others make superfluous.
        contradictions: hard rules that cannot hold together.
        undecided: questions of this kind that were too large to be answered.
        votes: the rules' majority; None where examples have several labels, or there is no table.
        problems: what a run would refuse, such as a label that the table does not have.
    """

    examples: int | None
    labelled: int
    labels: tuple[str, ...]
    several: bool
    rules: tuple[RuleFigures, ...]
    covered: int
    never: tuple[str, ...]
    duplicates: tuple[tuple[str, ...], ...]
    implied: tuple[Implied, ...]
    contradictions: tuple[Contradiction, ...]
    undecided: int
    votes: Votes | None
    problems: tuple[str, ...]

    @property
    def sound(self) -> bool:
        """Whether a run would take the rules: nothing contradicts, every label is known."""
        return not self.contradictions and not self.problems
