"""Check that triune trains faster than Hugging Face's Trainer on a CPU, in no more memory, and starts no later.

    python tests/benchmarks/speed.py [--pairs N] [--threads N] [--examples N] [--json FILE]

The text is made of words, its length log-normal with a mean of about 25 tokens and a tail to 256. Each round
runs every side once, each in a process of its own with the same number of threads, in an order that turns
around from round to round, so that a busy minute hurts all alike; ratios are taken within a round. One epoch,
batches of 32, fp32, AdamW. Examples a second count from the first batch to the last optimiser step.

Sides: `triune`; `grouped` and `default`, the Trainer with and without grouping by length, on texts that are
tokenised before; `floor`, nothing but the matrix products of triune's epoch, which no fp32 training can undercut.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

MODEL = "sentence-transformers/all-MiniLM-L6-v2"
BATCH, RATE, LONGEST = 32, 2e-5, 256
MEAN, SPREAD = 25, 0.8  # tokens; standard deviation of their logarithm
LABELS = ("north", "east", "south", "west")
TEXT = """
the river road house water night morning table letter winter summer paper story music garden window street
market village bridge doctor teacher child mother father brother sister friend king ship train horse dog bird
tree stone fire wind rain snow sun moon star sea field hill city old new small large long short warm cold dark
bright quiet loud early late first last open closed walks runs reads writes sings waits finds keeps gives
takes brings leaves returns under over near after before with without and or but
"""
WORDS = TEXT.split()
CLAIMS = {"grouped": 1.2, "default": 3.5}


@dataclass(frozen=True, slots=True)
class Run:
    """What one process measured."""

    side: str
    examples_per_second: float
    peak_bytes: int | None = None
    first_step: float | None = None  # seconds from the command to the end of the first optimiser step


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is asked to do."""

    table: str
    threads: int
    started: float  # seconds since 1970


def write_texts(path: Path, count: int, seed: int = 0) -> None:
    """Write a labelled table whose texts have a heavy-tailed length."""
    generator = random.Random(seed)
    centre = math.log(MEAN) - SPREAD**2 / 2
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        for _ in range(count):
            length = min(max(round(generator.lognormvariate(centre, SPREAD)), 4), LONGEST) - 2
            label = generator.choice(LABELS)
            rows.writerow([" ".join([label, *generator.choices(WORDS, k=length - 1)]), label])


def triune_side(job: Job) -> Run:
    """Train with triune."""
    import triune
    from triune.events import Stepped

    times: list[tuple[float, float]] = []
    peak: list[int | None] = []

    def note(event: object) -> None:
        if isinstance(event, Stepped):
            times.append((time.time() - event.seconds, time.time()))
            if event.step.index == event.step.total:
                peak.append(peak_now())

    training = {
        "epochs": 1, "batch_size": BATCH, "learning_rate": RATE, "max_length": LONGEST, "warmup": 0.0,
        "threads": job.threads, "device": "cpu", "precision": "fp32", "validation": 0, "early_stopping": None,
        "keep_best": False,
    }  # fmt: skip
    config = {
        "task": {"use": "text-classification", "model": MODEL},
        "data": {"use": "table", "train": job.table, "text": "text", "label": "label"},
        "methods": ["end-to-end"],
        "training": training,
    }
    with tempfile.TemporaryDirectory() as folder:
        triune.run(config, output=Path(folder) / "run", observers=[note])
    examples = rows_of(job)
    return Run("triune", examples / (times[-1][1] - times[0][0]), peak[0], times[0][1] - job.started)


def trainer_side(job: Job, side: str) -> Run:
    """Train with Hugging Face's Trainer."""
    import pandas as pd
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        AutoTokenizer,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from triune.models import locate

    torch.set_num_threads(job.threads)
    source = locate(MODEL, Path()).path
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(LABELS))
    frame = pd.read_csv(job.table)
    encoded = tokenizer(frame["text"].tolist(), truncation=True, max_length=LONGEST)
    data = [
        {"input_ids": ids, "attention_mask": mask, "labels": LABELS.index(label)}
        for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], frame["label"], strict=True)
    ]
    begun: list[float] = []
    ended: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: object, **__: object) -> None:
            begun.append(time.time())

        def on_step_end(self, *_: object, **__: object) -> None:
            ended.append(time.time())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=1,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            weight_decay=0.01,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            **(grouping() if side == "grouped" else {}),
        )
        collate = DataCollatorWithPadding(tokenizer)
        Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=[Clock()]).train()
    return Run(side, len(data) / (ended[-1] - begun[0]), peak_now(), ended[0] - job.started)


def grouping() -> dict[str, object]:
    """Return the option that groups by length; its name has changed."""
    from dataclasses import fields

    from transformers import TrainingArguments

    names = {field.name for field in fields(TrainingArguments)}
    if "train_sampling_strategy" in names:
        return {"train_sampling_strategy": "group_by_length"}
    return {"group_by_length": True}


def floor_side(job: Job) -> Run:
    """Multiply the matrices of an epoch in triune's order, forwards and backwards, and do nothing else."""
    import pandas as pd
    import torch
    from transformers import AutoConfig, AutoTokenizer

    from triune.batching import Batches
    from triune.models import locate

    torch.set_num_threads(job.threads)
    source = locate(MODEL, Path()).path
    shape, tokenizer = AutoConfig.from_pretrained(source), AutoTokenizer.from_pretrained(source)
    texts = pd.read_csv(job.table)["text"].tolist()
    ids = tokenizer(texts, truncation=True, max_length=LONGEST)["input_ids"]
    lengths = torch.tensor([len(one) for one in ids]).numpy()
    width, inner = shape.hidden_size, shape.intermediate_size
    layers = [(width, width)] * 4 + [(width, inner), (inner, width)]
    weights = {sides: torch.randn(*sides) for sides in set(layers)}

    def multiply(tokens: int) -> None:
        given = {size: torch.randn(tokens, size) for size in (width, inner)}
        for rows, columns in layers * shape.num_hidden_layers:
            torch.mm(given[rows], weights[rows, columns])  # forward
            torch.mm(given[columns], weights[rows, columns].T)  # by the input
            torch.mm(given[rows].T, given[columns])  # by the weight

    batches = Batches(lengths, BATCH, 0).of_epoch(0)
    multiply(len(batches[0]) * int(lengths[batches[0]].max()))
    begun = time.time()
    for rows in batches:
        multiply(len(rows) * int(lengths[rows].max()))
    return Run("floor", len(texts) / (time.time() - begun))


SIDES: Mapping[str, Callable[[Job], Run]] = {
    "triune": triune_side,
    "grouped": lambda job: trainer_side(job, "grouped"),
    "default": lambda job: trainer_side(job, "default"),
    "floor": floor_side,
}


def peak_now() -> int | None:
    """Return the most memory of this process so far."""
    from triune.memory import peak_resident_bytes

    return peak_resident_bytes()


def rows_of(job: Job) -> int:
    """Return the number of examples."""
    with Path(job.table).open(newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def measured(side: str, table: Path, threads: int) -> Run:
    """Run one side in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(threads)}
    job = Job(str(table), threads, time.time())
    command = [sys.executable, __file__, "--side", side, "--job", json.dumps(asdict(job))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))


def spread(values: Sequence[float]) -> str:
    """Return median, smallest and largest as text."""
    return f"{median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def report(rounds: Sequence[Mapping[str, Run]]) -> bool:
    """Print what was measured; return whether the claims hold."""
    print(f"{'side':10}{'examples/s':>26}{'triune is faster by':>26}{'peak MiB':>12}{'first step s':>22}")
    for side in rounds[0]:
        runs = [one[side] for one in rounds]
        ratios = [one["triune"].examples_per_second / one[side].examples_per_second for one in rounds]
        peaks = [run.peak_bytes / 2**20 for run in runs if run.peak_bytes]
        starts = [run.first_step for run in runs if run.first_step]
        print(
            f"{side:10}{spread([run.examples_per_second for run in runs]):>26}{spread(ratios):>26}"
            f"{f'{max(peaks):.0f}' if peaks else '':>12}{spread(starts) if starts else '':>22}"
        )
    found = claims(rounds)
    for name, holds in found.items():
        print(f"{'holds' if holds else 'FAILS'}: {name} (median of {len(rounds)})")
    return all(found.values())


def claims(rounds: Sequence[Mapping[str, Run]]) -> dict[str, bool]:
    """Return the claims that these rounds can decide, and whether they hold."""

    def middle(side: str, value: Callable[[Run], float]) -> float:
        return median(value(one[side]) for one in rounds)

    found: dict[str, bool] = {}
    for side, least in CLAIMS.items():
        if side in rounds[0]:
            ratios = [one["triune"].examples_per_second / one[side].examples_per_second for one in rounds]
            found[f"at least {least} times as fast as {side}"] = median(ratios) >= least
    if "grouped" in rounds[0]:
        found["peak memory no higher than grouped"] = middle("triune", peak_of) <= middle("grouped", peak_of)
        found["first step no later than grouped"] = middle("triune", start_of) <= middle("grouped", start_of)
    return found


def peak_of(run: Run) -> float:
    return run.peak_bytes or math.inf


def start_of(run: Run) -> float:
    return run.first_step or math.inf


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="rounds")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--examples", type=int, default=1600)
    parser.add_argument("--sides", default=",".join(SIDES), help="which to run; triune is needed")
    parser.add_argument("--json", type=Path, help="file for the measurements")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(json.dumps(asdict(SIDES[asked.side](Job(**json.loads(asked.job))))))
        return 0
    sides, rounds = asked.sides.split(","), list[dict[str, Run]]()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "texts.csv"
        write_texts(table, asked.examples)
        for turn in range(asked.pairs):
            runs = {side: measured(side, table, asked.threads) for side in (sides if turn % 2 == 0 else sides[::-1])}
            rounds.append({side: runs[side] for side in sides})
            print(
                f"round {turn + 1}: " + ", ".join(f"{k} {v.examples_per_second:.1f}/s" for k, v in rounds[-1].items())
            )
    if asked.json:
        asked.json.write_text(json.dumps([{k: asdict(v) for k, v in one.items()} for one in rounds], indent=1) + "\n")
    return 0 if report(rounds) else 1


if __name__ == "__main__":
    raise SystemExit(main())
