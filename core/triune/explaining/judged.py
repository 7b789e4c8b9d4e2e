"""Rows of an explanation: the labels of each example, and each rule that fires on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.explaining.effects import Outcome, Statement, says_formula
from triune.logic import Formula, SoftFormula

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor

    from triune.explaining.targets import Target
    from triune.spaces import OutputSpace
    from triune.types import GroundedRules, Rule

STRUCTURE, PROJECTION = "structure", "projection"


@dataclass(frozen=True, slots=True)
class Moved:
    """An example with all rules of one basis and without one of them."""

    basis: str
    with_rules: Outcome
    without: Outcome | None


@dataclass(frozen=True, slots=True)
class Seen:
    """All that is known of one example.

    Attributes:
        number: of the example.
        text: as it was given.
        words: of sequences, their tokens.
        said: what the run says.
        model: what the network says.
        with_rules: what is said with all rules; None where that cannot be told.
        targets: the labels that are explained.
        statements: what the rules say that fire.
        moved: what each rule does, where that can be told.
        truths: how true rules are whose truth is a function: of the network, and of the prediction.
    """

    number: int
    text: object
    words: tuple[str, ...]
    said: Outcome
    model: Outcome
    with_rules: Outcome | None
    targets: tuple[Target, ...]
    statements: tuple[Statement, ...]
    moved: Mapping[int, Moved]
    truths: Mapping[int, tuple[float, float]]


def label_rows(seen: Seen, space: OutputSpace, every: Sequence[Target]) -> Iterator[dict[str, object]]:
    """Yield the probabilities of labels; `every` are those of a text, of sequences the explained tags are."""
    for one in seen.targets if space.kind == "tags" else every:
        predicted = seen.said.answer if isinstance(seen.said.answer, list) else [seen.said.answer]
        yield {
            "example": seen.number,
            "token": one.token,
            "word": None if one.token is None else seen.words[one.token],
            "label": one.label,
            "predicted": one.label in predicted if one.token is None else predicted[one.token] == one.label,
            "probability": one.of(seen.said.probabilities),
            "model": one.of(seen.model.probabilities),
            "with_rules": None if seen.with_rules is None else one.of(seen.with_rules.probabilities),
        }


def rule_rows(
    seen: Seen, rules: GroundedRules, acts: Mapping[int, Sequence[str]], space: OutputSpace
) -> Iterator[dict[str, object]]:
    """Yield the rules that fire on an example."""
    for statement in seen.statements:
        rule, stretch = rules.rules[statement.rule], statement.stretch
        moved = seen.moved.get(statement.rule)
        target = _moved_most(seen, statement, moved)
        probability = {
            "with": None if moved is None else target.of(moved.with_rules.probabilities),
            "without": None if moved is None or moved.without is None else target.of(moved.without.probabilities),
        }
        known = moved is not None and moved.without is not None
        yield {
            "example": seen.number,
            "rule": rule.name,
            "says": str(rule.then),
            "when": str(rule.when),
            "confidence": rule.confidence,
            "hard": rule.hard,
            "acts": list(acts[statement.rule]),
            "first": stretch and stretch.tokens[0],
            "last": stretch and stretch.tokens[-1],
            "words": stretch and " ".join(seen.words[token] for token in stretch.tokens),
            "kept": _kept(seen, statement, rule, space),
            "basis": moved and moved.basis,
            "token": target.token,
            "label": target.label,
            "model": target.of(seen.model.probabilities),
            **probability,
            "effect": probability["with"] - probability["without"] if known else None,  # type: ignore[operator]
            **_held(seen, statement, rules, moved, space),
            "answer_without": moved.without.answer if moved and moved.without else None,
            "changes_answer": moved.without.answer != moved.with_rules.answer if moved and moved.without else None,
            "place": rule.place,
        }


def _moved_most(seen: Seen, statement: Statement, moved: Moved | None) -> Target:
    """Return the explained label that a rule moves most, among those of the tokens that it speaks of."""
    tokens = statement.stretch.tokens if statement.stretch else None
    among = [one for one in seen.targets if tokens is None or one.token in tokens]
    without = moved.without if moved else None
    if moved is None or without is None:
        return among[0]
    with_rules = moved.with_rules
    return max(among, key=lambda one: abs(one.of(with_rules.probabilities) - one.of(without.probabilities)))


def _kept(seen: Seen, statement: Statement, rule: Rule, space: OutputSpace) -> bool:
    """Return whether the prediction keeps a rule."""
    answer = seen.said.answer
    if isinstance(rule.then, SoftFormula):
        return seen.truths[statement.rule][1] >= 0.5
    if statement.stretch:
        numbers = {label: place for place, label in enumerate(space.labels)}
        tags = [numbers[answer[token]] for token in statement.stretch.tokens]  # type: ignore[index]
        return not any(row[tag] for row, tag in zip(statement.stretch.forbidden, tags, strict=True))
    return rule.then.holds(tuple(answer) if isinstance(answer, list) else (answer,))  # type: ignore[arg-type]


def _held(
    seen: Seen, statement: Statement, rules: GroundedRules, moved: Moved | None, space: OutputSpace
) -> dict[str, float | None]:
    """Return how probable it is that a rule's statement holds."""
    if statement.rule in seen.truths:
        return {"holds_model": seen.truths[statement.rule][0], "holds_with": None, "holds_without": None}
    found = [statement.model, statement.with_rules, statement.without]
    if moved and space.kind == "categorical" and says_formula(rules, statement.rule):
        then = rules.rules[statement.rule].then
        assert isinstance(then, Formula)
        outcomes = [seen.model, moved.with_rules, moved.without]
        found = [None if one is None else _sum_of(then, one.probabilities, space) for one in outcomes]
    return dict(zip(("holds_model", "holds_with", "holds_without"), found, strict=True))


def _sum_of(then: Formula, probabilities: Tensor, space: OutputSpace) -> float:
    """Return the probability of a formula about one label of several."""
    return sum(float(p) for label, p in zip(space.labels, probabilities, strict=True) if then.holds((label,)))
