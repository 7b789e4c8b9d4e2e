"""The second half of the life of a run: train, evaluate, export, write down."""

from __future__ import annotations

import platform
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
from triune.result import Result
from triune.rule_files import rule_files
from triune.spaces import described

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from triune.config import LoadedConfig
    from triune.evaluation import Answers
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
    fresh = folder.empty
    journal = Journal(folder.path / HISTORY, hooks, run, observers)
    checkpoints = Checkpoints(
        folder.path / CHECKPOINTS, identity, on_damage=lambda damage: journal.tell(Warned(f"passed over: {damage}"))
    )
    engine = Engine(prepared, checkpoints, journal, listener)
    snapshot = checkpoints.latest()
    try:
        journal.open_at(int(str(snapshot.facts["history"])) if snapshot else 0)
        folder.begin(int(str(prepared.plan.machine["threads"])))
        if snapshot:
            engine.resume(snapshot)
        preparing = time.perf_counter() - begun
        journal.tell(Planned(prepared.plan, folder.path))
        reason = engine.train()
        metrics, collapsed = _measured(prepared, engine, journal)
        if baselines := beside(journal):
            metrics["baselines"] = baselines
        facts = facts_of(loaded, prepared, identity, engine, reason, preparing, collapsed)
        return _written(prepared, folder, metrics, facts)
    except Exception:
        journal.close()
        if fresh and not checkpoints.steps():
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    finally:
        journal.close()


def _measured(prepared: Prepared, engine: Engine, journal: Journal) -> tuple[dict[str, JSON], str]:
    """Return the metrics of the finished model by split, and a sentence if one label has taken over."""
    opened = prepared.opened
    metrics: dict[str, JSON] = {}
    answers = None
    for split in ("valid", "test"):
        if split not in prepared.examples:
            continue
        found = engine.examiner.evaluate(split)
        answers = answers or found.answers
        before = cast("Mapping[str, JSON] | None", engine.before.get(split))
        figures = final_metrics(
            found, prepared.examples[split], opened.hooks, opened.run, opened.bundle.space, prepared.rules, before
        )
        metrics[split] = figures
        journal.tell(Evaluated(engine.now, split, figures, best=False))
    return metrics, _collapse(prepared, engine, journal, answers)


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


def _written(prepared: Prepared, folder: Folder, metrics: Mapping[str, JSON], facts: Mapping[str, JSON]) -> Result:
    folder.write_model(lambda place: export(prepared, place))
    folder.write_results(metrics, model_card(prepared, metrics, facts), facts)
    return Result(folder.path, metrics, facts)


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
        "timings": {
            "preparing": round(preparing, 3),
            "caching": round(engine.progress.caching, 3),
            "training": round(engine.progress.seconds, 3),
            "evaluating": round(engine.evaluating, 3),
        },
    }


def chosen_by(engine: Engine) -> str:
    """Return which plugin and which metric chose the model that the run ends with."""
    if not engine.progress.best_step or not engine.training.keep_best:
        return "nothing: it is the last model"
    deciders = engine.hooks.implementers(RunLifecycle.prefer_model)
    first = "".join(f"{name!r} and then " for name in deciders)
    return f"{first}{engine.metric} on the validation table"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
