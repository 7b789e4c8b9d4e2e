"""What published rules are worth on real data: no labels, 8 or 32 a class, with rules and without.

    python tests/benchmarks/rules_pay.py [--sets trec,sms] [--labels 0,8,32] [--seeds 0,1,2,3,4] [--arms weak,loss]
                                         [--workers 2] [--results rules_pay.json] [--table]

Every arm gets the same encoder, the same labelled rows (drawn by the seed), the same number of steps and the same
test rows; arms with rules also get the text of up to 600 training rows without their labels. No arm looks at a
validation label: the last model is measured, so that nothing is tuned on labels that others do not have. Rules vote as
their authors published it. A finished job is not repeated.

Arms: `learning` has labels alone; `weak` learns from the votes of rules (majority) where there is no label; `loss`,
`regulariser`, `teacher` push the rules in these seats; `self` learns from what the model itself and the rules believe;
`majority` is the vote of the rules on the test rows, nothing trained. Beside each stands the same model, its
predictions projected onto the rules: rules at prediction alone.
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
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TEXTS = 600  # rows whose text is learnt from without their labels
CUT_SEED = 0
CONFIDENCE = 0.9  # of every published rule, as their authors say nothing of it
DEFAULTS = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

Row = dict[str, Any]  # read from JSON


@dataclass(frozen=True, slots=True)
class TextSet:
    """Where a data set lies, and what is measured on it."""

    folder: str
    test_rows: int = 500
    metric: str = "accuracy"
    task: str = "text-classification"


SETS = {
    "trec": TextSet("trec_question"),
    "youtube": TextSet("youtube_spam"),
    "sms": TextSet("sms_spam", metric="macro_f1"),
    "agnews": TextSet("agnews_rules"),
    "semeval": TextSet("semeval_relations"),
    "mit": TextSet("mit_restaurant_slots", metric="micro_f1", task="token-classification"),
}
LEARN: list[object] = [{"use": "top-layers", "blocks": 3}]
ARMS: dict[str, list[object]] = {
    "learning": [],
    "weak": [{"use": "weak-labels", "model": "majority"}],
    "loss": ["semantic-loss"],
    "regulariser": ["rule-regulariser"],
    "teacher": ["rule-teacher"],
    "self": ["self-training"],
    "hybrid": [{"use": "hybrid", "balance": {"use": "fixed"}, "confidences": "labels"}],
    "both": [{"use": "hybrid", "balance": {"use": "fixed"}, "confidences": "labels"}, "self-training"],
}
RULES_ALONE = ("weak",)  # arms that can do without a label; finite odds cannot move a model that knows nothing


@dataclass(frozen=True, slots=True)
class Job:
    """One training."""

    set: str
    labels: int  # a class
    seed: int
    arm: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """What all arms share; `labelled_share` is that of batches where there is text without labels, None: half."""

    texts: int = TEXTS
    batch_size: int = 16
    labelled_share: float | None = None


RECIPE = Recipe()


# The rows.


def rows_of(folder: str, split: str) -> list[Row]:
    """Return the rows of one split of a data set."""
    with gzip.open(DATA / folder / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def text_of(row: Row) -> str:
    """Return the text; of two entities and their sentence, all three."""
    return f"{row['entity1']} ; {row['entity2']} ; {row['text']}" if "entity1" in row else str(row["text"])


def table_of(rows: Sequence[Row], rules: Sequence[Row], labels: Sequence[str]) -> pd.DataFrame:
    """Return text, label and, for each rule, whether it votes for its label; of tokens, tokens and tags."""
    import pandas as pd

    if "tokens" in rows[0]:
        return pd.DataFrame({"text": [row["tokens"] for row in rows], "label": [row["tags"] for row in rows]})
    votes = [[int(vote) for vote in row["weak_labels"]] for row in rows]
    # a rule that votes for several labels is several rules
    fires = {
        f"{rule['id']}:{label}": [str(int(vote[place] == labels.index(label))) for vote in votes]
        for place, rule in enumerate(rules)
        for label in labels_of(rule, labels)
    }
    return pd.DataFrame({"text": [text_of(row) for row in rows], "label": [row["label"] for row in rows], **fires})


def labels_of(rule: Row, labels: Sequence[str]) -> list[str]:
    """Return the labels that a rule can vote for."""
    return [rule["label"]] if rule.get("label") in labels else list(labels)


@dataclass(frozen=True, slots=True)
class Tables:
    """What a job learns from and is measured on."""

    labels: list[str]
    rules: list[object]
    train: pd.DataFrame
    unlabelled: pd.DataFrame
    test: pd.DataFrame


def tables_of(job: Job, texts: int = TEXTS) -> Tables:
    """Draw the labelled rows by the seed; the others are text alone."""
    chosen = SETS[job.set]
    written = json.loads((DATA / chosen.folder / "rules.json").read_text(encoding="utf-8"))
    labels = [str(label) for label in written.get("labels", written.get("tags"))]
    rows, test = rows_of(chosen.folder, "train"), rows_of(chosen.folder, "test")
    if len(test) > chosen.test_rows:
        test = random.Random(CUT_SEED).sample(test, chosen.test_rows)
    order = random.Random(job.seed).sample(range(len(rows)), len(rows))
    picked = drawn(rows, order, job.labels)
    taken = set(picked)
    others = [place for place in order if place not in taken][:texts]
    parts = [[rows[place] for place in places] for places in (picked, others)]
    train, unlabelled, measured = (table_of(part or rows, written["rules"], labels) for part in (*parts, test))
    train = train if picked else train.iloc[:0]
    rules = token_rules(written["rules"]) if "tags" in written else column_rules(measured)
    return Tables(labels, rules, train, unlabelled, measured)


def drawn(rows: Sequence[Row], order: Sequence[int], count: int) -> list[int]:
    """Return rows in which every class, of tokens every kind of span, is there about so often."""
    counts: dict[str, int] = {}
    picked = []
    for place in order:
        row = rows[place]
        kinds = {tag[2:] for tag in row["tags"] if tag != "O"} if "tags" in row else {row["label"]}
        if any(counts.get(kind, 0) < count for kind in kinds):
            picked.append(place)
            for kind in kinds:
                counts[kind] = counts.get(kind, 0) + 1
    return picked


# A run.


def column_rules(table: pd.DataFrame) -> list[object]:
    """Return a rule for every column of votes."""
    from triune import Label, Rule
    from triune.conditions import Column

    columns = [str(name) for name in table.columns if name not in ("text", "label")]
    return [
        Rule(name, Label(name.partition(":")[2]), Column(name, "equals", 1), confidence=CONFIDENCE) for name in columns
    ]


def token_rules(rules: Sequence[Row]) -> list[object]:
    """Return the rules about tokens: each token that a pattern matches, or of a lexicon, is of a kind.

    They say nothing of where a span begins: published, they vote for the type of a token.
    """
    from triune import Rule
    from triune.conditions import SpanRegex, Token
    from triune.logic import EachIs

    return [
        Rule(
            rule["id"],
            EachIs(f"*-{rule['label']}"),
            SpanRegex(rule["pattern"]) if rule["pattern"] else Token(*rule["single"]),
            confidence=CONFIDENCE,
        )
        for rule in rules
    ]


def plugin_of(tables: Tables) -> object:
    """Return the rules as a plugin of the run."""
    from triune import hookimpl

    return type("Published", (), {"rules": hookimpl(lambda self: tables.rules)})()


def run(job: Job, directory: Path, recipe: Recipe = RECIPE) -> Row:
    """Train, and return what was measured on the test rows."""
    import pandas as pd

    import triune

    tables = tables_of(job, recipe.texts)
    train = tables.train
    if job.arm != "learning":
        if recipe.labelled_share is None and len(train):  # half of what is learnt from
            train = pd.concat([train] * max(round(len(tables.unlabelled) / len(train)), 1))
        text = tables.unlabelled.assign(label=None)
        train = pd.concat([train, text], ignore_index=True)
    result = triune.run(
        configuration(job, tables, directory, recipe),
        data={"train": train, "test": tables.test},
        plugins={"published": plugin_of(tables)},
    )
    test = result.metrics["test"]
    return {
        "metrics": figures(test),
        "projection": figures(test["projection"]),
        "overall": test["rules_overall"],
    }


def figures(found: Mapping[str, Any]) -> Row:
    """Return what is kept of the metrics of a split."""
    return {name: found[name] for name in ("accuracy", "macro_f1", "micro_f1", "violation_rate") if name in found}


def scored(tables: Tables, said: Sequence[str]) -> Mapping[str, float]:
    """Return accuracy and macro-F1 of labels on the test rows."""
    from sklearn.metrics import accuracy_score, f1_score

    gold = tables.test["label"].tolist()
    return {
        "accuracy": float(accuracy_score(gold, said)),
        "macro_f1": float(f1_score(gold, said, average="macro", zero_division=0)),
    }


def configuration(job: Job, tables: Tables, directory: Path, recipe: Recipe = RECIPE) -> dict[str, object]:
    """Say the job in the words of triune."""
    return {
        "task": {"use": SETS[job.set].task, "model": MODEL, "labels": tables.labels},
        "data": {"use": "table", "text": "text", "label": "label"},
        "methods": [*LEARN, *ARMS[job.arm]],
        "rules": ["published"],
        "training": {
            "epochs": 100,
            "max_steps": 100,
            "batch_size": recipe.batch_size,
            "labelled_share": None if job.arm == "learning" else recipe.labelled_share,
            "learning_rate": 2e-4,
            "max_length": 64,
            "seed": job.seed,
            "threads": 1,
            "validation": 0.0,
            "early_stopping": None,
            "keep_best": False,
            "baselines": False,
            "checkpoint_every": 1_000,
        },
        "output": str(directory / "run"),
    }


def majority(name: str, seeds: Sequence[int]) -> list[Mapping[str, float]]:
    """Return what the majority of the rules' votes scores on the test rows, ties and silence drawn by the seed."""
    import numpy as np

    tables = tables_of(Job(name, 0, 0, "majority"))
    if SETS[name].task == "token-classification":
        return []
    votes = np.zeros((len(tables.test), len(tables.labels)))
    for column in tables.test.columns.drop(["text", "label"]):
        votes[:, tables.labels.index(column.partition(":")[2])] += tables.test[column].to_numpy() == "1"
    found = []
    for seed in seeds:
        noise = np.random.default_rng(seed).random(votes.shape) * 0.5
        said = np.asarray(tables.labels)[(votes + noise).argmax(1)]
        found.append(scored(tables, said.tolist()))
    return found


# The jobs: each worker takes what nobody has done, and keeps each result at once.


def every_job(sets: Sequence[str], labels: Sequence[int], seeds: Sequence[int], arms: Sequence[str]) -> list[Job]:
    """Return the jobs, one seed of everything after the other."""
    return [
        Job(name, count, seed, arm)
        for seed in seeds
        for name in sets
        for count in labels
        for arm in arms
        if count or arm in RULES_ALONE
    ]


def read(results: Path) -> dict[Job, Row]:
    """Return what is done."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return {Job(**one["job"]): one for one in map(json.loads, lines)}


def work(jobs: Sequence[Job], results: Path, recipe: Recipe = RECIPE) -> None:
    """Do the jobs one after the other; the result of each is a line of the file."""
    for job in jobs:
        if job in read(results):
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found = run(job, Path(folder), recipe)
        line = json.dumps({"job": asdict(job), **found, "seconds": round(time.monotonic() - began, 1)})
        with results.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")
        print(f"{job}: {found['metrics']} in {time.monotonic() - began:.0f} s", flush=True)


def work_apart(jobs: Sequence[Job], options: argparse.Namespace) -> None:
    """Part the jobs among processes of one thread each."""
    shares = [json.dumps([asdict(job) for job in jobs[number :: options.workers]]) for number in range(options.workers)]
    command = [sys.executable, __file__, "--results", str(options.results)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.json" for number in range(len(shares))]
        for path, share in zip(paths, shares, strict=True):
            path.write_text(share, encoding="utf-8")
        workers = [subprocess.Popen([*command, "--jobs", str(path)], env={**DEFAULTS, **os.environ}) for path in paths]
        codes = [worker.wait() for worker in workers]
        if any(codes):
            sys.exit("a worker failed: its output is above; what is done is kept, and the same command goes on")


# The table.


def summary(values: Sequence[float | None]) -> str:
    """Return mean and spread in points."""
    numbers = [100 * value for value in values if value is not None]
    if not numbers:
        return "–"
    return f"{mean(numbers):.1f} ± {stdev(numbers):.1f}" if len(numbers) > 1 else f"{mean(numbers):.1f}"


def lines_of_table(options: argparse.Namespace) -> Iterator[str]:
    """Yield the table as Markdown: a line for each set and number of labels, two columns for each arm."""
    done = read(options.results)
    heads = [head for arm in options.arms for head in (arm, f"{arm}, projected")]
    yield f"| set, metric | labels a class | majority | {' | '.join(heads)} |"
    yield "|---|---:|---:|" + "---:|" * len(heads)
    for name in options.sets:
        metric = SETS[name].metric
        votes = summary([one[metric] for one in majority(name, options.seeds)])
        for count in options.labels:
            rows = {arm: [done.get(Job(name, count, seed, arm)) for seed in options.seeds] for arm in options.arms}
            cells = [
                summary([row[figures].get(metric) for row in rows[arm] if row])
                for arm in options.arms
                for figures in ("metrics", "projection")
            ]
            yield f"| {name}, {metric} | {count} | {votes} | {' | '.join(cells)} |"


# The command.


def names_in(text: str) -> list[str]:
    """Split a comma-separated option."""
    return [part for part in text.split(",") if part]


def numbers_in(text: str) -> list[int]:
    """Split a comma-separated option of numbers."""
    return [int(part) for part in names_in(text)]


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=names_in, default=list(SETS), help=f"of {', '.join(SETS)}")
    parser.add_argument("--labels", type=numbers_in, default=[0, 8, 32])
    parser.add_argument("--seeds", type=numbers_in, default=[0, 1, 2, 3, 4])
    parser.add_argument("--arms", type=names_in, default=list(ARMS), help=f"of {', '.join(ARMS)}")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("rules_pay.json"))
    parser.add_argument("--table", action="store_true", help="run nothing, print the table of what is done")
    parser.add_argument("--jobs", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if unknown := (set(options.sets) - set(SETS)) | (set(options.arms) - set(ARMS)):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; sets: {', '.join(SETS)}; arms: {', '.join(ARMS)}")
    return options


def main() -> None:
    """Run what is missing and print the table; be a worker where asked to."""
    options = parse()
    if options.jobs:
        return work([Job(**one) for one in json.loads(options.jobs.read_text(encoding="utf-8"))], options.results)
    if not DATA.is_dir():
        sys.exit("rules_pay: skipped, the public data sets are not at ../shared/data beside this repository")
    jobs = every_job(options.sets, options.labels, options.seeds, options.arms)
    if not options.table:
        work_apart([job for job in jobs if job not in read(options.results)], options)
    print("\n".join(lines_of_table(options)))


if __name__ == "__main__":
    main()
