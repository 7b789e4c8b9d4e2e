"""What statements about tags share: names, globs, and an automaton."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from triune.logic.formulas import Formula

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune.logic.automata import Automaton

WILD = set("*?[")


class Sequential(Formula):
    """A statement about the order or the number of tags."""

    __slots__ = ()

    @property
    def patterns(self) -> tuple[str, ...]:
        """The names and globs that it speaks of."""
        raise NotImplementedError(f"{type(self).__name__} does not say which tags it names")

    @property
    def labels(self) -> frozenset[str | int]:
        """The tags named without a wildcard."""
        return frozenset(one for one in self.patterns if not WILD & set(one))

    def automaton(self, tags: Sequence[str]) -> Automaton[bool]:
        """Return the automaton that says whether the statement holds, over the numbers of `tags`."""
        raise NotImplementedError(f"{type(self).__name__} has no automaton")


def like(tag: str | int, *patterns: str) -> bool:
    """Return whether a tag is like any of some names or globs."""
    return any(fnmatchcase(str(tag), one) for one in patterns)


def among(tags: Sequence[str], *patterns: str) -> frozenset[int]:
    """Return the numbers of the tags that are like any of some names or globs."""
    return frozenset(place for place, tag in enumerate(tags) if like(tag, *patterns))
