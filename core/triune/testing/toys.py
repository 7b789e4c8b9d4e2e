"""A small task without transformers, its tables and its rules: what a plugin runs on in a fraction of a second."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from zlib import crc32

from torch import nn  # noqa: TID253 - the model is torch

from triune.data import Data
from triune.examples import Examples, Ragged
from triune.hookspecs import hookimpl
from triune.logic import Label
from triune.select import Name
from triune.spaces import Binaries, Categorical, labels_in_order, target_matrix
from triune.types import Bundle, LossTerm, Outputs, ParameterClaim, Rule, Seat, TermValues, TextMatches

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from torch import Tensor

    from triune.context import Run
    from triune.spaces import OutputSpace
    from triune.types import JSON, Batch, Step

WORDS = tuple("red green blue round square tall small old new warm cold fast slow loud quiet sweet sour".split())  # noqa: SIM905


def table(rows: int = 48, seed: int = 0, labels: Sequence[str] = ("warm", "cold")) -> pd.DataFrame:
    """Return texts of random words; which label word a text holds is its label."""
    import numpy as np
    import pandas as pd

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

    def __init__(self, classes: int, width: int = 8, blocks: int = 3, dropout: float = 0.1) -> None:
        super().__init__()
        self.embeddings = nn.Embedding(len(WORDS) + 1, width, padding_idx=0)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width), nn.Tanh(), nn.Dropout(dropout))
            for _ in range(blocks)
        )
        self.head = nn.Linear(width, classes)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return (batch, classes) scores of word ids (batch, words)."""
        words = self.embeddings(ids) * mask[..., None]  # (batch, words, width)
        hidden: Tensor = words.sum(1) / mask.sum(1, keepdim=True).clamp(min=1)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        scores: Tensor = self.head(hidden)
        return scores


class ToyTask:
    """Classify bags of words; the mask of its loss is counted from the batch unless told not to."""

    def __init__(self, *, dropout: float = 0.1, counts: bool = True, multi_label: bool = False) -> None:
        self.dropout, self.counts, self.multi_label = dropout, counts, multi_label

    @hookimpl
    def build_model(self, run: Run, data: Data) -> Bundle:
        """Decide a `Blocks` for the labels of the training table, or, where it has none, of the others."""
        kind = Binaries if self.multi_label else Categorical
        columns = [labels_in_order(cells) for split in data.splits if (cells := data.labels(split)) is not None]
        space = run.finished.space if run.finished else kind(next(filter(None, columns), ()))
        return Bundle(
            model=Blocks(len(space.labels), dropout=self.dropout),
            space=space,
            encode=lambda data, split: encode(data, split, space),
            forward=lambda model, batch: Outputs(
                model(batch.inputs["input_ids"], batch.inputs["attention_mask"].float()), space
            ),
            save=_save,
            head=("head.*",),
            usage="torch.load(...)",
        )

    @hookimpl
    def loss_terms(self) -> Iterable[LossTerm]:
        """Contribute "task", the cross-entropy of labelled examples."""
        yield LossTerm("task", cross_entropy, counts=counted if self.counts else None)

    @hookimpl
    def measure(self, predictions: pd.DataFrame) -> Mapping[str, JSON]:
        """Contribute the accuracy, also under the name that chooses the best model."""
        right = float((predictions["gold"] == predictions["predicted"]).mean())
        return {"accuracy": right, "macro_f1": right}


def cross_entropy(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
    """Return (batch,) -log p(target)."""
    values = -outputs.space.log_likelihood(outputs.scores, batch.targets)
    return TermValues(values if values.dim() == 1 else values.mean(-1), batch.labelled * batch.weights)


def counted(batch: Batch) -> Tensor:
    """Return the sum of the mask of `cross_entropy`, ()."""
    return (batch.labelled * batch.weights).sum()


def encode(data: Data, split: str, space: OutputSpace) -> Examples:
    """Return a split as word ids; a word that the task does not know takes the place of one that it does."""
    import numpy as np

    rows = data.splits[split]
    words = [re.findall(r"\w+", text) for text in rows["text"]]
    ids = [[_place(word) + 1 for word in text] or [0] for text in words]
    cells = data.labels(split)
    targets, labelled = target_matrix(
        [None] * len(rows) if cells is None else cells.tolist(), space.labels, lambda row: data.place(split, row)
    )
    weights = rows["weight"].to_numpy(dtype=np.float32) if "weight" in rows else np.ones(len(rows), dtype=np.float32)
    return Examples({"input_ids": Ragged.of(ids, 0)}, targets, labelled, weights, split)


def _place(word: str) -> int:
    return WORDS.index(word) if word in WORDS else crc32(word.encode()) % len(WORDS)


def _save(model: nn.Module, folder: Path) -> None:
    (folder / "config.json").write_text("{}")


class Tables:
    """Bring tables from memory."""

    def __init__(self, **splits: pd.DataFrame) -> None:
        self.splits = splits

    @hookimpl
    def load_data(self) -> Data:
        """Decide the tables; a column "weight" means what it says."""
        roles = {"text": "text", "label": "label"}
        return Data(self.splits, roles | ({"weight": "weight"} if "weight" in self.splits["train"] else {}))


def toy_tables(labels: Sequence[str] = ("warm", "cold")) -> Tables:
    """Return tables to train and test on, some training rows without a label, and an unlabelled table."""
    train = table(40, labels=labels)
    train.loc[train.index % 7 == 6, "label"] = None
    unlabelled = table(10, seed=2, labels=labels).drop(columns="label")
    return Tables(train=train, test=table(12, seed=1, labels=labels), unlabelled=unlabelled)


class All:
    """Train everything, unless somebody claims otherwise."""

    @hookimpl
    def claim_parameters(self) -> Iterable[ParameterClaim]:
        """Contribute a default claim of every parameter."""
        yield ParameterClaim(Name("*"), trainable=True, default=True)


class ToyRules:
    """Two rules about the words of `table`: a soft one that is sometimes wrong, and a hard one."""

    @hookimpl
    def rules(self) -> Iterable[Rule]:
        """Contribute both rules."""
        yield Rule("red is warm", then=Label("warm"), when=TextMatches(lambda text: "red" in text), confidence=0.7)
        yield Rule("blue is cold", then=Label("cold"), when=TextMatches(lambda text: "blue" in text), hard=True)


class Reader:
    """A method that asks for rules in every seat and does nothing with them."""

    seats = tuple(Seat)

    @hookimpl
    def observe(self) -> None:
        """See nothing."""
