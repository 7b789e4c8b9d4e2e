"""Measure step time and peak memory of learning methods beside peft and Hugging Face's Trainer, on a CPU.

    python tests/benchmarks/methods.py [--pairs N] [--threads N] [--examples N] [--methods a,b] [--json FILE]

Each round runs every method on both sides, each run in a process of its own with the same number of threads, one
epoch over the same texts in batches of 32 in fp32 with AdamW; the order turns around from round to round. Ratios
are taken within a round. The Trainer groups by length, as triune does. Both sides train the same parameters: of
LoRA, rank 8 on every linear layer of the blocks; of layer by layer, the Trainer thaws by a callback, over an optimiser
that knows every parameter, because one that is made while they are frozen never trains them.
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

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.benchmarks.speed import BATCH, LABELS, LONGEST, MODEL, grouping, peak_now, spread, write_texts  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import nn

RATE = 2e-4
LINEAR = ["query", "key", "value", "output.dense", "intermediate.dense"]  # of a BERT's blocks
METHODS: Mapping[str, Mapping[str, object]] = {
    "end-to-end": {"use": "end-to-end"},
    "lora": {"use": "lora", "rank": 8, "learning_rate": RATE},
    "ia3": {"use": "ia3", "learning_rate": RATE},
    "bitfit": {"use": "bitfit", "learning_rate": RATE},
    "head-only": {"use": "head-only", "learning_rate": RATE},
    "layer-by-layer": {"use": "layer-by-layer", "lr_divisor": 1.0},
}
SIDES = ("triune", "trainer")


@dataclass(frozen=True, slots=True)
class Run:
    """What one process measured."""

    seconds_per_step: float
    peak_bytes: int | None
    trained: int  # parameters that ever learn


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is asked to do."""

    side: str
    method: str
    table: str
    threads: int


def triune_side(job: Job) -> Run:
    """Train with triune."""
    import triune
    from triune.events import Planned, Stepped

    ends: list[float] = []
    seconds: list[float] = []
    peak: list[int | None] = []
    trained: list[int] = []

    def note(event: object) -> None:
        if isinstance(event, Planned):
            trained.append(event.plan.trainable)  # type: ignore[attr-defined]
        if isinstance(event, Stepped):
            ends.append(time.perf_counter())
            seconds.append(event.seconds)
            if event.step.index == event.step.total:
                peak.append(peak_now())

    config = {
        "task": {"use": "text-classification", "model": MODEL},
        "data": {"use": "table", "train": job.table, "text": "text", "label": "label"},
        "methods": [dict(METHODS[job.method])],
        "training": {
            "epochs": 1, "batch_size": BATCH, "learning_rate": RATE, "max_length": LONGEST, "warmup": 0.0,
            "threads": job.threads, "device": "cpu", "precision": "fp32", "validation": 0, "early_stopping": None,
            "keep_best": False, "checkpoint_every": 10**6,
        },
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        triune.run(config, output=Path(folder) / "run", observers=[note])
    return Run((ends[-1] - ends[0] + seconds[0]) / len(ends), peak[0], trained[0])


def adapted(model: nn.Module, method: str) -> nn.Module:
    """Return a model whose parameters ask for gradients as a method says, with peft where it has the method."""
    from peft import IA3Config, LoraConfig, get_peft_model

    if method == "lora":
        return get_peft_model(
            model,
            LoraConfig(
                task_type="SEQ_CLS",
                r=8,
                lora_alpha=16,
                lora_dropout=0.05,
                target_modules=LINEAR,
                modules_to_save=["pooler"],  # triune's head
            ),
        )
    if method == "ia3":
        return get_peft_model(model, IA3Config(task_type="SEQ_CLS", modules_to_save=["pooler"]))
    if method in ("bitfit", "head-only"):
        for name, parameter in model.named_parameters():
            head = name.startswith(("classifier.", "bert.pooler."))
            parameter.requires_grad_(head or (method == "bitfit" and name.endswith(".bias")))
    return model


def thawed(model: nn.Module, share: float) -> None:
    """Thaw a model from the top down, as far as it is after a share of the run."""
    blocks = model.config.num_hidden_layers  # type: ignore[union-attr]
    phase = int(share * (blocks + 2))
    for name, parameter in model.named_parameters():
        place = next((n for n in range(blocks) if f".layer.{n}." in name), None)
        head = name.startswith(("classifier.", "bert.pooler."))
        begins = 0 if head else blocks - place if place is not None else blocks + 1
        parameter.requires_grad_(phase >= begins)


def trainer_side(job: Job) -> Run:
    """Train with peft and Hugging Face's Trainer."""
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
    model = adapted(AutoModelForSequenceClassification.from_pretrained(source, num_labels=len(LABELS)), job.method)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    frame = pd.read_csv(job.table)
    encoded = tokenizer(frame["text"].tolist(), truncation=True, max_length=LONGEST)
    data = [
        {"input_ids": ids, "attention_mask": mask, "labels": LABELS.index(label)}
        for ids, mask, label in zip(encoded["input_ids"], encoded["attention_mask"], frame["label"], strict=True)
    ]
    begun: list[float] = []
    ended: list[float] = []

    class Clock(TrainerCallback):
        def on_step_begin(self, args: object, state: object, control: object, **_: object) -> None:
            begun.append(time.perf_counter())
            if job.method == "layer-by-layer":
                thawed(model, state.global_step / state.max_steps)  # type: ignore[attr-defined]

        def on_step_end(self, *_: object, **__: object) -> None:
            ended.append(time.perf_counter())

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
            **grouping(),
        )
        collate = DataCollatorWithPadding(tokenizer)
        Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=[Clock()]).train()
    return Run((ended[-1] - begun[0]) / len(ended), peak_now(), trained)


def measured(job: Job) -> Run:
    """Run one side in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(job.threads)}
    command = [sys.executable, __file__, "--job", json.dumps(asdict(job))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{job.method} on {job.side} failed:\n{done.stderr}")
    return Run(**json.loads(done.stdout.splitlines()[-1]))


Round = dict[str, dict[str, Run]]


def report(rounds: Sequence[Round]) -> None:
    """Print a table of what was measured."""
    print("| method | trained | s a step | peft + Trainer | triune is faster by | peak MiB | peft + Trainer |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for method in rounds[0]:
        ours, theirs = ([one[method][side] for one in rounds] for side in SIDES)
        ratios = [b.seconds_per_step / a.seconds_per_step for a, b in zip(ours, theirs, strict=True)]
        paces = [spread([run.seconds_per_step for run in runs]) for runs in (ours, theirs)]
        peaks = [f"{median((run.peak_bytes or 0) / 2**20 for run in runs):.0f}" for runs in (ours, theirs)]
        differ = "" if ours[0].trained == theirs[0].trained else f" ({theirs[0].trained:,} there)"
        print(
            f"| {method} | {ours[0].trained:,}{differ} | {' | '.join(paces)} | {spread(ratios)} | {' | '.join(peaks)} |"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3, help="rounds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--examples", type=int, default=1600)
    parser.add_argument("--methods", default=",".join(METHODS), help="which to run")
    parser.add_argument("--json", type=Path, help="file for the measurements")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        job = Job(**json.loads(asked.job))
        print(json.dumps(asdict((triune_side if job.side == "triune" else trainer_side)(job))))
        return 0
    methods, rounds = asked.methods.split(","), list[Round]()
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "texts.csv"
        write_texts(table, asked.examples)
        for turn in range(asked.pairs):
            order = [(method, side) for method in methods for side in SIDES]
            found: Round = {method: {} for method in methods}
            for method, side in order if turn % 2 == 0 else reversed(order):
                found[method][side] = measured(Job(side, method, str(table), asked.threads))
            rounds.append(found)
            print(f"round {turn + 1} is done", file=sys.stderr)
    if asked.json:
        plain = [{m: {s: asdict(run) for s, run in sides.items()} for m, sides in one.items()} for one in rounds]
        asked.json.write_text(json.dumps(plain, indent=1) + "\n")
    report(rounds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
