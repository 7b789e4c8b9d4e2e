"""The frozen blocks of a run, found by trying: where its network can be cut, and what that costs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from triune.cutting import Cuts, cuts_of, used_outside
from triune.frozen import (
    KEPT_SPLITS,
    Prefix,
    floors_of,
    free_room,
    held_at_once,
    lowered,
    placed,
    shape_of,
    stretches_of,
)
from triune.layout import stacks_of
from triune.machine import autocast_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from triune.examples import Examples
    from triune.opening import Opened
    from triune.optimisation import Group
    from triune.planning import Steps
    from triune.types import Batch, Outputs


def prefix_of(
    opened: Opened, examples: Mapping[str, Examples], groups: Sequence[Group], steps: Steps, folder: Path | None
) -> tuple[Prefix | None, list[str]]:
    """Return what stays frozen below what trains and where its output is kept, or None; and notes for the plan.

    Raises:
        PlanError: memory or disk was asked for, and they do not suffice.
    """
    training, layout = opened.run.config.training, opened.layout
    floors = floors_of(groups, layout, frozenset())
    asked = sorted({one.blocks for one in stretches_of(groups, floors, steps.total)} - {0})
    if not asked:
        return None, _nothing(opened, groups)
    with _drawing_nothing(opened):
        multiple, batch = _tried(opened, examples)
        found, outside = _cuts(opened, asked, batch)
    notes = [_reason(boundary, why) for boundary, why in list(found.reasons.items())[-1:]]
    floors = floors_of(groups, layout, outside)
    stretches = lowered(stretches_of(groups, floors, steps.total), found.of)
    if not any(one.blocks for one in stretches):
        return None, notes
    kept = [examples[split] for split in KEPT_SPLITS if split in examples]
    sizes = {
        boundary: sum(shape_of(cut, table).nbytes for table in kept) for boundary, cut in found.of.items() if boundary
    }
    room = free_room(folder, opened.run.processes)
    place, fills, said = placed(training, sizes, stretches, steps.per_epoch, room)
    held = held_at_once(fills, sizes)
    prefix = Prefix(found.of, floors, layout.blocks, outside, stretches, fills, place, held, multiple)
    return prefix, [*notes, *said, *([_ONE_WIDTH] if multiple == 1 else [])]


_ONE_WIDTH = (
    "the model takes no longer texts than these, so that frozen blocks compute at any width: with and without the "
    "cache, results may differ in their last bits"
)


def _nothing(opened: Opened, groups: Sequence[Group]) -> list[str]:
    asked = opened.run.config.training.cache
    if not opened.layout.blocks and sum(group.elements for group in groups) < sum(
        one.elements for one in opened.layout.parameters
    ):
        return ["no blocks are found in this model: what is frozen is computed at every step"]
    return [f"training.cache is {asked}, and nothing is frozen below what trains"] if asked in ("ram", "disk") else []


def _reason(boundary: int, why: str) -> str:
    return f"the model cannot be cut above its {boundary} frozen blocks, which are computed at every step: {why}"


def _tried(opened: Opened, examples: Mapping[str, Examples]) -> tuple[int, Batch]:
    """Return the multiple of tokens that batches are padded to below the cut, and a batch of few examples like it.

    At multiples of 16 tokens the libraries below sum alike whatever the padding is; on several threads at 32.
    """
    import numpy as np
    import torch

    table = max(examples.values(), key=lambda one: int(one.lengths.max(initial=0)))
    order = np.argsort(-table.lengths, kind="stable")
    rows = order[[0, -1, len(order) // 2]]
    for multiple in (16 if torch.get_num_threads() == 1 else 32, 1):
        batch = table.batch(rows, multiple).to(opened.run.device)
        try:
            with torch.no_grad():
                _forward(opened, batch)()
            break
        except (IndexError, RuntimeError, ValueError):
            continue
    return multiple, batch


def _cuts(opened: Opened, asked: Sequence[int], batch: Batch) -> tuple[Cuts, frozenset[str]]:
    """Return where the network can be cut, and what the blocks below compute with that lies outside of blocks."""
    model, forward = opened.bundle.model, _forward(opened, batch)
    found = cuts_of(model, stacks_of(model), asked, forward, batch.inputs["attention_mask"].bool())
    if not found.of:
        return found, frozenset()
    names = [one.name for one in opened.layout.parameters if one.depth is None]
    return found, used_outside(model, found.of[max(found.of)], names, forward)


@contextmanager
def _drawing_nothing(opened: Opened) -> Iterator[None]:
    """Draw random numbers inside the block as if none had been drawn after it."""
    import torch

    devices = [torch.device(opened.run.device)] if opened.run.device.startswith("cuda") else []
    with torch.random.fork_rng(devices=devices), opened.run.generators.untouched():
        yield


def _forward(opened: Opened, batch: Batch) -> Callable[[], Outputs]:
    autocast = autocast_of(opened.run)

    def forward() -> Outputs:
        with autocast():
            return opened.bundle.forward(opened.bundle.model, batch)

    return forward
