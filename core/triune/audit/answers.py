"""Which answers formulas allow: one label of K, listed; or any set of labels, searched."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Protocol

from triune.audit.satisfying import satisfiable
from triune.logic import Formula, Not

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence


class Answers(Protocol):
    """The answers that a task can give. Formulas are plain."""

    labels: tuple[str, ...]

    def possible(self, formulas: Sequence[Formula]) -> bool:
        """Return whether some answer satisfies all formulas."""
        ...

    def entails(self, premises: Sequence[Formula], conclusion: Formula) -> bool:
        """Return whether every answer that satisfies the premises satisfies the conclusion."""
        ...

    def kind(self, formula: Formula) -> Hashable:
        """Return something that formulas of the same meaning share."""
        ...

    def near(self, one: Formula, other: Formula) -> bool:
        """Return whether two formulas that can hold might not hold together."""
        ...


class OneLabel:
    """Exactly one of K labels: a formula is the set of labels that it allows, as the bits of a number."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self.everything = (1 << len(labels)) - 1
        self.allowed = cache(self._allowed)

    def _allowed(self, formula: Formula) -> int:
        return sum(1 << number for number, label in enumerate(self.labels) if formula.holds((label,)))

    def together(self, formulas: Sequence[Formula]) -> int:
        """Return the labels that all formulas allow."""
        rest = self.everything
        for formula in formulas:
            rest &= self.allowed(formula)
        return rest

    def possible(self, formulas: Sequence[Formula]) -> bool:
        """Return whether a label is left."""
        return self.together(formulas) != 0

    def entails(self, premises: Sequence[Formula], conclusion: Formula) -> bool:
        """Return whether every label left is one that the conclusion allows."""
        return self.together(premises) & ~self.allowed(conclusion) == 0

    def kind(self, formula: Formula) -> Hashable:
        """Return the labels that it allows."""
        return self.allowed(formula)

    def near(self, one: Formula, other: Formula) -> bool:
        """Return true: all formulas speak of the same choice."""
        return True


class SeveralLabels:
    """Any set of labels."""

    def __init__(self, labels: tuple[str, ...]) -> None:
        self.labels = labels
        self._known: dict[frozenset[Formula], bool] = {}
        self.spoken: Callable[[Formula], frozenset[str | int]] = cache(lambda formula: formula.labels)

    def possible(self, formulas: Sequence[Formula]) -> bool:
        """Return whether the search finds such a set.

        Raises:
            UndecidedError: it gives up.
        """
        key = frozenset(formulas)
        if key not in self._known:
            self._known[key] = all(one.holds(()) for one in key) or satisfiable(formulas)
        return self._known[key]

    def entails(self, premises: Sequence[Formula], conclusion: Formula) -> bool:
        """Return whether the premises cannot hold where the conclusion does not.

        Raises:
            UndecidedError: the search gives up.
        """
        return not self.possible([*premises, Not(conclusion)])

    def kind(self, formula: Formula) -> Hashable:
        """Return the labels that it speaks of."""
        return self.spoken(formula)

    def near(self, one: Formula, other: Formula) -> bool:
        """Return whether they speak of a label both."""
        return not self.spoken(one).isdisjoint(self.spoken(other))
