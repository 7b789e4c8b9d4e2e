"""Schedules read as written, and have the values that they say."""

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from triune.schedules import PositiveSchedule, Schedule
from triune.types import Step


class Settings(BaseModel):
    weight: Schedule = Schedule.constant(1.0)


def values(written, total=10):
    schedule = Settings.model_validate({"weight": written}).weight
    return [round(schedule.at(Step(index, total)), 6) for index in range(total + 1)]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (0.3, [0.3] * 11),
        ({"from": 0, "to": 1}, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ({"from": 0, "to": 1, "over": 0.5}, [0.0, 0.2, 0.4, 0.6, 0.8] + [1.0] * 6),
        ({"from": 0, "to": 1, "over": 2}, [0.0, 0.5] + [1.0] * 9),
        ({"from": 1, "to": 0, "over": 2, "after": 0.5}, [1.0] * 6 + [0.5] + [0.0] * 4),
        ({"from": 1, "to": 0, "over": 2, "after": 3}, [1.0] * 4 + [0.5] + [0.0] * 6),
    ],
)
def test_a_schedule_has_the_values_that_it_says(written, expected):
    assert values(written) == expected


def test_a_cosine_begins_and_ends_softly():
    found = values({"from": 0, "to": 1, "shape": "cosine"})
    assert found[0] == 0 and found[5] == 0.5 and found[10] == 1
    assert found[1] < 0.05 < 0.95 < found[9]


@pytest.mark.parametrize(
    "written",
    [True, "much", float("nan"), {"from": 0}, {"from": 0, "to": 1, "over": 0}, {"from": 0, "to": float("inf")}],
)
def test_nonsense_is_refused(written):
    with pytest.raises(ValidationError):
        values(written)


@pytest.mark.parametrize("written", [-1, {"from": 0.5, "to": -0.5}])
def test_a_weight_below_zero_is_refused_before_it_turns_a_term_round(written):
    weight = TypeAdapter(PositiveSchedule)
    assert weight.validate_python(0).start == 0
    with pytest.raises(ValidationError, match="never negative"):
        weight.validate_python(written)


def test_a_schedule_prints_what_it_does():
    assert str(Schedule.constant(0.5)) == "0.5"
    assert str(Schedule.model_validate({"from": 0, "to": 1, "over": 0.3})) == "0 → 1 over 0.3, linear"
