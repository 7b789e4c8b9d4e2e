"""Where a run computes: the device, the precision, the number of threads."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from triune.errors import EnvironmentProblem
from triune.memory import give_back_pages, keep_pages
from triune.processes import ALONE, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from triune.context import Run

PROBE_WIDTH = 384  # about the width of a small encoder
PROBES = 12


def device_of(asked: str, world: World = ALONE) -> str:
    """Return the device to compute on: a GPU where there is one and "auto" or "cuda" is asked for.

    One process takes the first; of several on a machine each takes its own.

    Raises:
        EnvironmentProblem: a GPU is asked for and there is none, or fewer than there are processes.
    """
    import torch

    if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()):
        return "cpu"
    if not torch.cuda.is_available():
        raise EnvironmentProblem(
            "training.device is 'cuda' and torch finds no GPU here: install a CUDA build, or ask for 'cpu'"
        )
    if world.local_size > torch.cuda.device_count():
        raise EnvironmentProblem(
            f"{world.local_size} processes were started here and there are {torch.cuda.device_count()} GPUs: start one "
            "for each GPU, or ask for training.device: cpu"
        )
    torch.cuda.set_device(world.local_rank)
    return f"cuda:{world.local_rank}"


def precision_of(run: Run) -> str:
    """Return "bf16" or "fp32": by default bf16 on a GPU that has it, fp32 elsewhere."""
    import torch

    asked = run.config.training.precision
    if asked != "auto":
        return asked
    return "bf16" if run.device.startswith("cuda") and torch.cuda.is_bf16_supported() else "fp32"


def autocast_of(run: Run) -> Callable[[], AbstractContextManager[object]]:
    """Return the context in which the model's forward pass runs."""
    import torch

    if precision_of(run) == "fp32":
        return nullcontext
    return lambda: torch.autocast(run.device.partition(":")[0], dtype=torch.bfloat16)


def choose_threads(asked: int | None) -> int:
    """Return the number of threads asked for, or the faster of one and all that torch would use."""
    import torch

    if asked is not None:
        return asked
    most = torch.get_num_threads()
    if most == 1 or torch.cuda.is_available():
        return most
    with threads(most):
        many = _seconds()
    with threads(1):
        one = _seconds()
    return most if many < one else 1


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside the block."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def pages_kept(device: str) -> Iterator[None]:
    """Keep freed memory inside the block where the CPU computes, and give it back to the system after it."""
    if device != "cpu":
        yield
        return
    keep_pages()
    try:
        yield
    finally:
        give_back_pages()


def _seconds() -> float:
    import torch

    left = torch.ones(32 * 32, PROBE_WIDTH)
    right = torch.ones(PROBE_WIDTH, 4 * PROBE_WIDTH)
    left @ right
    times = []
    for _ in range(PROBES):
        begun = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - begun)
    return sorted(times)[PROBES // 2]
