"""A weight for every training example, by its labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from triune.errors import DataError, listed, nearest
from triune_balance.classes import Classes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triune.data import Data


def weighted(data: Data, scheme: str | Mapping[str | int, float], beta: float) -> Data:
    """Return the data with class weights in the training table's weight column, multiplied into what stands there.

    An example with several labels weighs the mean of theirs; one with none of the labels, or unlabelled,
    weighs 1. Computed weights have the mean 1 over the labelled examples.

    Raises:
        DataError: the given weights name a label that does not occur.
    """
    import pandas as pd

    classes = Classes.of(data)
    by_label = class_weights(classes.counts, scheme, beta, data.place("train"))
    weights = [
        1.0 if not labels else sum(by_label.get(label, 1.0) for label in labels) / len(labels)
        for labels in classes.sets
    ]
    if isinstance(scheme, str):
        of_labelled = [weight for weight, labels in zip(weights, classes.sets, strict=True) if labels]
        scale = len(of_labelled) / sum(of_labelled)
        by_label = {label: weight * scale for label, weight in by_label.items()}
        weights = [weight * scale if labels else weight for weight, labels in zip(weights, classes.sets, strict=True)]
    table = data.train.copy(deep=False)
    column = data.roles.get("weight", "weight" if "weight" not in table.columns else "class weight")
    before = table[column] if "weight" in data.roles else [1.0] * len(table)
    table[column] = pd.Series([a * b for a, b in zip(before, weights, strict=True)], index=table.index, dtype=float)
    ordered = sorted(by_label.items(), key=lambda item: (-item[1], item[0]))
    note = f"balance: class weights {listed(f'{label!r} {weight:.3g}' for label, weight in ordered)}"
    return replace(data.with_split("train", table, note), roles={**data.roles, "weight": column})


def class_weights(
    counts: Mapping[str, int], scheme: str | Mapping[str | int, float], beta: float, place: str
) -> dict[str, float]:
    """Return a weight for each label, from how often it occurs.

    "balanced" is n / (K n_k). "effective-number" is 1 / E_k with E_k = (1 - beta^n_k) / (1 - beta), Cui et al.
    2019, "Class-Balanced Loss Based on Effective Number of Samples".
    """
    if not isinstance(scheme, str):
        given = {str(label): float(weight) for label, weight in scheme.items()}
        unknown = [
            f"{place}: class_weights names {label!r}, which is no label here; labels: {listed(sorted(counts))}"
            f"{nearest(label, counts)}"
            for label in given
            if label not in counts
        ]
        if unknown:
            raise DataError("\n".join(unknown))
        return {label: given.get(label, 1.0) for label in counts}
    if scheme == "effective-number":
        return {label: (1 - beta) / (1 - beta**count) for label, count in counts.items()}
    import numpy as np
    from sklearn.utils.class_weight import compute_class_weight

    names = list(counts)
    numbers = np.arange(len(names))
    weights = compute_class_weight("balanced", classes=numbers, y=np.repeat(numbers, list(counts.values())))
    return dict(zip(names, weights.tolist(), strict=True))
