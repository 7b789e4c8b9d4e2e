"""What a metric is made of, example by example, so that answers of two models can change places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TOLERANCE = 1e-6
WHOLE = "whole_answers"
"""The share of examples whose whole answer is right: what is tested where the metric is no sum over examples."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A metric that is a function of sums over examples.

    Attributes:
        name: of the metric.
        parts: (examples, parts) of given answers.
        value: from the sums, (…, parts), to the metric, (…).
    """

    name: str
    parts: Callable[[Sequence[object]], Floats]
    value: Callable[[Floats], Floats]


def statistic(name: str, gold: Sequence[object], answers: Sequence[Sequence[object]]) -> Statistic | None:
    """Return a metric as a statistic of the examples with these labels, or None where it is not known to be one.

    Args:
        name: of the metric.
        gold: label cells, all with a label.
        answers: all cells of predictions that will be asked about.
    """
    if name in ("accuracy", WHOLE):
        return Statistic(name, lambda cells: _right(gold, cells), lambda sums: sums[..., 0] / sums[..., 1])
    value = {"macro_f1": _macro_f1, "micro_f1": _micro_f1}.get(name)
    if value is None:
        return None
    labels = sorted({label for cells in (gold, *answers) for cell in cells for label in _labels(cell)})
    return Statistic(name, lambda cells: _counts(gold, cells, labels), value)


def _right(gold: Sequence[object], cells: Sequence[object]) -> Floats:
    """Return (examples, 2): whether the answer is right, and one."""
    import numpy as np

    right = [float(_same(true, said)) for true, said in zip(gold, cells, strict=True)]
    return np.stack([np.asarray(right), np.ones(len(right))], axis=1)


def _same(true: object, said: object) -> bool:
    """Return whether an answer is right; of lists every label whose gold is known, in the order of the task."""
    if isinstance(true, list | tuple) and isinstance(said, list | tuple):
        pairs = zip(true, said, strict=False)
        return len(true) == len(said) and all(one is None or str(one) == str(other) for one, other in pairs)
    return str(true) == str(said)


def _labels(cell: object) -> set[str]:
    return {str(label) for label in cell} if isinstance(cell, list | tuple) else {str(cell)}


def _counts(gold: Sequence[object], cells: Sequence[object], labels: Sequence[str]) -> Floats:
    """Return (examples, 3 · labels): hits, then what was said, then what is true."""
    import numpy as np

    place = {label: column for column, label in enumerate(labels)}
    said, true = (np.zeros((len(gold), len(labels))) for _ in range(2))
    for matrix, column in ((said, cells), (true, gold)):
        for row, cell in enumerate(column):
            for label in _labels(cell):
                matrix[row, place[label]] = 1
    return np.concatenate([said * true, said, true], axis=1)


def _f1(hits: Floats, both: Floats) -> Floats:
    """Return 2 · hits / (said + true), and 0 where nothing was said or true."""
    import numpy as np

    return np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)


def _macro_f1(sums: Floats) -> Floats:
    """Return the mean F1 of the labels that occur in either."""
    import numpy as np

    hits, said, true = np.split(sums, 3, axis=-1)  # (…, labels)
    occurs = (said + true) > 0
    found: Floats = (_f1(hits, said + true) * occurs).sum(-1) / np.maximum(occurs.sum(-1), 1)
    return found


def _micro_f1(sums: Floats) -> Floats:
    """Return the F1 of all decisions together."""
    import numpy as np

    hits, said, true = (part.sum(-1) for part in np.split(sums, 3, axis=-1))
    return _f1(hits, said + true)
