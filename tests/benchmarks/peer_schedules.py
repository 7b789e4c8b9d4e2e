"""Run one freezing schedule through Hugging Face's Trainer and through triune, and print what becomes of it.

    python tests/benchmarks/peer_schedules.py

The schedule: only the head learns at first, and from step 4 of 8 on the top block too. The network is a tiny untrained
BERT; nothing is measured but whether what was asked for happens. The Trainer is used as tutorials use it: freeze
before it is made, thaw in a callback when the step comes.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.plugins.tiny import TEXTS, model_folder
from triune import LossTerm, TermValues, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

STEPS, THAWS, STOPS, POISONED = 8, 4, 6, 4
BLOCK = "bert.encoder.layer.1."
HEAD = ("classifier.", "bert.pooler.")
SCHEDULE = f"""claims:
  - {{where: Name('*'), train: false, default: true}}
  - {{where: Head(), train: true}}
  - {{where: Depth(-1), train: true, from: {THAWS}}}
"""
Weights = dict[str, "Tensor"]


def weights_of(network: Any) -> Weights:
    """Return a copy of the weights."""
    return {name: one.detach().clone() for name, one in network.named_parameters()}


def apart(first: Mapping[str, Tensor], second: Mapping[str, Tensor], prefix: str = "") -> float:
    """Return the largest difference of weights under a prefix."""
    return max(float((first[name] - second[name]).abs().max()) for name in first if name.startswith(prefix))


# The Trainer.


def frozen_network(folder: Path) -> Any:
    """Return the network with everything but its head frozen."""
    from transformers import AutoModelForSequenceClassification, set_seed

    set_seed(0)
    network = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=2)
    for name, one in network.named_parameters():
        one.requires_grad_(name.startswith(HEAD))
    return network


@dataclass(slots=True)
class Trained:
    """What the Trainer left."""

    start: Weights
    end: Weights
    network: Any
    losses: list[float]


def by_trainer(
    folder: Path,
    output: Path,
    *,
    thaws: bool = True,
    whole_optimizer: bool = False,
    resumes: bool = False,
    poisoned: bool = False,
) -> Trained:
    """Train with the Trainer; `whole_optimizer`: over one that was made with every parameter in it."""
    import torch
    from transformers import (
        AutoTokenizer,
        DataCollatorWithPadding,
        PrinterCallback,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    network, tokenizer = frozen_network(folder), AutoTokenizer.from_pretrained(folder)
    start = weights_of(network)
    data = [{**tokenizer(text), "labels": place % 2} for place, text in enumerate(TEXTS * 16)]

    class Thaw(TrainerCallback):
        def on_step_begin(self, args: object, state: object, control: object, **_: object) -> None:
            if thaws and state.global_step == THAWS:  # type: ignore[attr-defined]
                for name, one in network.named_parameters():
                    one.requires_grad_(name.startswith((*HEAD, BLOCK)))

    class Poisoned(Trainer):
        def compute_loss(self, *given: object, **named: object) -> object:
            loss = super().compute_loss(*given, **named)
            return loss * float("nan") if poisoned and self.state.global_step == POISONED else loss

    settings = TrainingArguments(
        str(output), max_steps=STEPS, per_device_train_batch_size=8, learning_rate=1e-2, save_strategy="steps",
        save_steps=STOPS, logging_steps=1, report_to="none", disable_tqdm=True, use_cpu=True,
        dataloader_pin_memory=False,
    )  # fmt: skip
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2) if whole_optimizer else None
    trainer = Poisoned(
        network,
        settings,
        train_dataset=data,
        data_collator=DataCollatorWithPadding(tokenizer),
        callbacks=[Thaw()],
        optimizers=(optimizer, None),
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(output / f"checkpoint-{STOPS}") if resumes else None)
    losses = [one["loss"] for one in trainer.state.log_history if "loss" in one]
    return Trained(start, weights_of(network), network, losses)


# triune.


class Poison:
    """Make the loss no number at one step."""

    @hookimpl
    def loss_terms(self) -> list[LossTerm]:
        """Contribute a term that is zero but for that step."""

        def compute(step: Any, batch: Any, outputs: Any) -> TermValues:
            values = outputs.scores.sum(-1) * (float("nan") if step.index == POISONED else 0.0)
            return TermValues(values, batch.labelled)

        return [LossTerm("poison", compute)]


class Stopped(BaseException):
    """A crash right after a checkpoint."""


def by_triune(
    folder: Path,
    output: Path,
    *,
    resume: str | None = None,
    stops: int | None = None,
    plugins: Mapping[str, object] | None = None,
    watched: Callable[[object], None] = lambda event: None,
) -> Weights:
    """Train with triune on the same schedule, and return the weights of the exported model."""
    import pandas as pd
    from safetensors.torch import load_file

    import triune
    from triune.events import Checkpointed

    def stopping(event: object) -> None:
        if isinstance(event, Checkpointed) and event.step.index == stops:
            raise Stopped

    schedule = folder / "schedule.yaml"
    schedule.write_text(SCHEDULE)
    texts = TEXTS * 16
    config = {
        "task": {"use": "text-classification", "model": str(folder)},
        "data": "table",
        "methods": [{"use": "schedule", "path": str(schedule)}, *(plugins or ())],
        "training": {
            "max_steps": STEPS, "batch_size": 8, "learning_rate": 1e-2, "threads": 1, "device": "cpu", "seed": 0,
            "validation": 0.0, "early_stopping": None, "keep_best": False, "checkpoint_every": 2,
        },
    }  # fmt: skip
    frame = pd.DataFrame({"text": texts, "label": ["ab"[place % 2] for place in range(len(texts))]})
    triune.run(
        config, data={"train": frame}, output=output, resume=resume, plugins=plugins, observers=[stopping, watched]
    )
    return load_file(output / "model" / "model.safetensors")


def begun(folder: Path) -> Weights:
    """Return the weights of the encoder as they were pretrained, under the names of the network that classifies."""
    from safetensors.torch import load_file

    return {f"bert.{name}": one for name, one in load_file(folder / "model.safetensors").items()}


# What is printed.


def trainer_lines(folder: Path, work: Path) -> list[str]:
    """Return what the Trainer makes of the schedule."""
    plain = by_trainer(folder, work / "plain")
    asks = all(one.requires_grad for name, one in plain.network.named_parameters() if name.startswith(BLOCK))
    late = by_trainer(folder, work / "late", whole_optimizer=True)
    again = by_trainer(folder, work / "late", whole_optimizer=True, resumes=True)
    still = by_trainer(folder, work / "still", thaws=False)
    still_again = by_trainer(folder, work / "still", thaws=False, resumes=True)
    poisoned = by_trainer(folder, work / "poisoned", poisoned=True)
    learning = sum(name.startswith(HEAD) for name in poisoned.end)
    broken = sum(bool(one.isnan().any()) for one in poisoned.end.values())
    return [
        f"the block asks for a gradient: {asks}; it moved by {apart(plain.start, plain.end, BLOCK):g}",
        f"with an optimiser over every parameter it moved by {apart(late.start, late.end, BLOCK):g}",
        f"… resumed at step {STOPS}: {apart(late.end, again.end):.2g} from the uninterrupted run",
        f"… without a schedule: {apart(still.end, still_again.end):.2g}",
        f"not a number at step {POISONED + 1}: trained to the end, losses logged {poisoned.losses}, "
        f"{broken} of the {learning} parameters that learn are not numbers",
    ]


def triune_lines(folder: Path, work: Path) -> list[str]:
    """Return what triune makes of it."""
    from triune.errors import TrainingError

    start = begun(folder)
    whole = by_triune(folder, work / "triune" / "whole")
    try:
        by_triune(folder, work / "triune" / "stopped", stops=STOPS)
    except Stopped:
        again = by_triune(folder, work / "triune" / "stopped", resume="auto")
    lines = [
        f"the block moved by {apart({n: one for n, one in start.items() if n in whole}, whole, BLOCK):g}",
        f"… resumed at step {STOPS}: {apart(whole, again):.2g} from the uninterrupted run",
    ]
    try:
        by_triune(folder, work / "triune" / "poisoned", plugins={"poison": Poison()})
    except TrainingError as error:
        lines.append(f"not a number at step {POISONED + 1}: {error}")
    return lines


def main() -> int:
    """Print what both make of the schedule."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as name:
        folder = model_folder("Bert", Path(name) / "tiny")
        print(f"transformers {transformers.__version__}: Trainer")
        print("\n".join(f"  {line}" for line in trainer_lines(folder, Path(name))))
        print("triune")
        print("\n".join(f"  {line}" for line in triune_lines(folder, Path(name))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
