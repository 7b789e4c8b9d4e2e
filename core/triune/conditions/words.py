"""Conditions on words and phrases. However many there are, they are found in one pass over the texts.

A phrase is a sequence of words and signs, whatever blanks stand between them; it never begins or ends inside a
word, unless it is sought `inside` words. "’" is the same as "'", and case counts only where it is said to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.conditions.grounding import Alone
from triune.conditions.truth import Grounding
from triune.conditions.view import Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from triune.conditions.view import Seeking, View


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Contains(Alone):
    """The text holds at least one of the phrases: `Contains("cost", "how much")`."""

    phrases: tuple[str, ...]
    reading: Reading

    def __init__(self, *phrases: str, case: bool = False, inside: bool = False, column: str | None = None) -> None:
        """Say what to look for.

        Args:
            phrases: the words and phrases.
            case: whether `US` differs from `us`.
            inside: whether a phrase may begin or end inside a word.
            column: whose text; None is the example's.
        """
        object.__setattr__(self, "phrases", phrases)
        object.__setattr__(self, "reading", Reading(column, case, not inside))

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The one column."""
        return (self.reading.column,)

    def on(self, view: View) -> Grounding:
        """Return where any occurs."""
        import numpy as np

        return Grounding.sure(np.logical_or.reduce(_found(self, view)))

    def __repr__(self) -> str:
        return _written(self)

    def __str__(self) -> str:
        return f"contains {' or '.join(map(repr, self.phrases))}"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class ContainsAll(Alone):
    """The text holds all of the phrases, in any order: `ContainsAll("not", "arrived")`."""

    phrases: tuple[str, ...]
    reading: Reading

    def __init__(self, *phrases: str, case: bool = False, inside: bool = False, column: str | None = None) -> None:
        """Say what to look for; the arguments are those of `Contains`."""
        object.__setattr__(self, "phrases", phrases)
        object.__setattr__(self, "reading", Reading(column, case, not inside))

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The one column."""
        return (self.reading.column,)

    def on(self, view: View) -> Grounding:
        """Return where all occur."""
        import numpy as np

        return Grounding.sure(np.logical_and.reduce(_found(self, view)))

    def __repr__(self) -> str:
        return _written(self)

    def __str__(self) -> str:
        return f"contains {' and '.join(map(repr, self.phrases))}"


def _found(seeking: Seeking, view: View) -> NDArray[np.bool_]:
    """Return (phrases, examples) whether each occurs."""
    import numpy as np

    found = np.zeros((len(seeking.phrases), len(view)), dtype=np.bool_)
    for number, rows in enumerate(view.rows(seeking)):
        found[number, rows] = True
    return found


def _written(seeking: Seeking) -> str:
    reading = seeking.reading
    options = {"case": reading.case, "inside": not reading.whole, "column": reading.column}
    said = [f"{name}={value!r}" for name, value in options.items() if value]
    return f"{type(seeking).__name__}({', '.join([*map(repr, seeking.phrases), *said])})"
