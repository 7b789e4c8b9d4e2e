"""Conditions on the text as a whole: its pattern, how it begins and ends, how long it is, its script."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from triune.conditions.grounding import Alone
from triune.conditions.truth import Grounding, attempted
from triune.conditions.view import Reading, alike
from triune.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import regex

    from triune.conditions.view import View

TIMEOUT = 0.1
"""Seconds that one text may take; a sound pattern needs microseconds."""

PATIENCE = 20
"""Texts of one table that may take too long before a pattern is given up."""


@dataclass(frozen=True, slots=True)
class Regex(Alone):
    r"""The regular expression matches somewhere in the text: `Regex(r"\bwhere\b")`.

    The patterns are those of the `regex` package, a superset of Python's. A text that takes longer than
    `TIMEOUT` is abstained on.
    """

    pattern: str
    case: bool = False
    column: str | None = None

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The one column."""
        return (self.column,)

    @property
    def timed(self) -> bool:
        """It gives up on a text that takes too long."""
        return True

    def on(self, view: View) -> Grounding:
        """Return where it matches."""
        search = compiled(self.pattern, case=self.case).search
        return attempted(view.texts(self.column), lambda text: search(text, timeout=TIMEOUT) is not None, PATIENCE)

    def __str__(self) -> str:
        return f"matches /{self.pattern}/"


@cache
def compiled(pattern: str, *, case: bool) -> regex.Pattern[str]:
    """Return a compiled pattern.

    Raises:
        RuleError: it is no regular expression; it says where.
    """
    import regex

    try:
        return regex.compile(pattern, 0 if case else regex.IGNORECASE)
    except (regex.error, OverflowError, RecursionError, ValueError) as error:
        at = getattr(error, "pos", None)
        place = f" at character {at + 1}" if isinstance(at, int) else ""
        raise RuleError([f"{pattern!r} is no regular expression: {getattr(error, 'msg', error)}{place}"]) from None


def runs_away(pattern: str, *, case: bool = False) -> str:
    """Return a short text on which a pattern takes far too long, or an empty one if none was found.

    What it tries are runs of the characters that the pattern speaks of: it is those whose number of ways
    to be matched explodes.
    """
    search = compiled(pattern, case=case).search
    for text in _provocations(pattern):
        try:
            search(text, timeout=TIMEOUT)
        except TimeoutError:
            return text
    return ""


def _provocations(pattern: str) -> Iterator[str]:
    spoken = dict.fromkeys(one for one in pattern if one.isalnum() or one in " -_@,;:'\"")
    runs = [one * 40 for one in dict.fromkeys(["a", "0", " ", *spoken])][:40]
    for run in [*runs, "ab" * 20, "a " * 20, "a0" * 20, "a," * 20]:
        yield run + "\x00"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class StartsWith(Alone):
    """The text begins with one of these: `StartsWith("hello", "dear")`."""

    starts: tuple[str, ...]
    reading: Reading

    def __init__(self, *starts: str, case: bool = False, column: str | None = None) -> None:
        """Say with what, whether case counts, and of which column (None: the text)."""
        object.__setattr__(self, "starts", starts)
        object.__setattr__(self, "reading", Reading(column, case))

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The one column."""
        return (self.reading.column,)

    def on(self, view: View) -> Grounding:
        """Return where it does; blanks before the text do not count."""
        wanted = tuple(alike(one, case=self.reading.case) for one in self.starts)
        return Grounding.of(text.lstrip().startswith(wanted) for text in view.read(self.reading))

    def __repr__(self) -> str:
        return _written(self, self.starts)

    def __str__(self) -> str:
        return f"starts with {' or '.join(map(repr, self.starts))}"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class EndsWith(Alone):
    """The text ends with one of these: `EndsWith("?")`."""

    ends: tuple[str, ...]
    reading: Reading

    def __init__(self, *ends: str, case: bool = False, column: str | None = None) -> None:
        """Say with what, whether case counts, and of which column (None: the text)."""
        object.__setattr__(self, "ends", ends)
        object.__setattr__(self, "reading", Reading(column, case))

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The one column."""
        return (self.reading.column,)

    def on(self, view: View) -> Grounding:
        """Return where it does; blanks after the text do not count."""
        wanted = tuple(alike(one, case=self.reading.case) for one in self.ends)
        return Grounding.of(text.rstrip().endswith(wanted) for text in view.read(self.reading))

    def __repr__(self) -> str:
        return _written(self, self.ends)

    def __str__(self) -> str:
        return f"ends with {' or '.join(map(repr, self.ends))}"


def _written(condition: StartsWith | EndsWith, given: tuple[str, ...]) -> str:
    options = {"case": condition.reading.case, "column": condition.reading.column}
    said = [f"{name}={value!r}" for name, value in options.items() if value]
    return f"{type(condition).__name__}({', '.join([*map(repr, given), *said])})"


@dataclass(frozen=True, slots=True)
class Length(Alone):
    """The text has so many words (what blanks part) or characters: `Length(at_most=3)`."""

    at_least: int = 0
    at_most: int | None = None
    unit: Literal["words", "characters"] = "words"
    column: str | None = None

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The one column."""
        return (self.column,)

    def on(self, view: View) -> Grounding:
        """Return where the number is in range."""
        texts = view.texts(self.column)
        lengths = (len(text.split()) if self.unit == "words" else len(text) for text in texts)
        return Grounding.of(self.at_least <= one and (self.at_most is None or one <= self.at_most) for one in lengths)

    def __str__(self) -> str:
        most = "" if self.at_most is None else f" and at most {self.at_most}"
        return f"has at least {self.at_least}{most} {self.unit}"


@dataclass(frozen=True, slots=True)
class Script(Alone):
    """At least this share of the text's letters is of a script: `Script("Cyrillic")`.

    Names are Unicode's: Latin, Cyrillic, Greek, Arabic, Hebrew, Han, Hiragana, Katakana, Hangul, Devanagari, …
    A text without letters is of no script.
    """

    name: str
    share: float = 0.5
    column: str | None = None

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The one column."""
        return (self.column,)

    def on(self, view: View) -> Grounding:
        """Return where it is."""
        letters, own = compiled(r"\p{L}", case=True), compiled(rf"(?V1)[\p{{L}}&&\p{{Script={self.name}}}]", case=True)
        return Grounding.of(_share(own, letters, text) >= self.share for text in view.texts(self.column))

    def __str__(self) -> str:
        return f"is written in {self.name}"


def _share(own: regex.Pattern[str], letters: regex.Pattern[str], text: str) -> float:
    of = len(letters.findall(text))
    return len(own.findall(text)) / of if of else -1.0
