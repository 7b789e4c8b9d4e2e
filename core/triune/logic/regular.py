"""Regular languages over tags, by derivatives.

A pattern is made of tags, parted by blanks; `.` is any tag, `[B-* O]` any tag like one of these; `|`, `*`, `+`,
`?` and parentheses mean what they mean in regular expressions. The state after a tag is the derivative of the
pattern by it (Brzozowski 1964): what may still follow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic.automata import Automaton, explored
from triune.logic.formulas import FormulaError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    Lookup = Callable[..., frozenset[int]]

TOKEN = re.compile(r"\s*(?:(?P<sign>[()|*+?.])|\[(?P<any>[^\]]*)\]|(?P<name>[^\s()\[\]|*+?.]+))")


class Language:
    """A set of tag sequences."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Tags(Language):
    """One tag of a set; the empty set is the empty language."""

    of: frozenset[int]


@dataclass(frozen=True, slots=True)
class Then(Language):
    """Languages one after the other; none is the empty sequence."""

    parts: tuple[Language, ...]


@dataclass(frozen=True, slots=True)
class Either(Language):
    """Any of some languages."""

    of: frozenset[Language]


@dataclass(frozen=True, slots=True)
class Repeated(Language):
    """Any number of sequences of a language."""

    inner: Language


NOTHING, END = Tags(frozenset()), Then(())


def language(pattern: str, tags: int, among: Lookup) -> Automaton[bool]:
    """Return the automaton of a pattern; `among` says which tags names and globs are.

    Raises:
        FormulaError: the pattern cannot be read.
        RuleCostError: its automaton is too large.
    """

    def move(state: Hashable, tag: int) -> Hashable:
        assert isinstance(state, Language)
        return after(state, tag)

    def says(state: Hashable) -> bool:
        assert isinstance(state, Language)
        return may_end(state)

    return explored(_read(pattern, tags, among), move, tags, says)


def checked(pattern: str) -> None:
    """Read a pattern for its form alone.

    Raises:
        FormulaError: it cannot be read.
    """
    _read(pattern, 1, lambda *_: frozenset({0}))


def accepts(pattern: str, sequence: Sequence[int], tags: int, among: Lookup) -> bool:
    """Return whether a sequence of tags is of the language of a pattern.

    Raises:
        FormulaError: the pattern cannot be read.
    """
    left = _read(pattern, tags, among)
    for tag in sequence:
        left = after(left, tag)
    return may_end(left)


def may_end(language: Language) -> bool:
    """Return whether the empty sequence is of a language."""
    match language:
        case Then(parts):
            return all(may_end(one) for one in parts)
        case Either(of):
            return any(may_end(one) for one in of)
        case _:
            return isinstance(language, Repeated)


def after(language: Language, tag: int) -> Language:
    """Return what may follow a tag."""
    match language:
        case Tags(of):
            return END if tag in of else NOTHING
        case Either(of):
            return either(*(after(one, tag) for one in of))
        case Repeated(inner):
            return then(after(inner, tag), language)
        case Then(parts):
            return either(
                *(
                    then(after(one, tag), *parts[place + 1 :])
                    for place, one in enumerate(parts)
                    if all(may_end(before) for before in parts[:place])
                )
            )
        case _:
            raise TypeError(language)


def then(*of: Language) -> Language:
    """Return languages one after the other, in their one form."""
    if NOTHING in of:
        return NOTHING
    parts = tuple(part for one in of for part in (one.parts if isinstance(one, Then) else (one,)))
    return parts[0] if len(parts) == 1 else Then(parts)


def either(*of: Language) -> Language:
    """Return any of some languages, in its one form."""
    parts = {part for one in of for part in (one.of if isinstance(one, Either) else {one})} - {NOTHING}
    if len(parts) == 1:
        return parts.pop()
    return Either(frozenset(parts)) if parts else NOTHING


def _tokens(pattern: str) -> list[tuple[str, tuple[str, ...] | None]]:
    """Return (sign, None) or ("", names)."""
    tokens: list[tuple[str, tuple[str, ...] | None]] = []
    at = 0
    while pattern[at:].strip():
        found = TOKEN.match(pattern, at)
        if found is None:
            raise FormulaError(f"the pattern {pattern!r} cannot be read from {pattern[at:]!r} on: close the bracket")
        at = found.end()
        names = found["name"] or found["any"]
        tokens.append((found["sign"], None) if found["sign"] else ("", tuple(names.split())))
    return tokens


def _read(pattern: str, tags: int, among: Lookup) -> Language:
    tokens = [*_tokens(pattern), ("end", None)]
    at = 0

    def alternatives() -> Language:
        nonlocal at
        options = [sequence()]
        while tokens[at][0] == "|":
            at += 1
            options.append(sequence())
        return either(*options)

    def sequence() -> Language:
        parts: list[Language] = []
        while tokens[at][0] not in ("|", ")", "end"):
            parts.append(repeated(single()))
        return then(*parts)

    def single() -> Language:
        nonlocal at
        sign, names = tokens[at]
        at += 1
        if names is not None:
            return Tags(among(*names))
        if sign == ".":
            return Tags(frozenset(range(tags)))
        if sign != "(":
            raise FormulaError(f"the pattern {pattern!r} has {sign!r} with nothing before it to repeat")
        inner = alternatives()
        if tokens[at][0] != ")":
            raise FormulaError(f"the pattern {pattern!r} opens a parenthesis that it does not close")
        at += 1
        return inner

    def repeated(inner: Language) -> Language:
        nonlocal at
        while tokens[at][0] in ("*", "+", "?"):
            sign = tokens[at][0]
            at += 1
            inner = {"*": Repeated(inner), "+": then(inner, Repeated(inner)), "?": either(inner, END)}[sign]
        return inner

    whole = alternatives()
    if tokens[at][0] != "end":
        raise FormulaError(f"the pattern {pattern!r} closes a parenthesis that it does not open")
    return whole
