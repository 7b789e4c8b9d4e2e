"""Conditions on the cells of a column: numbers, dates, texts and sets of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import TYPE_CHECKING, TypeAlias

from triune.conditions.grounding import Alone
from triune.conditions.truth import Grounding
from triune.errors import RuleError

if TYPE_CHECKING:
    from collections.abc import Callable

    from triune.conditions.view import View

Cell: TypeAlias = str | float | bool

COMPARISONS: dict[str, str] = {
    "equals": "is",
    "differs_from": "is not",
    "above": "is above",
    "at_least": "is at least",
    "below": "is below",
    "at_most": "is at most",
    "before": "is before",
    "after": "is after",
    "in": "is one of",
    "missing": "is empty:",
}
"""How a cell may be compared, and how that reads."""


@dataclass(frozen=True, slots=True)
class Column(Alone):
    """A cell compares so with a value: `Column("stars", "at_least", 4)`, `Column("country", "in", ("DE", "FR"))`.

    Numbers may be written as text, as all cells of a CSV are. Dates are ISO 8601; one without a time is its
    midnight, one without a zone is taken as UTC. An empty cell abstains, except where `missing` is asked.

    Attributes:
        name: the column.
        how: a key of `COMPARISONS`.
        value: what to compare with: a number, a text, an ISO date, a tuple of numbers and texts, true or false.
    """

    name: str
    how: str
    value: Cell | tuple[Cell, ...]

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The one column."""
        return (self.name,)

    def on(self, view: View) -> Grounding:
        """Return where it does; what cannot be compared abstains.

        Raises:
            RuleError: there is no such column, or no cell of it can be compared.
        """
        cells = view.cells(self.name)
        if self.how == "missing":
            return Grounding.of((cell is None) == self.value for cell in cells)
        compare = self.comparison()
        truths, strange = [_asked(compare, cell) for cell in cells], [cell for cell in cells if cell is not None]
        if strange and all(one is None for one in truths):
            raise RuleError([f"no cell of column {self.name!r} can be compared with {self.value!r}: {strange[0]!r}"])
        return Grounding.of(truths, f"a cell of {self.name!r} is empty or cannot be compared with {self.value!r}")

    def comparison(self) -> Callable[[object], bool]:
        """Return what says whether a cell that is not empty compares so; it raises ValueError where it cannot.

        Raises:
            ValueError: `value` is of no use in this comparison.
        """
        if self.how in ("before", "after"):
            moment = moment_of(self.value)
            earlier = self.how == "before"
            return lambda cell: moment_of(cell) < moment if earlier else moment_of(cell) > moment
        if self.how in ("above", "at_least", "below", "at_most"):
            return _ordered(self.how, number_of(self.value))
        wanted = self.value if isinstance(self.value, tuple) else (self.value,)
        same = self.how != "differs_from"
        return lambda cell: any(_equal(cell, one) for one in wanted) == same

    def __str__(self) -> str:
        value = ", ".join(map(str, self.value)) if isinstance(self.value, tuple) else self.value
        return f"{self.name} {COMPARISONS[self.how]} {value}"


def number_of(cell: object) -> float:
    """Return a cell as a number.

    Raises:
        ValueError: it is none.
    """
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        raise ValueError(f"{cell!r} is no number")
    return float(cell)


def moment_of(cell: object) -> datetime:
    """Return a cell as a moment.

    Raises:
        ValueError: it is no date.
    """
    if isinstance(cell, str):
        cell = datetime.fromisoformat(cell.strip())
    if isinstance(cell, date) and not isinstance(cell, datetime):
        cell = datetime.combine(cell, time())
    if not isinstance(cell, datetime):
        raise ValueError(f"{cell!r} is no date")
    return cell if cell.tzinfo else cell.replace(tzinfo=UTC)


def _ordered(how: str, bound: float) -> Callable[[object], bool]:
    compare: dict[str, Callable[[object], bool]] = {
        "above": lambda cell: number_of(cell) > bound,
        "at_least": lambda cell: number_of(cell) >= bound,
        "below": lambda cell: number_of(cell) < bound,
        "at_most": lambda cell: number_of(cell) <= bound,
    }
    return compare[how]


def _equal(cell: object, wanted: Cell) -> bool:
    if isinstance(wanted, bool):
        return str(cell).strip().lower() == str(wanted).lower()
    if isinstance(wanted, int | float):
        try:
            return number_of(cell) == wanted
        except ValueError:
            return False
    return str(cell).strip() == wanted


def _asked(compare: Callable[[object], bool], cell: object) -> bool | None:
    if cell is None:
        return None
    try:
        return compare(cell)
    except ValueError:
        return None
