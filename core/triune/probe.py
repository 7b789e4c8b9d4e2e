"""A few examples pushed through everything before step 0, to find what would fail or mislead later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.evaluation import evaluate_split
from triune.types import GroundedRules, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.examples import Examples
    from triune.objective import Objective
    from triune.opening import Opened
    from triune.types import JSON, Batch

LONGEST = 2  # of the training table's examples, the longest ones


@dataclass(frozen=True, slots=True)
class Probe:
    """What a few examples showed."""

    bytes_per_example: int  # kept for the backward pass, at the width of the longest example
    metrics: Mapping[str, JSON]
    problems: tuple[str, ...]


def probe(objective: Objective, examples: Examples, opened: Opened) -> Probe:
    """Push the longest training examples through model, terms and metrics; nothing is learnt, nothing is drawn."""
    import numpy as np
    import torch

    device = opened.run.device
    longest = np.argsort(-examples.lengths, kind="stable")
    rows = longest[:LONGEST]
    devices = [torch.device(device)] if device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices), opened.run.generators.untouched():
        kept, problems = _gradients(objective, examples.batch(rows).to(device))
    labelled = longest[examples.labelled[longest] > 0][:LONGEST]
    metrics = _metrics(objective, examples, labelled, opened) if len(labelled) else {}
    return Probe(kept // len(rows), metrics, tuple(problems))


def _metrics(objective: Objective, examples: Examples, rows: NDArray[np.int64], opened: Opened) -> Mapping[str, JSON]:
    """Return the metrics of some examples, which rules know by their rows in the whole table."""
    import numpy as np
    import pandas as pd

    nothing = GroundedRules((), {examples.split: np.zeros((0, len(examples)), dtype=np.bool_)})
    index, space = pd.RangeIndex(len(examples)), opened.bundle.space
    return evaluate_split(objective.outputs, examples, index, opened.hooks, opened.run, space, nothing, rows).metrics


def _gradients(objective: Objective, batch: Batch) -> tuple[int, list[str]]:
    """Return the bytes kept for the backward pass, and a problem for each term without a gradient path."""
    import torch

    parameters = {parameter.data_ptr() for parameter in objective.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in parameters:
            kept[tensor.data_ptr()] = max(kept.get(tensor.data_ptr(), 0), tensor.nbytes)
        return tensor.detach()  # an operation's own output would hold the graph that holds it, for ever

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
        elif not bool(one.value.isfinite().all()):
            problems.append(
                f"loss term {name!r} of plugin {owner!r} is {one.value.tolist()} on the first examples, before "
                "anything is learnt: look for a division by zero, a logarithm of zero, or a model that is broken"
            )
    return sum(kept.values()), problems
