"""The random variables that a task predicts: their probabilities, their decisions, their labels.

A space reads scores and nothing else, so that losses, metrics, predictions and rules cannot disagree
about what a score means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from triune.data import label_set
from triune.errors import CheckpointError, DataError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.types import JSON, LabelValue


class OutputSpace(Protocol):
    """What every space can say; `scores` are (batch, classes), targets are probabilities alike."""

    kind: ClassVar[str]

    @property
    def labels(self) -> tuple[LabelValue, ...]:
        """The labels, in the order of the scores."""
        ...

    def log_likelihood(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the log-likelihood of targets, unreduced: (batch,) or (batch, classes)."""
        ...

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, classes) the probability of each label."""
        ...

    def decide(self, scores: Tensor) -> Tensor:
        """Return (batch, classes) whether each label is predicted."""
        ...

    def cells(self, decisions: Tensor) -> list[object]:
        """Return decisions (batch, classes) as label cells of a table."""
        ...


@dataclass(frozen=True, slots=True)
class Categorical:
    """One of K labels is true."""

    labels: tuple[LabelValue, ...]
    kind: ClassVar[str] = "categorical"

    def log_likelihood(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return (batch,) sum_k q_k log p_k, the negative cross-entropy to targets q."""
        return (targets * scores.float().log_softmax(-1)).sum(-1)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, classes) the softmax."""
        return scores.float().softmax(-1)

    def decide(self, scores: Tensor) -> Tensor:
        """Return (batch, classes) true at the largest score."""
        from torch.nn.functional import one_hot

        return one_hot(scores.argmax(-1), len(self.labels)).bool()

    def cells(self, decisions: Tensor) -> list[object]:
        """Return the one label of each row."""
        return [self.labels[place] for place in decisions.int().argmax(-1).tolist()]


@dataclass(frozen=True, slots=True)
class Binaries:
    """Each of K labels is true or not."""

    labels: tuple[LabelValue, ...]
    kind: ClassVar[str] = "binaries"

    def log_likelihood(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return (batch, classes) q log p + (1 - q) log(1 - p), for targets q."""
        from torch.nn.functional import logsigmoid

        scores = scores.float()
        return targets * logsigmoid(scores) + (1 - targets) * logsigmoid(-scores)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, classes) the sigmoid."""
        return scores.float().sigmoid()

    def decide(self, scores: Tensor) -> Tensor:
        """Return (batch, classes) true where the probability is above one half."""
        return scores > 0

    def cells(self, decisions: Tensor) -> list[object]:
        """Return the list of labels of each row, empty where none holds."""
        return [[label for label, holds in zip(self.labels, row, strict=True) if holds] for row in decisions.tolist()]


KINDS: Mapping[str, Callable[[tuple[LabelValue, ...]], OutputSpace]] = {
    Categorical.kind: Categorical,
    Binaries.kind: Binaries,
}


def described(space: OutputSpace) -> dict[str, JSON]:
    """Return a space as JSON, for `run.json`."""
    return {"kind": space.kind, "labels": list(space.labels)}


def restored(facts: Mapping[str, JSON]) -> OutputSpace:
    """Return the space that `described` wrote.

    Raises:
        CheckpointError: these are other facts.
    """
    labels, kind = facts.get("labels"), KINDS.get(str(facts.get("kind")))
    if kind is None or not isinstance(labels, list) or not all(isinstance(label, str | int) for label in labels):
        raise CheckpointError(f"run.json: 'space' says {facts!r}, which no run writes: run again with another output")
    return kind(tuple(label for label in labels if isinstance(label, str | int)))


def labels_in_order(cells: Iterable[object]) -> tuple[LabelValue, ...]:
    """Return the distinct labels of cells in their natural order: numbers by value, then text."""
    seen = {label for cell in cells for label in label_set(cell) or ()}
    return tuple(sorted(seen, key=_natural))


def _natural(label: LabelValue) -> tuple[int, float, str]:
    text = str(label)
    return (0, float(text), text) if text.lstrip("-").isdigit() and text.isascii() else (1, 0.0, text)


def target_matrix(
    cells: Sequence[object], labels: Sequence[LabelValue], place: Callable[[int], str]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return targets (examples, classes) and whether each example is labelled (examples,).

    Labels are compared as the text they print as, so that `3` read from JSON is `"3"` read from CSV.

    Raises:
        DataError: a label is none of `labels`; `place(position)` says where it stands.
    """
    import numpy as np

    column = {str(label): index for index, label in enumerate(labels)}
    targets = np.zeros((len(cells), len(labels)), dtype=np.float32)
    labelled = np.zeros(len(cells), dtype=np.float32)
    unknown: list[str] = []
    for position, cell in enumerate(cells):
        found = label_set(cell)
        if found is None:
            continue
        labelled[position] = 1.0
        for label in found:
            if str(label) in column:
                targets[position, column[str(label)]] = 1.0
            else:
                unknown.append(_unknown_label(place(position), label, labels))
    if unknown:
        raise DataError("\n".join(unknown[:3] + ([f"… and {len(unknown) - 3} more"] if len(unknown) > 3 else [])))
    return targets, labelled


def _unknown_label(place: str, label: LabelValue, labels: Sequence[LabelValue]) -> str:
    return (
        f"{place}: label {label!r} is not a label of this task; "
        f"labels: {listed(labels)}{nearest(label, labels)}; add training examples of it or remove the row"
    )
