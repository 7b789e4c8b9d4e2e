"""From a model to predictions, from predictions to metrics and the rule report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from triune.batching import by_length
from triune.data import label_set
from triune.errors import PluginError
from triune.hooks import Hooks, given
from triune.hookspecs import RunLifecycle
from triune.logic import Formula

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd
    from torch import Tensor

    from triune.context import Run
    from triune.examples import Examples
    from triune.spaces import OutputSpace
    from triune.types import JSON, Batch, GroundedRules, Outputs

EVALUATION_BATCH = 64
PROBABILITY = "probability of "


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One split, predicted and measured."""

    predictions: pd.DataFrame
    metrics: Mapping[str, JSON]


def scores_of(
    outputs_of: Callable[[Batch], Outputs], examples: Examples, space: OutputSpace, device: str
) -> tuple[Tensor, Tensor]:
    """Return (examples, classes) scores and decisions of a whole split, on the CPU, in the order of the table."""
    import numpy as np
    import torch

    scores, decisions = [], []
    order = by_length(examples.lengths, EVALUATION_BATCH)
    with torch.inference_mode():
        for rows in order:
            outputs = outputs_of(examples.batch(rows).to(device))
            decided = space.decide(outputs.scores) if outputs.decided is None else outputs.decided
            scores.append(outputs.scores.float().cpu())
            decisions.append(decided.cpu())
    back = torch.from_numpy(np.argsort(np.concatenate(order), kind="stable"))
    return torch.cat(scores)[back], torch.cat(decisions)[back]


def predictions_of(scores: Tensor, decisions: Tensor, space: OutputSpace, index: pd.Index[int]) -> pd.DataFrame:
    """Return a table of predictions: "predicted", and "probability of LABEL" for each label."""
    import pandas as pd

    probabilities = space.probabilities(scores)
    columns = {f"{PROBABILITY}{label}": probabilities[:, place].numpy() for place, label in enumerate(space.labels)}
    predicted = space.cells(decisions)
    return pd.DataFrame({"predicted": pd.Series(predicted, index=index, dtype=object), **columns}, index=index)


def evaluate_split(
    outputs_of: Callable[[Batch], Outputs],
    examples: Examples,
    index: pd.Index[int],
    hooks: Hooks,
    run: Run,
    space: OutputSpace,
    rules: GroundedRules,
) -> Evaluation:
    """Return the predictions of a split, and the metrics over its labelled examples."""
    scores, decisions = scores_of(outputs_of, examples, space, run.device)
    predictions = predictions_of(scores, decisions, space, index)
    gold = gold_cells(examples, space)
    predictions.insert(0, "gold", gold)
    labelled = predictions[[cell is not None for cell in gold]]
    metrics = measured(hooks, run, labelled) if len(labelled) else {}
    if len(rules):
        metrics = {**metrics, "rules": rule_report(rules, examples.split, predictions)}
    return Evaluation(predictions, {**metrics, "examples": len(index), "labelled": len(labelled)})


def gold_cells(examples: Examples, space: OutputSpace) -> list[object]:
    """Return the gold label cells of examples, in the space's own labels; None where there is none."""
    import torch

    # decisions are taken at a score of zero, which a target of one half stands for
    cells = space.cells(space.decide(torch.from_numpy(examples.targets) - 0.5))
    return [cell if labelled else None for cell, labelled in zip(cells, examples.labelled, strict=True)]


def measured(hooks: Hooks, run: Run, predictions: pd.DataFrame) -> dict[str, JSON]:
    """Return the metrics that plugins contribute.

    Raises:
        PluginError: two plugins contribute a metric of one name.
    """
    metrics: dict[str, JSON] = {}
    owners: dict[str, str] = {}
    for owner, contributed in hooks.each(RunLifecycle.measure, run=run, predictions=predictions):
        figures: Mapping[str, JSON] = given(
            owner,
            contributed or {},
            Mapping,  # type: ignore[type-abstract]
            RunLifecycle.measure.__name__,
        )
        for name, value in figures.items():
            if name in owners:
                raise PluginError(
                    f"plugins {owners[name]!r} and {owner!r} both measure {name!r}: leave one of them out"
                )
            owners[name] = owner
            metrics[name] = value
    return metrics


def rule_report(rules: GroundedRules, split: str, predictions: pd.DataFrame) -> dict[str, JSON]:
    """Return, for each rule, its coverage and how often predictions and gold labels break it where it fires."""
    return {
        rule.name: _of_rule(rule.then, rules.fires[split][place].tolist(), predictions)
        for place, rule in enumerate(rules.rules)
        if isinstance(rule.then, Formula)
    }


def _of_rule(then: Formula, fires: Sequence[bool], predictions: pd.DataFrame) -> JSON:
    def broken(column: str) -> float | None:
        cells = [cell for cell, fired in zip(predictions[column], fires, strict=True) if fired and cell is not None]
        violations = sum(not then.holds(label_set(cell) or ()) for cell in cells)
        return violations / len(cells) if cells else None

    return {
        "coverage": sum(fires) / max(len(fires), 1),
        "violation_rate": broken("predicted"),
        "violation_rate_on_gold": broken("gold"),
    }


def number(metrics: Mapping[str, JSON], name: str) -> float:
    """Return a metric that is a number.

    Raises:
        KeyError: there is none of that name.
    """
    value = metrics[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise KeyError(name)
    return float(cast("float", value))
