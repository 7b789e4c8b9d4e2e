"""From a model to predictions, from predictions to metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from triune.batching import by_length
from triune.errors import PluginError
from triune.hooks import Hooks, given
from triune.hookspecs import RunLifecycle
from triune.processes import ALONE, World
from triune.rule_report import rule_report

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.context import Run
    from triune.examples import Examples
    from triune.spaces import OutputSpace
    from triune.types import JSON, Batch, GroundedRules, Outputs

EVALUATION_BATCH = 64


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model says of some examples of a split, on the CPU."""

    rows: NDArray[np.int64]  # (batch,)
    scores: Tensor  # (batch, …)
    decided: Tensor  # booleans like the scores
    mask: Tensor | None  # (batch, tokens)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One split, predicted and measured."""

    predictions: pd.DataFrame
    metrics: Mapping[str, JSON]
    answers: Sequence[Answers]


def answers_of(
    outputs_of: Callable[[Batch], Outputs],
    examples: Examples,
    space: OutputSpace,
    device: str,
    world: World = ALONE,
) -> list[Answers]:
    """Return the answers for a whole split, the longest examples first; processes take batches in turn."""
    import torch

    answers = []
    batches = by_length(examples.lengths, EVALUATION_BATCH)
    with torch.no_grad():  # not inference_mode: what rules and plugins make once, on first use, is learnt with later
        for rows in batches[world.rank :: world.size]:
            outputs = outputs_of(examples.batch(rows).to(device))
            decided = space.decide(outputs.scores) if outputs.decided is None else outputs.decided
            mask = None if outputs.mask is None else outputs.mask.cpu()
            answers.append(Answers(rows, outputs.scores.float().cpu(), decided.cpu(), mask))
    given = world.exchange(answers)
    return [given[place % world.size][place // world.size] for place in range(len(batches))]


def predictions_of(answers: Sequence[Answers], space: OutputSpace, index: pd.Index[int]) -> pd.DataFrame:
    """Return a table of predictions in the order of the split: "predicted", and the figures of the space."""
    import numpy as np
    import pandas as pd

    predicted = [cell for one in answers for cell in space.cells(one.decided, one.mask)]
    figures = [space.figures(one.scores, one.decided, one.mask) for one in answers]
    back = np.argsort(np.concatenate([one.rows for one in answers]), kind="stable")
    columns = {name: np.concatenate([one[name] for one in figures])[back] for name in figures[0]}
    cells = pd.Series([predicted[place] for place in back], index=index, dtype=object)
    return pd.DataFrame({"predicted": cells, **columns}, index=index)


def evaluate_split(
    outputs_of: Callable[[Batch], Outputs],
    examples: Examples,
    index: pd.Index[int],
    hooks: Hooks,
    run: Run,
    space: OutputSpace,
    rules: GroundedRules,
    world: World = ALONE,
) -> Evaluation:
    """Return the predictions of a split, and the metrics over its labelled examples, the same on every process."""
    answers = answers_of(outputs_of, examples, space, run.device, world)
    predictions = with_gold(predictions_of(answers, space, index), examples, space)
    labelled = predictions[[cell is not None for cell in predictions["gold"]]]
    metrics = measured(hooks, run, labelled) if len(labelled) else {}
    if len(rules):
        each, overall = rule_report(rules, examples.split, predictions)
        metrics = {**metrics, "rules": each, "rules_overall": overall}
    return Evaluation(predictions, {**metrics, "examples": len(index), "labelled": len(labelled)}, answers)


def with_gold(predictions: pd.DataFrame, examples: Examples, space: OutputSpace) -> pd.DataFrame:
    """Return predictions with what the labels say, in the column "gold" before the others."""
    import pandas as pd

    gold = pd.Series(gold_cells(examples, space), index=predictions.index, dtype=object)
    return pd.concat([gold.rename("gold"), predictions], axis=1)


def gold_cells(examples: Examples, space: OutputSpace) -> list[object]:
    """Return the gold label cells of examples, in the space's own labels; None where there is none.

    Of sequences it is the list of tags, in which None stands for a token without one.
    """
    import torch

    targets = torch.from_numpy(examples.targets)
    # decisions are taken at a score of zero, which a target of one half stands for
    decisions = space.decide(targets - 0.5) & (targets > 0)
    if examples.bounds is None:
        cells = space.cells(decisions)
    else:
        tokens = cast("Sequence[object]", space.cells(decisions[None])[0])
        cells = [list(tokens[start:stop]) for start, stop in pairwise(examples.bounds.tolist())]
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


def number(metrics: Mapping[str, JSON], name: str) -> float:
    """Return a metric that is a number.

    Raises:
        KeyError: there is none of that name.
    """
    value = metrics[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise KeyError(name)
    return float(cast("float", value))
