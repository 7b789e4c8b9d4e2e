"""A value of the file with its place: what is wrong with it is noted there, and reading goes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.documents import Document, dotted, found
from triune.errors import listed, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    Keys = tuple[str | int, ...]  # the way from the top of the file to a value
    Spot = tuple[int, int]  # line and column


@dataclass(frozen=True, slots=True)
class Written:
    """A value, where it stands, of which rule it is part, and what was found wrong so far.

    Methods that read a value return None after noting that it cannot be read.
    """

    document: Document
    where: Keys
    value: object
    problems: list[tuple[Spot, str]]
    rule: str = ""

    def of(self, rule: str) -> Written:
        """Return the same value as part of a rule, for messages."""
        return replace(self, rule=rule)

    def at(self, key: str | int) -> Written:
        """Return the value under a key or at a place of a list."""
        inner = self.value[key]  # type: ignore[index]
        return replace(self, where=(*self.where, key), value=inner)

    def has(self, key: str) -> bool:
        """Return whether it is a mapping with that key."""
        return isinstance(self.value, dict) and key in self.value

    @property
    def keys(self) -> list[str]:
        """The keys of a mapping."""
        return list(self.value) if isinstance(self.value, dict) else []

    @property
    def place(self) -> str:
        """Where it stands: `rules.yaml:14:5`."""
        return self.document.value_at(self.where)[1]

    def wrong(self, what: str) -> None:
        """Note what is wrong with the value."""
        self._note(self.document.value_at(self.where), self.where, what)

    def wrong_key(self, key: str, what: str) -> None:
        """Note what is wrong with one of its keys."""
        self._note(self.document.key_at((*self.where, key)), self.where, what)

    def _note(self, at: tuple[Spot, str], where: Keys, what: str) -> None:
        spot, place = at
        below = dotted(where[2:]) if where[:1] == ("rules",) else dotted(where)  # `rules[3]` is the rule itself
        said = ": ".join(filter(None, (place, self.rule, below, what)))
        self.problems.append((spot, said))

    def check_keys(self, known: Iterable[str], owner: str) -> bool:
        """Note every key that is not known; return whether all are."""
        names = list(known)
        strange = [key for key in self.keys if key not in names]
        for key in strange:
            self.wrong_key(key, f"unknown key {key!r} of {owner}; known: {listed(names, 30)}{nearest(key, names)}")
        return not strange

    def items(self, what: str) -> list[Written] | None:
        """Return the entries of a list that must not be empty."""
        if not isinstance(self.value, list):
            return self.wrong(f"found {found(self.value)}, wanted a list of {what}")
        if not self.value:
            return self.wrong(f"found an empty list, wanted {what}")
        return [self.at(number) for number in range(len(self.value))]

    def one_or_more(self, what: str) -> list[Written] | None:
        """Return the entries of a list, or a single value as the only entry."""
        return self.items(what) if isinstance(self.value, list) else [self]

    def text(self) -> str | None:
        """Return a text that is not blank; a whole number is its digits."""
        if isinstance(self.value, int) and not isinstance(self.value, bool):
            return str(self.value)
        if not isinstance(self.value, str):
            quote = "; quote it" if isinstance(self.value, bool | float) else ""
            return self.wrong(f"found {found(self.value)}, wanted text{quote}")
        if not self.value.strip():
            return self.wrong("found an empty text")
        return self.value

    def texts(self, what: str) -> tuple[str, ...] | None:
        """Return one text or a list of them, each once."""
        return distinct(entries, [one.text() for one in entries]) if (entries := self.one_or_more(what)) else None

    def whole(self, least: int = 0) -> int | None:
        """Return a whole number of at least so much."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            return self.wrong(f"found {found(self.value)}, wanted a whole number")
        return self.value if self.value >= least else self.wrong(f"found {self.value}, wanted at least {least}")

    def number(self) -> float | None:
        """Return a number."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            return self.wrong(f"found {found(self.value)}, wanted a number")
        return self.value

    def share(self) -> float | None:
        """Return a number above 0 and of at most 1."""
        number = self.number()
        if number is None or 0 < number <= 1:
            return number
        return self.wrong(f"found {number}, wanted a number above 0 and of at most 1")

    def truth(self) -> bool | None:
        """Return true or false."""
        if isinstance(self.value, bool):
            return self.value
        return self.wrong(f"found {found(self.value)}, wanted true or false")

    def choice(self, known: Collection[str], what: str) -> str | None:
        """Return one of some words."""
        if isinstance(self.value, str) and self.value in known:
            return self.value
        return self.wrong(
            f"found {found(self.value)}, wanted {what}: one of {listed(known)}{nearest(self.value, known)}"
        )


def distinct(entries: list[Written], read: list[str | None]) -> tuple[str, ...] | None:
    """Return the entries of a list as read, noting those that stand there twice."""
    seen: list[str] = []
    for entry, one in zip(entries, read, strict=True):
        if one is not None and one in seen:
            entry.wrong(f"{one!r} stands there twice; keep one")
        elif one is not None:
            seen.append(one)
    return tuple(seen) if len(seen) == len(entries) else None


def whole(parts: Iterable[object | None]) -> bool:
    """Return whether every part could be read."""
    return all(part is not None for part in parts)


def numbered(value: Written) -> Iterator[Written]:
    """Yield the entries of a list."""
    yield from (value.at(number) for number in range(len(value.value)))  # type: ignore[arg-type]
