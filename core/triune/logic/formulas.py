"""Statements about output variables, as frozen values that print as they are written.

A formula never touches scores: it says when an assignment of the outputs satisfies it. Build it with
operators: `Label("spam") & ~Label("ham")`, `Label("dog") >> Label("animal")`. Its `repr` is the Python that
builds it, its `str` is the sentence that a reader wants.

Everything is made of three statements: a label, a negation, and "at least k of these". What else there is
says by `expanded` what it means in those, so that no engine needs to know it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import TriuneError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from torch import Tensor

    from triune.types import Batch, Outputs


class FormulaError(TriuneError):
    """A formula cannot be meant as written, or not for these outputs."""


class Formula:
    """A statement that an assignment of the outputs satisfies or breaks."""

    __slots__ = ()

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether the formula holds when exactly the labels in `true` are predicted.

        For a sequence, `true` is the sequence of its tags.
        """
        return self.expanded().holds(true)

    @property
    def labels(self) -> frozenset[str | int]:
        """The labels that the formula speaks of."""
        return self.expanded().labels

    def expanded(self) -> Formula:
        """Return the same statement in terms of `Label`, `Not` and `AtLeast`, one layer deep.

        Raises:
            FormulaError: it has none, because it speaks of a sequence of tags.
        """
        raise FormulaError(
            f"{self!r} speaks of a sequence of tags, and these outputs are none: "
            f"say it of labels, or use it in a task that tags tokens"
        )

    def __and__(self, other: Formula) -> And:
        return And(self, other)

    def __or__(self, other: Formula) -> Or:
        return Or(self, other)

    def __rshift__(self, other: Formula) -> Implies:
        return Implies(self, other)

    def __invert__(self) -> Not:
        return Not(self)


@dataclass(frozen=True, slots=True)
class Label(Formula):
    """The label is predicted; in a sequence, of at least one token."""

    name: str | int

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether the label is among the predicted ones."""
        return self.name in true

    @property
    def labels(self) -> frozenset[str | int]:
        """The one label."""
        return frozenset({self.name})

    def __repr__(self) -> str:
        return f"Label({self.name!r})"

    def __str__(self) -> str:
        return str(self.name)


@dataclass(frozen=True, slots=True)
class Not(Formula):
    """The inner formula is broken."""

    inner: Formula

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether the inner formula does not hold."""
        return not self.inner.holds(true)

    @property
    def labels(self) -> frozenset[str | int]:
        """The labels of the inner formula."""
        return self.inner.labels

    def __repr__(self) -> str:
        return f"~{self.inner!r}"

    def __str__(self) -> str:
        return f"not {self.inner}"


@dataclass(frozen=True, slots=True, init=False)
class AtLeast(Formula):
    """At least k of the formulas hold; a name stands for its label."""

    k: int
    of: tuple[Formula, ...]

    def __init__(self, k: int, of: Iterable[Formula | str | int]) -> None:
        if isinstance(of, str):
            raise FormulaError(f"AtLeast({k}, {of!r}) needs a list: write AtLeast({k}, [{of!r}])")
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "of", formulas(of))

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether so many hold."""
        return sum(one.holds(true) for one in self.of) >= self.k

    @property
    def labels(self) -> frozenset[str | int]:
        """The labels of all."""
        return frozenset[str | int]().union(*(one.labels for one in self.of))

    def __repr__(self) -> str:
        return f"AtLeast({self.k}, {written(self.of)})"

    def __str__(self) -> str:
        return f"at least {self.k} of {enumerated(self.of)}"


@dataclass(frozen=True, slots=True, init=False)
class And(Formula):
    """All hold. A conjunction of conjunctions is one."""

    inner: tuple[Formula, ...]

    def __init__(self, *inner: Formula | str | int) -> None:
        parts = (one.inner if isinstance(one, And) else (one,) for one in formulas(inner))
        object.__setattr__(self, "inner", tuple(one for part in parts for one in part))

    def expanded(self) -> Formula:
        """Return "at least n of these n"."""
        return AtLeast(len(self.inner), self.inner)

    def __repr__(self) -> str:
        return _joined("And", " & ", self.inner)

    def __str__(self) -> str:
        return f"({' and '.join(map(str, self.inner))})" if self.inner else "anything"


@dataclass(frozen=True, slots=True, init=False)
class Or(Formula):
    """At least one holds. A disjunction of disjunctions is one."""

    inner: tuple[Formula, ...]

    def __init__(self, *inner: Formula | str | int) -> None:
        parts = (one.inner if isinstance(one, Or) else (one,) for one in formulas(inner))
        object.__setattr__(self, "inner", tuple(one for part in parts for one in part))

    def expanded(self) -> Formula:
        """Return "at least one of these"."""
        return AtLeast(1, self.inner)

    def __repr__(self) -> str:
        return _joined("Or", " | ", self.inner)

    def __str__(self) -> str:
        return f"({' or '.join(map(str, self.inner))})" if self.inner else "nothing"


@dataclass(frozen=True, slots=True)
class Implies(Formula):
    """If the premise holds, so does the conclusion."""

    premise: Formula
    conclusion: Formula

    def expanded(self) -> Formula:
        """Return "not the premise, or the conclusion"."""
        return AtLeast(1, (Not(self.premise), self.conclusion))

    def __repr__(self) -> str:
        return f"({self.premise!r} >> {self.conclusion!r})"

    def __str__(self) -> str:
        return f"(if {self.premise} then {self.conclusion})"


@dataclass(frozen=True, slots=True)
class Iff(Formula):
    """Both hold or neither does."""

    left: Formula
    right: Formula

    def expanded(self) -> Formula:
        """Return "both, or neither"."""
        return AtLeast(1, (And(self.left, self.right), And(Not(self.left), Not(self.right))))

    def __str__(self) -> str:
        return f"({self.left} if and only if {self.right})"


@dataclass(frozen=True, slots=True)
class SoftFormula:
    """Any differentiable truth: `fn(outputs, batch)` returns (batch,) values in [0, 1]."""

    fn: Callable[[Outputs, Batch], Tensor]

    def __str__(self) -> str:
        return f"what {getattr(self.fn, '__qualname__', type(self.fn).__name__)} says of the outputs"


def formulas(given: Iterable[Formula | str | int]) -> tuple[Formula, ...]:
    """Return formulas as they are and names as labels."""
    return tuple(one if isinstance(one, Formula) else Label(one) for one in given)


def written(of: tuple[Formula, ...]) -> str:
    """Return the Python of a list of formulas, labels by their names alone."""
    return repr([one.name if isinstance(one, Label) else one for one in of])


def enumerated(of: tuple[Formula, ...]) -> str:
    """Return formulas as a reader enumerates them."""
    return ", ".join(map(str, of)) or "nothing"


def _joined(name: str, sign: str, inner: tuple[Formula, ...]) -> str:
    if len(inner) > 1:
        return f"({sign.join(map(repr, inner))})"
    return f"{name}({', '.join(map(repr, inner))})"
