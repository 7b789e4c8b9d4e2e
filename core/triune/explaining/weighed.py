"""What the rules do to one example: in the structure of the run where they act there, else in the projection."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.explaining.judged import PROJECTION, STRUCTURE, Moved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from triune.explaining.effects import Effects, Exact, Outcome, Statement

AGREED = 1e-3
"""How far the structure's probabilities may lie from the exact engine's, where that answers for both."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """An example, its rules weighed.

    Attributes:
        with_rules: the outcome under all rules; None where that cannot be told.
        statements: what the rules say, with how probable that is.
        moved: what each rule does, where that can be told.
        possible: whether the hard rules leave an answer.
    """

    with_rules: Outcome | None
    statements: tuple[Statement, ...]
    moved: Mapping[int, Moved]
    possible: bool = True


@dataclass(frozen=True, slots=True)
class Structure:
    """What the structure of a run says of one example, with its rules and without each that is left out."""

    rules: frozenset[int]
    said: Outcome
    without: Mapping[int, Outcome]


def weighed(
    exact: Exact | None,
    scores: Tensor,
    statements: Sequence[Statement],
    alone: frozenset[int],
    structure: Structure | None,
) -> Weighed:
    """Return the rules of an example, weighed.

    Args:
        exact: the rules as the engine answers for them; None where it cannot.
        scores: (labels,), or (tokens, tags), of the network.
        statements: what the rules say that fire.
        alone: the rules to leave out one at a time.
        structure: of runs that have one.
    """
    effects = exact.effects(scores, statements, alone) if exact else None
    told = {_key(one): one for one in statements}
    moved: dict[int, Moved] = {}
    if effects and effects.possible:
        told |= {_key(one): one for one in effects.statements}
        rules = {one.rule for one in effects.statements}
        moved = {rule: Moved(PROJECTION, effects.with_rules, effects.without.get(rule)) for rule in rules}
    if structure:
        kept = [one for one in statements if one.rule in structure.rules]
        moved |= {one.rule: Moved(STRUCTURE, structure.said, structure.without.get(one.rule)) for one in kept}
        told |= {_key(one): one for one in _of_structure(exact, scores, kept, alone, structure)}
    projection = effects.with_rules if effects and effects.possible else None
    return Weighed(
        projection or (structure and structure.said) or None,
        tuple(told[_key(one)] for one in statements),
        moved,
        effects is None or effects.possible,
    )


def _key(statement: Statement) -> tuple[int, tuple[int, ...]]:
    return statement.rule, statement.stretch.tokens if statement.stretch else ()


def _of_structure(
    exact: Exact | None, scores: Tensor, kept: Sequence[Statement], alone: frozenset[int], structure: Structure
) -> Sequence[Statement]:
    """Return how probable the statements of the rules are that the structure keeps.

    The exact engine answers where it says of the labels what the structure says; a structure may have scores of its
    own, and then nobody tells.
    """
    if exact is None:
        return kept
    effects = exact.effects(scores, kept, alone)
    if _agree(effects, structure.said):
        return effects.statements
    return [replace(one, with_rules=None, without=None) for one in effects.statements]


def _agree(effects: Effects, said: Outcome) -> bool:
    return bool((effects.with_rules.probabilities - said.probabilities).abs().max() <= AGREED)
