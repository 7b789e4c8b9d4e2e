"""From a model to predictions, from predictions to metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, cast

from triune.answers import believed
from triune.batching import by_length
from triune.contributed import metric_of
from triune.errors import PluginError
from triune.hooks import Hooks, given
from triune.hookspecs import RunLifecycle
from triune.processes import ALONE, World
from triune.rule_report import rule_report
from triune.rule_table import NOT_MEASURED

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
    truths: Tensor | None = None  # (rules, batch) how true the rules are that say a function of outputs; None: no such


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Examples of one split, predicted and measured.

    Attributes:
        predictions: what is predicted of each, and what its label says.
        quality: how good that is; nothing where there are no labels to tell, or it was not asked.
        metrics: quality, the report of rules, and how many examples there are.
        answers: what the model says, of rows that count these examples.
        examples: the examples.
        rules: where rules fire on them.
    """

    predictions: pd.DataFrame
    quality: Mapping[str, JSON]
    metrics: Mapping[str, JSON]
    answers: Sequence[Answers]
    examples: Examples
    rules: GroundedRules


def answers_of(
    outputs_of: Callable[[Batch], Outputs],
    examples: Examples,
    space: OutputSpace,
    device: str,
    rules: GroundedRules | None = None,
    rows: NDArray[np.int64] | None = None,
    world: World = ALONE,
) -> list[Answers]:
    """Return the answers for a whole split, or for some of its rows, the longest examples first.

    Answers count the rows that were asked; batches have them as the split does, which is how rules know examples.
    Processes take batches in turn, and all have all answers.
    """
    import torch

    answers = []
    truths_of = None if rules is None else believed(rules)
    batches = by_length(examples.lengths if rows is None else examples.lengths[rows], EVALUATION_BATCH)
    with torch.no_grad():  # not inference_mode: what rules and plugins make once, on first use, is learnt with later
        for places in batches[world.rank :: world.size]:
            batch = examples.batch(places if rows is None else rows[places]).to(device)
            outputs = outputs_of(batch)
            decided = space.decide(outputs.scores) if outputs.decided is None else outputs.decided
            mask = None if outputs.mask is None else outputs.mask.cpu()
            truths = None if truths_of is None else truths_of(outputs, batch).cpu()
            answers.append(Answers(places, outputs.scores.float().cpu(), decided.cpu(), mask, truths))
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
    rows: NDArray[np.int64] | None = None,
    world: World = ALONE,
) -> Evaluation:
    """Return the predictions of a split, or of some of its rows, the metrics over labelled examples and the rules'.

    They are the same on every process.
    """
    found = report_split(outputs_of, examples, index, run, space, rules, rows, world)
    labelled = found.predictions[[cell is not None for cell in found.predictions["gold"]]]
    quality = measured(hooks, run, labelled) if len(labelled) else {}
    missing = {} if len(labelled) else {NOT_MEASURED: "no example has a label, so quality cannot be measured"}
    return replace(found, quality=quality, metrics={**quality, **found.metrics, **missing})


def report_split(
    outputs_of: Callable[[Batch], Outputs],
    examples: Examples,
    index: pd.Index[int],
    run: Run,
    space: OutputSpace,
    rules: GroundedRules,
    rows: NDArray[np.int64] | None = None,
    world: World = ALONE,
) -> Evaluation:
    """Return the predictions of a split, or of some of its rows, and the report of rules; quality is not measured."""
    answers = answers_of(outputs_of, examples, space, run.device, rules, rows, world)
    if rows is not None:
        examples, index, rules = examples.at(rows), index[rows], rules.at(examples.split, rows)
    predictions = with_gold(predictions_of(answers, space, index), examples, space)
    metrics: dict[str, JSON] = {}
    if len(rules):
        each, overall = rule_report(rules, examples.split, predictions, truths_of(answers))
        metrics = {"rules": each, "rules_overall": overall}
    labelled = sum(cell is not None for cell in predictions["gold"])
    metrics = {**metrics, "examples": len(index), "labelled": labelled}
    return Evaluation(predictions, {}, metrics, answers, examples, rules)


def truths_of(answers: Sequence[Answers]) -> NDArray[np.float32] | None:
    """Return (rules, examples) the truths that answers bring, in the order of the examples; None where they do not."""
    import numpy as np

    parts = [one.truths.numpy() for one in answers if one.truths is not None]
    if not parts:
        return None
    back = np.argsort(np.concatenate([one.rows for one in answers]), kind="stable")
    return np.concatenate(parts, axis=1)[:, back]


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
        PluginError: two plugins contribute a metric of one name, or one contributes what JSON cannot hold.
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
            metrics[name] = metric_of(owner, name, value)
    return metrics


def number(metrics: Mapping[str, JSON], name: str) -> float | None:
    """Return a metric as a number; None where it is not measured, or not for the moment."""
    value = metrics.get(name)
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)
