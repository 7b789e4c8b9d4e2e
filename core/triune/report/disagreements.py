"""Where rules, labels and model disagree: the examples that show which labels, which rules and what else to mend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triune.report.records import Record

MOST = 25
"""How many examples of a kind are shown."""
MOST_OF_RULE = 8
"""How many of them for one rule."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to disagree.

    Attributes:
        key: its name.
        title: what a reader sees.
        advice: what it usually means, and what to do.
        by_rule: whether the rules at fault order the examples.
    """

    key: str
    title: str
    advice: str
    by_rule: bool = False


LABEL = Kind(
    "label",
    "Model and rules agree, the label says otherwise",
    "Often the label is wrong. Read these first; those that the model is surest of stand on top.",
)
RULE = Kind(
    "rule",
    "A rule stands against label and model",
    "Often the rule is wrong here, or too broad: narrow its condition, or lower its confidence. Ordered by rule.",
    by_rule=True,
)
UNLEARNT = Kind(
    "unlearnt",
    "A rule and the label agree, the model says otherwise",
    "The model has not learnt the rule: push it more, or let it act on predictions. By rule.",
    by_rule=True,
)
MODEL = Kind(
    "model",
    "The model is wrong by the label, and no rule takes a side",
    "No rule fires, or those that do are kept by both or contradict each other. A rule to be written, a label to be "
    "checked, or a hard example; those that the model is surest of stand on top.",
)
UNLABELLED = Kind(
    "unlabelled",
    "A rule stands against the model, and there is no label",
    "One of them is wrong. By rule.",
    by_rule=True,
)
KINDS = (LABEL, RULE, UNLEARNT, MODEL, UNLABELLED)


@dataclass(frozen=True, slots=True)
class Shown:
    """The examples of a kind that a page shows, of so many; those of one rule where rules order them.

    Attributes:
        rule: the rule that they are shown for, "" where rules do not order.
        records: the examples.
        of: how many there are in all.
    """

    rule: str
    records: tuple[Record, ...]
    of: int


def kind_of(record: Record) -> Kind | None:
    """Return how rules, label and model disagree on an example; None where they do not."""
    said, true = set(record.broken_by_prediction), set(record.broken_by_label)
    if not record.labelled:
        return UNLABELLED if said else None
    if said & true:
        return RULE
    if not record.differs:
        return None
    for_model, for_label = true - said, said - true
    if for_model and not for_label:
        return LABEL
    if for_label and not for_model:
        return UNLEARNT
    return MODEL


def rules_at_issue(record: Record) -> tuple[str, ...]:
    """Return the rules for which an example is shown."""
    said, true = set(record.broken_by_prediction), set(record.broken_by_label)
    both = said & true if record.labelled else set()
    wanted = both or said
    return tuple(name for name in record.fired if name in wanted)


def disagreements(records: Iterable[Record]) -> dict[Kind, list[Record]]:
    """Return the examples of each kind, those first of which the model is surest."""
    found: dict[Kind, list[Record]] = {kind: [] for kind in KINDS}
    for one in records:
        if kind := kind_of(one):
            found[kind].append(one)
    return {kind: sorted(mine, key=_sureness, reverse=True) for kind, mine in found.items()}


def shown(kind: Kind, mine: Sequence[Record]) -> list[Shown]:
    """Return which examples of a kind a page shows, in parts: one for each rule where rules order them."""
    if not kind.by_rule:
        return [Shown("", tuple(mine[:MOST]), len(mine))] if mine else []
    own: dict[str, list[Record]] = {}
    for one in mine:
        for name in rules_at_issue(one):
            own.setdefault(name, []).append(one)
    left, found = MOST, []
    for name in sorted(own, key=lambda name: (-len(own[name]), name)):
        part = own[name][: min(MOST_OF_RULE, left)]
        left -= len(part)
        found.append(Shown(name, tuple(part), len(own[name])))
    return found


def _sureness(record: Record) -> float:
    return record.sureness or 0.0
