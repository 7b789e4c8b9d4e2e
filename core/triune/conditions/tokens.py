"""Conditions on single tokens of a sequence: they say where in an example a rule speaks, not only whether it does.

Tokens are those of the table: the entries of a list cell, or the words between the blanks of a text. A place is a
stretch of tokens; a rule about tokens says something of each stretch that its condition points at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from triune.conditions.grounding import Alone
from triune.conditions.texts import PATIENCE, TIMEOUT, compiled
from triune.conditions.truth import Grounding
from triune.conditions.view import alike

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.conditions.view import View
    from triune.types import Condition

Stretch = tuple[int, int]  # first token, and the one behind the last


@dataclass(frozen=True, slots=True)
class Places:
    """Stretches of tokens in the examples of a table.

    Attributes:
        rows: (places,) the example of each, ascending.
        starts: (places,) its first token.
        stops: (places,) the token behind its last.
        abstained: the examples that could not be asked.
        reason: why, of the first of them.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    abstained: tuple[int, ...] = ()
    reason: str = ""

    @classmethod
    def of(cls, found: Iterable[tuple[int, Stretch]], abstained: tuple[int, ...] = (), reason: str = "") -> Places:
        """Return the places of (example, stretch) pairs, in the order of examples."""
        import numpy as np

        table = np.asarray([(row, *stretch) for row, stretch in found], dtype=np.int64).reshape(-1, 3)
        return cls(table[:, 0], table[:, 1], table[:, 2], abstained, reason)

    def inside(self, rows: NDArray[np.bool_]) -> Places:
        """Return the places in some of the examples, (examples,), alone."""
        kept = rows[self.rows]
        return Places(self.rows[kept], self.starts[kept], self.stops[kept], self.abstained, self.reason)

    def grounding(self, examples: int) -> Grounding:
        """Return in which examples there is any place."""
        import numpy as np

        fires, abstains = np.zeros(examples, dtype=np.bool_), np.zeros(examples, dtype=np.bool_)
        fires[self.rows] = True
        abstains[list(self.abstained)] = True
        return Grounding(fires, abstains & ~fires, self.reason)


@runtime_checkable
class Pointing(Protocol):
    """A condition that points at tokens."""

    def places(self, view: View) -> Places:
        """Return where it holds."""
        ...


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Token(Alone):
    """A token, or several in a row, is one of these: `Token("italian", "new york")`."""

    phrases: tuple[str, ...]
    case: bool

    def __init__(self, *phrases: str, case: bool = False) -> None:
        """Say which, and whether case counts; the words of a phrase stand between blanks."""
        object.__setattr__(self, "phrases", phrases)
        object.__setattr__(self, "case", case)

    def places(self, view: View) -> Places:
        """Return every stretch that is one of the phrases: from the left, the longest first, none within another."""
        sought: dict[str, list[list[str]]] = {}
        for words in sorted((alike(one, case=self.case).split() for one in self.phrases), key=len, reverse=True):
            sought.setdefault(words[0], []).append(words)
        rows = ([alike(token, case=self.case) for token in tokens] for tokens in view.tokens())
        return Places.of((row, stretch) for row, tokens in enumerate(rows) for stretch in _phrases(tokens, sought))

    def on(self, view: View) -> Grounding:
        """Return in which examples there is one."""
        return view.places(self).grounding(len(view))

    def __repr__(self) -> str:
        return f"Token({', '.join([*map(repr, self.phrases), *(['case=True'] if self.case else [])])})"

    def __str__(self) -> str:
        return f"a token is {' or '.join(map(repr, self.phrases))}"


@dataclass(frozen=True, slots=True)
class TokenRegex(Alone):
    r"""A regular expression matches the whole of a token: `TokenRegex(r"\d+(\.\d+)?")`."""

    pattern: str
    case: bool = False

    def places(self, view: View) -> Places:
        """Return every token that matches."""
        match = compiled(self.pattern, case=self.case).fullmatch
        known: dict[str, bool] = {}  # a word that occurs often is asked once

        def matching(tokens: Sequence[str]) -> list[Stretch]:
            for token in tokens:
                if token not in known:
                    known[token] = match(token, timeout=TIMEOUT) is not None
            return [(place, place + 1) for place, token in enumerate(tokens) if known[token]]

        return _attempted(view.tokens(), matching)

    def on(self, view: View) -> Grounding:
        """Return in which examples there is one."""
        return view.places(self).grounding(len(view))

    def __str__(self) -> str:
        return f"a token matches /{self.pattern}/"


@dataclass(frozen=True, slots=True)
class SpanRegex(Alone):
    r"""A regular expression matches in the tokens, joined by blanks: `SpanRegex(r"\bwithin \d+ miles\b")`.

    Each match points at the tokens whose first character lies inside it.
    """

    pattern: str
    case: bool = False

    def places(self, view: View) -> Places:
        """Return the stretch of every match."""
        search = compiled(self.pattern, case=self.case).finditer

        def matching(tokens: Sequence[str]) -> list[Stretch]:
            begins = _beginnings(tokens)
            found = []
            for match in search(" ".join(tokens), timeout=TIMEOUT):
                inside = [place for place, begin in enumerate(begins) if match.start() <= begin < match.end()]
                if inside:
                    found.append((inside[0], inside[-1] + 1))
            return found

        return _attempted(view.tokens(), matching)

    def on(self, view: View) -> Grounding:
        """Return in which examples there is one."""
        return view.places(self).grounding(len(view))

    def __str__(self) -> str:
        return f"tokens match /{self.pattern}/"


@dataclass(frozen=True, slots=True)
class TokensWhere(Alone):
    """The tokens that one condition points at, in the examples where another holds; written `and`."""

    points: Condition
    when: Condition

    @property
    def inner(self) -> tuple[Condition, Condition]:
        """Both."""
        return (self.points, self.when)

    def places(self, view: View) -> Places:
        """Return the places in these examples."""
        assert isinstance(self.points, Pointing)
        where, holds = view.places(self.points), view.ask(self.when)
        unsure = {*where.abstained, *(int(row) for row in holds.abstains.nonzero()[0])}
        kept = where.inside(holds.fires)
        return Places(kept.rows, kept.starts, kept.stops, tuple(sorted(unsure)), where.reason or holds.reason)

    def on(self, view: View) -> Grounding:
        """Return in which examples there is one."""
        return view.places(self).grounding(len(view))

    def __str__(self) -> str:
        return f"({self.points} and {self.when})"


def _phrases(tokens: Sequence[str], sought: dict[str, list[list[str]]]) -> Iterator[Stretch]:
    behind = 0
    for place, token in enumerate(tokens):
        candidates = sought.get(token, ()) if place >= behind else ()
        found = next((words for words in candidates if list(tokens[place : place + len(words)]) == words), None)
        if found:
            behind = place + len(found)
            yield place, behind


def _beginnings(tokens: Sequence[str]) -> list[int]:
    begins, at = [], 0
    for token in tokens:
        begins.append(at)
        at += len(token) + 1
    return begins


def _attempted(texts: Sequence[Sequence[str]], ask: Callable[[Sequence[str]], list[Stretch]]) -> Places:
    """Ask of every example; where a pattern takes too long, abstain, and after some of these on all that follow."""
    found: list[tuple[int, Stretch]] = []
    failed: list[int] = []
    reason = ""
    for row, tokens in enumerate(texts):
        try:
            found.extend((row, stretch) for stretch in ask(tokens))
        except TimeoutError as error:
            failed.append(row)
            reason = reason or f"{type(error).__name__}: {error}"
            if len(failed) == PATIENCE:
                failed.extend(range(row + 1, len(texts)))
                reason += f"; after {PATIENCE} of these, not asked any more"
                break
    return Places.of(found, tuple(failed), reason)
