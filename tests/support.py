"""What tests of the core stand on: a small task without transformers, and runs of it."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from triune import Bundle, Data, LossTerm, Outputs, ParameterClaim, TermValues, hookimpl
from triune.examples import Examples, Ragged
from triune.select import Name
from triune.spaces import Binaries, Categorical, labels_in_order, target_matrix

WORDS = "red green blue round square tall small old new warm cold fast slow loud quiet sweet sour".split()


def table(rows=48, seed=0, labels=("warm", "cold")):
    """Return texts of random words, labelled by which of two words they hold."""
    generator = np.random.default_rng(seed)
    texts, found = [], []
    for row in range(rows):
        label = labels[row % len(labels)]
        words = list(generator.choice(WORDS, size=int(generator.integers(2, 12))))
        words = [word for word in words if word not in labels] + [label]
        generator.shuffle(words)
        texts.append(" ".join(words))
        found.append(label)
    return pd.DataFrame({"text": texts, "label": pd.Series(found, dtype=object)})


class Blocks(nn.Module):
    """A bag of words through blocks to a head, with dropout everywhere."""

    def __init__(self, classes, width=8, blocks=3, dropout=0.1):
        super().__init__()
        self.embed = nn.Embedding(len(WORDS) + 1, width, padding_idx=0)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.Tanh(), nn.Dropout(dropout))
            for _ in range(blocks)
        )
        self.head = nn.Linear(width, classes)

    def forward(self, ids, mask):
        hidden = (self.embed(ids) * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.head(hidden)


class ToyTask:
    """Classify bags of words; counts its mask from the batch unless told not to."""

    def __init__(self, *, dropout=0.1, counts=True, multi_label=False):
        self.dropout, self.counts, self.multi_label = dropout, counts, multi_label

    @hookimpl
    def build_model(self, run, data):
        kind = Binaries if self.multi_label else Categorical
        space = run.finished.space if run.finished else kind(labels_in_order(data.labels("train")))
        return Bundle(
            model=Blocks(len(space.labels), dropout=self.dropout),
            space=space,
            encode=lambda data, split: encode(data, split, space),
            forward=lambda model, batch: Outputs(
                model(batch.inputs["input_ids"], batch.inputs["attention_mask"].float()), space
            ),
            save=lambda model, folder: (Path(folder) / "config.json").write_text("{}"),
            head=("head.*",),
            usage="…",
        )

    @hookimpl
    def loss_terms(self):
        def values(step, batch, outputs):
            found = -outputs.space.log_likelihood(outputs.scores, batch.targets)
            found = found if found.dim() == 1 else found.mean(-1)
            return TermValues(found, batch.labelled * batch.weights)

        yield LossTerm("task", values, counts=(lambda batch: (batch.labelled * batch.weights).sum()) if self.counts else None)

    @hookimpl
    def measure(self, predictions):
        right = float((predictions["gold"] == predictions["predicted"]).mean())
        return {"accuracy": right, "macro_f1": right}


def encode(data, split, space):
    rows = data.splits[split]
    ids = [[WORDS.index(word) + 1 for word in re.findall(r"\w+", text) if word in WORDS] or [0] for text in rows["text"]]
    cells = data.labels(split)
    targets, labelled = target_matrix(
        [None] * len(rows) if cells is None else cells.tolist(), space.labels, lambda row: data.place(split, row)
    )
    weights = rows["weight"].to_numpy(dtype=np.float32) if "weight" in rows else np.ones(len(rows), dtype=np.float32)
    return Examples({"input_ids": Ragged.of(ids, 0)}, targets, labelled, weights, split)


class Tables:
    """Bring tables from memory."""

    def __init__(self, **splits):
        self.splits = splits

    @hookimpl
    def load_data(self):
        roles = {"text": "text", "label": "label"}
        return Data(self.splits, roles | ({"weight": "weight"} if "weight" in self.splits["train"] else {}))


class All:
    """Train everything."""

    @hookimpl
    def claim_parameters(self):
        yield ParameterClaim(Name("*"), trainable=True, default=True)


def config(*methods, data=("tables",), **training):
    """Return a configuration of a toy run, quick and on one thread."""
    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "threads": 1, "device": "cpu", **training}
    return {"task": "toy", "data": list(data), "methods": list(methods) or ["all"], "training": settings}


def plugins(task=None, data=None, **others):
    """Return the plugins of a toy run."""
    found = {"toy": task or ToyTask(), "tables": data or Tables(train=table(), test=table(16, seed=1)), **others}
    return found if "all" in found or others.get("no_all") else {**found, "all": All()}


def weights(engine_or_model):
    """Return a copy of every parameter by name."""
    return {name: parameter.detach().clone() for name, parameter in engine_or_model.named_parameters()}


def same(first, second):
    """Return whether two mappings of tensors are equal to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
