"""Statements about the tokens that a rule points at: what each of their tags is, or that they are one span.

They go with a condition that points at tokens (`triune.conditions.tokens`), and say something of every stretch that
it points at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import listed, nearest
from triune.logic.formulas import Formula, FormulaError
from triune.logic.tags import WILD, among

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

Allowed = tuple[frozenset[int], frozenset[int]]  # tags of the first token of a stretch, and of those after it

CONTINUING = ("I", "M", "E", "L")
SINGLE = ("S", "U")


class OnTokens(Formula):
    """A statement about a stretch of tokens."""

    __slots__ = ()

    def allowed(self, tags: Sequence[str], length: int) -> Allowed:
        """Return which tags the first token of a stretch may have, and which those after it.

        Args:
            tags: all tags of the task.
            length: of the stretch.

        Raises:
            FormulaError: there are no such tags.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it allows")

    @property
    def known(self) -> tuple[str, ...]:
        """Tags that a task has in any case, if the statement is to be asked of a stretch alone."""
        raise NotImplementedError(f"{type(self).__name__} does not say which tags it knows")

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether the tags of a stretch, one after the other, are allowed."""
        given = [str(one) for one in true]
        tags = tuple(dict.fromkeys((*self.known, *given)))
        first, rest = self.allowed(tags, len(given))
        return all(tags.index(tag) in (rest if place else first) for place, tag in enumerate(given))


@dataclass(frozen=True, slots=True, init=False, repr=False)
class EachIs(OnTokens):
    """Each token of the stretch has a tag like one of these: `EachIs("*-LOC")`."""

    tags: tuple[str, ...]

    def __init__(self, *tags: str) -> None:
        object.__setattr__(self, "tags", tags)

    @property
    def labels(self) -> frozenset[str | int]:
        """The tags named without a wildcard."""
        return frozenset(one for one in self.tags if not WILD & set(one))

    @property
    def known(self) -> tuple[str, ...]:
        """The tags it names; a glob is like itself."""
        return self.tags

    def allowed(self, tags: Sequence[str], length: int) -> Allowed:
        """Return the tags that are like one of these."""
        own = _known(tags, self.tags)
        return own, own

    def __repr__(self) -> str:
        return f"EachIs({', '.join(map(repr, self.tags))})"

    def __str__(self) -> str:
        return f"each token there is {' or '.join(self.tags)}"


@dataclass(frozen=True, slots=True, init=False, repr=False)
class EachIsNot(OnTokens):
    """No token of the stretch has a tag like one of these."""

    tags: tuple[str, ...]

    def __init__(self, *tags: str) -> None:
        object.__setattr__(self, "tags", tags)

    @property
    def labels(self) -> frozenset[str | int]:
        """The tags named without a wildcard."""
        return frozenset(one for one in self.tags if not WILD & set(one))

    @property
    def known(self) -> tuple[str, ...]:
        """The tags it names; a glob is like itself."""
        return self.tags

    def allowed(self, tags: Sequence[str], length: int) -> Allowed:
        """Return the tags that are like none of these."""
        own = frozenset(range(len(tags))) - among(tags, *self.tags)
        return own, own

    def __repr__(self) -> str:
        return f"EachIsNot({', '.join(map(repr, self.tags))})"

    def __str__(self) -> str:
        return f"no token there is {' or '.join(self.tags)}"


@dataclass(frozen=True, slots=True)
class Span(OnTokens):
    """The stretch is one span of a kind: `B-LOC I-LOC I-LOC`, in the tags that the task has.

    The last token of a longer span in BIOES is allowed to continue as well as to end.
    """

    kind: str

    @property
    def labels(self) -> frozenset[str | int]:
        """None: which tags a span has depends on the scheme."""
        return frozenset()

    @property
    def known(self) -> tuple[str, ...]:
        """The tags of BIO."""
        return (f"B-{self.kind}", f"I-{self.kind}")

    def allowed(self, tags: Sequence[str], length: int) -> Allowed:
        """Return the tags that begin a span of so many tokens, and those that continue it."""
        beginning = (f"{SINGLE[0]}-{self.kind}", f"{SINGLE[1]}-{self.kind}") if length == 1 else ()
        begins = among(tags, *beginning) or among(tags, f"B-{self.kind}") or among(tags, f"I-{self.kind}")
        continues = among(tags, *(f"{prefix}-{self.kind}" for prefix in CONTINUING)) or begins
        if not begins:
            kinds = sorted({tag.partition("-")[2] for tag in tags if "-" in tag})
            raise FormulaError(
                f"no tag is of the kind {self.kind!r}; kinds: {listed(kinds)}{nearest(self.kind, kinds)}"
            )
        return begins, continues

    def __str__(self) -> str:
        return f"the tokens there are one {self.kind}"


def _known(tags: Sequence[str], patterns: Sequence[str]) -> frozenset[int]:
    for one in patterns:
        if not among(tags, one):
            raise FormulaError(f"{one!r} is like no tag of these outputs; tags: {listed(tags)}{nearest(one, tags)}")
    return among(tags, *patterns)
