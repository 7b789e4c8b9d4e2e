"""How training went: `history.jsonl` as series of values over the steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.report.plain import as_list, as_mapping, as_number
from triune.report.records import lines_of
from triune.rule_table import HEADLINES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from triune.types import JSON

    Line = Mapping[str, JSON]

MOST_METRICS = 4
UNDRAWN = "no report could be drawn"
"""A warning of these words is over once there is a page to read it on."""
MOST_RULES = 6


@dataclass(slots=True)
class Series:
    """A value over time, by its name."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: float, value: JSON) -> None:
        """Take a value, if it is a number."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            self.steps.append(step)
            self.values.append(float(value))


Curves = dict[str, Series]


@dataclass(frozen=True, slots=True)
class History:
    """The curves of a run.

    Attributes:
        losses: the loss that is learnt from as "loss", and each term by its name.
        rates: the learning rate of each group of parameters, by its number.
        metrics: the metrics of the validation table.
        violations: the share of broken rules there, of all together and of those broken most.
        noted: what plugins noted, by the name of the note, then of the value.
        phases: the steps at which phases ended.
        best: the steps at which the model was the best so far.
        warnings: what was warned of.
    """

    losses: Curves
    rates: Curves
    metrics: Curves
    violations: Curves
    noted: dict[str, Curves]
    phases: tuple[int, ...]
    best: tuple[int, ...]
    warnings: tuple[str, ...]


def read_history(path: Path) -> History:
    """Return the curves of a history file; empty ones where there is no file.

    Raises:
        CheckpointError: the file is damaged.
    """
    lines = [line for _, line in lines_of(path)]
    steps = [one for one in lines if one.get("event") == "step"]
    evaluations = [one for one in lines if one.get("event") == "evaluation" and one.get("split") == "valid"]
    if len(evaluations) > 1 and not as_number(evaluations[-1].get("step")) > as_number(evaluations[-2].get("step")):
        evaluations.pop()  # the finished model, which may be an earlier step's
    losses = _curves(steps, lambda one: {"loss": one.get("loss"), **as_mapping(one.get("terms"))})
    return History(
        losses=losses,
        rates=_curves(steps, lambda one: _numbered(one.get("learning_rates"))),
        metrics=_headlines(_curves(evaluations, lambda one: _shares(as_mapping(one.get("metrics"))))),
        violations=_violations(evaluations),
        noted=_noted(lines),
        phases=tuple(int(as_number(one.get("step"))) for one in lines if one.get("event") == "phase"),
        best=tuple(int(as_number(one.get("step"))) for one in evaluations if one.get("best")),
        warnings=tuple(dict.fromkeys(one for one in _warnings(lines) if UNDRAWN not in one)),
    )


def _curves(lines: Sequence[Line], values_of: Callable[[Line], Mapping[str, JSON]]) -> Curves:
    curves: Curves = {}
    for line in lines:
        for name, value in values_of(line).items():
            curves.setdefault(name, Series()).add(as_number(line.get("step")), value)
    return {name: one for name, one in curves.items() if one.values}


def _headlines(metrics: Curves) -> Curves:
    """Return the metrics that a figure has room for: the usual ones first."""
    names = [name for name in HEADLINES if name in metrics] or list(metrics)[:MOST_METRICS]
    return {name: metrics[name] for name in names}


def _shares(metrics: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the metrics that are shares, so that they share an axis: no counts."""
    return {name: value for name, value in metrics.items() if isinstance(value, float) and 0 <= value <= 1}


def _violations(evaluations: Sequence[Line]) -> Curves:
    """Return the share of broken rules, of all together and of those that were broken most in the end."""
    overall = _curves(evaluations, lambda one: {"all together": _of_rules(one, "rules_overall").get("violation_rate")})
    each = _curves(
        evaluations,
        lambda one: {
            name: as_mapping(figures).get("violation_rate") for name, figures in _of_rules(one, "rules").items()
        },
    )
    worst = sorted(each, key=lambda name: (-each[name].values[-1], -max(each[name].values), name))
    return {**overall, **{name: each[name] for name in worst[:MOST_RULES]}}


def _warnings(lines: Sequence[Line]) -> list[str]:
    return [str(one.get("message")) for one in lines if one.get("event") == "warning"]


def _of_rules(line: Line, key: str) -> Mapping[str, JSON]:
    return as_mapping(as_mapping(line.get("metrics")).get(key))


def _noted(lines: Sequence[Line]) -> dict[str, Curves]:
    """Return the values of every line that has some, whoever noted them."""
    found: dict[str, Curves] = {}
    for line in lines:
        if values := as_mapping(line.get("values")):
            plugin = f" ({line['plugin']})" if line.get("plugin") else ""
            curves = found.setdefault(f"{line.get('name') or line.get('event')}{plugin}", {})
            for name, value in values.items():
                curves.setdefault(name, Series()).add(as_number(line.get("step")), value)
    kept = {name: {key: one for key, one in curves.items() if one.values} for name, curves in found.items()}
    return {name: curves for name, curves in kept.items() if curves}


def _numbered(values: JSON) -> dict[str, JSON]:
    return {str(number): one for number, one in enumerate(as_list(values), 1)}
