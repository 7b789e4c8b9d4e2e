"""Which class each training example counts for, and how many there are of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.data import label_set
from triune.errors import DataError

if TYPE_CHECKING:
    from triune.data import Data

Group = str | None  # a label as text, "" for an example that has none of the labels, None for one without answer


@dataclass(frozen=True, slots=True)
class Classes:
    """The labels of every row, and the one of them that a row is resampled by: its rarest.

    Labels are compared as the text they print as, as everywhere.
    """

    sets: tuple[tuple[str, ...] | None, ...]  # the labels of each row; None where it is unlabelled
    counts: dict[str, int]  # rows by label
    groups: tuple[Group, ...]  # the rarest label of each row

    @classmethod
    def of(cls, data: Data) -> Classes:
        """Return the classes of the training table."""
        if data.tokenised:
            raise DataError(
                f"{data.place('train')}: examples are sequences of tags, which cannot be balanced as wholes; "
                "leave balance out"
            )
        cells = data.labels("train")
        found = [None] * len(data.train) if cells is None else [label_set(cell) for cell in cells]
        sets = tuple(None if labels is None else tuple(map(str, labels)) for labels in found)
        counts = Counter(label for labels in sets for label in labels or ())
        groups = tuple(
            None if labels is None else min(labels, key=lambda label: (counts[label], label), default="")
            for labels in sets
        )
        return cls(sets, dict(counts), groups)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows by group, unlabelled ones left out."""
        return dict(Counter(group for group in self.groups if group is not None))

    def check(self, place: str) -> None:
        """Raise unless there are labels, and more than one."""
        if not self.counts:
            raise DataError(f"{place}: no example has a label, so there is nothing to balance; leave balance out")
        if len(self.sizes) < 2:
            raise DataError(
                f"{place}: every example counts for {next(iter(self.sizes))!r}, so there is nothing to balance; "
                "add examples of another class"
            )


def told(before: dict[str, int], after: dict[str, int]) -> str:
    """Return how many rows each label has, the largest first: `'ham' 90, 'spam' 10 → 90`."""
    parts = [
        (repr(name) if name else "no label")
        + f" {size}"
        + (f" → {after.get(name, 0)}" if after.get(name, 0) != size else "")
        for name, size in sorted(before.items(), key=lambda item: (-item[1], item[0]))
    ]
    rest = len(parts) - 12
    return ", ".join([*parts[:6], f"… ({rest} more)", *parts[-6:]] if rest > 0 else parts)
