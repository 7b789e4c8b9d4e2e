"""Statements about a sequence of tags. Tags are names or globs: `I-*` is every tag that begins with `I-`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from triune.logic.automata import Automaton, explored
from triune.logic.formulas import And
from triune.logic.regular import accepts, checked, language
from triune.logic.tags import Sequential, among, like

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Sequence


@dataclass(frozen=True, slots=True)
class NeverFollows(Sequential):
    """A tag like `then` never stands directly after one like `first`."""

    first: str
    then: str

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether no two neighbours are so."""
        return not any(like(one, self.first) and like(other, self.then) for one, other in pairwise(true))

    @property
    def patterns(self) -> tuple[str, ...]:
        """Both."""
        return (self.first, self.then)

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return states "not after `first`", "after it", "broken"."""
        first, then = among(tags, self.first), among(tags, self.then)

        def move(state: Hashable, tag: int) -> Hashable:
            return 2 if state == 2 or (state == 1 and tag in then) else int(tag in first)

        return explored(0, move, len(tags), lambda state: state != 2)

    def __str__(self) -> str:
        return f"{self.then} never follows {self.first}"


@dataclass(frozen=True, slots=True)
class StartsWith(Sequential):
    """The first tag is like `tag`; a sequence without tags has none that is not."""

    tag: str

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether it is."""
        return all(like(one, self.tag) for one in list(true)[:1])

    @property
    def patterns(self) -> tuple[str, ...]:
        """The one."""
        return (self.tag,)

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return states "nothing read", "right", "wrong"."""
        right = among(tags, self.tag)
        return explored(0, lambda state, tag: state or (1 if tag in right else 2), len(tags), lambda state: state != 2)

    def __str__(self) -> str:
        return f"the first is {self.tag}"


@dataclass(frozen=True, slots=True)
class EndsWith(Sequential):
    """The last tag is like `tag`; a sequence without tags has none that is not."""

    tag: str

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether it is."""
        return all(like(one, self.tag) for one in list(true)[-1:])

    @property
    def patterns(self) -> tuple[str, ...]:
        """The one."""
        return (self.tag,)

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return whether the tag just read is right."""
        right = among(tags, self.tag)
        return explored(True, lambda state, tag: tag in right, len(tags), bool)

    def __str__(self) -> str:
        return f"the last is {self.tag}"


@dataclass(frozen=True, slots=True, init=False)
class EveryFollowedBy(Sequential):
    """Directly after every tag like `tag` stands one like any of `by`; so it is never the last."""

    tag: str
    by: tuple[str, ...]

    def __init__(self, tag: str, *by: str) -> None:
        object.__setattr__(self, "tag", tag)
        object.__setattr__(self, "by", by)

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether every one is followed so."""
        return all(
            other is not None and like(other, *self.by)
            for one, other in pairwise((*true, None))
            if one is not None and like(one, self.tag)
        )

    @property
    def patterns(self) -> tuple[str, ...]:
        """All."""
        return (self.tag, *self.by)

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return states "nothing open", "one of `by` is due", "broken"."""
        opens, by = among(tags, self.tag), among(tags, *self.by)

        def move(state: Hashable, tag: int) -> Hashable:
            return 2 if state == 2 or (state == 1 and tag not in by) else int(tag in opens)

        return explored(0, move, len(tags), lambda state: state == 0)

    def __repr__(self) -> str:
        return f"EveryFollowedBy({', '.join(map(repr, self.patterns))})"

    def __str__(self) -> str:
        return f"every {self.tag} is followed by {' or '.join(self.by)}"


@dataclass(frozen=True, slots=True, init=False)
class EveryPrecededBy(Sequential):
    """Directly before every tag like `tag` stands one like any of `by`; so it is never the first."""

    tag: str
    by: tuple[str, ...]

    def __init__(self, tag: str, *by: str) -> None:
        object.__setattr__(self, "tag", tag)
        object.__setattr__(self, "by", by)

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether every one is preceded so."""
        return all(
            one is not None and like(one, *self.by)
            for one, other in pairwise((None, *true))
            if other is not None and like(other, self.tag)
        )

    @property
    def patterns(self) -> tuple[str, ...]:
        """All."""
        return (self.tag, *self.by)

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return states "not after one of `by`", "after one", "broken"."""
        closes, by = among(tags, self.tag), among(tags, *self.by)

        def move(state: Hashable, tag: int) -> Hashable:
            return 2 if state == 2 or (state == 0 and tag in closes) else int(tag in by)

        return explored(0, move, len(tags), lambda state: state != 2)

    def __repr__(self) -> str:
        return f"EveryPrecededBy({', '.join(map(repr, self.patterns))})"

    def __str__(self) -> str:
        return f"every {self.tag} is preceded by {' or '.join(self.by)}"


@dataclass(frozen=True, slots=True)
class Occurs(Sequential):
    """So many tokens have a tag like `tag`."""

    tag: str
    at_least: int = 1
    at_most: int | None = None

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether the number is in range."""
        count = sum(like(one, self.tag) for one in true)
        return self.at_least <= count and (self.at_most is None or count <= self.at_most)

    @property
    def patterns(self) -> tuple[str, ...]:
        """The one."""
        return (self.tag,)

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return one state a count, up to where more makes no difference."""
        counted, most = among(tags, self.tag), self.at_most
        cap = max(self.at_least, 0) if most is None else max(self.at_least, most + 1, 0)

        def move(state: Hashable, tag: int) -> Hashable:
            assert isinstance(state, int)
            return min(state + (tag in counted), cap)

        def says(state: Hashable) -> bool:
            assert isinstance(state, int)
            return self.at_least <= state and (most is None or state <= most)

        return explored(0, move, len(tags), says)

    def __str__(self) -> str:
        most = "" if self.at_most is None else f" and at most {self.at_most}"
        return f"at least {self.at_least}{most} times {self.tag}"


@dataclass(frozen=True, slots=True)
class Matches(Sequential):
    """The whole sequence is of a regular language: `"O* (B-PER I-PER* O*)*"`, `"[B-* O]+ ."`; see `regular`."""

    pattern: str

    def __post_init__(self) -> None:
        """Refuse a pattern that cannot be read, where it is written."""
        checked(self.pattern)

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether the sequence is of the language."""
        tags = [str(one) for one in true]
        known = tuple(dict.fromkeys(tags))
        return accepts(self.pattern, [known.index(one) for one in tags], len(known), lambda *of: among(known, *of))

    @property
    def patterns(self) -> tuple[str, ...]:
        """Every name and glob of the pattern."""
        return tuple(name for name in re.split(r"[\s()\[\]|*+?.]+", re.sub(r"\[[^\]]*\]", " ", self.pattern)) if name)

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return the automaton of the language."""
        return language(self.pattern, len(tags), lambda *of: among(tags, *of))

    def __str__(self) -> str:
        return f"the tags read {self.pattern}"


def bio(*kinds: str) -> And:
    """Return that `I-X` only continues `B-X` or `I-X`, for every kind X of a BIO scheme."""
    return And(*(EveryPrecededBy(f"I-{kind}", f"B-{kind}", f"I-{kind}") for kind in kinds))
