"""A table as conditions see it: its texts and words, prepared once and shared by all rules of a set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable
from unicodedata import is_normalized, normalize

from triune.conditions.automaton import Automaton
from triune.conditions.truth import Grounding
from triune.errors import RuleError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pandas as pd
    import regex

    from triune.conditions.tokens import Places, Pointing
    from triune.types import Condition


@dataclass(frozen=True, slots=True)
class Reading:
    """How texts are read: of which column (None: the example's text), and what makes two of them the same."""

    column: str | None = None
    case: bool = False
    whole: bool = True


@runtime_checkable
class Seeking(Protocol):
    """A condition that looks for phrases; the view finds those of all such conditions in one pass."""

    @property
    def phrases(self) -> tuple[str, ...]:
        """What it looks for."""
        ...

    @property
    def reading(self) -> Reading:
        """Where and how."""
        ...


@runtime_checkable
class Shared(Protocol):
    """A condition that reads the table through a view, and so shares its work with others."""

    def on(self, view: View) -> Grounding:
        """Return where it holds and where it abstains."""
        ...


class View:
    """The columns of a table, read as the conditions of a rule set need them."""

    def __init__(self, examples: pd.DataFrame, roles: Mapping[str, str], conditions: Collection[object]) -> None:
        """Keep the table; nothing is read before it is asked for.

        Args:
            examples: the table.
            roles: which column is the text, which the label.
            conditions: all that will be asked of this view.
        """
        self.examples = examples
        self.roles = roles
        self.seeking = [part for one in conditions for part in parts(one) if isinstance(part, Seeking)]
        self._texts: dict[tuple[str | None, bool | None], list[str]] = {}
        self._found: dict[Reading, dict[str, list[int]]] = {}
        self._answers: dict[object, Grounding] = {}
        self._tokens: list[list[str]] | None = None
        self._places: dict[object, Places] = {}

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.examples)

    def ask(self, condition: object) -> Grounding:
        """Return the grounding of a condition, the same one for equal conditions.

        Raises:
            RuleError: the condition cannot be asked of this table.
        """
        if not isinstance(condition, Shared):
            return self._stranger(cast("Condition", condition))
        if condition not in self._answers:
            self._answers[condition] = condition.on(self)
        return self._answers[condition]

    def know(self, condition: object, grounding: Grounding) -> None:
        """Take the answer to a condition from elsewhere."""
        self._answers[condition] = grounding

    def _stranger(self, condition: Condition) -> Grounding:
        import numpy as np

        fires = np.asarray(condition.ground(self.examples, self.roles))
        if fires.dtype != np.bool_ or fires.shape != (len(self),):
            raise RuleError(
                [
                    f"its condition {condition!r} returned {fires.dtype} of shape {fires.shape}; "
                    f"return true or false for each of {len(self)} examples"
                ]
            )
        return Grounding.sure(fires)

    def cells(self, column: str) -> list[object]:
        """Return the cells of a column as Python values, None where one is missing or blank.

        Raises:
            RuleError: there is no such column, or it holds the labels.
        """
        known = [name for name in self.examples.columns if name != self.roles.get("label")]
        if column not in known:
            if column in self.examples.columns:
                raise RuleError([f"column {column!r} holds the labels, which no condition may read"])
            raise RuleError([f"no column {column!r}; columns: {listed(known)}{nearest(column, known)}"])
        cells = self.examples[column]
        missing = cells.isna().tolist()
        return [None if gone or _blank(cell) else cell for cell, gone in zip(cells.tolist(), missing, strict=True)]

    def texts(self, column: str | None) -> list[str]:
        """Return (examples,) texts as they are; a missing cell of a column is an empty one."""
        if (column, None) not in self._texts:
            cells = self.examples[self.roles["text"]].tolist() if column is None else self.cells(column)
            self._texts[column, None] = [_text(cell) for cell in cells]
        return self._texts[column, None]

    def tokens(self) -> list[list[str]]:
        """Return (examples,) the tokens of each: the entries of a list, or what stands between the blanks of a text."""
        if self._tokens is None:
            cells = self.examples[self.roles["text"]].tolist()
            self._tokens = [[str(one) for one in cell] if _several(cell) else str(cell).split() for cell in cells]
        return self._tokens

    def places(self, condition: Pointing) -> Places:
        """Return where a condition points, the same places for equal conditions."""
        if condition not in self._places:
            self._places[condition] = condition.places(self)
        return self._places[condition]

    def read(self, reading: Reading) -> list[str]:
        """Return (examples,) texts in which what counts as the same is the same."""
        key = (reading.column, reading.case)
        if key not in self._texts:
            self._texts[key] = [alike(text, case=reading.case) for text in self.texts(reading.column)]
        return self._texts[key]

    def rows(self, seeking: Seeking) -> list[list[int]]:
        """Return the examples that hold each phrase of a condition."""
        reading = seeking.reading
        if reading not in self._found:
            others = [one for one in self.seeking if one.reading == reading]
            phrases = dict.fromkeys(phrase for one in (seeking, *others) for phrase in one.phrases)
            self._found[reading] = self._occurrences(list(phrases), reading)
        return [self._found[reading][phrase] for phrase in seeking.phrases]

    def _occurrences(self, phrases: Sequence[str], reading: Reading) -> dict[str, list[int]]:
        split = tokens if reading.whole else characters
        automaton = Automaton([split(alike(phrase, case=reading.case)) for phrase in phrases])
        rows: list[list[int]] = [[] for _ in phrases]
        for row, text in enumerate(self.read(reading)):
            for number in automaton.occurring(split(text)):
                rows[number].append(row)
        return dict(zip(phrases, rows, strict=True))


def parts(condition: object) -> Iterator[object]:
    """Yield a condition and all that it is made of."""
    yield condition
    for one in getattr(condition, "inner", ()):
        yield from parts(one)


def alike(text: str, *, case: bool) -> str:
    """Return a text with one way to write accents and apostrophes, and without case where that does not count."""
    same = text if is_normalized("NFC", text) else normalize("NFC", text)
    same = same.replace("’", "'")
    return same if case else same.casefold()


def tokens(text: str) -> Sequence[str]:
    """Return the words of a text and, each by itself, its signs."""
    words: list[str] = _token().findall(text)
    return words


def characters(text: str) -> Sequence[str]:
    """Return the characters of a text, any run of blanks as one."""
    return " ".join(text.split())


@cache
def _token() -> regex.Pattern[str]:
    import regex  # not `re`, which splits the words of scripts with vowel signs

    return regex.compile(r"\w+|[^\w\s]")


def _several(cell: object) -> bool:
    return isinstance(cell, list | tuple)


def _text(cell: object) -> str:
    if _several(cell):
        return " ".join(map(str, cast("list[object]", cell)))
    return "" if cell is None else str(cell)


def _blank(cell: object) -> bool:
    return isinstance(cell, str) and not cell.strip()
