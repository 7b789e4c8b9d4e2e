"""Statements that count: any of, none of, at most, exactly, and hierarchies of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic.formulas import (
    And,
    AtLeast,
    Formula,
    FormulaError,
    Implies,
    Label,
    Not,
    enumerated,
    formulas,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    Tree = Mapping[str, "Tree"] | Iterable[str] | str | None


@dataclass(frozen=True, slots=True, init=False)
class AtMost(Formula):
    """At most k of the formulas hold; a name stands for its label."""

    k: int
    of: tuple[Formula, ...]

    def __init__(self, k: int, of: Iterable[Formula | str | int]) -> None:
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "of", _several("AtMost", k, of))

    def expanded(self) -> Formula:
        """Return "not more than k"."""
        return Not(AtLeast(self.k + 1, self.of))

    def __repr__(self) -> str:
        return f"AtMost({self.k}, {written(self.of)})"

    def __str__(self) -> str:
        return f"at most {self.k} of {enumerated(self.of)}"


@dataclass(frozen=True, slots=True, init=False)
class Exactly(Formula):
    """Exactly k of the formulas hold; a name stands for its label."""

    k: int
    of: tuple[Formula, ...]

    def __init__(self, k: int, of: Iterable[Formula | str | int]) -> None:
        object.__setattr__(self, "k", k)
        object.__setattr__(self, "of", _several("Exactly", k, of))

    def expanded(self) -> Formula:
        """Return "at least k and not more"."""
        return AtLeast(2, (AtLeast(self.k, self.of), Not(AtLeast(self.k + 1, self.of))))

    def __repr__(self) -> str:
        return f"Exactly({self.k}, {written(self.of)})"

    def __str__(self) -> str:
        return f"exactly {self.k} of {enumerated(self.of)}"


@dataclass(frozen=True, slots=True, init=False)
class AnyOf(Formula):
    """At least one of the labels is predicted."""

    of: tuple[Formula, ...]

    def __init__(self, *of: Formula | str | int) -> None:
        object.__setattr__(self, "of", formulas(of))

    def expanded(self) -> Formula:
        """Return "at least one"."""
        return AtLeast(1, self.of)

    def __repr__(self) -> str:
        return f"AnyOf({written(self.of)[1:-1]})"

    def __str__(self) -> str:
        return f"any of {enumerated(self.of)}"


@dataclass(frozen=True, slots=True, init=False)
class NoneOf(Formula):
    """None of the labels is predicted."""

    of: tuple[Formula, ...]

    def __init__(self, *of: Formula | str | int) -> None:
        object.__setattr__(self, "of", formulas(of))

    def expanded(self) -> Formula:
        """Return "not at least one"."""
        return Not(AtLeast(1, self.of))

    def __repr__(self) -> str:
        return f"NoneOf({written(self.of)[1:-1]})"

    def __str__(self) -> str:
        return f"none of {enumerated(self.of)}"


def hierarchy(tree: Mapping[str, Tree]) -> And:
    """Return that every child implies its parent, for trees like `{"animal": {"dog": ["poodle"], "cat": None}}`."""
    return And(*(Implies(Label(child), Label(parent)) for child, parent in _edges(tree)))


def _edges(tree: Mapping[str, Tree]) -> Iterable[tuple[str, str]]:
    for parent, below in tree.items():
        children = {below: None} if isinstance(below, str) else dict.fromkeys(below or ())
        yield from ((child, parent) for child in children)
        if isinstance(below, Mapping):
            yield from _edges(below)


def _several(name: str, k: int, of: Iterable[Formula | str | int]) -> tuple[Formula, ...]:
    if isinstance(of, str):
        raise FormulaError(f"{name}({k}, {of!r}) needs a list: write {name}({k}, [{of!r}])")
    return formulas(of)
