"""Conditions made of conditions. Where a part abstains, the whole does unless the other parts decide it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.conditions.grounding import Alone
from triune.conditions.truth import Grounding

if TYPE_CHECKING:
    from triune.conditions.view import View
    from triune.types import Condition


@dataclass(frozen=True, slots=True, init=False)
class AllTrue(Alone):
    """Every condition holds; written `and`."""

    inner: tuple[Condition, ...]

    def __init__(self, *inner: Condition) -> None:
        object.__setattr__(self, "inner", inner)

    @property
    def reads(self) -> tuple[str | None, ...]:
        """Nothing itself."""
        return ()

    def on(self, view: View) -> Grounding:
        """Return where none is false."""
        import numpy as np

        parts = [view.ask(one) for one in self.inner]
        fires = np.logical_and.reduce([part.fires for part in parts])
        possible = np.logical_and.reduce([part.fires | part.abstains for part in parts])
        return Grounding(fires, possible & ~fires, _reason(parts))

    def __repr__(self) -> str:
        return f"AllTrue({', '.join(map(repr, self.inner))})"

    def __str__(self) -> str:
        return f"({' and '.join(map(str, self.inner))})"


@dataclass(frozen=True, slots=True, init=False)
class AnyTrue(Alone):
    """At least one condition holds; written `or`."""

    inner: tuple[Condition, ...]

    def __init__(self, *inner: Condition) -> None:
        object.__setattr__(self, "inner", inner)

    @property
    def reads(self) -> tuple[str | None, ...]:
        """Nothing itself."""
        return ()

    def on(self, view: View) -> Grounding:
        """Return where one is true."""
        import numpy as np

        parts = [view.ask(one) for one in self.inner]
        fires = np.logical_or.reduce([part.fires for part in parts])
        unsure = np.logical_or.reduce([part.abstains for part in parts])
        return Grounding(fires, unsure & ~fires, _reason(parts))

    def __repr__(self) -> str:
        return f"AnyTrue({', '.join(map(repr, self.inner))})"

    def __str__(self) -> str:
        return f"({' or '.join(map(str, self.inner))})"


@dataclass(frozen=True, slots=True, init=False)
class NotTrue(Alone):
    """The condition does not hold; written `not`."""

    inner: tuple[Condition]

    def __init__(self, inner: Condition) -> None:
        object.__setattr__(self, "inner", (inner,))

    @property
    def reads(self) -> tuple[str | None, ...]:
        """Nothing itself."""
        return ()

    def on(self, view: View) -> Grounding:
        """Return where it is false."""
        part = view.ask(self.inner[0])
        return Grounding(~(part.fires | part.abstains), part.abstains, part.reason)

    def __repr__(self) -> str:
        return f"NotTrue({self.inner[0]!r})"

    def __str__(self) -> str:
        return f"not {self.inner[0]}"


def _reason(parts: list[Grounding]) -> str:
    return next((part.reason for part in parts if part.reason), "")
