"""What the cache of frozen blocks is worth: triune beside Hugging Face's Trainer with the same blocks frozen.

    python tests/benchmarks/cache.py                         # all cases on MiniLM and on 24 narrow layers, one round
    python tests/benchmarks/cache.py --cases head,top1 --models deep --examples 320 --steps 10 --rounds 3

With L blocks, k of them trained for E epochs, and a backward pass at twice the price of a forward pass, the limit over
freezing alone is E (L + 2k) / ((L − k) + 3kE); beside each figure stand the limit and the share of it that is reached.
triune goes through all E epochs, from before the first step to after the last, the fill of its cache included. The
others have no cache, so that their time is that of one step times the number of steps: they are measured over fewer,
at some numbers of trained blocks, between which time is taken to grow evenly, and scaled to the same tokens (those
that are read, not those that pad). Every side runs in a process of its own, rounds alternate their order. Time is that
of the processor, which other work on the machine hardly disturbs; ratios by the clock stand behind.

`uncached` is triune with its cache off: only there is the limit a ceiling, and only that row says what the cache is
worth. Beside Trainer, grouping by length (`grouped`) or with its defaults (`default`), more than the limit is possible,
because Trainer pays more for the same block: it draws dropout masks in frozen blocks too, and it pads otherwise. Its
groups grow with the table, and only from `TABLE` texts on it pads as little as it can: it gets so many, and reads
whole groups of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from speed import BATCH, LABELS, LONGEST, MODEL, RATE, grouping, write_texts

if TYPE_CHECKING:
    from torch import nn

DEEP = {"hidden_size": 128, "num_hidden_layers": 24, "num_attention_heads": 4, "intermediate_size": 512}
BLOCKS = {"minilm": 6, "deep": DEEP["num_hidden_layers"]}
STRIDE = {"minilm": 3, "deep": 6}  # of the numbers of blocks that are measured without a cache; others lie between
METHODS: Mapping[str, Any] = {
    "head": "head-only",
    "top1": {"use": "top-layers", "blocks": 1},
    "top2": {"use": "top-layers", "blocks": 2},
    "top-down": "layer-by-layer",
}
TABLE, GROUP = 6400, 50  # texts, and batches that Trainer's sampler sorts together when there are so many
SHARE, DEFAULTS = 0.9, 2.5


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is asked to do."""

    model: str
    cases: tuple[str, ...]
    folder: str  # holds texts.csv, all.csv, and the deep model
    epochs: int
    threads: int
    steps: int  # of Trainer, at each number of blocks


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds for all epochs over the texts."""

    processor: float
    clock: float
    loss: float | None = None  # at the end

    def scaled(self, factor: float) -> Cost:
        return Cost(self.processor * factor, self.clock * factor, self.loss)


class Watch:
    """Measures the seconds between two moments."""

    def __init__(self) -> None:
        self.begun = time.process_time(), time.perf_counter()

    def read(self, loss: float | None = None) -> Cost:
        processor, clock = self.begun
        return Cost(time.process_time() - processor, time.perf_counter() - clock, loss)


def tops_of(model: str, case: str) -> list[int]:
    """Return how many top blocks train in each phase; one more than there are: what lies outside of them, too."""
    return {"head": [0], "top1": [1], "top2": [2]}.get(case, [*range(BLOCKS[model] + 2)])


def limit_of(model: str, case: str, epochs: int) -> float:
    """Return how much faster than freezing alone a run can be at most."""
    blocks = BLOCKS[model]
    tops = [min(top, blocks) for top in tops_of(model, case)]
    plain = epochs * mean(blocks + 2 * top for top in tops)
    return plain / (blocks - tops[0] + epochs * mean(3 * top for top in tops))


def source_of(job: Job) -> str:
    """Return the folder of the model."""
    from triune.models import locate

    return str(locate(MODEL, Path()).path) if job.model == "minilm" else str(Path(job.folder) / "deep")


def write_deep(folder: Path) -> None:
    """Write a model of many narrow layers with random weights, and a tokenizer."""
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    from triune.models import locate

    tokenizer = AutoTokenizer.from_pretrained(locate(MODEL, Path()).path)
    BertForSequenceClassification(
        BertConfig(vocab_size=len(tokenizer), num_labels=len(LABELS), **DEEP)
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def cached_side(job: Job) -> dict[str, Cost]:
    """Return what each case costs triune, the fill of its cache included."""
    return {case: triune_run(job, METHODS[case], "auto", job.epochs) for case in job.cases}


def uncached_side(job: Job) -> dict[str, Cost]:
    """Return what each case costs triune without its cache, from an epoch with every number of blocks."""

    def method(top: int) -> Any:
        if top in (0, BLOCKS[job.model] + 1):
            return "end-to-end" if top else "head-only"
        return {"use": "top-layers", "blocks": top}

    found = {top: triune_run(job, method(top), "off", 1).scaled(job.epochs) for top in measured_tops(job)}
    return between(job, found)


def measured_tops(job: Job) -> list[int]:
    """Return at how many trained blocks a side without a cache is measured."""
    tops = {case: tops_of(job.model, case) for case in job.cases}
    last = BLOCKS[job.model] + 1
    single = {one[0] for one in tops.values()}
    return sorted(single | ({*range(0, last, STRIDE[job.model]), last} if "top-down" in tops else set()))


def between(job: Job, found: Mapping[int, Cost]) -> dict[str, Cost]:
    """Return what each case costs: time grows by as much with every block that trains."""
    import numpy as np

    def read(case: str, values: Sequence[float]) -> float:
        return float(np.interp(tops_of(job.model, case), list(found), values).mean())

    processor, clock = [one.processor for one in found.values()], [one.clock for one in found.values()]
    return {case: Cost(read(case, processor), read(case, clock)) for case in job.cases}


def triune_run(job: Job, method: Any, cache: str, epochs: int) -> Cost:
    """Train with triune."""
    import triune
    from triune.events import Finished, Planned, Stepped

    watches: list[Watch] = []
    costs: list[Cost] = []
    losses: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, Planned):
            watches.append(Watch())
        if isinstance(event, Stepped):
            losses.append(event.loss)
        if isinstance(event, Finished):
            costs.append(watches[0].read(mean(losses[-GROUP:])))

    config = {
        "task": {"use": "text-classification", "model": source_of(job)},
        "data": {"use": "table", "train": str(Path(job.folder) / "texts.csv"), "text": "text", "label": "label"},
        "methods": [method],
        "training": {
            "epochs": epochs, "batch_size": BATCH, "learning_rate": RATE, "max_length": LONGEST, "cache": cache,
            "threads": job.threads, "device": "cpu", "precision": "fp32", "validation": 0, "early_stopping": None,
            "keep_best": False, "checkpoint_every": 10**9,
        },
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        triune.run(config, output=Path(folder) / "run", observers=[note])
    return costs[0]


def trainer_side(job: Job, grouped: bool) -> dict[str, Cost]:
    """Return what each case costs Trainer, from a few steps with every number of blocks."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(job.threads)
    source = source_of(job)
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(LABELS))
    data = encoded(tokenizer, Path(job.folder) / "all.csv")
    tokens = job.epochs * sum(len(one["input_ids"]) for one in encoded(tokenizer, Path(job.folder) / "texts.csv"))
    train(model, tokenizer, data, 2, grouped)  # what only happens once is nobody's cost
    found = {}
    for top in measured_tops(job):
        thaw(model, job.model, top)
        cost, read = train(model, tokenizer, data, GROUP if grouped else job.steps, grouped)
        found[top] = cost.scaled(tokens / read)
    return between(job, found)


def encoded(tokenizer: Any, table: Path) -> list[dict[str, Any]]:
    """Return the examples of a table as Trainer takes them."""
    import pandas as pd

    frame = pd.read_csv(table)
    found = tokenizer(frame["text"].tolist(), truncation=True, max_length=LONGEST)
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": LABELS.index(label)}
        for ids, mask, label in zip(found["input_ids"], found["attention_mask"], frame["label"], strict=True)
    ]


def thaw(model: nn.Module, name: str, top: int) -> None:
    """Thaw the upper blocks of a BERT, and with one more than it has its embeddings; freeze the others."""
    low = [f"bert.encoder.layer.{block}." for block in range(max(BLOCKS[name] - top, 0))]
    low += ["bert.embeddings."] if top <= BLOCKS[name] else []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(low)))


def train(model: nn.Module, tokenizer: Any, data: Sequence[Any], steps: int, grouped: bool) -> tuple[Cost, int]:
    """Return what some steps of Trainer cost, and how many tokens they read."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    watches: list[Watch] = []
    costs: list[Cost] = []
    read = []
    pad = DataCollatorWithPadding(tokenizer)

    def collate(examples: Sequence[Mapping[str, Sequence[int]]]) -> Mapping[str, object]:
        read.append(sum(len(one["input_ids"]) for one in examples))
        return pad(examples)

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: object, **__: object) -> None:
            watches.append(Watch())

        def on_step_end(self, *_: object, **__: object) -> None:
            costs.append(watches[0].read())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=RATE, weight_decay=0.01,
            save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False,
            **(grouping() if grouped else {}),
        )  # fmt: skip
        Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=[Clock()]).train()
    return costs[-1], sum(read[:steps])  # one batch more is fetched ahead


SIDES: Mapping[str, Callable[[Job], dict[str, Cost]]] = {
    "triune": cached_side,
    "uncached": uncached_side,
    "grouped": lambda job: trainer_side(job, grouped=True),
    "default": lambda job: trainer_side(job, grouped=False),
}


def measured(side: str, job: Job) -> dict[str, Cost]:
    """Run one side in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(job.threads)}
    command = [sys.executable, __file__, "--side", side, "--job", json.dumps(asdict(job))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr}")
    found = {case: Cost(**cost) for case, cost in json.loads(done.stdout.splitlines()[-1]).items()}
    print(job.model, side, {case: round(cost.processor, 1) for case, cost in found.items()}, file=sys.stderr)
    return found


Round = Mapping[str, Mapping[str, Cost]]  # by side and case


def report(job: Job, rounds: Sequence[Round]) -> bool:
    """Print what was measured of a model; return whether every case reaches its share of the limit beside Trainer."""
    holds = True
    for case in job.cases:
        limit = limit_of(job.model, case, job.epochs)
        ours = [one["triune"][case] for one in rounds]
        for side, factor in (("uncached", 1.0), ("grouped", 1.0), ("default", DEFAULTS)):
            if side not in rounds[0]:
                continue
            theirs = [one[side][case] for one in rounds]
            ratios = [other.processor / one.processor for one, other in zip(ours, theirs, strict=True)]
            clocks = [other.clock / one.clock for one, other in zip(ours, theirs, strict=True)]
            share = median(ratios) / (limit * factor)
            holds &= side == "uncached" or share >= SHARE
            print(
                f"| {job.model} | {case} | {side} | {median(one.processor for one in ours):.1f} "
                f"| {median(one.processor for one in theirs):.1f} | {spread(ratios)} | {limit * factor:.2f} "
                f"| {share:.0%} | {spread(clocks)} | {ours[0].loss:.3f} |"
            )
    return holds


def spread(values: Sequence[float]) -> str:
    """Return the median, and where there are several values the smallest and the largest, as text."""
    return f"{median(values):.2f}" + (f" [{min(values):.2f}, {max(values):.2f}]" if len(values) > 1 else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--examples", type=int, default=800, help="texts that triune learns from")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=24, help="of Trainer with its defaults, at each number of blocks")
    parser.add_argument("--cases", default=",".join(METHODS))
    parser.add_argument("--models", default=",".join(BLOCKS))
    parser.add_argument("--sides", default=",".join(SIDES), help="which to run; triune is needed")
    parser.add_argument("--json", type=Path, help="file for the measurements")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        costs = SIDES[asked.side](Job(**json.loads(asked.job)))
        print(json.dumps({case: asdict(cost) for case, cost in costs.items()}))
        return 0
    sides, found, holds = asked.sides.split(","), [], True
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder) / "texts.csv", asked.examples)
        write_texts(Path(folder) / "all.csv", TABLE)
        if "deep" in asked.models:
            write_deep(Path(folder) / "deep")
        print(f"{asked.examples} texts, {asked.epochs} epochs, {asked.threads} threads; s of the processor\n")
        print("| model | trains | beside | triune s | other s | faster by | limit | share | by the clock | loss |")
        print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        for model in asked.models.split(","):
            job = Job(model, tuple(asked.cases.split(",")), folder, asked.epochs, asked.threads, asked.steps)
            rounds: list[Round] = []
            for turn in range(asked.rounds):
                runs = {side: measured(side, job) for side in (sides if turn % 2 == 0 else sides[::-1])}
                rounds.append({side: runs[side] for side in sides})
            holds &= report(job, rounds)
            found.append({"model": model, "rounds": [_plain(one) for one in rounds]})
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if holds else 1


def _plain(one: Round) -> dict[str, dict[str, object]]:
    return {side: {case: asdict(cost) for case, cost in costs.items()} for side, costs in one.items()}


if __name__ == "__main__":
    raise SystemExit(main())
