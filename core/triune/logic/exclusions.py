"""Clauses that exclude each other pair by pair, said as one count.

"Not both a and b, not both a and c, not both b and c" is "at most one of a, b, c": n(n - 1)/2 clauses that tie n
labels together become one threshold that a counter passes over.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from triune.logic.normal import Literal, Threshold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune.logic.normal import Statements

FEWEST = 4
"""Fewer statements than these are no cheaper as a count."""


def merged(statements: Statements, conjuncts: Sequence[int]) -> list[int]:
    """Return statements that together say the same, pairwise clauses among many literals as one threshold."""
    clauses = {frozenset(pair): one for one in conjuncts if (pair := _pair(statements, one))}
    beside: dict[int, set[int]] = {}
    for one, other in clauses:
        beside.setdefault(one, set()).add(other)
        beside.setdefault(other, set()).add(one)
    gone: set[int] = set()
    added: list[int] = []
    for one in sorted(beside, key=lambda it: -len(beside[it])):
        clique = _clique(one, beside)
        if len(clique) < FEWEST:
            continue
        added.append(statements.at_least(len(clique) - 1, clique))
        for first, second in combinations(clique, 2):
            gone.add(clauses[frozenset((first, second))])
            beside[first].discard(second)
            beside[second].discard(first)
    return [*(one for one in conjuncts if one not in gone), *added]


def _pair(statements: Statements, number: int) -> tuple[int, ...] | None:
    """Return the two literals of a clause that has two."""
    body = statements.bodies[number]
    if not isinstance(body, Threshold) or body.k != 1 or len(body.of) != 2:
        return None
    return body.of if all(isinstance(statements.bodies[one], Literal) for one in body.of) else None


def _clique(one: int, beside: dict[int, set[int]]) -> list[int]:
    """Return statements that each stand in a clause with each other, grown from one."""
    clique = [one]
    for other in sorted(beside[one], key=lambda it: (-len(beside[it]), it)):
        if all(other in beside[it] for it in clique):
            clique.append(other)
    return clique
