"""The random variables behind an output space, and where the label of a formula sits among them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import TYPE_CHECKING, ClassVar, Protocol

from triune.errors import listed, nearest
from triune.logic.formulas import FormulaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    Label = str | int


class Space(Protocol):
    """What an output space tells the engine: its kind, and its labels in the order of the scores."""

    kind: ClassVar[str]

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels."""
        ...


@dataclass(frozen=True, slots=True)
class Heads:
    """Several choices side by side: a group of one label is yes or no, of several exactly one is true."""

    groups: tuple[tuple[Label, ...], ...]
    kind: ClassVar[str] = "heads"

    @property
    def labels(self) -> tuple[Label, ...]:
        """The labels of all groups, one after the other."""
        return tuple(label for group in self.groups for label in group)


@dataclass(frozen=True, slots=True)
class Tags:
    """A sequence, each token with exactly one of the tags."""

    labels: tuple[Label, ...]
    kind: ClassVar[str] = "tags"


@dataclass(frozen=True, slots=True)
class Variables:
    """Independent variables, first those of the scores, then `extra` yes-or-no ones without scores.

    A variable has `sizes[v]` values; a yes-or-no variable has two, of which 1 is yes. A *leaf* is one value
    of one variable; leaves are numbered variable by variable.
    """

    groups: tuple[tuple[Label, ...], ...]
    choice: tuple[bool, ...]  # of a group: whether it is a choice, not a yes or no
    extra: int = 0

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each variable has."""
        own = (len(group) if choice else 2 for group, choice in zip(self.groups, self.choice, strict=True))
        return (*own, *(2,) * self.extra)

    @property
    def starts(self) -> tuple[int, ...]:
        """The first leaf of each variable, and the number of leaves at the end."""
        return tuple(accumulate(self.sizes, initial=0))

    def places(self) -> dict[str, tuple[int, int]]:
        """Return label, as text → (variable, value) where it is true."""
        return {
            str(label): (variable, value if choice else 1)
            for variable, (group, choice) in enumerate(zip(self.groups, self.choice, strict=True))
            for value, label in enumerate(group)
        }

    def true_leaves(self) -> list[int]:
        """Return (columns,) the leaf that stands for "this label is true", in the order of the scores."""
        return [self.starts[variable] + value for variable, value in self.places().values()]

    def runs(self) -> Iterator[tuple[bool, int]]:
        """Yield (choice, columns) for each choice, and for each stretch of yes-or-no variables."""
        for is_choice, sizes in groupby(
            zip(self.choice, map(len, self.groups), strict=True), key=lambda one: one[0]
        ):
            widths = [size for _, size in sizes]
            yield from ((True, width) for width in widths) if is_choice else ((False, len(widths)),)


def variables_of(space: Space) -> Variables:
    """Return the variables of a space.

    Raises:
        FormulaError: the engine knows no such kind of space, or two labels are the same text.
    """
    if space.kind not in KINDS:
        raise FormulaError(f"rules cannot speak of outputs of kind {space.kind!r}; kinds: {listed(KINDS)}")
    names = [str(label) for label in space.labels]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise FormulaError(f"labels {listed(twice)} occur twice in the outputs: rules could not tell them apart")
    return KINDS[space.kind](space)


def _categorical(space: Space) -> Variables:
    return Variables((tuple(space.labels),), (True,))


def _binaries(space: Space) -> Variables:
    return Variables(tuple((label,) for label in space.labels), (False,) * len(space.labels))


def _heads(space: Space) -> Variables:
    groups: tuple[tuple[Label, ...], ...] = space.groups  # type: ignore[attr-defined]
    return Variables(groups, tuple(len(group) > 1 for group in groups))


KINDS: Mapping[str, Callable[[Space], Variables]] = {
    "categorical": _categorical,
    "binaries": _binaries,
    "heads": _heads,
}


def place_of(name: Label, places: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return the variable and the value of a label.

    Raises:
        FormulaError: there is no such label.
    """
    if str(name) not in places:
        raise FormulaError(
            f"{name!r} is not a label of these outputs; labels: {listed(places)}{nearest(name, places)}"
        )
    return places[str(name)]


def log_weights(variables: Variables, scores: Tensor) -> Tensor:
    """Return (leaves, batch) the log-probability of every value, for scores (batch, columns)."""
    return _leaves(variables, scores, _log_probabilities)


def relative_weights(variables: Variables, scores: Tensor) -> Tensor:
    """Return (leaves, batch) log-probabilities less that of the variable's likeliest value, which so gets 0."""
    return _leaves(variables, scores, _below_the_best)


def _leaves(variables: Variables, scores: Tensor, law: Callable[[bool, Tensor], Tensor]) -> Tensor:
    import torch

    pieces = scores.split([width for _, width in variables.runs()], dim=-1)
    leaves = [law(choice, piece) for (choice, _), piece in zip(variables.runs(), pieces, strict=True)]
    return (leaves[0] if len(leaves) == 1 else torch.cat(leaves, -1)).t().contiguous()


def _log_probabilities(choice: bool, scores: Tensor) -> Tensor:
    import torch
    from torch.nn.functional import logsigmoid

    if choice:
        return scores.log_softmax(-1)
    return logsigmoid(torch.stack((-scores, scores), -1)).flatten(-2)


def _below_the_best(choice: bool, scores: Tensor) -> Tensor:
    import torch

    if choice:
        return scores - scores.amax(-1, keepdim=True)
    return torch.stack((-scores.relu(), -(-scores).relu()), -1).flatten(-2)


def drawn(variables: Variables, scores: Tensor, noise: Callable[[Sequence[int]], Tensor]) -> Tensor:
    """Return (leaves, batch) whether each value is drawn when variables are free; `noise` is Gumbel or zero."""
    return _leaves(variables, scores, lambda choice, piece: _winner(choice, piece, noise))


def _winner(choice: bool, scores: Tensor, noise: Callable[[Sequence[int]], Tensor]) -> Tensor:
    import torch
    from torch.nn.functional import one_hot

    if choice:
        return one_hot((scores + noise(scores.shape)).argmax(-1), scores.shape[-1]).bool()
    yes = scores + noise(scores.shape) - noise(scores.shape) > 0
    return torch.stack((~yes, yes), -1).flatten(-2)
