"""Check that every learning method trains as well as its reference implementation, on five sets with tiny budgets.

    python tests/benchmarks/learning_quality.py [--sets a,b] [--methods a,b] [--seeds 0,1] [--results FILE]
                                                [--sweep] [--forgetting] [--strengths] [--table]

Both sides get the lower blocks of one pretrained encoder, the same rows, rates, batches and epochs, in fp32 on one
thread, without validation, and write the model that they end with. Each job is forked from a server that has imported
everything; its result is one line of JSON, written at once, and a job that has one is not run again. `--sweep` tries
rates of methods that have one of their own; `--forgetting` learns a second task (`learning_forgetting.py`),
`--strengths` tries weights of anchor and ewc there; `--table` runs nothing and prints what there is.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import product
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.benchmarks.learning_forgetting import BESIDE, DECIDING, FIRST, SECOND, STRENGTHS, forgetting_side
from tests.benchmarks.learning_jobs import METHODS, SETS, Job, encoder_in, triune_side
from tests.benchmarks.learning_peers import reference_side
from tests.benchmarks.quality import DATA, DEFAULTS, names_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.benchmarks.learning_jobs import Row

HEAVY = ("torch", "pandas", "sklearn.metrics", "sklearn.linear_model", "peft", "transformers.trainer",
         "transformers.models.bert.modeling_bert", "triune.finishing", "triune.runs", "triune.prepared",
         "triune_table", "triune_text_classification.network", "matplotlib.figure",
         "matplotlib.backends.backend_svg")  # fmt: skip
SIDES = ("triune", "reference")
RATES = {
    "end-to-end": (1e-4, 2e-4, 4e-4),
    "head-only": (1e-3, 3e-3, 1e-2),
    "bitfit": (4e-4, 2e-3, 5e-3),
    "lora": (5e-4, 2e-3, 5e-3),
    "ia3": (3e-3, 1e-2, 3e-2),
    "prompt-tuning": (3e-3, 1e-2, 3e-2),
    "prefix-tuning": (3e-3, 1e-2, 3e-2),
}
FORGETTING = ("before", "after", "probed_before", "probed", "second")
SWEPT_SEED = 10  # no seed of the table


def measured(job: Job, shared: Path) -> Row:
    """Be the process of one job; its memory is what the process takes above what it began with."""
    from triune.memory import peak_resident_bytes

    encoder = encoder_in(shared, job.recipe.blocks)
    begun = resident_anew()
    with tempfile.TemporaryDirectory() as name:
        if job.part == "forgetting":
            return forgetting_side(job, encoder, shared, Path(name))
        side = triune_side if job.side == "triune" else reference_side
        found = side(job, encoder, Path(name))
    return {**found, "bytes": (peak_resident_bytes() or 0) - begun, "whole": time.process_time()}


def resident_anew() -> int:
    """Forget the peak of memory so far, and return what is resident now."""
    Path("/proc/self/clear_refs").write_text("5")
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def results_in(path: Path) -> list[Row]:
    """Return the results so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def result_of(job: Job, results: Sequence[Row]) -> Row | None:
    """Return the result of this very job, recipe included."""
    wanted = asdict(job)
    return next((one for one in results if {key: one.get(key) for key in wanted} == wanted), None)


def run_missing(jobs: Sequence[Job], path: Path, shared: Path) -> None:
    """Run the jobs that have no result yet, one after the other."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(HEAVY))
    with ProcessPoolExecutor(1, context, max_tasks_per_child=1) as pool:
        for job in jobs:
            if result_of(job, results_in(path)) is None:
                found = pool.submit(measured, job, shared).result()
                with path.open("a") as file:
                    file.write(json.dumps({**asdict(job), **found}) + "\n")
                said = {key: round(value, 4) for key, value in found.items()}
                print(job.part, job.set, job.method, job.side, job.seed, job.setting, said, flush=True)


# The table.


def spread(values: Sequence[float], times: float = 100) -> str:
    """Return mean ± standard deviation."""
    if not values:
        return "–"
    deviation = f" ± {times * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{times * mean(values):.1f}{deviation}"


def values(results: Sequence[Row], key: str, **wanted: object) -> list[float]:
    """Return what was measured in the jobs that are as wanted, in the order of sets and seeds."""
    found = [one for one in results if {name: one[name] for name in wanted} == wanted and one.get(key) is not None]
    return [one[key] for one in sorted(found, key=lambda one: (one["set"], one["seed"]))]


def quality_lines(results: Sequence[Row], sets: Sequence[str], methods: Sequence[str]) -> Iterator[str]:
    """Yield accuracy by set: triune, and in brackets the reference; and the differences of the pairs."""
    yield "| method | " + " | ".join(sets) + " | difference of pairs |"
    yield "|---|" + "---:|" * (len(sets) + 1)
    for method in methods:
        cells, pairs = [], []
        for name in sets:
            asked = {"part": "quality", "set": name, "method": method, "setting": None}
            ours, theirs = (values(results, "accuracy", side=side, **asked) for side in SIDES)
            cells.append(f"{spread(ours)} ({spread(theirs)})")
            pairs += [one - other for one, other in zip(ours, theirs, strict=False)]
        yield f"| {method} | {' | '.join(cells)} | {spread(pairs)} |"


def cost_lines(results: Sequence[Row], methods: Sequence[str]) -> Iterator[str]:
    """Yield quality, parameters, seconds, memory and forgetting, method by method."""
    yield ("| method | accuracy, reference | trained | s, reference | MiB, reference | "
           f"{FIRST} before | after {SECOND} | probed before | probed after | {SECOND} |")  # fmt: skip
    yield "|---|" + "---:|" * 9
    for method in [*methods, *(name for name in BESIDE if name not in methods)]:
        asked = {"part": "quality", "method": method, "setting": None}
        cells = []
        for key, times in (("accuracy", 100), ("seconds", 1), ("bytes", 2**-20)):
            means = [values(results, key, side=side, **asked) for side in SIDES]
            cells.append(", ".join(f"{times * mean(one):.1f}" if one else "–" for one in means))
        trained = values(results, "trained", side="triune", set="trec", **asked)
        later = {"part": "forgetting", "method": method, "setting": None}
        kept = [spread(values(results, key, **later)) for key in FORGETTING]
        yield f"| {method} | {cells[0]} | {int(trained[0]) if trained else 0:,} | {' | '.join([*cells[1:], *kept])} |"


def setting_lines(results: Sequence[Row], key: str, **asked: object) -> Iterator[str]:
    """Yield what was measured at the rates that were tried."""
    found = [one for one in results if one["setting"] is not None and {k: one[k] for k in asked} == asked]
    for method in dict.fromkeys(one["method"] for one in found):
        for name in sorted({one["set"] for one in found}):
            tried = sorted((one["setting"], one[key]) for one in found if (one["method"], one["set"]) == (method, name))
            yield f"{method:<16}{name:<10}{key:<10}" + "  ".join(f"{at:g}: {100 * value:.1f}" for at, value in tried)


def strength_lines(results: Sequence[Row]) -> Iterator[str]:
    """Yield what each strength tried of anchor and ewc loses of the first task, and what the second reaches."""
    yield f"| strength | {FIRST}, lost | share of what is lost without | {SECOND} |"
    yield "|---|" + "---:|" * 3
    none = mean(lost_in(results, "end-to-end", 0.0) or [0.0])
    for method, strengths in STRENGTHS.items():
        for one in strengths:
            if lost := lost_in(results, method, one):
                second = values(results, "second", part="forgetting", method=method, setting=one)
                share = f"{100 * mean(lost) / none:.0f} %" if none else "–"
                yield f"| {method} {one:g} | {spread(lost)} | {share} | {spread(second)} |"


def lost_in(results: Sequence[Row], method: str, setting: float) -> list[float]:
    """Return how much less is known of the first task after the second, seed by seed."""
    asked = {"part": "forgetting", "method": method, "setting": setting}
    pairs = zip(values(results, "before", **asked), values(results, "after", **asked), strict=True)
    return [before - after for before, after in pairs]


def jobs_of(asked: argparse.Namespace) -> list[Job]:
    """Return the trainings that are asked for, seed by seed so that what there is stays balanced."""
    if asked.sweep:
        tried = [(method, rate) for method in asked.methods for rate in RATES.get(method, ())]
        return [Job("quality", name, m, "triune", SWEPT_SEED, rate) for name in asked.sets for m, rate in tried]
    if asked.strengths:
        tried = [(method, one) for method, ones in STRENGTHS.items() for one in ones]
        return [Job("forgetting", SECOND, m, "triune", seed, one) for seed, (m, one) in product(DECIDING, tried)]
    if asked.forgetting:
        methods = [*asked.methods, *BESIDE]
        return [Job("forgetting", SECOND, method, "triune", seed) for seed, method in product(asked.seeds, methods)]
    every = product(asked.seeds, asked.methods, asked.sets, SIDES)
    return [Job("quality", name, method, side, seed) for seed, method, name, side in every]


def main() -> int:
    """Run what is missing and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=names_in, default=list(SETS))
    parser.add_argument("--methods", type=names_in, default=list(METHODS))
    parser.add_argument("--seeds", type=lambda text: [int(one) for one in names_in(text)], default=[0, 1])
    parser.add_argument("--results", type=Path, default=Path("learning_quality.jsonl"))
    for flag in ("--sweep", "--forgetting", "--strengths", "--table"):
        parser.add_argument(flag, action="store_true")
    asked = parser.parse_args()
    if not DATA.is_dir():
        sys.exit("learning_quality: skipped, the public data sets are not at ../shared/data beside this repository")
    os.environ.update({**DEFAULTS, **os.environ})
    if not asked.table:
        shared = asked.results.with_suffix(".work").resolve()  # the encoder, and models of the first task
        shared.mkdir(exist_ok=True)
        run_missing(jobs_of(asked), asked.results, shared)
    results = results_in(asked.results)
    print("\n".join([*quality_lines(results, asked.sets, asked.methods), "", *cost_lines(results, asked.methods), ""]))
    print("\n".join(setting_lines(results, "accuracy", part="quality")))
    print("\n".join(strength_lines(results)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
