"""What each remedy of `balance` is worth where labels are rare: macro-F1 of every one against none.

    python tests/benchmarks/imbalance.py [--sets sms,agnews] [--remedies none,focal] [--seeds 0,1,2] [--steps 100]
                                         [--results imbalance.jsonl] [--table]

SMS is as imbalanced as it was collected; of AG News two of the four classes are cut to one in twenty. The seed draws
the training rows as well, and every remedy gets the same rows, the same number of steps, and the same test rows: those
of the world, imbalanced in SMS and even in AG News. Nothing looks at validation labels, the last model is measured, and
no remedy is tuned. A finished training is not repeated. One after another, in one process, on one thread.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TRAIN_ROWS, TEST_ROWS = 600, 400
TEST_SEED = 0
DEFAULTS = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

Row = dict[str, Any]  # read from JSON


@dataclass(frozen=True, slots=True)
class TextSet:
    """Where a data set lies, and which of its labels are rare."""

    folder: str
    rare: tuple[str, ...]
    one_in: int  # how many of the rare labels are kept: one in so many, 1 being all


SETS = {
    "sms": TextSet("sms_spam", ("spam",), 1),
    "agnews": TextSet("agnews_rules", ("Business", "Sci/Tech"), 20),
}
REMEDIES: dict[str, dict[str, object]] = {
    "none": {},
    "class_weights: balanced": {"class_weights": "balanced"},
    "class_weights: effective-number": {"class_weights": "effective-number"},
    "resample: over": {"resample": "over"},
    "resample: under": {"resample": "under"},
    "resample: synthesise": {"resample": "synthesise"},
    "focal: 2": {"focal": 2.0},
}
RECIPE: dict[str, object] = {
    "batch_size": 16,
    "learning_rate": 2e-4,
    "max_length": 48,
    "precision": "bf16",
    "threads": 1,
    "validation": 0.0,
    "early_stopping": None,
    "keep_best": False,
    "baselines": False,
    "report": "off",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One training."""

    set: str
    seed: int
    remedy: str
    steps: int


# The rows.


def rows_of(folder: str, split: str) -> list[Row]:
    """Return the rows of one split of a data set."""
    with gzip.open(DATA / folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def cut(rows: Sequence[Row], most: int, seed: int) -> list[Row]:
    """Return `most` of the rows, drawn by the seed."""
    return random.Random(seed).sample(list(rows), min(most, len(rows)))


def thinned(rows: Sequence[Row], rare: Sequence[str], one_in: int) -> list[Row]:
    """Return the rows with one in so many of those whose label is rare."""
    kept = {label: [row for row in rows if row["label"] == label][::one_in] for label in rare}
    return [*(row for row in rows if row["label"] not in rare), *(row for few in kept.values() for row in few)]


def frames(name: str, seed: int) -> dict[str, pd.DataFrame]:
    """Return the tables of a set: what is learnt from, by the seed, and what is measured, always the same."""
    import pandas as pd

    chosen = SETS[name]
    world = cut(rows_of(chosen.folder, "train"), 10**9, seed)  # shuffled, so that the seed says who stays
    train = cut(thinned(world, chosen.rare, chosen.one_in), TRAIN_ROWS, seed)
    test = cut(rows_of(chosen.folder, "test"), TEST_ROWS, TEST_SEED)
    return {split: pd.DataFrame(rows)[["text", "label"]] for split, rows in (("train", train), ("test", test))}


# The trainings.


def configuration(job: Job) -> dict[str, object]:
    """Say a training in the words of triune."""
    settings = REMEDIES[job.remedy]
    return {
        "task": {"use": "text-classification", "model": MODEL},
        "data": ["table", {"use": "balance", **settings}] if settings else ["table"],
        "methods": [{"use": "top-layers", "blocks": 2}],
        # more epochs than steps can fill: a table that a remedy shortens is gone through more often
        "training": {**RECIPE, "epochs": float(job.steps), "max_steps": job.steps, "seed": job.seed},
    }


def trained(job: Job) -> Row:
    """Train once and return what came of it."""
    import triune
    from triune.events import Evaluated

    tables, began = frames(job.set, job.seed), time.process_time()
    predicted: list[pd.DataFrame] = []

    def keep(event: triune.Event) -> None:
        if isinstance(event, Evaluated) and event.predictions is not None:
            predicted.append(event.predictions)

    with tempfile.TemporaryDirectory() as folder:
        result = triune.run(configuration(job), data=tables, output=Path(folder) / "run", observers=[keep])
    measured = {name: result.metrics["test"][name] for name in ("macro_f1", "accuracy")}
    recalls = [recall_of(one, predicted[-1]) for one in SETS[job.set].rare]
    rare = {one: int((tables["train"]["label"] == one).sum()) for one in SETS[job.set].rare}
    seconds = round(time.process_time() - began, 1)
    return {**asdict(job), **measured, "rare_recall": mean(recalls), "rare": rare, "seconds": seconds}


def recall_of(label: str, predictions: pd.DataFrame) -> float:
    """Return the share of a label's examples that are found."""
    return float((predictions.loc[predictions["gold"] == label, "predicted"] == label).mean())


def read_results(path: Path) -> list[Row]:
    """Return the results so far; a line that an interruption left unfinished is none."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return found


def result_of(job: Job, results: Iterable[Row]) -> Row | None:
    """Return the result of this very job, if it has been done."""
    wanted = asdict(job)
    return next((one for one in results if {key: one[key] for key in wanted} == wanted), None)


def do_missing(jobs: Sequence[Job], path: Path) -> None:
    """Do the trainings that have no result yet; each is written as soon as it is there."""
    for job in jobs:
        if result_of(job, read_results(path)) is None:
            found = trained(job)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
            print(f"{job.set} seed {job.seed} {job.remedy}: macro-F1 {found['macro_f1']:.3f}", flush=True)


# The table.


def figure(values: Sequence[float], sign: str = "") -> str:
    """Return mean and spread in points."""
    if not values:
        return "not run"
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * mean(values):{sign}.1f}{spread}".replace("-", "−")


def lines_of_table(jobs: Sequence[Job], results: Sequence[Row]) -> Iterator[str]:
    """Yield the table in Markdown: a line for each set and remedy, the difference taken seed by seed."""
    yield "| set | remedy | macro-F1 | against none | accuracy | recall of the rare | seeds |"
    yield "|---|---|---:|---:|---:|---:|---:|"
    found = {(job.set, job.remedy, job.seed): result_of(job, results) for job in jobs}
    for name, remedy in dict.fromkeys((job.set, job.remedy) for job in jobs):
        done = {seed: row for (of, by, seed), row in found.items() if (of, by) == (name, remedy) and row}
        bases = {seed: found.get((name, "none", seed)) for seed in done}
        gains = [row["macro_f1"] - base["macro_f1"] for seed, row in done.items() if (base := bases[seed])]
        against = "" if remedy == "none" else figure(gains, "+")
        measured = [figure([row[key] for row in done.values()]) for key in ("macro_f1", "accuracy", "rare_recall")]
        yield f"| {name} | `{remedy}` | {measured[0]} | {against} | {measured[1]} | {measured[2]} | {len(done)} |"


# The command.


def names_in(text: str) -> list[str]:
    """Split a comma-separated option."""
    return [part.strip() for part in text.split(",") if part.strip()]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=names_in, default=list(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--remedies", type=names_in, default=list(REMEDIES), help=f"of {', '.join(REMEDIES)}")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in names_in(text)], default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--results", type=Path, default=Path("imbalance.jsonl"))
    parser.add_argument("--table", action="store_true", help="print the table of what has been done, and do nothing")
    options = parser.parse_args(argv)
    for given, known in ((options.sets, SETS), (options.remedies, REMEDIES)):
        if unknown := set(given) - set(known):
            parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    return options


def every_job(options: argparse.Namespace) -> list[Job]:
    """Return the trainings, seed by seed, so that an interrupted benchmark has whole seeds."""
    return [
        Job(name, seed, remedy, options.steps)
        for seed in options.seeds
        for name in options.sets
        for remedy in options.remedies
    ]


def main() -> None:
    """Do what is missing and print the table."""
    options = parse()
    if not DATA.is_dir():
        sys.exit("imbalance: skipped, the public data sets are not at ../shared/data beside this repository")
    os.environ.update({**DEFAULTS, **os.environ})
    jobs = every_job(options)
    if not options.table:
        do_missing(jobs, options.results)
    print("\n".join(lines_of_table(jobs, read_results(options.results))))


if __name__ == "__main__":
    main()
