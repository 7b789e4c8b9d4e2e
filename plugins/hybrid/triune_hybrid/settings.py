"""What a user may say of the balance between rules and labels: four ways, told apart by `use`."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from triune.schedules import PositiveSchedule, Schedule

Share: TypeAlias = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Fixed(BaseModel, frozen=True, extra="forbid"):
    """One weight from the first step to the last."""

    use: Literal["fixed"] = "fixed"
    weight: float = Field(1.0, ge=0, allow_inf_nan=False, description="How much rules count beside the labels.")


class Scheduled(BaseModel, frozen=True, extra="forbid"):
    """A weight that rises or falls as the run goes on."""

    use: Literal["scheduled"]
    weight: PositiveSchedule = Field(
        Schedule.model_validate({"from": 0.0, "to": 1.0, "over": 0.3}),
        description="How much rules count beside the labels, over the run.",
    )


class Dual(BaseModel, frozen=True, extra="forbid"):
    """Multipliers that find the weight at which rules are broken as seldom as was asked, and not more seldom."""

    use: Literal["dual"]
    at_most: Share | dict[str, Share] = Field(
        description="How often rules may be broken by predictions for held-out text, as a share of where they fire. A "
        "number is of all rules. A mapping names rules, or tags of rules, which then share one bound; `others` is for "
        "the rules that it does not name."
    )
    by: Literal["all", "rule"] = Field(
        "all",
        description="Where at_most is a number: all rules share one multiplier, or each rule has its own.",
    )
    rate: Positive = Field(1.0, description="How far a multiplier moves at an evaluation, for each unit of violation.")
    start: float = Field(1.0, ge=0, allow_inf_nan=False, description="The multipliers at the beginning.")
    most: Positive = Field(20.0, description="The largest multiplier.")
    newest: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="How much the newest evaluation counts in the running average that moves multipliers."
    )
    after: Share = Field(0.0, description="Share of the run in which labels teach alone, before rules are pushed.")
    accuracy_floor: Share = Field(
        0.02,
        description="How far the metric that chooses the model may fall below the best value seen, beyond one standard "
        "error. Where it falls further, multipliers are halved, and no such model is kept for the sake of a bound.",
    )

    @model_validator(mode="after")
    def _agreeing(self) -> Self:
        if self.by == "rule" and isinstance(self.at_most, dict):
            raise ValueError(
                "by: rule is for an at_most that is a number: a mapping groups rules itself, so leave by out"
            )
        if self.start > self.most:
            raise ValueError(f"start is {self.start:g}, above most, {self.most:g}: begin lower, or raise most")
        return self


class Uncertainty(BaseModel, frozen=True, extra="forbid"):
    """Each side counts as the inverse of its running loss (Kendall et al. 2018)."""

    use: Literal["uncertainty"]
    newest: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="How much the newest step counts in the running losses."
    )


def _named(value: object) -> object:
    return {"use": value} if isinstance(value, str) else value


Balance: TypeAlias = Annotated[
    Annotated[Fixed | Scheduled | Dual | Uncertainty, Field(discriminator="use")], BeforeValidator(_named)
]
