"""A row for every finished run, and what each arm comes to over its seeds."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from statistics import mean, stdev
from typing import TYPE_CHECKING, cast

from triune.comparing.recording import recorded
from triune.errors import TriuneError, listed, nearest
from triune.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triune.comparing.jobs import Job
    from triune.config import LoadedConfig
    from triune.types import JSON

    Row = dict[str, JSON]

DEFAULT_METRICS = ("macro_f1", "accuracy", "micro_f1")
RATES = ("violation_rate", "violation_rate_on_gold", "hard_violations")
COSTS = ("trained_parameters", "seconds", "peak_memory")


def rows_of(jobs: Iterable[Job]) -> list[Row]:
    """Return a row for each run that is finished."""
    return [_row(job) for job in jobs if Folder(job.folder).finished]


def _row(job: Job) -> Row:
    folder = Folder(job.folder)
    facts, metrics, record = folder.facts(), folder.metrics(), recorded(job.folder)
    split = split_of(metrics)
    figures = cast("Mapping[str, JSON]", metrics.get(split, {}))
    overall = cast("Mapping[str, JSON]", figures.get("rules_overall", {}))
    ended, timings = cast("Mapping[str, JSON]", facts["ended"]), cast("Mapping[str, float]", facts["timings"])
    return {
        "arm": job.arm,
        "family": job.family,
        "seed": job.seed,
        "split": split,
        **{name: value for name, value in figures.items() if _is_figure(value)},
        **{name: overall.get(name) for name in RATES},
        "trained_parameters": record.trained,
        "parameters": record.parameters,
        "seconds": round(sum(value for name, value in timings.items() if name != "preparing"), 3),
        **{f"seconds_{name}": value for name, value in timings.items()},
        "peak_memory": record.peak_memory,
        "steps": ended["step"],
        "because": ended["because"],
        "best_step": ended["best_step"],
        "collapsed": bool(ended.get("collapsed")),
    }


def split_of(metrics: Mapping[str, JSON]) -> str:
    """Return the table that a run is judged by: the test table, or, where that has no labels, the validation table."""
    for split in ("test", "valid"):
        one = metrics.get(split)
        if isinstance(one, Mapping) and one.get("labelled"):
            return split
    return next((split for split in ("test", "valid") if split in metrics), "")


def _is_figure(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def metric_of(base: LoadedConfig, rows: Sequence[Row]) -> str:
    """Return the metric that decides.

    Raises:
        TriuneError: the one that is asked for was not measured.
    """
    measured = [name for name, value in (rows[0] if rows else {}).items() if isinstance(value, float)]
    measured = [name for name in measured if name not in (*RATES, *COSTS) and not name.startswith("seconds")]
    compare, stopping = base.run.compare, base.run.training.early_stopping
    asked = compare.metric if compare else None
    if asked and asked not in measured:
        raise TriuneError(
            f"compare.metric: {asked!r} is not measured; metrics: {listed(measured)}{nearest(asked, measured)}; the "
            "runs are kept, and comparing again with another metric trains nothing"
        )
    wanted = [asked, stopping.metric if stopping else None, *DEFAULT_METRICS]
    return next((name for name in wanted if name in measured), measured[0] if measured else "")


def summary_of(rows: Sequence[Row], metric: str) -> list[Row]:
    """Return a row for each arm: means over its seeds, spreads, and the standard error of the metric that decides.

    A spread is the standard deviation over the seeds, and is not there for a single one.
    """
    arms = dict.fromkeys(str(row["arm"]) for row in rows)
    return [_summed([row for row in rows if row["arm"] == arm], metric) for arm in arms]


def _summed(rows: Sequence[Row], metric: str) -> Row:
    names = dict.fromkeys(name for row in rows for name, value in row.items() if _is_figure(value) and name != "seed")
    means: Row = {}
    for name in names:
        values = [float(cast("float", row[name])) for row in rows if _is_figure(row.get(name))]
        means[name] = mean(values)
        means[f"{name}_spread"] = stdev(values) if len(values) > 1 else None
    spread = means.get(f"{metric}_spread")
    error = spread / sqrt(len(rows)) if isinstance(spread, float) else None
    first = rows[0]
    return {
        "arm": first["arm"],
        "family": first["family"],
        "runs": len(rows),
        **means,
        "standard_error": error,
        "collapsed": sum(bool(row["collapsed"]) for row in rows),
    }
