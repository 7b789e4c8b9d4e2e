"""What a table of predictions is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune.types import JSON

PROBABILITY = "probability of "
BINS = 15


def metrics_of(predictions: pd.DataFrame) -> dict[str, JSON]:
    """Return the metrics of a split.

    Accuracy is the share of examples whose label (or whole set of labels) is right. Macro averages count
    every label that occurs in gold or predicted cells alike; a label that is never predicted has precision 0.
    """
    columns = [str(column) for column in predictions.columns]
    labels = [column.removeprefix(PROBABILITY) for column in columns if column.startswith(PROBABILITY)]
    several = bool(predictions["predicted"].map(lambda cell: isinstance(cell, list)).any())
    gold = indicators(predictions["gold"].tolist(), labels)  # (examples, labels)
    predicted = indicators(predictions["predicted"].tolist(), labels)
    probabilities = predictions[[PROBABILITY + label for label in labels]].to_numpy(dtype=float)
    counts = per_label(gold, predicted)
    macro = {f"macro_{name}": mean_of(counts, name, gold, predicted) for name in ("precision", "recall", "f1")}
    metrics: dict[str, JSON] = {
        "accuracy": float((gold == predicted).all(axis=1).mean()),
        **macro,
        **micro(gold, predicted),
        "auroc": auroc(gold, probabilities, several=several),
        "calibration_error": calibration_error(gold, predicted, probabilities, several=several),
        "largest_predicted_share": float(predicted.mean(axis=0).max()),
        "per_class": dict(zip(labels, counts, strict=True)),
    }
    if not several:
        metrics["confusion"] = {
            "labels": list(labels),
            "rows_gold_columns_predicted": (gold.T @ predicted).astype(int).tolist(),
        }
    return metrics


def indicators(cells: Sequence[object], labels: Sequence[str]) -> NDArray[np.float64]:
    """Return (examples, labels) 1 where a cell has the label."""
    import numpy as np

    place = {label: column for column, label in enumerate(labels)}
    matrix = np.zeros((len(cells), len(labels)))
    for row, cell in enumerate(cells):
        for label in cell if isinstance(cell, list | tuple) else [cell]:
            matrix[row, place[str(label)]] = 1
    return matrix


def per_label(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> list[dict[str, float]]:
    """Return precision, recall, F1 and support of each label."""
    hits, given, wanted = (gold * predicted).sum(0), predicted.sum(0), gold.sum(0)
    return [
        {
            "precision": _share(hit, said),
            "recall": _share(hit, true),
            "f1": _share(2 * hit, said + true),
            "support": int(true),
        }
        for hit, said, true in zip(hits, given, wanted, strict=True)
    ]


def mean_of(
    counts: Sequence[Mapping[str, float]], name: str, gold: NDArray[np.float64], predicted: NDArray[np.float64]
) -> float:
    """Return the mean of a figure over the labels that occur."""
    occurs = (gold.sum(0) + predicted.sum(0)) > 0
    rows = [row[name] for row, seen in zip(counts, occurs, strict=True) if seen]
    return float(sum(rows) / max(len(rows), 1))


def micro(gold: NDArray[np.float64], predicted: NDArray[np.float64]) -> dict[str, float]:
    """Return precision, recall and F1 over all decisions together."""
    hits, given, wanted = (gold * predicted).sum(), predicted.sum(), gold.sum()
    return {
        "micro_precision": _share(hits, given),
        "micro_recall": _share(hits, wanted),
        "micro_f1": _share(2 * hits, given + wanted),
    }


def auroc(gold: NDArray[np.float64], probabilities: NDArray[np.float64], *, several: bool) -> float | None:
    """Return the area under the ROC curve, one label against the rest, averaged over labels where it is defined.

    With two exclusive labels it is that of the second; None where no label has both examples and counter-examples.
    The area is the share of pairs of an example and a counter-example that are ranked the right way round, ties
    counting half (Hanley & McNeil 1982), so ranks are all it takes.
    """
    import pandas as pd

    defined = [place for place in range(gold.shape[1]) if 0 < gold[:, place].sum() < len(gold)]
    if gold.shape[1] == 2 and not several:
        defined = defined[-1:]
    ranks = pd.DataFrame(probabilities).rank().to_numpy()  # (examples, labels), ties at their mean
    areas = []
    for place in defined:
        examples = gold[:, place] > 0
        true, false = int(examples.sum()), int((~examples).sum())
        areas.append(float((ranks[examples, place].sum() - true * (true + 1) / 2) / (true * false)))
    return sum(areas) / len(areas) if areas else None


def calibration_error(
    gold: NDArray[np.float64], predicted: NDArray[np.float64], probabilities: NDArray[np.float64], *, several: bool
) -> float:
    """Return the expected calibration error over 15 bins of equal width (Guo et al. 2017, eq. 3).

    For one label, of the predicted label's probability against its being right; for several, of every
    label's probability against its being true.
    """
    import numpy as np

    if several:
        confidence, right = probabilities.ravel(), gold.ravel()
    else:
        confidence, right = probabilities.max(axis=1), (gold * predicted).sum(axis=1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    sizes = np.bincount(bins, minlength=BINS)
    gaps = np.bincount(bins, weights=right, minlength=BINS) - np.bincount(bins, weights=confidence, minlength=BINS)
    return float(np.abs(gaps).sum() / max(sizes.sum(), 1))


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else 0.0
