"""From scores to the weights of leaves, and back from leaves to gradients and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253
from torch.nn.functional import logsigmoid, one_hot  # noqa: TID253

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from triune.logic.variables import Variables

    Noise = Callable[[Sequence[int]], Tensor | float]
    Law = Callable[[bool, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Leaves:
    """The leaves of variables with scores, on a device.

    Attributes:
        many: how many there are.
        variables: how many variables.
        runs: (choice, columns) of each choice and each stretch of yes-or-no variables.
        true: (columns,) the leaf that says that a label is true.
        variable: (leaves,) the variable of each leaf.
        of_true: (columns,) the variable of each label.
    """

    many: int
    variables: int
    runs: tuple[tuple[bool, int], ...]
    true: Tensor
    variable: Tensor
    of_true: Tensor

    def log_weights(self, scores: Tensor) -> Tensor:
        """Return (leaves, batch) the log-probability of every value, for scores (batch, columns)."""
        return self._of(scores, _log_probabilities)

    def weights(self, scores: Tensor) -> Tensor:
        """Return (leaves, batch) the probability of every value, in double precision."""
        return self._of(scores.double(), _probabilities)

    def relative_weights(self, scores: Tensor) -> Tensor:
        """Return (leaves, batch) log-probabilities less that of the variable's likeliest value, which so gets 0."""
        return self._of(scores, _below_the_best)

    def drawn(self, scores: Tensor, noise: Noise) -> Tensor:
        """Return (leaves, batch) whether each value is drawn when all is free; `noise` is Gumbel, or 0 for the best."""
        return self._of(scores, lambda choice, piece: _winner(choice, piece, noise))

    def score_gradient(self, probabilities: Tensor, flow: Tensor) -> Tensor:
        """Return (batch, columns) the gradient of scores from that of log-probabilities (leaves, batch).

        d log p_j / d score_k = [j = k] - p_k, for a softmax and for a sigmoid alike. `probabilities` of the values
        are (leaves, batch).
        """
        if self.runs == ((False, self.variables),):  # yes or no alone: first all leaves for no, then all for yes
            no, yes = flow.view(2, self.variables, -1)
            return torch.addcmul(yes, probabilities[self.variables :], no + yes, value=-1).t()
        total = flow.new_zeros((self.variables, flow.shape[1])).index_add_(0, self.variable, flow)
        share = probabilities.index_select(0, self.true).mul_(total.index_select(0, self.of_true))
        return flow.index_select(0, self.true).sub_(share).t()

    def decided(self, picked: Tensor, free: Tensor) -> Tensor:
        """Return (batch, columns) the labels of picked leaves, and of free ones for variables without a pick."""
        counts = torch.zeros((self.variables, picked.shape[1]), dtype=torch.int32, device=picked.device)
        settled = counts.index_add_(0, self.variable, picked.int()).index_select(0, self.variable) > 0
        return (picked | (free & ~settled)).index_select(0, self.true).t()

    def _of(self, scores: Tensor, law: Law) -> Tensor:
        if len(self.runs) == 1:
            return law(self.runs[0][0], scores.t())
        pieces = torch.split(scores.t(), [width for _, width in self.runs])
        return torch.cat([law(choice, piece) for (choice, _), piece in zip(self.runs, pieces, strict=True)])


def leaves_of(variables: Variables, device: torch.device) -> Leaves:
    """Return the leaves of those variables that have scores."""
    leaves = variables.leaves()[: len(variables.groups)]
    true = [leaves[variable][value] for variable, value in variables.places().values()]
    of_leaf = dict(sorted((leaf, variable) for variable, own in enumerate(leaves) for leaf in own))
    variable = torch.tensor(list(of_leaf.values()), device=device)
    columns = torch.tensor(true, device=device)
    return Leaves(len(of_leaf), len(leaves), tuple(variables.runs()), columns, variable, variable[columns])


def _log_probabilities(choice: bool, scores: Tensor) -> Tensor:
    return scores.log_softmax(0) if choice else logsigmoid(torch.cat((-scores, scores)))


def _probabilities(choice: bool, scores: Tensor) -> Tensor:
    return scores.softmax(0) if choice else torch.cat((-scores, scores)).sigmoid_()


def _below_the_best(choice: bool, scores: Tensor) -> Tensor:
    return scores - scores.amax(0) if choice else torch.cat((-scores.relu(), -(-scores).relu()))


def _winner(choice: bool, scores: Tensor, noise: Noise) -> Tensor:
    if choice:
        return one_hot((scores + noise(scores.shape)).argmax(0), len(scores)).bool().t()
    yes = scores + noise(scores.shape) - noise(scores.shape) > 0
    return torch.cat((~yes, yes))
