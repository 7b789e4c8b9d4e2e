"""The baselines of a run, done: each is a run by the machinery of every run, in a folder below."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from triune.baselines import FOLDER, PROJECTION
from triune.errors import TriuneError
from triune.events import Beside
from triune.finishing import train
from triune.folder import Folder
from triune.prepared import identity_of, prepare
from triune.result import Result
from triune.state import seed_everything

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

    from triune.baselines import Baseline
    from triune.config import LoadedConfig
    from triune.journal import Journal
    from triune.processes import World
    from triune.signals import Listener
    from triune.types import JSON


def beside(
    baselines: Sequence[Baseline],
    frames: Mapping[str, pd.DataFrame] | None,
    machine: Mapping[str, JSON],
    folder: Folder,
    listener: Listener,
    world: World,
) -> Callable[[Journal], dict[str, JSON]]:
    """Return what does the baselines of a run and gives their metrics, telling the run's journal how they get on."""

    def measured(journal: Journal) -> dict[str, JSON]:
        found: dict[str, JSON] = {}
        for one in baselines:
            place = Folder(folder.path / FOLDER / one.name)
            found |= _measured(one, frames, machine, place, listener, journal, world)
        return found

    return measured


def _measured(
    baseline: Baseline,
    frames: Mapping[str, pd.DataFrame] | None,
    machine: Mapping[str, JSON],
    folder: Folder,
    listener: Listener,
    journal: Journal,
    world: World,
) -> dict[str, JSON]:
    if baseline.loaded is None:
        return {baseline.key: {"left_out": baseline.left_out}}
    try:
        with world.together():
            result = _run(baseline.name, baseline.loaded, frames, machine, folder, listener, journal, world)
    except Exception as error:  # the run itself is whole, and must not be lost for what stands beside it
        said = str(error) if isinstance(error, TriuneError) else f"{type(error).__name__}: {error}"
        return {baseline.key: {"left_out": said}}
    world.led(folder.drop_checkpoints)
    if baseline.name != PROJECTION:
        return {baseline.key: _figures(result.metrics)}
    onto = {split: one["projection"] for split, one in _splits(result.metrics) if "projection" in one}
    return {"without_rules": _figures(result.metrics), baseline.key: onto}


def _run(
    name: str,
    loaded: LoadedConfig,
    frames: Mapping[str, pd.DataFrame] | None,
    machine: Mapping[str, JSON],
    folder: Folder,
    listener: Listener,
    journal: Journal,
    world: World,
) -> Result:
    """Do a baseline, go on with it, or return it if it is done."""
    begun = time.perf_counter()
    seed_everything(loaded.run.training.seed)
    prepared = prepare(loaded, frames, machine, folder.path, world)
    identity = identity_of(loaded, prepared)
    folder.claim(resume=True, overwrite=False)
    if folder.finished and folder.facts()["identity"] == identity:
        return Result(folder.path, folder.metrics(), folder.facts())
    other = folder.finished
    world.exchange(None)  # all have looked, so that the first may write
    if other:
        world.led(folder.clear)
    return train(loaded, prepared, folder, identity, listener, [lambda event: journal.tell(Beside(name, event))], begun)


def _splits(metrics: Mapping[str, JSON]) -> list[tuple[str, Mapping[str, JSON]]]:
    return [(split, one) for split, one in metrics.items() if isinstance(one, Mapping)]


def _figures(metrics: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the figures of each split, with the share of broken rules among them."""
    found: dict[str, JSON] = {}
    for split, one in _splits(metrics):
        figures = {name: value for name, value in one.items() if isinstance(value, int | float)}
        overall = cast("Mapping[str, JSON]", one.get("rules_overall", {}))
        broken = {name: overall[name] for name in ("violation_rate", "hard_violations") if name in overall}
        found[split] = {**figures, **broken}
    return found
