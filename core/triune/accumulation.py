"""The gradient of one step, part by part, and how long it may be."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch

from triune.context import seed_of
from triune.errors import TrainingError
from triune.objective import check_finite, share_of
from triune.processes import ALONE, World
from triune.state import seeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from torch import Tensor, nn

    from triune.context import Run
    from triune.objective import Objective
    from triune.types import Batch, Step


def accumulated(
    objective: Objective,
    batches: Sequence[Batch],
    step: Step,
    dropout: Callable[[], AbstractContextManager[object]],
    untouched: Callable[[], AbstractContextManager[object]],
    world: World = ALONE,
) -> tuple[float, dict[str, float]]:
    """Add up the gradient of a batch that comes in parts; return the loss and its terms, of the whole batch.

    Args:
        objective: the model and what is minimised.
        batches: the parts, of several processes those of this one, which may be none.
        step: the moment.
        dropout: the context in which the model draws.
        untouched: the context in which the run's own generators draw as if they had not.
        world: the processes that share the batch; each is left with the gradient of the whole of it.

    Raises:
        TrainingError: a term is not finite; nothing was learnt.
    """
    with dropout():
        whole = len(batches) == 1 and world.size == 1
        share = None if whole else share_of(objective, batches, step, untouched, world)
    totals: dict[str, Tensor] = {}
    for batch in batches:
        with dropout():
            loss, terms = objective(batch, step, share)
            loss.backward()
        totals = {name: totals[name] + term if totals else term for name, term in terms.items()}
    totals = {**world.added(totals, objective.device), **((share and share.terms) or {})}
    values = {name: float(total) for name, total in totals.items()}
    check_finite(values, {name: owner for name, (owner, _) in objective.terms.items()}, step)
    world.add_gradients(objective.parameters())  # not listed here: one process alone would walk the model for nothing
    with torch.no_grad():
        return float(objective.compose(totals, step)), values


@contextmanager
def own_draws(run: Run, step: Step) -> Iterator[None]:
    """Of several processes, have each draw for itself inside the block, and all of them go on alike after it."""
    if run.processes.size == 1:
        yield
        return
    part = f"step {step.index} of process {run.processes.rank}"
    with seeded(seed_of(run.seed, part)), run.generators.apart(part):
        yield


def clip(parameters: Iterable[nn.Parameter], most: float | None, step: Step) -> None:
    """Shorten the gradient to a norm of at most `most`; None leaves it as it is.

    Raises:
        TrainingError: it is not finite; nothing was learnt.
    """
    moving = [parameter for parameter in parameters if parameter.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(moving, most or float("inf"))
    if not bool(norm.isfinite()):
        raise TrainingError(
            f"step {step.index + 1}: the norm of the gradient is {norm.item()}: nothing was learnt from this step "
            "and the last checkpoint holds; try a lower training.learning_rate, or training.precision: fp32"
        )
