"""Formulas over variables in one normal form, each distinct statement kept once.

There are two kinds of statement: a *literal* says that a variable takes one of some values; a *threshold*
says that at least k of some statements hold, which is "or" at k = 1 and "and" at k = n. Negations are pushed
down to the literals, not (at least k of n) being (at least n - k + 1 of the negated). Statements are numbers;
0 is false and 1 is true.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.logic.formulas import AtLeast, Formula, Label, Not
from triune.logic.variables import place_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FALSE, TRUE = 0, 1


@dataclass(frozen=True, slots=True)
class Literal:
    """A variable takes one of the values in `values`, a set of bits."""

    variable: int
    values: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """At least k of the statements hold."""

    k: int
    of: tuple[int, ...]


@dataclass(slots=True)
class Statements:
    """Every statement met so far, and what is known about it."""

    sizes: Sequence[int]  # values of each variable
    bodies: list[Literal | Threshold | None] = field(default_factory=lambda: [None, None])
    mentions: list[int] = field(default_factory=lambda: [0, 0])  # the variables of a statement, a set of bits
    numbers: dict[Literal | Threshold, int] = field(default_factory=dict)
    negations: dict[int, int] = field(default_factory=lambda: {FALSE: TRUE, TRUE: FALSE})
    restrictions: dict[tuple[int, int, int], int] = field(default_factory=dict)

    def literal(self, variable: int, values: int) -> int:
        """Return the statement that a variable takes one of some values."""
        if values == 0:
            return FALSE
        if values == (1 << self.sizes[variable]) - 1:
            return TRUE
        return self._number(Literal(variable, values), 1 << variable)

    def at_least(self, k: int, of: Iterable[int]) -> int:
        """Return the statement that at least k of some statements hold."""
        given = [one for one in of if one != FALSE]
        unsure = [one for one in given if one != TRUE]
        k -= len(given) - len(unsure)
        if k <= 0 or k > len(unsure):
            return TRUE if k <= 0 else FALSE
        if k == 1:
            return self._any(unsure)
        if k == len(unsure):
            return self._all(unsure)
        return self._threshold(k, unsure)

    def negated(self, number: int) -> int:
        """Return the opposite of a statement."""
        if number not in self.negations:
            body = self.bodies[number]
            if isinstance(body, Literal):
                opposite = self.literal(body.variable, ~body.values & ((1 << self.sizes[body.variable]) - 1))
            else:
                assert body is not None
                opposite = self.at_least(len(body.of) - body.k + 1, [self.negated(one) for one in body.of])
            self.negations[number], self.negations[opposite] = opposite, number
        return self.negations[number]

    def restricted(self, number: int, variable: int, values: int) -> int:
        """Return a statement as it reads once a variable is known to take one of some values."""
        if not self.mentions[number] >> variable & 1:
            return number
        key = (number, variable, values)
        if key not in self.restrictions:
            body = self.bodies[number]
            if isinstance(body, Literal):
                left = body.values & values
                known = TRUE if left == values else self.literal(variable, left)
            else:
                assert body is not None
                known = self.at_least(body.k, [self.restricted(one, variable, values) for one in body.of])
            self.restrictions[key] = known
        return self.restrictions[key]

    def conjuncts(self, number: int) -> tuple[int, ...]:
        """Return the statements that must all hold for this one to hold."""
        body = self.bodies[number]
        return body.of if isinstance(body, Threshold) and body.k == len(body.of) else (number,)

    def _any(self, of: list[int]) -> int:
        parts = (body.of if isinstance(body := self.bodies[one], Threshold) and body.k == 1 else (one,) for one in of)
        known: dict[int, int] = {}
        rest: set[int] = set()
        for one in (one for part in parts for one in part):
            body = self.bodies[one]
            if isinstance(body, Literal):
                known[body.variable] = known.get(body.variable, 0) | body.values
            else:
                rest.add(one)
        literals = {self.literal(variable, values) for variable, values in known.items()}
        return TRUE if TRUE in literals else self._gathered(1, rest | literals)

    def _all(self, of: list[int]) -> int:
        known: dict[int, int] = {}
        rest: set[int] = set()
        for one in (one for part in of for one in self.conjuncts(part)):
            body = self.bodies[one]
            if isinstance(body, Literal):
                known[body.variable] = known.get(body.variable, -1) & body.values
            else:
                rest.add(one)
        literals = {self.literal(variable, values) for variable, values in known.items()}
        together = rest | literals
        return FALSE if FALSE in literals else self._gathered(len(together), together)

    def _gathered(self, k: int, of: set[int]) -> int:
        return of.pop() if len(of) == 1 else self._threshold(k, of)

    def _threshold(self, k: int, of: Iterable[int]) -> int:
        parts = tuple(sorted(of))
        mentioned = 0
        for one in parts:
            mentioned |= self.mentions[one]
        return self._number(Threshold(k, parts), mentioned)

    def _number(self, body: Literal | Threshold, mentioned: int) -> int:
        if body not in self.numbers:
            self.numbers[body] = len(self.bodies)
            self.bodies.append(body)
            self.mentions.append(mentioned)
        return self.numbers[body]


def stated(formula: Formula, statements: Statements, places: Mapping[str, tuple[int, int]]) -> int:
    """Return the statement that a formula makes; `places` says which variable and value a label is.

    Raises:
        FormulaError: the formula names an unknown label, or speaks of a sequence of tags.
    """
    match formula:
        case Label(name):
            variable, value = place_of(name, places)
            return statements.literal(variable, 1 << value)
        case Not(inner):
            return statements.negated(stated(inner, statements, places))
        case AtLeast(k, of):
            return statements.at_least(k, [stated(one, statements, places) for one in of])
        case _:
            return stated(formula.expanded(), statements, places)
