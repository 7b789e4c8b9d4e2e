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
from triune.folder import CHECKPOINTS, HISTORY, Folder
from triune.hookspecs import RunLifecycle
from triune.journal import Journal
from triune.result import Result
from triune.spaces import described

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from triune.config import LoadedConfig
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
) -> Result:
    """Execute the plan of a prepared run in its folder, from its last checkpoint where there is one."""
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
        return _finished(loaded, prepared, folder, identity, engine, journal, reason, preparing)
    except Exception:
        journal.close()
        if fresh and not checkpoints.steps():
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    finally:
        journal.close()


def _finished(
    loaded: LoadedConfig,
    prepared: Prepared,
    folder: Folder,
    identity: str,
    engine: Engine,
    journal: Journal,
    reason: str,
    preparing: float,
) -> Result:
    metrics: dict[str, JSON] = {}
    for split in ("valid", "test"):
        if split in prepared.examples:
            found = engine.evaluate(split).metrics
            metrics[split] = found
            journal.tell(Evaluated(engine.now, split, found, best=False))
    timings: dict[str, JSON] = {
        "preparing": round(preparing, 3),
        "caching": round(engine.progress.caching, 3),
        "training": round(engine.progress.seconds, 3),
        "evaluating": round(engine.progress.evaluating, 3),
    }
    facts = facts_of(loaded, prepared, identity, engine, reason, timings)
    folder.write_model(lambda place: export(prepared, place))
    folder.write_results(metrics, model_card(prepared, metrics, facts), facts)
    return Result(folder.path, metrics, facts)


def export(prepared: Prepared, directory: Path) -> None:
    """Write the model so that plain `transformers` loads it, and what plugins add."""
    opened = prepared.opened
    opened.bundle.save(opened.bundle.model, directory)
    for _ in opened.hooks.each(RunLifecycle.export, run=opened.run, model=opened.bundle.model, directory=directory):
        pass


def facts_of(
    loaded: LoadedConfig,
    prepared: Prepared,
    identity: str,
    engine: Engine,
    reason: str,
    timings: Mapping[str, JSON],
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
        },
        "notes": list(prepared.plan.notes),
        "timings": dict(timings),
    }


def chosen_by(engine: Engine) -> str:
    """Return which metric chose the model that the run ends with."""
    if engine.progress.best is None or not engine.training.keep_best:
        return "nothing: it is the last model"
    return f"{engine.metric} on the validation table"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
