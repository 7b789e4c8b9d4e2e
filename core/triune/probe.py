"""A few examples pushed through everything before step 0, to find what would fail or mislead later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.evaluation import gold_cells, measured, predictions_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from triune.context import Run
    from triune.examples import Examples
    from triune.hooks import Hooks
    from triune.objective import Objective
    from triune.types import JSON, Batch

LONGEST = 2  # of the training table's examples, the longest ones


@dataclass(frozen=True, slots=True)
class Probe:
    """What a few examples showed."""

    bytes_per_example: int  # kept for the backward pass, at the width of the longest example
    metrics: Mapping[str, JSON]
    problems: tuple[str, ...]


def probe(objective: Objective, examples: Examples, device: str, hooks: Hooks, run: Run) -> Probe:
    """Push the longest training examples through model, terms and metrics; nothing is learnt, nothing is drawn."""
    import numpy as np
    import pandas as pd
    import torch

    rows = np.argsort(-examples.lengths, kind="stable")[:LONGEST]
    batch = examples.batch(rows).to(device)
    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices):
        kept, problems = _gradients(objective, batch)
    with torch.inference_mode():
        outputs = objective.outputs(batch)
    predictions = predictions_of(outputs.scores.float().cpu(), outputs.space, pd.RangeIndex(len(rows)))
    predictions.insert(0, "gold", gold_cells(examples.at(rows), outputs.space))
    metrics = measured(hooks, run, predictions)
    return Probe(kept // max(len(rows), 1), metrics, tuple(problems))


def _gradients(objective: Objective, batch: Batch) -> tuple[int, list[str]]:
    """Return the bytes kept for the backward pass, and a problem for each term without a gradient path."""
    import torch

    from triune.types import Step

    parameters = {parameter.data_ptr() for parameter in objective.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            kept[tensor.data_ptr()] = max(kept.get(tensor.data_ptr(), 0), tensor.nbytes)
        return tensor

    problems = []
    objective.train()
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        sums = objective.sums(batch, Step(0, 1))
    objective.eval()
    for name, one in sums.items():
        owner = objective.terms[name][0]
        if not one.value.requires_grad:
            problems.append(
                f"loss term {name!r} of plugin {owner!r} has no gradient path to the model: compute it from "
                "outputs with torch operations, without detach or numpy"
            )
        elif not bool(one.value.isfinite()):
            problems.append(f"loss term {name!r} of plugin {owner!r} is {one.value.item()} on the first examples")
    return sum(kept.values()), problems
