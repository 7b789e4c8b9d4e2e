"""The life of a run as a caller sees it: plan, run, evaluate, predict, explain."""

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
    from triune.explaining.values import Explanation
    from triune.journal import Observer
    from triune.planning import Plan
    from triune.prepared import Prepared
    from triune.processes import World
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
    from triune.processes import joined

    with joined() as world:
        loaded = _loaded(config, plugins, overrides, without)
        with _computing(loaded.run.training, None, world) as threads:
            return _prepared(loaded, data, threads, _output(loaded, output), world)[0].plan


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
        observers: functions that are told every `Event`.

    Returns:
        The finished run, with its metrics by split.

    Raises:
        TriuneError: something is wrong; before step 0, nothing has been written then.
        Interrupted: SIGTERM or SIGINT; the run was saved and `resume="auto"` goes on.
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
    from triune.processes import joined
    from triune.signals import listening

    if resume not in (None, "auto"):
        raise TriuneError(f"resume is {resume!r}: 'auto' goes on where a stopped run was, None begins a new one")
    begun = time.perf_counter()
    folder = Folder(output)
    with ExitStack() as stack:
        world = stack.enter_context(joined())
        folder.claim(resume=resume is not None, overwrite=overwrite)
        recorded = None if overwrite else folder.threads()
        threads = stack.enter_context(_computing(loaded.run.training, recorded, world))
        prepared, baselines = _prepared(loaded, data, threads, folder.path, world)
        identity = identity_of(loaded, prepared)
        if folder.finished and not overwrite:
            return _same(folder, identity)
        world.exchange(None)  # all have looked, so that the first may write
        if overwrite:
            world.led(folder.clear)  # only now: until here a mistake would have cost the old run
        stack.enter_context(pages_kept(prepared.opened.run.device))
        # before, there is nothing to save, and a signal ends it at once
        listener = stack.enter_context(listening(world.stop))
        frames = None if data is None else as_frames(data)
        others = beside(baselines, frames, {"threads": threads}, folder, listener, world)
        return train(loaded, prepared, folder, identity, listener, observers, begun, others)


def evaluate(
    folder: str | Path, data: str | Path | pd.DataFrame, *, plugins: Mapping[str, object] | None = None
) -> dict[str, JSON]:
    """Return the metrics of a finished run on a table: a file, or a frame with the columns of the run.

    Without a label there is only what a run with rules has to say of them; "not_measured" says so. A folder that holds
    several finished runs, such as the seeds of one arm of a comparison, is measured by the mean of what they believe;
    "members" says how each does.

    Raises:
        TriuneError: the folder holds no finished run, or the table cannot be used.
    """
    from triune.reopened import measured

    found = measured(Path(folder), data, plugins)
    if not found.metrics["labelled"] and "rules" not in found.metrics:
        raise DataError(
            f"{found.place}: no example has a label, so there is nothing to measure: give labels, or predict"
        )
    return dict(found.metrics)


def predict(
    folder: str | Path, data: str | Path | pd.DataFrame, *, plugins: Mapping[str, object] | None = None
) -> pd.DataFrame:
    """Return the predictions of a finished run: "predicted", and "probability of LABEL" for each label.

    Of tokens "predicted" is the list of tags, and "probability" says how probable each is. A folder that holds several
    finished runs predicts by the mean of what they believe.

    The index is the table's: line numbers of a file, or the frame's own index.

    Raises:
        TriuneError: the folder holds no finished run, or the table cannot be used.
    """
    from triune.reopened import predicted

    return predicted(Path(folder), data, plugins).predictions.drop(columns="gold")


def explain(
    folder: str | Path,
    text: str | Sequence[str] | Sequence[Sequence[str]] | Path | pd.DataFrame,
    *,
    label: str | None = None,
    columns: Mapping[str, str] | None = None,
    nearest: int = 5,
    steps: int = 50,
    data: Frames | None = None,
    plugins: Mapping[str, object] | None = None,
) -> Explanation:
    """Return why a finished run says of texts what it says: rules, tokens and the nearest training examples.

    Args:
        folder: of the finished run.
        text: a text or several; lists of tokens, where the run tags them; a `Path`, or a frame, of a table.
        label: which label to explain; None: the predicted ones.
        columns: a value for each column that rules, or the task, read beside the text.
        nearest: how many training examples to look up; 0: none.
        steps: points on the path of integrated gradients, more where they are too few; 0: no tokens.
        data: the tables that were given to `run` from Python, for the nearest examples.
        plugins: plugin objects from Python, as they were given to `run`.

    Raises:
        TriuneError: the folder holds no finished run, a text is empty, or there is no such label.
    """
    from triune.explaining.answering import explanation
    from triune.opening import as_frames

    return explanation(
        Path(folder),
        text,
        label=None if label is None else str(label),
        columns=columns or {},
        nearest=nearest,
        steps=steps,
        frames=None if data is None else as_frames(data),
        plugins=plugins,
    )


def _loaded(
    config: Source, plugins: Mapping[str, object] | None, overrides: Sequence[str], without: Sequence[str]
) -> LoadedConfig:
    return load_config(config, catalog=installed(without), instances=plugins or {}, overrides=overrides)


def _output(loaded: LoadedConfig, output: str | Path | None) -> Path:
    return Path(output) if output is not None else loaded.run.output or Path("runs") / "run"


def _prepared(
    loaded: LoadedConfig, frames: Frames | None, threads: int, folder: Path, world: World
) -> tuple[Prepared, tuple[Baseline, ...]]:
    from triune.baselines import FOLDER, baselines_of, notes_of
    from triune.opening import as_frames
    from triune.prepared import prepare

    prepared = prepare(loaded, None if frames is None else as_frames(frames), {"threads": threads}, folder, world)
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
def _computing(training: Training, recorded: int | None, world: World) -> Iterator[int]:
    """Compute as the run says inside the block; give threads and random states back to the caller after it."""
    from triune.machine import choose_threads, threads
    from triune.state import random_state, seed_everything, set_random_state

    before = random_state()
    count = world.exchange(recorded or choose_threads(training.threads))[0]
    try:
        with threads(count):
            seed_everything(training.seed)
            yield count
    finally:
        set_random_state(before)
