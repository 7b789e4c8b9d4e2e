"""The training examples that a finished model represents most like a text."""

from __future__ import annotations

from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from triune.batching import by_length
from triune.context import Generators
from triune.data import label_set
from triune.errors import DataError, TriuneError
from triune.evaluation import EVALUATION_BATCH
from triune.opening import load, started

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from triune.data import Data
    from triune.examples import Examples
    from triune.reopened import Reopened
    from triune.types import Bundle

MOST = 5000
"""Training examples that are looked at; of more, as many are drawn."""


def nearest_rows(
    found: Reopened, texts: Examples, many: int, frames: Mapping[str, pd.DataFrame] | None
) -> tuple[list[dict[str, object]], list[str]]:
    """Return the nearest training examples of every text, and notes; what cannot be read is a note and no error."""
    try:
        data = training_table(found, frames)
        layer = representing(found.opened.bundle)
        return _rows(found, texts, data, layer, many)
    except (TriuneError, OSError) as error:
        return [], [f"the nearest training examples are left out: {error}"]


def training_table(found: Reopened, frames: Mapping[str, pd.DataFrame] | None) -> Data:
    """Return the tables of the run as it read them, if they are still the same.

    Raises:
        DataError: they have changed since, or nothing says what they were.
        TriuneError: they cannot be read.
    """
    recorded = found.finished.facts.get("data")
    then = recorded.get("train") if isinstance(recorded, dict) else None
    data = load(*started(found.loaded, frames))
    now = data.sources.get("train")
    if not isinstance(then, dict) or now is None:
        raise DataError(f"{data.place('train')}: the run recorded no hash of it, so it may be another table")
    if now.sha256 != then["sha256"]:
        raise DataError(f"{data.place('train')}: it has changed since the run was trained on it")
    return data


def _rows(
    found: Reopened, texts: Examples, data: Data, layer: nn.Module, many: int
) -> tuple[list[dict[str, object]], list[str]]:
    import numpy as np

    train = data.train[~data.train.index.duplicated()]  # a resampled table holds rows several times
    notes = []
    if len(train) > MOST:
        notes.append(f"the nearest training examples are of {MOST:,} drawn from {len(train):,}")
        drawn = Generators(0).numpy("nearest").permutation(len(train))[:MOST]
        train = train.iloc[np.sort(drawn)]
    bundle, device = found.opened.bundle, found.opened.run.device
    known = bundle.encode(data.with_split("train", train), "train")
    alike = directions(bundle, layer, texts, device) @ directions(bundle, layer, known, device).T  # (texts, train)
    cells, column = data.with_split("train", train).labels("train"), data.roles["text"]
    rows: list[dict[str, object]] = [
        {
            "example": number,
            "similarity": float(row[place]),
            "text": train[column].iloc[place],
            "label": None if cells is None else _label(cells.iloc[place]),
            "place": data.place("train", train.index[place]),
        }
        for number, row in enumerate(alike)
        for place in np.argsort(-row, kind="stable")[:many]
    ]
    return rows, notes


def _label(cell: object) -> object:
    labels = label_set(cell)
    if labels is None:
        return None
    return list(labels) if isinstance(cell, list | tuple) else labels[0]


def representing(bundle: Bundle) -> nn.Module:
    """Return the last layer of the head: what it reads is how the model represents an example.

    Raises:
        DataError: it is not found.
    """
    from torch import nn

    layers = [
        module
        for name, module in bundle.model.named_modules()
        if isinstance(module, nn.Linear)
        and module.out_features == len(bundle.space.labels)
        and any(fnmatchcase(f"{name}.weight", glob) for glob in bundle.head)
    ]
    if not layers:
        raise DataError(f"no last layer is found in the head of {type(bundle.model).__name__}")
    return layers[-1]


def directions(bundle: Bundle, layer: nn.Module, examples: Examples, device: str) -> NDArray[np.float64]:
    """Return (examples, features) what the layer reads of each, of length 1; of sequences the mean over tokens."""
    import numpy as np
    import torch

    order = by_length(examples.lengths, EVALUATION_BATCH)
    with torch.no_grad(), _reading(layer) as read:
        for rows in order:
            batch = examples.batch(rows).to(device)
            bundle.forward(bundle.model, batch)
            read[-1] = _pooled(read[-1], batch.inputs["attention_mask"]).double().cpu()
    back = np.argsort(np.concatenate(order), kind="stable")
    return np.asarray(torch.nn.functional.normalize(torch.cat(read), dim=-1))[back]


def _pooled(features: Tensor, mask: Tensor) -> Tensor:
    if features.dim() == 2:
        return features
    weights = mask.to(features)[..., None]
    return (features * weights).sum(1) / weights.sum(1).clamp(min=1)


@contextmanager
def _reading(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that grows by what the layer is given, whenever it is called inside the block."""
    read: list[Tensor] = []
    hook = layer.register_forward_pre_hook(lambda module, given: read.append(given[0].detach()))
    try:
        yield read
    finally:
        hook.remove()
