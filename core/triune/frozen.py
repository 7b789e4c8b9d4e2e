"""What of a network stays frozen below what trains, when, and where its output is kept: a part of the plan."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from triune.alignment import count, size
from triune.errors import PlanError, listed
from triune.processes import ALONE, World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from triune.cuts import Cut
    from triune.examples import Examples
    from triune.optimisation import Group
    from triune.settings import Training
    from triune.streams import Shape
    from triune.types import JSON, ModelLayout

Place = Literal["off", "ram", "disk"]
KEPT_SPLITS = ("train", "valid")
SHARE = 0.5  # of free memory, or of the free disk, that is taken where no limit is given


@dataclass(frozen=True, slots=True)
class Stretch:
    """Steps in which the same blocks are frozen below everything that trains."""

    start: int
    stop: int
    blocks: int


@dataclass(frozen=True, slots=True)
class Prefix:
    """The frozen blocks below what trains.

    Attributes:
        cuts: where the network can be cut, by the number of blocks below.
        floors: of each group of the plan, how many blocks lie below it.
        blocks: how many blocks there are.
        outside: parameters outside of blocks that the frozen ones compute with.
        stretches: what is frozen when, as far down as the network can be cut.
        fills: the boundaries whose streams are computed together when the first of them is needed, by that one.
        place: where they are kept.
        bytes: the most that is kept at once.
        multiple: a batch is padded to a multiple of so many tokens below the cut.
    """

    cuts: Mapping[int, Cut]
    floors: tuple[int, ...]
    blocks: int
    outside: frozenset[str]
    stretches: tuple[Stretch, ...]
    fills: Mapping[int, tuple[int, ...]]
    place: Place
    bytes: int
    multiple: int

    def floor(self, step: int, groups: Sequence[Group]) -> int:
        """Return how many blocks are frozen below all groups that train at a step."""
        return min((low for low, group in zip(self.floors, groups, strict=True) if group.window(step)), default=0)

    def under(self, floor: int) -> int:
        """Return the highest boundary at which the network can be cut among so many frozen blocks; 0: none."""
        return max((boundary for boundary in self.cuts if boundary <= floor), default=0)


@dataclass(frozen=True, slots=True)
class Room:
    """How many bytes are free."""

    ram: int
    disk: int


def floors_of(groups: Sequence[Group], layout: ModelLayout, outside: frozenset[str]) -> tuple[int, ...]:
    """Return how many blocks lie below each group; none, where it holds what all blocks compute with."""
    depths = {one.name: 0 if one.name in outside else one.depth for one in layout.parameters}
    return tuple(
        min((depth for name in group.names if (depth := depths[name]) is not None), default=layout.blocks)
        for group in groups
    )


def stretches_of(groups: Sequence[Group], floors: Sequence[int], total: int) -> tuple[Stretch, ...]:
    """Return what is frozen when, from the first step to the last."""
    edges = sorted({0, total, *(edge for group in groups for one in group.windows for edge in (one.start, one.stop))})
    found: list[Stretch] = []
    for start, stop in pairwise(edge for edge in edges if edge <= total):
        low = min((floor for floor, group in zip(floors, groups, strict=True) if group.window(start)), default=0)
        if found and found[-1].blocks == low:
            start = found.pop().start
        found.append(Stretch(start, stop, low))
    return tuple(found)


def lowered(stretches: Sequence[Stretch], cuts: Mapping[int, Cut]) -> tuple[Stretch, ...]:
    """Return the stretches down to where the network can be cut."""
    found: list[Stretch] = []
    for one in stretches:
        blocks = max((boundary for boundary in cuts if boundary <= one.blocks), default=0)
        start = found.pop().start if found and found[-1].blocks == blocks else one.start
        found.append(Stretch(start, one.stop, blocks))
    return tuple(found)


def fills_of(
    stretches: Sequence[Stretch], sizes: Mapping[int, int], per_epoch: int, budget: int
) -> dict[int, tuple[int, ...]]:
    """Return which boundaries are filled together when one is first needed, within a budget of bytes.

    One pass through the frozen blocks passes every boundary, so those that are needed later, while the blocks below
    them are still frozen, are kept along with the first. A boundary is kept where that saves more than the pass costs.
    """
    fills: dict[int, tuple[int, ...]] = {}
    for place, stretch in enumerate(stretches):
        if not stretch.blocks or stretch.blocks in fills:
            continue
        served = _served(stretches[place:])
        kept: list[int] = []
        for boundary in dict.fromkeys(one.blocks for one in served):
            if sum(map(sizes.__getitem__, kept)) + sizes[boundary] <= budget:
                kept.append(boundary)
        saved = sum((one.stop - one.start) / per_epoch * one.blocks for one in served if one.blocks in kept)
        if stretch.blocks in kept and saved > stretch.blocks:
            for boundary in kept:
                fills.setdefault(boundary, tuple(one for one in kept if one <= boundary))
    return fills


def _served(stretches: Sequence[Stretch]) -> list[Stretch]:
    """Return the stretches whose frozen blocks have been frozen since the first of them."""
    served, low = [], stretches[0].blocks
    for stretch in stretches:
        if 0 < stretch.blocks <= low:
            served.append(stretch)
        low = min(low, stretch.blocks)
    return served


def shape_of(cut: Cut, examples: Examples) -> Shape:
    """Return how the streams of a table lie."""
    import numpy as np

    from triune.streams import Shape

    lengths = examples.lengths if cut.per == "token" else np.ones(len(examples), dtype=np.int64)
    return Shape(np.concatenate([np.zeros(1, dtype=np.int64), lengths.cumsum()]), cut.features, cut.dtype)


def placed(
    training: Training, sizes: Mapping[int, int], stretches: Sequence[Stretch], per_epoch: int, room: Room
) -> tuple[Place, dict[int, tuple[int, ...]], list[str]]:
    """Return where streams are kept, which are filled together, and notes for the plan.

    Raises:
        PlanError: memory or disk was asked for, and they do not fit there.
    """
    wanted = fills_of(stretches, sizes, per_epoch, budget=sum(sizes.values()))
    if not wanted or training.cache == "off":
        return "off", {}, [] if training.cache in ("off", "auto") else [_idle(training.cache)]
    needed = max(sizes[boundary] for boundary in wanted)
    places: tuple[Place, ...] = ("ram", "disk") if training.cache == "auto" else (training.cache,)
    for place in places:
        budget = budget_of(training.cache_limit, room.ram if place == "ram" else room.disk)
        if needed <= budget:
            return place, fills_of(stretches, sizes, per_epoch, budget), []
    said = f"the outputs of the frozen blocks take {size(needed)}, and {_allowed(training.cache_limit, room, places)}"
    if training.cache != "auto":
        raise PlanError([f"training.cache: {training.cache}: {said}; raise training.cache_limit, or set it to auto"])
    return "off", {}, [f"{said}: they are computed at every step"]


def budget_of(limit: int | None, free: int) -> int:
    """Return how many bytes may be taken: the limit within what is free, or a share of that."""
    return int(free * SHARE) if limit is None else min(limit, free)


def _allowed(limit: int | None, room: Room, places: Sequence[Place]) -> str:
    free = [f"{size(room.ram if place == 'ram' else room.disk)} are free {_NAMES[place]}" for place in places]
    share = f"training.cache_limit is {size(limit)}" if limit is not None else f"{SHARE:.0%} of that may be taken"
    return f"{listed(free)} ({share})"


_NAMES = {"ram": "in memory", "disk": "on the disk", "off": ""}


def _idle(asked: str) -> str:
    return f"training.cache is {asked}, and no frozen block below what trains is gone through more than once"


def held_at_once(fills: Mapping[int, tuple[int, ...]], sizes: Mapping[int, int]) -> int:
    """Return the most bytes that are kept at once."""
    return max((sum(sizes[boundary] for boundary in kept) for kept in fills.values()), default=0)


def free_room(folder: Path | None, world: World = ALONE) -> Room:
    """Return what is free in memory for each process, and on the disk of a folder that may not be there yet.

    Where there are several processes, the first one looks, so that all decide alike.
    """
    import shutil

    from triune.memory import available_bytes

    place = next((one for one in (folder, *folder.parents) if one.is_dir()), None) if folder else None
    found = Room((available_bytes() or 0) // world.local_size, shutil.disk_usage(place).free if place else 0)
    return world.exchange(found)[0]


def described(prefix: Prefix) -> list[str]:
    """Return what the plan's page says of the frozen blocks, a line each."""
    kept = f"; kept {_NAMES[prefix.place]}: {size(prefix.bytes)} at most" if prefix.fills else ""
    lines = [f"Frozen below what trains, and computed without dropout{kept}"]
    for one in prefix.stretches:
        if one.blocks:
            when = "once an example" if one.blocks in prefix.fills else "at every step"
            what = " (first token)" if prefix.cuts[one.blocks].per == "first token" else ""
            lines.append(f"  steps {one.start}–{one.stop}: {count(one.blocks, 'block')}{what}, {when}")
    return lines


def plain(prefix: Prefix) -> dict[str, JSON]:
    """Return the frozen blocks as plain values."""
    return {
        "place": prefix.place,
        "bytes": prefix.bytes,
        "stretches": [
            {
                "start": one.start,
                "stop": one.stop,
                "blocks": one.blocks,
                "kept": one.blocks in prefix.fills,
            }
            for one in prefix.stretches
        ],
    }
