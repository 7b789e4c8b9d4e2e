"""The second half of the life of a run: train, evaluate, export, write down."""

from __future__ import annotations

import platform
import shlex
import shutil
import time
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, cast

from triune import __version__
from triune.card import model_card
from triune.checkpoint import Checkpoints
from triune.config import resolved
from triune.engine import Engine
from triune.events import Evaluated, Planned, Warned
from triune.final_report import final_metrics
from triune.folder import CHECKPOINTS, HISTORY, Folder
from triune.hookspecs import RunLifecycle
from triune.journal import Journal
from triune.label_check import Sample, put_to_heads, records_of, sample_of
from triune.plan_page import summary
from triune.replicas import refuse_other_checkpoint
from triune.report.history import UNDRAWN
from triune.report.recording import recorded, with_texts, written
from triune.report.records import as_line
from triune.report.writing import write_report
from triune.result import Result
from triune.rule_files import rule_files
from triune.spaces import described

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from triune.config import LoadedConfig
    from triune.evaluation import Answers, Evaluation
    from triune.journal import Observer
    from triune.prepared import Prepared
    from triune.signals import Listener
    from triune.types import JSON

PACKAGES = (
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "pandas",
    "scikit-learn",
    "safetensors",
    "pluggy",
    "pydantic",
)


def train(
    loaded: LoadedConfig,
    prepared: Prepared,
    folder: Folder,
    identity: str,
    listener: Listener,
    observers: Sequence[Observer],
    begun: float,
    beside: Callable[[Journal], dict[str, JSON]] = lambda journal: {},
) -> Result:
    """Execute the plan of a prepared run in its folder, from its last checkpoint where there is one.

    `beside` does what belongs to the run's results and is no part of it: its baselines.
    """
    run, hooks = prepared.opened.run, prepared.opened.hooks
    world = run.processes
    fresh = folder.empty
    journal = Journal(folder.path / HISTORY, hooks, run, observers if world.leads else ())
    checkpoints = Checkpoints(
        folder.path / CHECKPOINTS, identity, on_damage=lambda damage: journal.tell(Warned(f"passed over: {damage}"))
    )
    engine = Engine(prepared, checkpoints, journal, listener)
    snapshot = checkpoints.latest()
    refuse_other_checkpoint(world, snapshot, folder.path)  # all have read, so that the first may write
    try:
        if world.leads:
            journal.open_at(int(str(snapshot.facts["history"])) if snapshot else 0)
            folder.begin(int(str(prepared.plan.machine["threads"])))
        sample = _to_be_checked(prepared, journal)  # now, when the model has learnt nothing
        if snapshot:
            engine.resume(snapshot)
        preparing = time.perf_counter() - begun
        journal.tell(Planned(prepared.plan, folder.path))
        reason = engine.train()
        metrics, collapsed, records = _measured(prepared, engine, journal)
        records += _training_labels(prepared, engine, journal, sample)
        if baselines := beside(journal):
            metrics["baselines"] = baselines
        facts = facts_of(loaded, prepared, identity, engine, reason, preparing, collapsed)
        facts["label_check"] = sample.facts if sample else None
        world.led(lambda: _write(prepared, folder, metrics, facts, records))
        world.led(lambda: _report(prepared, folder, journal))
        return Result(folder.path, metrics, facts)
    except Exception:
        journal.close()
        if fresh and world.leads and not checkpoints.steps():
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    finally:
        journal.close()


def _measured(prepared: Prepared, engine: Engine, journal: Journal) -> tuple[dict[str, JSON], str, list[str]]:
    """Return the finished model's metrics by split, a sentence if one label has taken over, and what it predicts."""
    opened = prepared.opened
    metrics: dict[str, JSON] = {}
    records: list[str] = []
    answers = None
    for split in engine.examiner.splits:
        found = engine.examiner.reported(split)
        answers = answers or found.answers
        if split in prepared.examples and split != "train":  # of what was learnt from, disagreements say little
            records += _recorded(prepared, split, found, journal)
        before = cast("Mapping[str, JSON] | None", engine.before.get(split))
        figures = final_metrics(found, opened.hooks, opened.run, opened.bundle.space, before)
        metrics[split] = figures
        journal.tell(Evaluated(engine.now, split, figures, best=False, predictions=found.predictions))
    return metrics, _collapse(prepared, engine, journal, answers), records


def _collapse(prepared: Prepared, engine: Engine, journal: Journal, answers: Sequence[Answers] | None) -> str:
    """Return what there is to say of a collapse: of the finished model, or of one on the way to it."""
    if prepared.watch is None:
        return ""
    verdict = prepared.watch.verdict(answers or engine.examiner.sampled())
    if verdict and not engine.progress.collapsed:
        journal.tell(Warned(f"the finished model: {verdict}"))
    if verdict:
        return f"the finished model: {verdict}"
    return engine.progress.collapsed and f"{engine.progress.collapsed} (not so of the finished model)"


def _recorded(prepared: Prepared, split: str, found: Evaluation, journal: Journal) -> list[str]:
    """Return what the finished model says of each example, as lines; none where no report is wanted."""
    wanted = prepared.plan.training.report
    if wanted == "off":
        return []
    try:
        records = recorded(split, found.predictions, prepared.rules, prepared.data)
        shown = with_texts(records, split, prepared.data) if wanted == "full" else records
        return [as_line(one) for one in shown]
    except Exception as error:  # the run itself is whole, and must not be lost for what is shown of it
        journal.tell(Warned(f"the report shows no example of {split}: {type(error).__name__}: {error}"))
        return []


def _to_be_checked(prepared: Prepared, journal: Journal) -> Sample | None:
    """Return the training examples whose labels are looked at; None where there are none, or no report is wanted."""
    if prepared.plan.training.report == "off":
        return None
    try:
        sample = sample_of(prepared)
        leads = prepared.opened.run.processes.leads
        return (put_to_heads(prepared, sample) if leads else sample) if len(sample.rows) else None
    except Exception as error:  # what is only shown of a run must not cost it
        journal.tell(Warned(f"the report shows no training label: {type(error).__name__}: {error}"))
        return None


def _training_labels(prepared: Prepared, engine: Engine, journal: Journal, sample: Sample | None) -> list[str]:
    """Return what the finished model says of training examples, as lines."""
    if sample is None:
        return []
    found = engine.examiner.answered(sample.rows)
    try:
        return [as_line(one) for one in records_of(prepared, sample, found)]
    except Exception as error:
        journal.tell(Warned(f"the report shows no training label: {type(error).__name__}: {error}"))
        return []


def _write(
    prepared: Prepared,
    folder: Folder,
    metrics: Mapping[str, JSON],
    facts: Mapping[str, JSON],
    records: Sequence[str],
) -> None:
    folder.write_model(lambda place: export(prepared, place))
    predictions = "".join(f"{one}\n" for one in records)
    folder.write_results(metrics, model_card(prepared, metrics, facts), facts, predictions)


def _report(prepared: Prepared, folder: Folder, journal: Journal) -> None:
    """Draw the report of a run that is finished and whole, whatever comes of that."""
    if prepared.plan.training.report == "off":
        return
    try:
        write_report(folder)
    except Exception as error:
        again = f"`triune report {shlex.quote(str(folder.path))}` tries again"
        said = f"{type(error).__name__}: {error}"
        journal.tell(Warned(f"the run is finished and whole, but {UNDRAWN}: {said}; {again}"))


def export(prepared: Prepared, directory: Path) -> None:
    """Write the model so that plain `transformers` loads it, and what plugins add."""
    opened = prepared.opened
    for _ in opened.hooks.each(RunLifecycle.fold_model, run=opened.run, model=opened.bundle.model):
        pass
    opened.bundle.save(opened.bundle.model, directory)
    for _ in opened.hooks.each(RunLifecycle.export, run=opened.run, model=opened.bundle.model, directory=directory):
        pass


def facts_of(
    loaded: LoadedConfig,
    prepared: Prepared,
    identity: str,
    engine: Engine,
    reason: str,
    preparing: float,
    collapsed: str,
) -> dict[str, JSON]:
    """Return `run.json`: everything that one needs to know of a run, or to do it again."""
    training = loaded.run.training
    return {
        "triune": __version__,
        "identity": identity,
        "config": cast("JSON", resolved(loaded)),
        "folder": str(loaded.folder),
        "seeds": {
            "seed": training.seed,
            "data_seed": training.seed if training.data_seed is None else training.data_seed,
        },
        "machine": {**prepared.plan.machine, "python": platform.python_version(), "system": platform.platform()},
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "plugins": [asdict(row) for row in prepared.plan.plugins],
        "data": {split: asdict(source) for split, source in prepared.data.sources.items()},
        "rules": dict(rule_files(loaded)),
        "roles": dict(prepared.data.roles),
        "space": described(prepared.opened.bundle.space),
        "usage": prepared.opened.bundle.usage,
        "ended": {
            "step": engine.progress.step,
            "of": prepared.plan.steps.total,
            "because": reason,
            "best_step": engine.progress.best_step,
            "best": engine.progress.best,
            "chosen_by": chosen_by(engine),
            "collapsed": collapsed,
        },
        "notes": [*prepared.plan.notes, *([collapsed] if collapsed else [])],
        "plan": summary(prepared.plan, engine.groups),
        "rule_set": written(prepared.rules),
        "timings": {
            "preparing": round(preparing, 3),
            "caching": round(engine.progress.caching, 3),
            "training": round(engine.progress.seconds, 3),
            "evaluating": round(engine.evaluating, 3),
        },
    }


def chosen_by(engine: Engine) -> str:
    """Return what chose the model that the run ends with: a plugin, if it decided between two, and the metric."""
    if not engine.progress.best_step or not engine.training.keep_best:
        return "nothing: it is the last model"
    metric = "" if engine.progress.highest is None else f"{engine.metric} on the validation table"
    chooser = engine.progress.chooser and repr(engine.progress.chooser)
    by = " and then ".join(one for one in (chooser, metric) if one)
    return by or f"nothing: it is the model of step {engine.progress.best_step}, to which no later one was preferred"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
