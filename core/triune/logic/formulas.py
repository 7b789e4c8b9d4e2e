"""Statements about output variables, as frozen values that print as they are written.

A formula never touches scores: it says when an assignment of the outputs satisfies it. Build it with
operators: `Label("spam") & ~Label("ham")`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import Tensor

    from triune.types import Batch, Outputs


class Formula:
    """A statement that an assignment of the outputs satisfies or breaks."""

    __slots__ = ()

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether the formula holds when exactly the labels in `true` are predicted."""
        raise NotImplementedError(f"{type(self).__name__} does not say when it holds")

    @property
    def labels(self) -> frozenset[str | int]:
        """The labels that the formula speaks of."""
        raise NotImplementedError(f"{type(self).__name__} does not say which labels it names")

    def __and__(self, other: Formula) -> And:
        return And(self, other)

    def __or__(self, other: Formula) -> Or:
        return Or(self, other)

    def __invert__(self) -> Not:
        return Not(self)


@dataclass(frozen=True, slots=True)
class Label(Formula):
    """The label is predicted."""

    name: str | int

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether the label is among the predicted ones."""
        return self.name in true

    @property
    def labels(self) -> frozenset[str | int]:
        """The one label."""
        return frozenset({self.name})

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

    def __str__(self) -> str:
        return f"not {self.inner}"


@dataclass(frozen=True, slots=True)
class And(Formula):
    """Both sides hold."""

    left: Formula
    right: Formula

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether both sides hold."""
        return self.left.holds(true) and self.right.holds(true)

    @property
    def labels(self) -> frozenset[str | int]:
        """The labels of both sides."""
        return self.left.labels | self.right.labels

    def __str__(self) -> str:
        return f"({self.left} and {self.right})"


@dataclass(frozen=True, slots=True)
class Or(Formula):
    """At least one side holds."""

    left: Formula
    right: Formula

    def holds(self, true: Collection[str | int]) -> bool:
        """Return whether at least one side holds."""
        return self.left.holds(true) or self.right.holds(true)

    @property
    def labels(self) -> frozenset[str | int]:
        """The labels of both sides."""
        return self.left.labels | self.right.labels

    def __str__(self) -> str:
        return f"({self.left} or {self.right})"


@dataclass(frozen=True, slots=True)
class SoftFormula:
    """Any differentiable truth: `fn(outputs, batch)` returns (batch,) values in [0, 1]."""

    fn: Callable[[Outputs, Batch], Tensor]
