"""The metrics of a finished model on a table: those of every evaluation, and what rules make of its answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from triune.errors import TriuneError
from triune.evaluation import measured, predictions_of, with_gold
from triune.projection import projected, satisfaction
from triune.rule_report import rule_report, with_before

if TYPE_CHECKING:
    from triune.context import Run
    from triune.evaluation import Evaluation
    from triune.hooks import Hooks
    from triune.spaces import OutputSpace
    from triune.types import JSON


def final_metrics(
    found: Evaluation, hooks: Hooks, run: Run, space: OutputSpace, before: Mapping[str, JSON] | None = None
) -> dict[str, JSON]:
    """Return the metrics of a split; with rules, their probabilities, the rates before training and the projection."""
    metrics = dict(found.metrics)
    if not len(found.rules):
        return metrics
    if before:
        metrics = with_before(metrics, before)
    beliefs = satisfaction(found.rules, found.examples.split, found.answers, space)
    each = cast("Mapping[str, Mapping[str, JSON]]", metrics["rules"])
    metrics["rules"] = {name: {"satisfaction_probability": beliefs[name], **one} for name, one in each.items()}
    metrics["projection"] = projection(found, hooks, run, space)
    return metrics


def projection(found: Evaluation, hooks: Hooks, run: Run, space: OutputSpace) -> dict[str, JSON]:
    """Return the figures of the same scores projected onto the rules, or why there are none."""
    split = found.examples.split
    try:
        answers = projected(found.rules, split, found.answers, space)
    except TriuneError as error:
        return {"left_out": str(error)}
    predictions = with_gold(predictions_of(answers, space, found.predictions.index), found.examples, space)
    labelled = predictions[[cell is not None for cell in predictions["gold"]]]
    figures = measured(hooks, run, labelled) if found.quality else {}
    _, overall = rule_report(found.rules, split, predictions)
    return {
        **{name: value for name, value in figures.items() if not isinstance(value, Mapping | list)},
        "violation_rate": overall["violation_rate"],
        "hard_violations": overall["hard_violations"],
    }
