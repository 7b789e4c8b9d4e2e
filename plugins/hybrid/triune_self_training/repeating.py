"""Labelled rows repeated: a few labels beside much text would be in few batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.data import label_set

if TYPE_CHECKING:
    from triune import Data


def repeated(data: Data, share: float) -> Data | None:
    """Return the data with every labelled row so often that they are a share of all; None where they are already."""
    import pandas as pd

    cells = data.labels("train")
    if cells is None:
        return None
    rows = data.train[[label_set(cell) is not None for cell in cells]]
    text = len(data.train) - len(rows) + len(data.splits.get("unlabelled", ()))
    times = round(share / (1 - share) * text / max(len(rows), 1))
    if times < 2 or not len(rows):
        return None
    table = pd.concat([data.train, *[rows] * (times - 1)])
    return data.with_split("train", table, f"self-training: {len(rows)} labelled rows, each {times} times")
