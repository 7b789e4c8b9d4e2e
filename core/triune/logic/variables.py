"""The random variables behind an output space, and where the label of a formula sits among them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar, Protocol

from triune.errors import listed, nearest
from triune.logic.formulas import FormulaError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Label = str | int


NEVER = -1e30
"""The logarithm of what cannot be: far, but finite, so that differences stay numbers."""


class Space(Protocol):
    """What an output space tells the engine: its kind, and its labels in the order of the scores."""

    kind: ClassVar[str]

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels."""
        ...


@dataclass(frozen=True, slots=True)
class Heads:
    """Several choices side by side: a group of one label is yes or no, of several exactly one is true."""

    groups: tuple[tuple[Label, ...], ...]
    kind: ClassVar[str] = "heads"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of all groups, one after the other."""
        return tuple(label for group in self.groups for label in group)


@dataclass(frozen=True, slots=True)
class Tags:
    """A sequence, each token with exactly one of the tags."""

    labels: tuple[Label, ...]
    kind: ClassVar[str] = "tags"


@dataclass(frozen=True, slots=True)
class Variables:
    """Independent variables, first those of the scores, then `extra` yes-or-no ones without scores.

    A variable has `sizes[v]` values; a yes-or-no variable has two, of which 1 is yes. A *leaf* is one value
    of one variable: the values of a choice stand together; in a stretch of yes-or-no variables first come the
    leaves for no, then those for yes.
    """

    groups: tuple[tuple[Label, ...], ...]
    choice: tuple[bool, ...]  # of a group: whether it is a choice, not a yes or no
    extra: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each variable has."""
        own = (len(group) if choice else 2 for group, choice in zip(self.groups, self.choice, strict=True))
        return (*own, *(2,) * self.extra)

    def leaves(self) -> list[tuple[int, ...]]:
        """Return, for each variable, the leaf of each of its values."""
        leaves: list[tuple[int, ...]] = []
        first = 0
        for choice, width in (*self.runs(), (False, self.extra)):
            if choice:
                leaves.append(tuple(range(first, first + width)))
            else:
                leaves.extend((first + place, first + width + place) for place in range(width))
            first += width if choice else 2 * width
        return leaves

    def places(self) -> dict[str, tuple[int, int]]:
        """Return label, as text → (variable, value) where it is true."""
        return {
            str(label): (variable, value if choice else 1)
            for variable, (group, choice) in enumerate(zip(self.groups, self.choice, strict=True))
            for value, label in enumerate(group)
        }

    def runs(self) -> list[tuple[bool, int]]:
        """Return (choice, columns) of each choice, and of each stretch of yes-or-no variables."""
        runs: list[tuple[bool, int]] = []
        for choice, several in groupby(zip(self.choice, map(len, self.groups), strict=True), key=itemgetter(0)):
            widths = [width for _, width in several]
            runs.extend([(True, width) for width in widths] if choice else [(False, len(widths))])
        return runs


def variables_of(space: Space) -> Variables:
    """Return the variables of a space.

    Raises:
        FormulaError: the engine knows no such kind of space, or two labels are the same text.
    """
    if space.kind not in KINDS:
        raise FormulaError(f"rules cannot speak of outputs of kind {space.kind!r}; kinds: {listed(KINDS)}")
    names = [str(label) for label in space.labels]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise FormulaError(f"labels {listed(twice)} occur twice in the outputs: rules could not tell them apart")
    return KINDS[space.kind](space)


def _categorical(space: Space) -> Variables:
    return Variables((tuple(space.labels),), (True,))


def _binaries(space: Space) -> Variables:
    return Variables(tuple((label,) for label in space.labels), (False,) * len(space.labels))


def _heads(space: Space) -> Variables:
    groups: tuple[tuple[Label, ...], ...] = space.groups  # type: ignore[attr-defined]
    return Variables(groups, tuple(len(group) > 1 for group in groups))


KINDS: Mapping[str, Callable[[Space], Variables]] = {
    "categorical": _categorical,
    "binaries": _binaries,
    "heads": _heads,
}


def place_of(name: Label, places: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the variable and the value of a label.

    Raises:
        FormulaError: there is no such label.
    """
    if str(name) not in places:
        raise FormulaError(f"{name!r} is not a label of these outputs; labels: {listed(places)}{nearest(name, places)}")
    return places[str(name)]
