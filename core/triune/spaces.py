"""The random variables that a task predicts: their probabilities, their decisions, their labels.

A space reads scores and nothing else, so that losses, metrics, predictions and rules cannot disagree
about what a score means.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from triune.data import label_set
from triune.errors import CheckpointError, DataError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.types import JSON, LabelValue


class OutputSpace(Protocol):
    """What every space can say; `scores` are (batch, classes), targets are probabilities alike.

    Of sequences both are (batch, tokens, tags), and `mask`, (batch, tokens), says which tokens count.
    """

    kind: ClassVar[str]

    @property
    def labels(self) -> tuple[LabelValue, ...]:
        """The labels, in the order of the scores."""
        ...

    def log_likelihood(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return the log-likelihood of targets, unreduced: (batch,), (batch, classes) or (batch, tokens)."""
        ...

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return the probability of each label, in the shape of the scores."""
        ...

    def decide(self, scores: Tensor) -> Tensor:
        """Return whether each label is predicted, in the shape of the scores."""
        ...

    def cells(self, decisions: Tensor, mask: Tensor | None = None) -> list[object]:
        """Return decisions as label cells of a table, one an example."""
        ...

    def figures(self, scores: Tensor, decisions: Tensor, mask: Tensor | None = None) -> dict[str, NDArray[Any]]:
        """Return the columns of figures that stand beside predictions, (batch,) each."""
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

    def cells(self, decisions: Tensor, mask: Tensor | None = None) -> list[object]:
        """Return the one label of each row."""
        return [self.labels[place] for place in decisions.int().argmax(-1).tolist()]

    def figures(self, scores: Tensor, decisions: Tensor, mask: Tensor | None = None) -> dict[str, NDArray[Any]]:
        """Return the probability of each label."""
        return _of_labels(self, scores)


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

    def cells(self, decisions: Tensor, mask: Tensor | None = None) -> list[object]:
        """Return the list of labels of each row, empty where none holds."""
        return [[label for label, holds in zip(self.labels, row, strict=True) if holds] for row in decisions.tolist()]

    def figures(self, scores: Tensor, decisions: Tensor, mask: Tensor | None = None) -> dict[str, NDArray[Any]]:
        """Return the probability of each label."""
        return _of_labels(self, scores)


@dataclass(frozen=True, slots=True)
class Tags:
    """A sequence, each token with exactly one of K tags; targets of a token without a label are all zero."""

    labels: tuple[LabelValue, ...]
    kind: ClassVar[str] = "tags"

    def log_likelihood(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return (batch, tokens) sum_k q_k log p_k; zero for a token without a label."""
        return (targets * scores.float().log_softmax(-1)).sum(-1)

    def probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, tokens, tags) the softmax of each token."""
        return scores.float().softmax(-1)

    def decide(self, scores: Tensor) -> Tensor:
        """Return (batch, tokens, tags) true at each token's largest score."""
        from torch.nn.functional import one_hot

        return one_hot(scores.argmax(-1), len(self.labels)).bool()

    def cells(self, decisions: Tensor, mask: Tensor | None = None) -> list[object]:
        """Return the list of tags of each row; None stands for a token of which no tag holds."""
        names = [*self.labels, None]
        rows = decisions.int().argmax(-1).masked_fill(~decisions.any(-1), len(self.labels)).tolist()
        return [[names[place] for place in row] for row in _counted(rows, mask)]

    def figures(self, scores: Tensor, decisions: Tensor, mask: Tensor | None = None) -> dict[str, NDArray[Any]]:
        """Return "probability": of each token, that of the tag that is predicted."""
        import numpy as np

        chosen = (self.probabilities(scores) * decisions).sum(-1)
        cells = np.empty(len(chosen), dtype=object)
        for place, row in enumerate(_counted(chosen.tolist(), mask)):
            cells[place] = row
        return {"probability": cells}


PROBABILITY = "probability of "


def _of_labels(space: OutputSpace, scores: Tensor) -> dict[str, NDArray[Any]]:
    probabilities = space.probabilities(scores)
    return {f"{PROBABILITY}{label}": probabilities[:, place].numpy() for place, label in enumerate(space.labels)}


def _counted(rows: Sequence[Sequence[Any]], mask: Tensor | None) -> list[list[Any]]:
    """Return what rows hold at the tokens that count."""
    if mask is None:
        return [list(row) for row in rows]
    return [list(compress(row, counts)) for row, counts in zip(rows, mask.tolist(), strict=True)]


KINDS: Mapping[str, Callable[[tuple[LabelValue, ...]], OutputSpace]] = {
    Categorical.kind: Categorical,
    Binaries.kind: Binaries,
    Tags.kind: Tags,
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
    seen = {label for cell in cells for label in label_set(cell) or () if label is not None}
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
    _check_known(unknown)
    return targets, labelled


def tag_matrix(
    cells: Sequence[Sequence[LabelValue | None] | None],
    lengths: Sequence[int],
    tags: Sequence[LabelValue],
    place: Callable[[int], str],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return targets (tokens of all examples, tags) and whether each example is labelled (examples,).

    Args:
        cells: the tags of each example, None for a token or an example without.
        lengths: how many tokens each example has.
        tags: the tags that there are.
        place: says where an example stands.

    Raises:
        DataError: a tag is none of `tags`.
    """
    import numpy as np

    column = {str(tag): index for index, tag in enumerate(tags)}
    targets = np.zeros((sum(lengths), len(tags)), dtype=np.float32)
    labelled = np.zeros(len(cells), dtype=np.float32)
    unknown: list[str] = []
    first = 0
    for position, (cell, length) in enumerate(zip(cells, lengths, strict=True)):
        for token, tag in enumerate(cell or ()):
            if tag is not None and str(tag) in column:
                targets[first + token, column[str(tag)]] = labelled[position] = 1.0
            elif tag is not None:
                unknown.append(_unknown_label(f"{place(position)}, token {token + 1}", tag, tags))
        first += length
    _check_known(unknown)
    return targets, labelled


def _check_known(unknown: Sequence[str]) -> None:
    if unknown:
        raise DataError("\n".join([*unknown[:3], *([f"… and {len(unknown) - 3} more"] if len(unknown) > 3 else [])]))


def _unknown_label(place: str, label: LabelValue, labels: Sequence[LabelValue]) -> str:
    return (
        f"{place}: label {label!r} is not a label of this task; "
        f"labels: {listed(labels)}{nearest(label, labels)}; add training examples of it or remove the row"
    )
