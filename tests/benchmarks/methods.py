"""Measure step time and peak memory of learning methods beside peft and Hugging Face's Trainer, on a CPU.

    python tests/benchmarks/methods.py [--rounds N] [--threads N] [--groups N] [--methods a,b] [--json FILE]

Each round runs every method on both sides, each run in a process of its own with the same number of threads, in
batches of 32 in fp32 with AdamW; the order turns around from round to round. Ratios are taken within a round, of
seconds of the processor, which other work on the machine hardly disturbs, per token that is read (padding is each
side's own affair); ratios by the clock stand behind. The Trainer groups by length, as triune does: it gets a table of
6,400 texts, from which on its groups pad as little as triune's, and learns from one whole group of 1,600.

Both sides train the same parameters: of LoRA, rank 8 on every linear layer of the blocks; of layer by layer, the
Trainer thaws by a callback, over an optimiser that knows every parameter, because one that is made while they are
frozen never trains them. It does so over an epoch of a table as small as triune's, since inside a group texts get
shorter and shorter: `cache.py` compares the speed of that schedule phase by phase.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests" / "benchmarks"))
from cache import GROUP, TABLE, Cost, Watch, encoded, spread  # noqa: E402
from speed import BATCH, LABELS, LONGEST, MODEL, grouping, peak_now, write_texts  # noqa: E402

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

    processor: float  # milliseconds a thousand tokens
    clock: float
    peak_bytes: int | None
    trained: int  # parameters that ever learn
    loss: float  # mean of the last ten steps


@dataclass(frozen=True, slots=True)
class Job:
    """What a process is asked to do."""

    side: str
    method: str
    table: str
    large: str  # a table of which the Trainer makes its largest groups
    threads: int


def triune_side(job: Job) -> Run:
    """Train with triune."""
    import triune
    from triune.events import Planned, Stepped

    watches: list[Watch] = []
    costs: list[Cost] = []
    peak: list[int | None] = []
    trained: list[int] = []
    losses: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, Planned):
            trained.append(event.plan.trainable)  # type: ignore[attr-defined]
            watches.append(Watch())
        if isinstance(event, Stepped):
            losses.append(event.loss)
            costs.append(watches[0].read())
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
    tokens = sum(len(one["input_ids"]) for one in encoded(tokenizer_of(), Path(job.table)))
    return run_of(costs[-1], tokens, peak[-1], trained[0], losses)


def run_of(cost: Cost, tokens: int, peak: int | None, trained: int, losses: Sequence[float]) -> Run:
    """Return what a process measured, per thousand tokens."""
    return Run(1e6 * cost.processor / tokens, 1e6 * cost.clock / tokens, peak, trained, mean(losses[-10:]))


def tokenizer_of() -> Any:
    """Return the tokenizer of the model."""
    from transformers import AutoTokenizer

    from triune.models import locate

    return AutoTokenizer.from_pretrained(locate(MODEL, Path()).path)


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
    import torch
    from transformers import (
        AutoModelForSequenceClassification,
        DataCollatorWithPadding,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from triune.models import locate

    torch.set_num_threads(job.threads)
    tokenizer, whole = tokenizer_of(), job.method == "layer-by-layer"
    pretrained = AutoModelForSequenceClassification.from_pretrained(locate(MODEL, Path()).path, num_labels=len(LABELS))
    model = adapted(pretrained, job.method)
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    steps = -(-len(encoded(tokenizer, Path(job.table))) // BATCH)
    data = encoded(tokenizer, Path(job.table if whole else job.large))
    watches: list[Watch] = []
    costs: list[Cost] = []
    read: list[int] = []
    pad = DataCollatorWithPadding(tokenizer)

    def collate(examples: Sequence[Mapping[str, Sequence[int]]]) -> Mapping[str, object]:
        read.append(sum(len(one["input_ids"]) for one in examples))
        return pad(examples)

    class Clock(TrainerCallback):
        def on_step_begin(self, args: object, state: object, control: object, **_: object) -> None:
            watches.append(Watch())
            if whole:
                thawed(model, state.global_step / state.max_steps)  # type: ignore[attr-defined]

        def on_step_end(self, *_: object, **__: object) -> None:
            costs.append(watches[0].read())

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            weight_decay=0.01,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            dataloader_pin_memory=False,
            logging_steps=1,
            **grouping(),
        )
        trainer = Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=[Clock()])
        trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return run_of(costs[-1], sum(read[:steps]), peak_now(), trained, losses)  # one batch more is fetched ahead


def measured(job: Job) -> Run:
    """Run one side in a process of its own."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": str(job.threads)}
    command = [sys.executable, __file__, "--job", json.dumps(asdict(job))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{job.method} on {job.side} failed:\n{done.stderr}")
    found = Run(**json.loads(done.stdout.splitlines()[-1]))
    print(job.method, job.side, found, file=sys.stderr)
    return found


Round = dict[str, dict[str, Run]]


def report(rounds: Sequence[Round]) -> None:
    """Print a table of what was measured."""
    print(
        "| method | trained | ms of the processor a thousand tokens | peft + Trainer | triune is faster by "
        "| by the clock | peak MiB | peft + Trainer | loss | peft + Trainer |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    for method in rounds[0]:
        ours, theirs = ([one[method][side] for one in rounds] for side in SIDES)
        ratios = [b.processor / a.processor for a, b in zip(ours, theirs, strict=True)]
        clocks = [b.clock / a.clock for a, b in zip(ours, theirs, strict=True)]
        paces = [f"{median(run.processor for run in runs):.0f}" for runs in (ours, theirs)]
        peaks = [f"{median((run.peak_bytes or 0) / 2**20 for run in runs):,.0f}" for runs in (ours, theirs)]
        losses = [f"{median(run.loss for run in runs):.2f}" for runs in (ours, theirs)]
        differ = "" if ours[0].trained == theirs[0].trained else f" ({theirs[0].trained:,} there)"
        cells = [f"{ours[0].trained:,}{differ}", *paces, spread(ratios), spread(clocks), *peaks, *losses]
        print(f"| {method} | {' | '.join(cells)} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--groups", type=int, default=1, help="of 1,600 texts: inside one, they get shorter and shorter"
    )
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
        write_texts(table, asked.groups * GROUP * BATCH - 1)
        large = Path(folder) / "large.csv"
        write_texts(large, TABLE)
        for one in (table, large):  # both sides meet the longest text that there can be: peaks are compared
            with one.open("a", newline="") as file:
                csv.writer(file).writerow([" ".join([LABELS[0], *["river"] * LONGEST]), LABELS[0]])
        for turn in range(asked.rounds):
            order = [(method, side) for method in methods for side in SIDES]
            found: Round = {method: {} for method in methods}
            for method, side in order if turn % 2 == 0 else reversed(order):
                found[method][side] = measured(Job(side, method, str(table), str(large), asked.threads))
            rounds.append(found)
            print(f"round {turn + 1} is done", file=sys.stderr)
    if asked.json:
        plain = [{m: {s: asdict(run) for s, run in sides.items()} for m, sides in one.items()} for one in rounds]
        asked.json.write_text(json.dumps(plain, indent=1) + "\n")
    report(rounds)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
