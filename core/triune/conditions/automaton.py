"""Every occurrence of thousands of sequences in one pass: the automaton of Aho and Corasick (1975).

Over the characters of a text it finds strings, over its words it finds phrases.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Automaton:
    """Finds which of many sequences occur in another.

    State 0 has read nothing of use. `moves[state]` holds only what differs from state 0, so that memory stays
    about linear in the length of all sequences.
    """

    def __init__(self, sequences: Sequence[Sequence[str]]) -> None:
        """Build it; an empty sequence is never found.

        Args:
            sequences: what to find; each is named by its position.
        """
        self.moves: list[dict[str, int]] = [{}]
        self.found: list[tuple[int, ...]] = [()]
        for number, sequence in enumerate(sequences):
            self._add(sequence, number)
        self._link()

    def _add(self, sequence: Sequence[str], number: int) -> None:
        state = 0
        for symbol in sequence:
            following = self.moves[state].get(symbol)
            if following is None:
                following = self.moves[state][symbol] = len(self.moves)
                self.moves.append({})
                self.found.append(())
            state = following
        if state:
            self.found[state] += (number,)

    def _link(self) -> None:
        """Let every state know what the longest state that is a suffix of it knows."""
        suffix = [0] * len(self.moves)
        queue = deque(self.moves[0].values())
        while queue:
            state = queue.popleft()
            shorter = suffix[state]
            self.found[state] += self.found[shorter]
            for symbol, following in self.moves[state].items():
                suffix[following] = self.moves[shorter].get(symbol, self.moves[0].get(symbol, 0))
                queue.append(following)
            if shorter:  # the shorter state is complete, as states are visited by their length
                self.moves[state] = self.moves[shorter] | self.moves[state]

    def occurring(self, symbols: Iterable[str]) -> set[int]:
        """Return the positions of the sequences that occur."""
        moves, found, start = self.moves, self.found, self.moves[0]
        state = 0
        result: set[int] = set()
        for symbol in symbols:
            following = moves[state].get(symbol)
            state = start.get(symbol, 0) if following is None else following
            if found[state]:
                result.update(found[state])
        return result
