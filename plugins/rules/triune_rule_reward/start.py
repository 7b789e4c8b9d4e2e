"""What the model said before it learnt, and how far it has gone from there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune import TermValues

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from triune import Batch, Outputs
    from triune.examples import Examples

PASS_BATCH = 64


@dataclass(frozen=True, slots=True)
class Start:
    """Scores of the training examples, one after the other; of sequences, of their tokens.

    Attributes:
        scores: (examples or tokens, labels).
        ends: (examples,) where the scores of each end.
    """

    scores: Tensor
    ends: Tensor

    def at(self, rows: Tensor, like: Tensor) -> Tensor:
        """Return the scores of examples, in the shape of the scores that they have now."""
        import torch

        rows = rows.cpu()
        ends = self.ends[rows]
        begins = torch.where(rows > 0, self.ends[rows - 1], 0)
        width = like.shape[1] if like.dim() == 3 else 1
        places = begins[:, None] + torch.arange(width)  # (batch, tokens)
        found = self.scores[places.clamp(max=len(self.scores) - 1)]
        found = torch.where((places < ends[:, None])[..., None], found, 0.0)
        return found.to(like).view_as(like)

    def state_dict(self) -> dict[str, object]:
        """Return all of it."""
        return {"scores": self.scores, "ends": self.ends}


def start_of(forward: Callable[[Batch], Outputs], train: Examples) -> Start:
    """Return what the model says of the training examples now."""
    import numpy as np
    import torch

    order = np.argsort(train.lengths, kind="stable")
    found: list[Tensor] = [torch.empty(0)] * len(train)
    for first in range(0, len(train), PASS_BATCH):
        rows = order[first : first + PASS_BATCH]
        outputs = forward(train.batch(rows))
        scores = outputs.scores.float().cpu()
        many = [1] * len(rows) if outputs.mask is None else outputs.mask.sum(-1).tolist()
        for row, one, tokens in zip(rows.tolist(), scores, many, strict=True):
            found[row] = one.view(-1, one.shape[-1])[:tokens].clone()
    return Start(torch.cat(found), torch.tensor([len(one) for one in found]).cumsum(0))


def distance(start: Start | None, batch: Batch, outputs: Outputs) -> TermValues:
    """Return KL(p ‖ p at the start), and what it counts; of tokens each its own, of yes-or-no labels their mean.

    Before training begins the model is where it starts.
    """
    space, scores = outputs.space, outputs.scores
    then = scores.detach() if start is None else start.at(batch.rows, scores)
    p = space.probabilities(scores)
    values = space.log_likelihood(scores, p) - space.log_likelihood(then, p)
    if outputs.mask is not None:
        return TermValues(values, outputs.mask * batch.weights[:, None])
    return TermValues(values if values.dim() == 1 else values.mean(-1), batch.weights)
