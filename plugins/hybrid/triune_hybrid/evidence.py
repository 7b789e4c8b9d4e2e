"""How often labels keep and break each rule: what confidences and noise floors are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.data import label_set
from triune.logic import Formula, OnTokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune import GroundedRules

    Answer = tuple[str | int, ...] | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many labelled answers keep a rule where it speaks, and how many break it."""

    kept: int = 0
    broken: int = 0

    @property
    def judged(self) -> int:
        """How many there are."""
        return self.kept + self.broken

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.kept + other.kept, self.broken + other.broken)


def pooled(counts: Sequence[Counts]) -> Counts:
    """Return the counts of several rules together."""
    return sum(counts, Counts())


def evidence(rules: GroundedRules, split: str) -> list[Counts]:
    """Return what the labels of a table say of every rule of the run.

    A text that stands in the table several times, as a resampled one does, counts once. A rule about tokens is judged
    at every stretch that it points at; a rule that says a `SoftFormula` is never judged.
    """
    if rules.data is None or split not in rules.data.splits:
        return [Counts() for _ in rules.rules]
    answers = _answers(rules, split)
    found = _at_stretches(rules, split, answers)
    fires = rules.fires[split][:, : len(answers)]
    for place, rule in enumerate(rules.rules):
        if isinstance(rule.then, Formula) and not isinstance(rule.then, OnTokens):
            said = [answers[row] for row in fires[place].nonzero()[0]]
            holds = [rule.then.holds(answer) for answer in said if answer is not None]
            found[place] = Counts(sum(holds), len(holds) - sum(holds))
    return found


def _answers(rules: GroundedRules, split: str) -> list[Answer]:
    """Return the label cell of each example; None where there is none, in part or as a whole, or it came before."""
    assert rules.data is not None
    cells, table = rules.data.labels(split), rules.data.splits[split]
    if cells is None:
        return [None] * len(table)
    columns = [table[rules.data.roles[role]] for role in ("text", "text_pair") if role in rules.data.roles]
    seen: set[str] = set()
    answers: list[Answer] = []
    for cell, *texts in zip(cells, *columns, strict=True):
        labels, key = label_set(cell), repr((texts, cell))
        known = labels is not None and None not in labels and key not in seen
        answers.append(labels if known else None)
        seen.update([key] if known else [])
    return answers


def _at_stretches(rules: GroundedRules, split: str, answers: Sequence[Answer]) -> list[Counts]:
    """Return the counts of rules about tokens, nothing for the others."""
    found = [Counts() for _ in rules.rules]
    table = rules.tokens.get(split)
    if table is None or rules.space is None:
        return found
    number = {str(label): place for place, label in enumerate(rules.space.labels)}
    tags = [None if answer is None else [number[str(tag)] for tag in answer] for answer in answers]
    without = [None] * (rules.fires[split].shape[1] - len(answers))  # unlabelled text, below the training table
    for place, _, broken in table.broken([*tags, *without]):
        found[place] += Counts(int(not broken), int(broken))
    return found
