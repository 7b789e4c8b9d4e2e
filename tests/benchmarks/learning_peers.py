"""The reference implementations beside which `learning_quality.py` puts triune's learning methods.

`peft` and Hugging Face's Trainer where they have the method; otherwise the schedule of its paper in a plain loop of
PyTorch: gradual unfreezing (Howard & Ruder 2018, §3.3) without its own rates, layer-wise decay (Sun et al. 2019,
§5.3.3), and sampled layers (Pan et al. 2024, algorithm 1). The head is what triune calls so: pooler and classifier.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from tests.benchmarks.learning_jobs import METHODS, rate_of, score, tables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.benchmarks.learning_jobs import Job, Row

LINEAR = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
HEAD = ("classifier.", "bert.pooler.")
LOOPS = ("layer-by-layer", "layerwise-decay", "lisa")


def place_of(name: str, blocks: int) -> int:
    """Return how far a parameter is from the head: 0 the head's, 1 the top block's, … the embeddings'."""
    if name.startswith(HEAD):
        return 0
    return next((blocks - n for n in range(blocks) if f".layer.{n}." in name), blocks + 1)


def reference_side(job: Job, model: Path, folder: Path) -> Row:
    """Train as the reference does, and return what was measured."""
    import torch
    import transformers

    torch.set_num_threads(1)
    tables = tables_of(job.set, job.recipe)
    names = sorted({row["label"] for row in tables["train"]})
    transformers.set_seed(job.seed)
    tokenizer = transformers.AutoTokenizer.from_pretrained(model)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(names))
    data = {split: encoded(rows, names, tokenizer, job.recipe.max_length) for split, rows in tables.items()}
    collate = transformers.DataCollatorWithPadding(tokenizer)
    train = loop if job.method in LOOPS else trainer
    begun = time.process_time()
    network, trained = train(job, network, data["train"], collate, folder)
    seconds = time.process_time() - begun
    found = score([row["labels"] for row in data["test"]], predicted(network, data["test"], collate))
    network.save_pretrained(folder / "model")  # as triune does, which reads every weight
    return {**found, "seconds": seconds, "trained": trained}


def encoded(rows: Sequence[Row], names: Sequence[str], tokenizer: Any, length: int) -> list[Row]:
    """Return token ids and class indices."""
    found = tokenizer([row["text"] for row in rows], truncation=True, max_length=length, return_token_type_ids=False)
    columns = zip(found["input_ids"], found["attention_mask"], rows, strict=True)
    return [
        {"input_ids": ids, "attention_mask": mask, "labels": names.index(row["label"])} for ids, mask, row in columns
    ]


def predicted(network: Any, data: Sequence[Row], collate: Callable[[Sequence[Row]], Any]) -> list[int]:
    """Return the likeliest class of each example."""
    import torch

    network.eval()
    with torch.no_grad():
        parts = [network(**collate(data[at : at + 64])).logits.argmax(-1) for at in range(0, len(data), 64)]
    return [int(one) for part in parts for one in part]


def adapted(network: Any, method: str, blocks: int) -> Any:
    """Return the network with what learns asking for gradients."""
    import peft

    tokens = METHODS[method].settings.get("tokens")
    shared = {"task_type": "SEQ_CLS", "modules_to_save": ["classifier", "pooler"]}
    match method:
        case "lora":
            settings = peft.LoraConfig(r=8, lora_alpha=16, lora_dropout=0.05, target_modules=LINEAR, **shared)
            settings.exclude_modules = r".*pooler.*"
        case "ia3":
            settings = peft.IA3Config(**shared)
        case "prompt-tuning":
            settings = peft.PromptTuningConfig(num_virtual_tokens=tokens, **shared)
        case "prefix-tuning":
            settings = peft.PrefixTuningConfig(num_virtual_tokens=tokens, **shared)
        case _:
            for name, parameter in network.named_parameters():
                place = place_of(name, blocks)
                bias = method == "bitfit" and name.endswith(".bias")
                top = METHODS["top-layers"].settings["blocks"]
                below = {"head-only": 0, "bitfit": 0, "top-layers": int(str(top))}.get(method, blocks + 1)
                parameter.requires_grad_(place <= below or bias)
            return network
    return peft.get_peft_model(network, settings)


def trainer(
    job: Job, network: Any, data: Sequence[Row], collate: Callable[[Sequence[Row]], Any], folder: Path
) -> tuple[Any, int]:
    """Train with Hugging Face's Trainer; return the network and how many parameters learnt."""
    from transformers import Trainer, TrainingArguments

    from tests.benchmarks.speed import grouping

    recipe = job.recipe
    network = adapted(network, job.method, recipe.blocks)
    arguments = TrainingArguments(
        str(folder / "trainer"), seed=job.seed, num_train_epochs=recipe.epochs, learning_rate=rate_of(job),
        per_device_train_batch_size=recipe.batch_size, lr_scheduler_type="linear", warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay, max_grad_norm=recipe.clip, save_strategy="no", report_to="none",
        disable_tqdm=True, use_cpu=True, dataloader_pin_memory=False, **grouping(),
    )  # fmt: skip
    Trainer(network, arguments, train_dataset=list(data), data_collator=collate).train()
    return network, sum(one.numel() for one in network.parameters() if one.requires_grad)


def scales(method: str, blocks: int) -> Mapping[int, float]:
    """Return the rate of a place, relative to the highest."""
    divided = {"layer-by-layer": 1 / float(str(METHODS["layer-by-layer"].settings["lr_divisor"]))}
    decay = float(str(METHODS["layerwise-decay"].settings["decay"]))
    if method == "layerwise-decay":
        return {place: decay ** max(place - 1, 0) for place in range(blocks + 2)}
    return {place: divided.get(method, 1.0) ** place for place in range(blocks + 2)}


def learning(method: str, step: int, total: int, blocks: int, seed: int) -> set[int]:
    """Return the places that learn at a step."""
    everywhere = set(range(blocks + 2))
    match method:
        case "layer-by-layer":
            return {place for place in everywhere if place <= step * (blocks + 2) // total}
        case "lisa":
            settings = METHODS["lisa"].settings
            drawing = random.Random(f"{seed}/{step // int(str(settings['period']))}")
            drawn = drawing.sample(range(1, blocks + 1), int(str(settings["blocks"])))
            return {0, *drawn, blocks + 1}
        case _:
            return everywhere


def loop(
    job: Job, network: Any, data: Sequence[Row], collate: Callable[[Sequence[Row]], Any], folder: Path
) -> tuple[Any, int]:
    """Train in a plain loop by the schedule of a paper; return the network and how many parameters learnt."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    recipe, blocks = job.recipe, job.recipe.blocks
    scale = scales(job.method, blocks)
    groups: dict[tuple[float, float], list[Any]] = {}
    for name, one in network.named_parameters():
        decay = 0.0 if one.dim() == 1 else recipe.weight_decay
        groups.setdefault((rate_of(job) * scale[place_of(name, blocks)], decay), []).append(one)
    optimizer = torch.optim.AdamW(
        [{"params": ones, "lr": rate, "weight_decay": decay} for (rate, decay), ones in groups.items()], fused=True
    )
    order = random.Random(job.seed)
    epochs = [order.sample(list(data), len(data)) for _ in range(recipe.epochs)]
    batches = [rows[at : at + recipe.batch_size] for rows in epochs for at in range(0, len(rows), recipe.batch_size)]
    rates = get_linear_schedule_with_warmup(optimizer, round(recipe.warmup * len(batches)), len(batches))
    network.train()
    for step, rows in enumerate(batches):
        places = learning(job.method, step, len(batches), blocks, job.seed)
        for name, one in network.named_parameters():
            one.requires_grad_(place_of(name, blocks) in places)
        network(**collate(rows)).loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        rates.step()
    return network, sum(one.numel() for one in network.parameters())
