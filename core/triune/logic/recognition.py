"""From formulas over tags to automata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.errors import listed, nearest
from triune.logic.automata import Automaton, beside, explored
from triune.logic.formulas import AtLeast, Formula, FormulaError, Label, Not
from triune.logic.tags import Sequential, among

if TYPE_CHECKING:
    from collections.abc import Sequence


def recognised(formula: Formula, tags: Sequence[str]) -> Automaton[bool]:
    """Return the automaton of a formula over tags; a label means that some token has it.

    Raises:
        FormulaError: a tag or glob is like no tag.
        RuleCostError: the automaton would be too large.
    """
    match formula:
        case Sequential():
            _check(formula.patterns, tags)
            return formula.automaton(tags)
        case Label(name):
            _check((str(name),), tags)
            number = tags.index(str(name))
            return explored(False, lambda state, tag: state or tag == number, len(tags), bool)
        case Not(inner):
            return recognised(inner, tags).meaning(lambda held: not held)
        case AtLeast(k, of):
            return beside([recognised(one, tags) for one in of], len(tags)).meaning(lambda held: sum(held) >= k)
        case _:
            return recognised(formula.expanded(), tags)


def _check(patterns: Sequence[str], tags: Sequence[str]) -> None:
    for one in patterns:
        if not among(tags, one):
            raise FormulaError(f"{one!r} is like no tag of these outputs; tags: {listed(tags)}{nearest(one, tags)}")
