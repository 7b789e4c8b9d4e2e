"""A number that may change during a run: constant, or from–to–over, as written in a config."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Protocol, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from triune.types import Step

Span = Annotated[float, Field(gt=0, le=1)] | Annotated[int, Field(gt=1)]


class Weight(Protocol):
    """A number at every step of a run; its text says which."""

    def at(self, step: Step) -> float:
        """Return the value at a step of the run."""
        ...


class Schedule(BaseModel):
    """A value over the run: `0.3`, or `{from: 0, to: 1, over: 0.3}`.

    `over` and `after` are shares of the run when they are fractions (`0.3`, `1.0`) and optimiser
    steps when they are whole numbers above one (`500`). Before `after` the value is `from`;
    `over` later, and ever after, it is `to`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    start: float = Field(alias="from", description="The value at the beginning.")
    end: float = Field(alias="to", description="The value at the end of the ramp.")
    over: Span = Field(1.0, description="Length of the ramp: a share of the run, or whole steps.")
    after: Annotated[float, Field(ge=0, lt=1)] | Annotated[int, Field(ge=0)] = Field(
        0, description="When the ramp begins: a share of the run, or whole steps."
    )
    shape: Literal["linear", "cosine"] = Field("linear", description="The form of the ramp.")

    @model_validator(mode="before")
    @classmethod
    def _number_is_constant(cls, value: object) -> object:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return {"from": value, "to": value}
        return value

    @model_validator(mode="after")
    def _finite(self) -> Self:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ValueError(f"a schedule needs finite numbers, not {self.start} and {self.end}")
        return self

    @classmethod
    def constant(cls, value: float) -> Schedule:
        """Return the schedule that always has `value`."""
        return cls.model_validate(value)

    @property
    def is_constant(self) -> bool:
        """Whether the value never changes."""
        return self.start == self.end

    def at(self, step: Step) -> float:
        """Return the value at a step of the run."""
        if self.is_constant:
            return self.start
        begun = step.index - _steps(self.after, step.total)
        done = min(max(begun / max(_steps(self.over, step.total), 1), 0.0), 1.0)
        eased = done if self.shape == "linear" else (1 - math.cos(math.pi * done)) / 2
        return self.start + (self.end - self.start) * eased

    def __str__(self) -> str:
        """Return the schedule in the reader's words."""
        if self.is_constant:
            return f"{self.start:g}"
        later = f" after {self.after:g}" if self.after else ""
        return f"{self.start:g} → {self.end:g} over {self.over:g}{later}, {self.shape}"


def _never_negative(value: Schedule) -> Schedule:
    if min(value.start, value.end) < 0:
        raise ValueError(f"a weight is never negative, and here it is {value}: what is punished would be sought")
    return value


PositiveSchedule = Annotated[Schedule, AfterValidator(_never_negative)]
"""A schedule of numbers from 0 up, as weights of loss terms are."""


def _steps(span: float, total: int) -> float:
    return span if isinstance(span, int) else span * total
