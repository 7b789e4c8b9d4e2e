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
            return [[name for name, holds in zip(self.labels, row, strict=True) if holds] for row in y]
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
    seen = [one for one in y.tolist() if not is_missing(one)]
    if not seen:
        raise DataError("y holds no label: give some, or learn from rules alone with `triune.run`")
    written: dict[str, set[type]] = {}
    for one in seen:
        written.setdefault(str(one), set()).add(type(one))
    if mixed := next((text for text, kinds in written.items() if len(kinds) > 1), None):
        raise DataError(f"y holds {mixed} as a number and as a text: two classes may not be written alike")
    classes = np.unique(np.asarray(seen, dtype=y.dtype if y.dtype != object else None))
    if names is not None and set(map(str, classes.tolist())) <= set(map(str, names)):
        classes = np.asarray(sorted(names, key=str), dtype=classes.dtype) if classes.dtype.kind in "UO" else classes
        names = None if classes.dtype.kind in "UO" or len(classes) == len(names) else names
    if len(classes) < 2 and names is None:
        raise DataError(
            f"y holds one class, {classes.tolist()[0]!r}: a classifier needs two, or the names of all as `labels`"
        )
    return Naming(classes, _named(classes, names), several=False)


def _named(classes: NDArray[Any], names: Sequence[str] | None) -> tuple[str, ...]:
    labels = tuple(map(str, classes.tolist() if names is None else names))
    if len(labels) != len(classes):
        raise DataError(
            f"labels: {len(labels)} names ({listed(labels)}) for {len(classes)} classes ({listed(classes.tolist())}): "
            "give one for each, in the order of the sorted classes"
        )
    if len(set(labels)) < len(labels):
        raise DataError(f"labels: {listed(labels)}: two of them are written alike: give each a name of its own")
    return labels


def is_missing(value: object) -> bool:
    """Return whether a cell of `y` is no label: None, or not a number."""
    return value is None or value != value
