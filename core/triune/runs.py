"""The life of a run as a caller sees it: plan, run, evaluate, predict."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from triune.catalog import installed
from triune.config import LoadedConfig, load_config
from triune.errors import DataError, OutputError, TriuneError
from triune.folder import MODEL, REPORTED, RESULTS, Folder
from triune.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from triune.baselines import Baseline
    from triune.config import RunConfig, Training
    from triune.journal import Observer
    from triune.planning import Plan
    from triune.prepared import Prepared
    from triune.types import JSON

    Source = str | Path | Mapping[str, object] | RunConfig
    Frames = pd.DataFrame | Mapping[str, pd.DataFrame]


def plan(
    config: Source,
    *,
    data: Frames | None = None,
    plugins: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
    without: Sequence[str] = (),
    output: str | Path | None = None,
) -> Plan:
    """Check everything that a run would do and return it, without writing or training anything.

    Raises:
        TriuneError: something is wrong.
    """
    loaded = _loaded(config, plugins, overrides, without)
    with _computing(loaded.run.training, None) as threads:
        return _prepared(loaded, data, threads, _output(loaded, output))[0].plan


def run(
    config: Source,
    *,
    data: Frames | None = None,
    plugins: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
    without: Sequence[str] = (),
    output: str | Path | None = None,
    resume: str | None = None,
    overwrite: bool = False,
    observers: Sequence[Observer] = (),
) -> Result:
    """Fine-tune a model as a configuration says.

    Args:
        config: a YAML or JSON file, or the same as a mapping.
        data: tables from Python by split ("train", "valid", "test", "unlabelled"), or one to train on: pandas
            frames, or data sets of the `datasets` library.
        plugins: plugin objects from Python, by the names that the configuration uses for them.
        overrides: `KEY=VALUE`, put over what the configuration says.
        without: names of installed plugins to treat as if they were not.
        output: the run's folder; otherwise the configuration's, otherwise `runs/run`.
        resume: "auto" goes on where a stopped run was, or returns a finished one.
        overwrite: delete a run that is in the folder.
        observers: functions that are told every `Event`; one that raises `triune.events.EndRun` ends the run.

    Returns:
        The finished run, with its metrics by split.

    Raises:
        TriuneError: something is wrong; before step 0, nothing has been written then.
        Interrupted: SIGTERM or SIGINT; the run was saved and `resume="auto"` goes on.
        EndRun: an observer wished so.
    """
    loaded = _loaded(config, plugins, overrides, without)
    place = _output(loaded, output)
    return carried_out(loaded, place, data=data, resume=resume, overwrite=overwrite, observers=observers)


def carried_out(
    loaded: LoadedConfig,
    output: Path,
    *,
    data: Frames | None = None,
    resume: str | None = None,
    overwrite: bool = False,
    observers: Sequence[Observer] = (),
) -> Result:
    """Do what `run` does, for a configuration that is loaded already."""
    from triune.baseline_runs import beside
    from triune.finishing import train
    from triune.machine import pages_kept
    from triune.opening import as_frames
    from triune.prepared import identity_of
    from triune.signals import listening

    if resume not in (None, "auto"):
        raise TriuneError(f"resume is {resume!r}: 'auto' goes on where a stopped run was, None begins a new one")
    begun = time.perf_counter()
    folder = Folder(output)
    folder.claim(resume=resume is not None, overwrite=overwrite)
    with ExitStack() as stack:
        threads = stack.enter_context(_computing(loaded.run.training, None if overwrite else folder.threads()))
        prepared, baselines = _prepared(loaded, data, threads, folder.path)
        identity = identity_of(loaded, prepared)
        if overwrite:
            folder.clear()  # only now: until here a mistake would have cost the old run
        elif folder.finished:
            return _same(folder, identity)
        stack.enter_context(pages_kept(prepared.opened.run.device))
        listener = stack.enter_context(listening())  # before, there is nothing to save, and a signal ends it at once
        frames = None if data is None else as_frames(data)
        others = beside(baselines, frames, {"threads": threads}, folder, listener)
        return train(loaded, prepared, folder, identity, listener, observers, begun, others)


def evaluate(
    folder: str | Path, data: str | Path | pd.DataFrame, *, plugins: Mapping[str, object] | None = None
) -> dict[str, JSON]:
    """Return the metrics of a finished run on a labelled table: a file, or a frame with the columns of the run.

    Raises:
        TriuneError: the folder holds no finished run, or the table cannot be used.
    """
    from triune.reopened import measured

    found = measured(Path(folder), data, plugins)
    if not found.metrics["labelled"]:
        raise DataError(
            f"{found.place}: no example has a label, so there is nothing to measure: give labels, or predict"
        )
    return dict(found.metrics)


def predict(
    folder: str | Path, data: str | Path | pd.DataFrame, *, plugins: Mapping[str, object] | None = None
) -> pd.DataFrame:
    """Return the predictions of a finished run: "predicted", and "probability of LABEL" for each label.

    Of tokens "predicted" is the list of tags, and "probability" says how probable each is.

    The index is the table's: line numbers of a file, or the frame's own index.

    Raises:
        TriuneError: the folder holds no finished run, or the table cannot be used.
    """
    from triune.reopened import predicted

    return predicted(Path(folder), data, plugins).predictions.drop(columns="gold")


def _loaded(
    config: Source, plugins: Mapping[str, object] | None, overrides: Sequence[str], without: Sequence[str]
) -> LoadedConfig:
    return load_config(config, catalog=installed(without), instances=plugins or {}, overrides=overrides)


def _output(loaded: LoadedConfig, output: str | Path | None) -> Path:
    return Path(output) if output is not None else loaded.run.output or Path("runs") / "run"


def _prepared(
    loaded: LoadedConfig, frames: Frames | None, threads: int, folder: Path
) -> tuple[Prepared, tuple[Baseline, ...]]:
    from triune.baselines import FOLDER, baselines_of, notes_of
    from triune.opening import as_frames
    from triune.prepared import prepare

    prepared = prepare(loaded, None if frames is None else as_frames(frames), {"threads": threads}, folder)
    baselines = baselines_of(loaded, prepared)
    reported = () if loaded.run.training.report == "off" else REPORTED
    written = (MODEL, *RESULTS, *reported, *([FOLDER] if any(one.loaded for one in baselines) else []))
    plan = replace(
        prepared.plan,
        writes=tuple(folder / name for name in written),
        notes=(*prepared.plan.notes, *notes_of(baselines, prepared)),
    )
    return replace(prepared, plan=plan), baselines


def _same(folder: Folder, identity: str) -> Result:
    """Return a finished run that is asked for again."""
    facts = folder.facts()
    if facts["identity"] != identity:
        raise OutputError(
            f"output {str(folder.path)!r} holds a finished run of another configuration, data or plugins: give another "
            "output, or `--overwrite` to delete it"
        )
    return Result(folder.path, folder.metrics(), facts)


@contextmanager
def _computing(training: Training, recorded: int | None) -> Iterator[int]:
    """Compute as the run says inside the block; give threads and random states back to the caller after it."""
    from triune.machine import choose_threads, threads
    from triune.state import random_state, seed_everything, set_random_state

    before = random_state()
    count = recorded or choose_threads(training.threads)
    try:
        with threads(count):
            seed_everything(training.seed)
            yield count
    finally:
        set_random_state(before)
