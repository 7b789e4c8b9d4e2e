"""Answers drawn from what the model says, by noise that is a function of seed, step and example alone.

So the draws of an example are the same whether its batch comes whole or in parts, once or twice, after a
resumption or on another process, and nothing has to be kept of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from triune import Batch, Outputs, Step


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws of a run.

    Attributes:
        seed: of all of them.
        number: how many an example and step.
    """

    seed: int
    number: int

    def __call__(self, step: Step, batch: Batch, outputs: Outputs) -> Tensor:
        """Return answers, booleans (draws, *shape of the scores)."""
        from torch.nn.functional import one_hot

        scores = outputs.scores.detach().float()
        uniform = self.uniform(step, batch, tuple(scores.shape[1:])).to(scores.device)
        if outputs.space.kind == "binaries":
            return uniform < scores.sigmoid()
        gumbel = -(-uniform.log()).log()  # the largest of log-probabilities with it is a draw
        return one_hot((scores.log_softmax(-1) + gumbel).argmax(-1), scores.shape[-1]).bool()

    def uniform(self, step: Step, batch: Batch, shape: tuple[int, ...]) -> Tensor:
        """Return (draws, batch, *shape) numbers in (0, 1); a longer sequence begins as a shorter one does."""
        import numpy as np
        import torch

        *tokens, labels = shape
        rows = [
            np.random.Generator(np.random.Philox(key=[self.seed, step.index], counter=[0, 0, 0, row])).random(
                (*tokens, self.number, labels)
            )
            for row in batch.rows.tolist()
        ]
        return torch.from_numpy(np.stack(rows)).clamp(1e-300, 1 - 1e-16).movedim(-2, 0)
