"""Whether formulas over yes-or-no labels can hold at once: a search that says when it gives up."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from triune.logic import AtLeast, Formula, Label, Not

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

DEAD_ENDS = 300
"""How often a search may have to turn back."""


class UndecidedError(Exception):
    """The search has turned back too often."""


def plain(formula: Formula) -> Formula:
    """Return a formula in terms of `Label`, `Not` and `AtLeast` throughout, labels by their text.

    Raises:
        FormulaError: it speaks of a sequence of tags.
    """
    match formula:
        case Label(name):
            return Label(str(name))
        case Not(inner):
            return Not(plain(inner))
        case AtLeast(k, of):
            return AtLeast(k, [plain(one) for one in of])
        case _:
            return plain(formula.expanded())


def satisfiable(formulas: Iterable[Formula]) -> bool:
    """Return whether plain formulas can hold at once.

    Raises:
        UndecidedError: it takes more than `DEAD_ENDS` to say.
    """
    return _Search([part for one in formulas for part in _conjuncts(one)]).succeeds()


def _conjuncts(formula: Formula) -> Iterator[Formula]:
    if isinstance(formula, AtLeast) and formula.k == len(formula.of):
        for one in formula.of:
            yield from _conjuncts(one)
    else:
        yield formula


class _Search:
    """Assigns labels one by one: what formulas force first, then a guess; turns back where a formula breaks."""

    def __init__(self, formulas: Sequence[Formula]) -> None:
        self.formulas = list(dict.fromkeys(formulas))
        self.values: dict[str | int, bool] = {}
        self.trail: list[tuple[str | int, bool]] = []  # the labels assigned, and whether the other value is no option
        self.speaking: dict[str | int, list[int]] = defaultdict(list)
        for number, formula in enumerate(self.formulas):
            for label in formula.labels:
                self.speaking[label].append(number)
        self.truths: list[bool | None] = [None] * len(self.formulas)
        self.dead_ends = 0

    def succeeds(self) -> bool:
        holds = self.propagate(range(len(self.formulas)))
        while not holds or None in self.truths:
            if holds:
                holds = self.assign(self.open_label(), False, final=False)
            else:
                self.dead_ends += 1
                if self.dead_ends > DEAD_ENDS:
                    raise UndecidedError
                while self.trail and self.trail[-1][1]:
                    self.undo()
                if not self.trail:
                    return False
                label, value = self.trail[-1][0], self.values[self.trail[-1][0]]
                self.undo()
                holds = self.assign(label, not value, final=True)
        return True

    def open_label(self) -> str | int:
        """Return a label that matters to a formula which is open still."""
        formula = self.formulas[self.truths.index(None)]
        return min((one for one in formula.labels if one not in self.values), key=str)

    def assign(self, label: str | int, value: bool, *, final: bool) -> bool:
        """Assign a label and all that follows; return whether no formula breaks."""
        self.note(label, value, final=final)
        return self.propagate(self.speaking[label])

    def note(self, label: str | int, value: bool, *, final: bool) -> None:
        self.values[label] = value
        self.trail.append((label, final))

    def undo(self) -> None:
        label, _ = self.trail.pop()
        del self.values[label]
        for number in self.speaking[label]:
            self.truths[number] = truth(self.formulas[number], self.values)

    def propagate(self, numbers: Iterable[int]) -> bool:
        """Bring truths up to date and assign what formulas force; return whether none is broken."""
        queue = deque(numbers)
        while queue:
            number = queue.popleft()
            formula = self.formulas[number]
            self.truths[number] = held = truth(formula, self.values)
            if held is False:
                for rest in queue:
                    self.truths[rest] = truth(self.formulas[rest], self.values)
                return False
            for label, value in forced(formula, True, self.values) if held is None else ():
                if label not in self.values:
                    self.note(label, value, final=True)
                    queue.extend(self.speaking[label])
        return True


def forced(formula: Formula, wanted: bool, values: Mapping[str | int, bool]) -> Iterator[tuple[str | int, bool]]:
    """Yield labels, with their values, without which an open plain formula cannot have the truth that is wanted."""
    match formula:
        case Label(name):
            yield name, wanted
        case Not(inner):
            yield from forced(inner, not wanted, values)
        case AtLeast(k, of):
            truths = [truth(one, values) for one in of]
            sure, undecided = truths.count(True), truths.count(None)
            if sure + undecided == k if wanted else sure == k - 1:
                for one, held in zip(of, truths, strict=True):
                    if held is None:
                        yield from forced(one, wanted, values)


def truth(formula: Formula, values: Mapping[str | int, bool]) -> bool | None:
    """Return what labels assigned so far make of a plain formula; None where that is open."""
    match formula:
        case Label(name):
            return values.get(name)
        case Not(inner):
            inside = truth(inner, values)
            return None if inside is None else not inside
        case AtLeast(k, of):
            truths = [truth(one, values) for one in of]
            sure = truths.count(True)
            return True if sure >= k else None if sure + truths.count(None) >= k else False
        case _:
            raise TypeError(f"{formula!r} is not plain")
