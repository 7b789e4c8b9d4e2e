"""The order of tags that a scheme allows, as a formula that every seat can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic.automata import Automaton, explored
from triune.logic.tags import Sequential
from triune_token_classification.schemes import Open, after, follows, may_end, part

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence

SAID = {
    "bio": "I-X stands only after B-X or I-X",
    "iob1": "B-X stands only after I-X or B-X",
    "bioes": "B-X is followed by I-X until E-X, and nothing else stands between",
    "bilou": "B-X is followed by I-X until L-X, and nothing else stands between",
    "bmes": "B-X is followed by M-X until E-X, and nothing else stands between",
}


@dataclass(frozen=True, slots=True)
class Follows(Sequential):
    """The tags follow a scheme: `Follows("bio")`. As an automaton it has a state a kind of span, not one a tag."""

    scheme: str

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether they do, from the first to the last."""
        return follows(self.scheme, true)

    @property
    def patterns(self) -> tuple[str, ...]:
        """None: it speaks of whatever tags there are."""
        return ()

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return the automaton of the strict reading."""
        parts = [part(tag) for tag in tags]

        def move(state: Hashable, tag: int) -> Hashable:
            assert isinstance(state, Open)
            return after(self.scheme, state, parts[tag])

        def says(state: Hashable) -> bool:
            assert isinstance(state, Open)
            return may_end(self.scheme, state)

        return explored(Open(None), move, len(tags), says)

    def __str__(self) -> str:
        return SAID[self.scheme]
