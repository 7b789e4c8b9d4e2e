"""Which class of an estimator is which label of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from triune.errors import DataError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Naming:
    """Classes, as the caller has them, and labels, as rules and tables name them, in one order.

    Attributes:
        classes: (classes,) what `y` holds; of several labels an example, the columns of `y`.
        labels: the name of each.
        several: whether an example has any number of them.
    """

    classes: NDArray[Any]
    labels: tuple[str, ...]
    several: bool

    def cells(self, y: NDArray[Any]) -> list[object]:
        """Return label cells of a table: a name, a list of names, None where there is no label."""
        if self.several:
            return [None if is_missing(row[0]) else [self.labels[one] for one in row.nonzero()[0]] for row in y]
        names = dict(zip(self.classes.tolist(), self.labels, strict=True))
        return [None if is_missing(one) else names[one] for one in y.tolist()]

    def decided(self, cells: Sequence[object]) -> NDArray[Any]:
        """Return predicted cells as the caller has them: (examples,) classes, or (examples, labels) zeros and ones."""
        import numpy as np

        if self.several:
            return np.array([[int(name in as_names(cell)) for name in self.labels] for cell in cells], dtype=np.int64)
        place = {name: number for number, name in enumerate(self.labels)}
        return self.classes[[place[str(cell)] for cell in cells]]


def as_names(cell: object) -> set[str]:
    """Return the labels of a predicted cell with several."""
    return {str(one) for one in cell} if isinstance(cell, list | tuple) else {str(cell)}


def naming_of(y: NDArray[Any], names: Sequence[str] | None) -> Naming:
    """Return which class is which label.

    Args:
        y: (examples,) classes, None or NaN where there is no label; or (examples, labels) of zeros and ones.
        names: the labels in the order of the classes; None: as the classes print.

    Raises:
        DataError: there are too few classes, other names than classes, or names that are alike.
    """
    import numpy as np

    if y.ndim == 2:
        classes = np.arange(y.shape[1])
        return Naming(classes, _named(classes, names), several=True)
    seen = list(dict.fromkeys(one for one in y.tolist() if not is_missing(one)))
    if not seen:
        raise DataError("y holds no label: give some, or learn from rules alone with `triune.run`")
    _check(seen)
    classes = _completed(np.unique(np.asarray(seen)), names)
    if len(classes) < 2 and names is None:
        raise DataError(
            f"y holds one class, {classes.tolist()[0]!r}: a classifier needs two, or the names of all as `labels`"
        )
    own = classes.dtype.kind in "UO"  # texts that are among the names are their own names, in their own order
    return Naming(classes, _named(classes, None if own and _known(classes, names) else names), several=False)


def _check(seen: Sequence[object]) -> None:
    """Raise unless the values are classes that one order and one spelling each can be given."""
    texts = {one for one in seen if isinstance(one, str)}
    if alike := next((one for one in seen if one not in texts and _written(one) in texts), None):
        raise DataError(f"y holds {alike} as a number and as a text: two classes may not be written alike")
    if texts and len(texts) < len(seen):
        number = next(one for one in seen if one not in texts)
        raise DataError(f"y holds texts, such as {min(texts)!r}, and numbers, such as {number}: give one kind")
    if broken := next((one for one in seen if isinstance(one, float) and not one.is_integer()), None):
        raise DataError(f"y holds {broken}: a class is a text or a whole number; numbers themselves are not learnt")


def _completed(classes: NDArray[Any], names: Sequence[str] | None) -> NDArray[Any]:
    """Return the classes with those that have a name and no example: of texts, and of numbers that count from 0."""
    import numpy as np

    if names is None or len(classes) >= len(names):
        return classes
    if _known(classes, names):
        return np.asarray(sorted(map(str, names)))
    counted = classes.dtype.kind in "iu" and classes[0] >= 0 and classes[-1] < len(names)
    return np.arange(len(names), dtype=classes.dtype) if counted else classes


def _known(classes: NDArray[Any], names: Sequence[str] | None) -> bool:
    return names is not None and classes.dtype.kind in "UO" and set(classes.tolist()) <= set(map(str, names))


def _named(classes: NDArray[Any], names: Sequence[str] | None) -> tuple[str, ...]:
    labels = tuple(map(_written, classes.tolist()) if names is None else map(str, names))
    if len(labels) != len(classes):
        raise DataError(
            f"labels: {len(labels)} names ({listed(labels)}) for {len(classes)} classes ({listed(classes.tolist())}): "
            "give one for each, in the order of the sorted classes"
        )
    if len(set(labels)) < len(labels):
        raise DataError(f"labels: {listed(labels)}: two of them are written alike: give each a name of its own")
    return labels


def _written(value: object) -> str:
    """Return how a class is written: whole numbers as such, whatever missing values made of them."""
    return str(int(value)) if isinstance(value, float) else str(value)


def is_missing(value: object) -> bool:
    """Return whether a cell of `y` is no label: None, not a number, or pandas' NA."""
    import pandas as pd

    return bool(pd.isna(value))  # type: ignore[call-overload]
