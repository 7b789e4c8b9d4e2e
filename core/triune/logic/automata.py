"""Deterministic automata over tags: what a statement about a sequence becomes.

An automaton reads tags by number and says something at the end: a truth, or one truth a statement when
several run side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from triune.logic.costs import WAY_OUT, RuleCostError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

Said = TypeVar("Said", bound="Hashable")
Other = TypeVar("Other", bound="Hashable")

MOST = 20_000
"""Moves beyond which automata are not put side by side."""


@dataclass(frozen=True, slots=True)
class Automaton(Generic[Said]):
    """Every state has a move for every tag; reading starts in state 0.

    Attributes:
        moves: (states, tags) the next state.
        says: (states,) what is said when the sequence ends here.
    """

    moves: tuple[tuple[int, ...], ...]
    says: tuple[Said, ...]

    def read(self, tags: Sequence[int]) -> Said:
        """Return what is said of a sequence."""
        state = 0
        for tag in tags:
            state = self.moves[state][tag]
        return self.says[state]

    def meaning(self, other: Callable[[Said], Other]) -> Automaton[Other]:
        """Return the automaton that says something else of what it says."""
        return smallest(Automaton(self.moves, tuple(other(one) for one in self.says)))


def explored(
    start: Hashable, move: Callable[[Hashable, int], Hashable], tags: int, says: Callable[[Hashable], Said]
) -> Automaton[Said]:
    """Return the automaton of the states that can be reached from a start.

    Raises:
        RuleCostError: there are too many.
    """
    numbers: dict[Hashable, int] = {start: 0}
    states = [start]
    moves: list[tuple[int, ...]] = []
    for state in states:
        row = []
        for tag in range(tags):
            after = move(state, tag)
            if after not in numbers:
                numbers[after] = len(states)
                states.append(after)
            row.append(numbers[after])
        moves.append(tuple(row))
        if len(states) * tags > MOST:
            raise RuleCostError(
                f"the rules need an automaton of more than {MOST:,} moves "
                f"({len(states)} states, {tags} tags): {WAY_OUT}"
            )
    return smallest(Automaton(tuple(moves), tuple(says(state) for state in states)))


def beside(automata: Sequence[Automaton[Said]], tags: int) -> Automaton[tuple[Said, ...]]:
    """Return the automaton that runs several side by side and says what each says.

    Raises:
        RuleCostError: it has too many states.
    """

    def move(state: Hashable, tag: int) -> Hashable:
        assert isinstance(state, tuple)
        return tuple(one.moves[at][tag] for one, at in zip(automata, state, strict=True))

    def says(state: Hashable) -> tuple[Said, ...]:
        assert isinstance(state, tuple)
        return tuple(one.says[at] for one, at in zip(automata, state, strict=True))

    return explored((0,) * len(automata), move, tags, says)


def smallest(automaton: Automaton[Said]) -> Automaton[Said]:
    """Return the equivalent automaton with the fewest states (Moore 1956): states that say and move alike are one."""
    classes = _numbered(automaton.says)
    while True:
        finer = _numbered(
            [(own, *(classes[to] for to in row)) for own, row in zip(classes, automaton.moves, strict=True)]
        )
        if max(finer) == max(classes):
            break
        classes = finer
    first = {one: state for state, one in reversed(list(enumerate(classes)))}
    moves = tuple(tuple(classes[to] for to in automaton.moves[first[one]]) for one in range(len(first)))
    return Automaton(moves, tuple(automaton.says[first[one]] for one in range(len(first))))


def _numbered(values: Sequence[Hashable]) -> list[int]:
    """Return equal numbers for equal values, counted in order of appearance, so that the start stays 0."""
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(value, len(numbers)) for value in values]
