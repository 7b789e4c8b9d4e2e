"""What the cache of frozen blocks is worth: triune beside Hugging Face's Trainer with the same blocks frozen.

    python tests/benchmarks/cache.py                         # all cases on MiniLM and on 24 narrow layers
    python tests/benchmarks/cache.py --cases head,top1 --models minilm --examples 64 --epochs 3 --pairs 1

Every side runs in a process of its own, rounds alternate their order, and the fill of the cache is in triune's time:
from before the first step to after the last. With L blocks, k of them trained for E epochs, and a backward pass at
twice the price of a forward pass, the limit over freezing alone is E (L + 2k) / ((L − k) + 3kE); beside each figure
stand the limit and the share of it that is reached.

`uncached` is triune with its cache off: only there is the limit a ceiling, and only that row says what the cache is
worth. Beside Trainer, grouping by length (`grouped`) or with its defaults (`default`), more than the limit is possible,
because Trainer pays more for the same block: it draws dropout masks in frozen blocks too (1.65 times the step, measured
on the 24 layers with the top one trained), and it pads otherwise. Its groups grow with the table: on 128 of these texts
it pads to 3.3 times the tokens there are where triune pads to 1.6, and from 6,400 texts on both pad to 1.12. With fewer
texts than that, `grouped` measures Trainer's padding, and not the cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from speed import BATCH, LABELS, LONGEST, MODEL, RATE, grouping, spread, write_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

DEEP = {"hidden_size": 128, "num_hidden_layers": 24, "num_attention_heads": 4, "intermediate_size": 512}
BLOCKS = {"minilm": 6, "deep": DEEP["num_hidden_layers"]}
SHARE, DEFAULTS = 0.9, 2.5


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is asked to do."""

    model: str
    case: str
    folder: str  # holds texts.csv, and the deep model
    epochs: int
    threads: int


def phases_of(job: Job) -> list[tuple[int, float]]:
    """Return how many top blocks train in each phase, and for how many epochs."""
    blocks = BLOCKS[job.model]
    if job.case != "top-down":
        return [({"head": 0, "top1": 1, "top2": 2}[job.case], job.epochs)]
    tops = [*range(blocks + 1), blocks]  # the head, the blocks from the top down, what lies outside of them
    return [(top, job.epochs / len(tops)) for top in tops]


def limit_of(job: Job) -> float:
    """Return how much faster than freezing alone a run can be at most."""
    blocks, phases = BLOCKS[job.model], phases_of(job)
    plain = sum(epochs * (blocks + 2 * top) for top, epochs in phases)
    return plain / (blocks - phases[0][0] + sum(3 * top * epochs for top, epochs in phases))


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


def triune_side(job: Job, cache: str) -> float:
    """Return the seconds that triune trains for, the fill of its cache included."""
    import triune
    from triune.events import Finished, Planned, Stepped

    methods = {
        "head": ["head-only"],
        "top1": [{"use": "top-layers", "blocks": 1}],
        "top2": [{"use": "top-layers", "blocks": 2}],
        "top-down": ["layer-by-layer"],
    }
    times: dict[type, float] = {}
    steps = 0

    def note(event: object) -> None:
        nonlocal steps
        steps += isinstance(event, Stepped)
        times.setdefault(type(event), time.perf_counter())

    training = {
        "epochs": job.epochs, "batch_size": BATCH, "learning_rate": RATE, "max_length": LONGEST, "threads": job.threads,
        "device": "cpu", "precision": "fp32", "validation": 0, "early_stopping": None, "keep_best": False,
        "checkpoint_every": 10**9, "cache": cache,
    }  # fmt: skip
    config = {
        "task": {"use": "text-classification", "model": source_of(job)},
        "data": {"use": "table", "train": str(Path(job.folder) / "texts.csv"), "text": "text", "label": "label"},
        "methods": methods[job.case],
        "training": training,
    }
    with tempfile.TemporaryDirectory() as folder:
        triune.run(config, output=Path(folder) / "run", observers=[note])
    check_steps(job, steps)
    return times[Finished] - times[Planned]


def check_steps(job: Job, steps: int) -> None:
    """Stop unless a side did as many steps as the others."""
    with (Path(job.folder) / "texts.csv").open() as file:
        texts = sum(1 for _ in file) - 1
    if steps != (expected := job.epochs * -(-texts // BATCH)):
        raise SystemExit(f"{steps} steps were done, and {expected} were to be: the sides cannot be compared")


def trainer_side(job: Job, grouped: bool) -> float:
    """Return the seconds that Trainer trains for, a Trainer for each phase."""
    import pandas as pd
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    torch.set_num_threads(job.threads)
    source = source_of(job)
    tokenizer = AutoTokenizer.from_pretrained(source)
    model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(LABELS))
    frame = pd.read_csv(Path(job.folder) / "texts.csv")
    encoded = tokenizer(frame["text"].tolist(), truncation=True, max_length=LONGEST)
    data = [
        {"input_ids": ids, "attention_mask": mask, "labels": LABELS.index(label)}
        for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], frame["label"], strict=True)
    ]
    phases = phases_of(job)
    total = job.epochs * -(-len(data) // BATCH)
    edges = [round(place * total / len(phases)) for place in range(len(phases) + 1)]  # as triune's windows fall
    seconds, steps = 0.0, 0
    for place, (top, _) in enumerate(phases):
        freeze(model, BLOCKS[job.model] - top, embeddings=len(phases) == 1 or place < len(phases) - 1)
        if edges[place] < edges[place + 1]:
            took, done = trained(model, tokenizer, data, edges[place + 1] - edges[place], grouped)
            seconds, steps = seconds + took, steps + done
    check_steps(job, steps)
    return seconds


def freeze(model: nn.Module, below: int, *, embeddings: bool) -> None:
    """Freeze the lower blocks, and the embeddings, of a BERT; thaw the others."""
    low = [f"bert.encoder.layer.{block}." for block in range(below)] + (["bert.embeddings."] if embeddings else [])
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(low)))


def trained(
    model: nn.Module, tokenizer: object, data: Sequence[object], steps: int, grouped: bool
) -> tuple[float, int]:
    """Return the seconds from the beginning of the first step to the end of the last, and how many were done."""
    from transformers import DataCollatorWithPadding, Trainer, TrainerCallback, TrainingArguments

    times: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, *_: object, **__: object) -> None:
            times.append(time.perf_counter())

        def on_step_end(self, *_: object, **__: object) -> None:
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder, max_steps=steps, per_device_train_batch_size=BATCH, learning_rate=RATE, weight_decay=0.01,
            save_strategy="no", report_to="none", disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False,
            **(grouping() if grouped else {}),
        )  # fmt: skip
        collate = DataCollatorWithPadding(tokenizer)
        trainer = Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=[Clock()])
        trainer.train()
    return times[-1] - times[0], trainer.state.global_step


SIDES: Mapping[str, Callable[[Job], float]] = {
    "triune": lambda job: triune_side(job, "auto"),
    "uncached": lambda job: triune_side(job, "off"),
    "grouped": lambda job: trainer_side(job, grouped=True),
    "default": lambda job: trainer_side(job, grouped=False),
}


def measured(side: str, job: Job) -> float:
    """Run one side in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(job.threads)}
    command = [sys.executable, __file__, "--side", side, "--job", json.dumps(asdict(job))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{side} failed:\n{done.stderr}")
    return float(done.stdout.splitlines()[-1])


def report(job: Job, rounds: Sequence[Mapping[str, float]]) -> bool:
    """Print what was measured of a case; return whether it reaches its share of the limit."""
    limit, holds = limit_of(job), True
    for side, factor in (("uncached", 1.0), ("grouped", 1.0), ("default", DEFAULTS)):
        if side in rounds[0]:
            ratios = [one[side] / one["triune"] for one in rounds]
            share = median(ratios) / (limit * factor)
            holds &= share >= SHARE
            print(
                f"{job.model:8}{job.case:10}{side:9}{spread([one['triune'] for one in rounds]):>24}"
                f"{spread([one[side] for one in rounds]):>26}{spread(ratios):>24}{limit * factor:>8.2f}{share:>8.0%}"
            )
    return holds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="rounds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--examples", type=int, default=6400, help="fewer flatter triune, see above")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--cases", default="head,top1,top2,top-down")
    parser.add_argument("--models", default=",".join(BLOCKS))
    parser.add_argument("--sides", default=",".join(SIDES), help="which to run; triune is needed")
    parser.add_argument("--json", type=Path, help="file for the measurements")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(SIDES[asked.side](Job(**json.loads(asked.job))))
        return 0
    sides, found = asked.sides.split(","), []
    with tempfile.TemporaryDirectory() as folder:
        write_texts(Path(folder) / "texts.csv", asked.examples)
        if "deep" in asked.models:
            write_deep(Path(folder) / "deep")
        jobs = [
            Job(model, case, folder, asked.epochs, asked.threads)
            for model in asked.models.split(",")
            for case in asked.cases.split(",")
        ]
        print(f"{asked.examples} texts, {asked.epochs} epochs, {asked.threads} threads")
        print(
            f"{'model':8}{'case':10}{'beside':9}{'triune s':>24}{'the other s':>26}{'faster by':>24}"
            f"{'limit':>8}{'share':>8}"
        )
        holds = True
        for job in jobs:
            rounds = []
            for turn in range(asked.pairs):
                runs = {side: measured(side, job) for side in (sides if turn % 2 == 0 else sides[::-1])}
                rounds.append({side: runs[side] for side in sides})
            holds &= report(job, rounds)
            found.append({"model": job.model, "case": job.case, "limit": limit_of(job), "rounds": rounds})
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
