"""Which labels of an example are explained: the predicted ones, or one that was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from triune.errors import DataError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from triune.explaining.effects import Outcome
    from triune.spaces import OutputSpace
    from triune.types import LabelValue

OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class Target:
    """A label of an example, or of one of its tokens."""

    label: LabelValue
    number: int  # of the label
    token: int | None = None

    def of(self, probabilities: Tensor) -> float:
        """Return its probability, from (labels,) or (tokens, tags)."""
        row = probabilities if self.token is None else probabilities[self.token]
        return float(row[self.number])


def numbered(label: str, space: OutputSpace) -> int:
    """Return the number of a label that was asked for.

    Raises:
        DataError: there is none of that name.
    """
    known = [str(one) for one in space.labels]
    if label not in known:
        raise DataError(f"{label!r} is no label of this run; labels: {listed(known)}{nearest(label, known)}")
    return known.index(label)


def targets_of(outcome: Outcome, space: OutputSpace, asked: int | None) -> list[Target]:
    """Return what is explained of an example: of sequences a tag for every token."""
    if space.kind == "tags":
        numbers = {label: place for place, label in enumerate(space.labels)}
        tags = cast("Sequence[LabelValue]", outcome.answer)
        chosen = [numbers[tag] if asked is None else asked for tag in tags]
        return [Target(space.labels[number], number, token) for token, number in enumerate(chosen)]
    if asked is not None:
        return [Target(space.labels[asked], asked)]
    predicted = outcome.answer if isinstance(outcome.answer, list) else [outcome.answer]
    found = [Target(label, number) for number, label in enumerate(space.labels) if label in predicted]
    most = int(outcome.probabilities.argmax())
    return found or [Target(space.labels[most], most)]


def attributed(targets: Sequence[Target], outcome: Outcome, space: OutputSpace, asked: int | None) -> list[Target]:
    """Return those whose tokens are asked for: of sequences the tokens that are tagged, not every one that is not."""
    if space.kind != "tags":
        return list(targets)
    tags = cast("Sequence[LabelValue]", outcome.answer)
    if asked is None:
        return [one for one in targets if str(one.label) != OUTSIDE]
    said = [one for one in targets if one.token is not None and tags[one.token] == one.label]
    return said or [max(targets, key=lambda one: one.of(outcome.probabilities))]
