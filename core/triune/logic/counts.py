"""Statements that only depend on how many of some events are true, and the balanced tree that counts them.

The number of true events among independent ones is Poisson-binomial; its distribution is built like a
tournament, halves first, so that n events need log n levels. Counts that all statements treat alike are kept
as one, so that "at most 3" never counts beyond 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic.circuits import TRUE
from triune.logic.normal import FALSE as BROKEN
from triune.logic.normal import TRUE as HELD
from triune.logic.normal import Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triune.logic.circuits import Pair, Sketch
    from triune.logic.normal import Statements

    Allowed = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Statements about one count.

    Attributes:
        events: literals of different variables, as statements.
        allowed: for each statement, whether it holds at 0, 1, … true events.
    """

    events: tuple[int, ...]
    allowed: tuple[Allowed, ...]

    @property
    def cap(self) -> int:
        """The count from which on all statements stay as they are."""
        cap = len(self.events)
        while cap and all(one[cap - 1] == one[-1] for one in self.allowed):
            cap -= 1
        return cap

    @property
    def edges(self) -> int:
        """The edges of the tree."""
        return _tree_edges(len(self.events), self.cap + 1)


def counting(statements: Statements, problem: Sequence[int]) -> Count | None:
    """Return what statements say of one count, from the side that needs the smaller tree, or None."""
    events = next(filter(None, (_events(statements, one) for one in problem)), None)
    if events is None:
        return None
    allowed = [_allowed(statements, one, events) for one in problem]
    if any(one is None for one in allowed):
        return None
    known = [one for one in allowed if one is not None]
    opposite = tuple(statements.negated(one) for one in events)
    sides = (Count(events, tuple(known)), Count(opposite, tuple(one[::-1] for one in known)))
    return min(sides, key=lambda side: side.cap)


def _events(statements: Statements, number: int) -> tuple[int, ...] | None:
    """Return the first list of literals of different variables that a statement counts."""
    body = statements.bodies[number]
    if body is None or isinstance(body, Literal):
        return None if body is None else (number,)
    parts = [statements.bodies[one] for one in body.of]
    variables = {part.variable for part in parts if isinstance(part, Literal)}
    if len(variables) == len(parts):
        return body.of
    return next(filter(None, (_events(statements, one) for one in body.of)), None)


def _allowed(statements: Statements, number: int, events: tuple[int, ...]) -> Allowed | None:
    n, body = len(events), statements.bodies[number]
    if number in (BROKEN, HELD):
        return (number == HELD,) * (n + 1)
    of, k = ((number,), 1) if isinstance(body, Literal) or body is None else (body.of, body.k)
    if of == events:
        return tuple(count >= k for count in range(n + 1))
    if of == tuple(sorted(statements.negated(one) for one in events)):
        return tuple(n - count >= k for count in range(n + 1))
    if of == (number,):
        return None
    parts = [_allowed(statements, one, events) for one in of]
    known = [part for part in parts if part is not None]
    return tuple(sum(at) >= k for at in zip(*known, strict=True)) if len(known) == len(parts) else None


def counted(statements: Statements, count: Count, sketch: Sketch) -> list[int]:
    """Return the nodes "exactly c of the events", for c = 0, …, cap - 1, and "at least cap"."""
    return _tree([_event(statements, one, count.cap, sketch) for one in count.events], count.cap, sketch)


def _event(statements: Statements, number: int, cap: int, sketch: Sketch) -> list[int]:
    yes, no = statements.bodies[number], statements.bodies[statements.negated(number)]
    assert isinstance(yes, Literal) and isinstance(no, Literal)
    if cap == 0:
        return [TRUE]
    return [sketch.values(no.variable, no.values), sketch.values(yes.variable, yes.values)]


def _tree(counts: list[list[int]], cap: int, sketch: Sketch) -> list[int]:
    while len(counts) > 1:
        pairs = zip(counts[::2], counts[1::2], strict=False)
        counts = [_added(left, right, cap, sketch) for left, right in pairs] + counts[len(counts) & ~1 :]
    return counts[0]


def _added(left: list[int], right: list[int], cap: int, sketch: Sketch) -> list[int]:
    together: list[list[Pair]] = [[] for _ in range(min(len(left) + len(right) - 2, cap) + 1)]
    for at, one in enumerate(left):
        for beside, other in enumerate(right):
            together[min(at + beside, cap)].append((one, other))
    return [sketch.choice(pairs) for pairs in together]


def _tree_edges(events: int, states: int) -> int:
    widths, edges = [min(2, states)] * events, 0
    while len(widths) > 1:
        pairs = list(zip(widths[::2], widths[1::2], strict=False))
        edges += sum(left * right + 1 for left, right in pairs)
        widths = [min(left + right - 1, states) for left, right in pairs] + widths[len(widths) & ~1 :]
    return edges


def by_count(nodes: Sequence[int], allowed: Iterable[Allowed]) -> dict[Allowed, list[int]]:
    """Return which statements hold → the nodes of the counts where exactly they do."""
    cases: dict[Allowed, list[int]] = {}
    for node, holds in zip(nodes, zip(*allowed, strict=True), strict=False):
        cases.setdefault(holds, []).append(node)
    return cases
