"""The course of a comparison: who takes part, which runs are left to do, what came of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from triune import __version__
from triune.catalog import installed
from triune.comparing.arms import Ground, entrants, uses
from triune.comparing.budget import budget_of, lasting, seeds_of
from triune.comparing.comparison import Comparison
from triune.comparing.constraints import winners_of
from triune.comparing.jobs import RESULT, claim, clear, finished, jobs_of
from triune.comparing.outcomes import metric_of, rows_of, summary_of
from triune.comparing.pace import paces_of
from triune.comparing.pairs import pairs_of
from triune.comparing.processes import several_at_once
from triune.comparing.scene import scene_of
from triune.comparing.working import Announced, Undrawn, one_after_another
from triune.config import Compare, checked, opened
from triune.errors import TriuneError
from triune.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from triune.comparing.arms import Entrant
    from triune.comparing.budget import Budget
    from triune.comparing.jobs import Job
    from triune.comparing.working import Listener, Notice
    from triune.config import LoadedConfig, RunConfig
    from triune.documents import Document
    from triune.types import JSON

    Source = str | Path | Mapping[str, object] | RunConfig
    Frames = pd.DataFrame | Mapping[str, pd.DataFrame]


SHARED = (
    "memory: this system does not let a process count its peak anew, so of runs that one process did it is the most "
    "that was held up to then, by earlier runs too; `--workers 2` gives each run a process of its own"
)


def compare(
    config: Source,
    *,
    data: Frames | None = None,
    plugins: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
    without: Sequence[str] = (),
    strategies: Sequence[str] | None = None,
    seeds: int | Sequence[int] | None = None,
    workers: int = 1,
    output: str | Path | None = None,
    overwrite: bool = False,
    observers: Sequence[Listener] = (),
) -> Comparison:
    """Compare ways of learning on the same tables, splits, seeds and budget.

    Runs that are finished are not repeated; a comparison that was interrupted goes on where it was.

    Args:
        config: as for `run`; its section `compare` says what is compared.
        data: tables from Python, as for `run`.
        plugins: plugin objects from Python, as for `run`; each run gets a copy.
        overrides: `KEY=VALUE`, put over what the configuration says.
        without: names of installed plugins to treat as if they were not.
        strategies: which arms and strategies, in place of those of the configuration.
        seeds: how many seeds, or which, in place of those of the configuration.
        workers: how many runs at once, each in a process of its own if there are several.
        output: the folder of the comparison; otherwise the configuration's `output` with `-compare`.
        overwrite: delete a comparison that is in the folder.
        observers: functions that are told how it goes, each `Notice` of `triune.comparing.working`.

    Returns:
        The comparison; runs that failed are among its `failures`.

    Raises:
        TriuneError: something is wrong; nothing was trained then.
        KeyboardInterrupt: SIGTERM or SIGINT; what was at work was saved, and the same call goes on.
    """
    ground, frames = _ground(config, data, plugins or {}, overrides, without, seeds, workers)
    arms, left_out = _compared(ground, strategies)
    folder = _folder(ground.base, output)
    claim(folder)
    if overwrite:
        clear(folder)

    def tell(notice: Notice) -> None:
        for observer in observers:
            observer(notice)

    budgets = budgets_of(arms, ground, folder, frames, workers)
    jobs = jobs_of(arms, seeds_of(ground.base, settings_of(ground.base)), budgets, folder)
    done = finished(jobs, ground.scene.sources)
    tell(Announced(jobs, len(done), left_out, budgets))
    left = [job for job in jobs if job.folder not in done]
    errors = one_after_another(left, frames, tell) if workers == 1 else several_at_once(left, frames, tell, workers)
    facts = _facts(ground.base, arms, jobs, budgets, left_out, errors)
    write_json(folder / RESULT, facts)
    if ground.base.run.training.report != "off":
        _draw(folder, facts, tell)
    return Comparison(folder, facts)


def _draw(folder: Path, facts: Mapping[str, JSON], tell: Listener) -> None:
    """Draw the page of a comparison that is whole, whatever comes of that."""
    from triune.report.writing import write_comparison

    try:
        write_comparison(folder, facts)
    except Exception as error:
        tell(Undrawn(f"{type(error).__name__}: {error}"))


def _ground(
    config: Source,
    data: Frames | None,
    plugins: Mapping[str, object],
    overrides: Sequence[str],
    without: Sequence[str],
    seeds: int | Sequence[int] | None,
    workers: int,
) -> tuple[Ground, Mapping[str, pd.DataFrame] | None]:
    """Return what arms are built on, and the tables from Python."""
    from triune.opening import as_frames

    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise TriuneError(f"workers is {workers!r}: say how many runs are done at once, 1 or more")
    catalog = installed(without)
    document, folder = opened(config, overrides)
    if seeds is not None:
        _put_seeds(document, seeds)
    used = set(uses(document.data))
    base = checked(document, folder, catalog, {use: one for use, one in plugins.items() if use in used})
    frames = None if data is None else as_frames(data)
    return Ground(document, folder, catalog, plugins, base, scene_of(base, frames)), frames


def _put_seeds(document: Document, seeds: int | Sequence[int]) -> None:
    written = document.data.get("compare") or {}
    if isinstance(written, dict):
        document.data["compare"] = {**written, "seeds": seeds if isinstance(seeds, int) else list(seeds)}
        document.labels["compare", "seeds"] = f"seeds {seeds}"


def _compared(ground: Ground, named: Sequence[str] | None) -> tuple[list[Entrant], dict[str, str]]:
    """Return who takes part, and the reason of each that is left out.

    Raises:
        TriuneError: nobody takes part, or a plugin from Python is for nobody.
    """
    arms, left_out = entrants(ground, named)
    _check_used(ground)
    if not arms:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise TriuneError(f"nothing is left to compare: {reasons or 'name methods, arms or strategies'}")
    return arms, left_out


def _check_used(ground: Ground) -> None:
    arms = settings_of(ground.base).arms
    named = {*uses(ground.document.data), *(one.use for arm in arms for one in (*arm.methods, *(arm.rules or ())))}
    for name in ground.instances:
        if name not in named:
            raise TriuneError(f"the plugin {name!r} is passed from Python but no section names it: add it to an arm")


def settings_of(base: LoadedConfig) -> Compare:
    """Return what the configuration says of comparing, its defaults filled in."""
    return base.run.compare or Compare()


def _folder(base: LoadedConfig, output: str | Path | None) -> Path:
    if output is not None:
        return Path(output)
    run = base.run.output or Path("runs") / "run"
    return run.with_name(f"{run.name}-compare")


def budgets_of(
    arms: Sequence[Entrant],
    ground: Ground,
    folder: Path,
    frames: Mapping[str, pd.DataFrame] | None,
    workers: int,
) -> dict[str, Budget]:
    """Return how long each arm learns: all as many steps, or all as many seconds."""
    settings = settings_of(ground.base)
    if settings.seconds is None:
        return {one.name: budget_of(one.loaded, ground.base, settings, ground.scene) for one in arms}
    paces = paces_of(arms, folder, frames, workers)
    return {one.name: lasting(settings.seconds, paces[one.name]) for one in arms}


def _facts(
    base: LoadedConfig,
    arms: Sequence[Entrant],
    jobs: Sequence[Job],
    budgets: Mapping[str, Budget],
    left_out: Mapping[str, str],
    errors: Mapping[Path, str],
) -> dict[str, JSON]:
    """Return all that is known of a comparison as plain values."""
    settings = settings_of(base)
    rows = rows_of([job for job in jobs if job.folder not in errors])
    metric = metric_of(base, rows)
    summary = summary_of(rows, metric)
    paired = pairs_of(rows, metric, {(job.arm, job.seed): job.folder for job in jobs})
    for row in summary:
        if row["standard_error"] is None:
            row["standard_error"] = paired.errors.get(str(row["arm"]))
    return {
        "triune": __version__,
        "metric": metric,
        "split": str(rows[0]["split"]) if rows else "",
        "seeds": list(dict.fromkeys(job.seed for job in jobs)),
        "arms": [_arm(one, budgets[one.name]) for one in arms],
        "left_out": dict(left_out),
        "failures": [
            {"arm": job.arm, "seed": job.seed, "error": errors[job.folder]} for job in jobs if job.folder in errors
        ],
        "runs": cast("JSON", rows),
        "summary": cast("JSON", summary),
        "pairs": cast("JSON", list(paired.rows)),
        "winners": cast("JSON", winners_of(summary, paired.rows, metric, settings.violations)),
        "notes": [*paired.notes, *_of_memory(len(rows))],
    }


def _of_memory(runs: int) -> list[str]:
    """Return what is to be said of the memory of several runs where one process did them and cannot tell them apart."""
    from triune.comparing.recording import forget_memory

    return [] if runs < 2 or forget_memory() else [SHARED]


def _arm(one: Entrant, budget: Budget) -> dict[str, JSON]:
    run = one.loaded.run
    return {
        "name": one.name,
        "family": one.family,
        "methods": [section.use for section in run.methods],
        "rules": [section.use for section in run.rules],
        "steps": budget.steps,
        "seconds": budget.seconds,
    }
