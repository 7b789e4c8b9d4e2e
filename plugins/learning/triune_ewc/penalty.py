"""The quadratic penalty around the weights that a run starts from."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch

from triune import LossTerm, TermValues

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from torch import Tensor, nn

    from triune import Batch, Outputs, Schedule, Step


class Held:
    """A model, the weights that it starts from, and how much each of the named ones matters."""

    def __init__(self, model: nn.Module, names: Sequence[str]) -> None:
        """Copy the weights as they are; `fisher` is given later."""
        self.model = model
        self.names = frozenset(names)
        self.start = {name: one.detach().clone() for name, one in model.named_parameters()}
        self.fisher: Mapping[str, Tensor] | None = None

    def term(self, weight: Schedule) -> LossTerm:
        """Return the term "ewc": it gives every example of a batch the same value, so that it counts once a step."""
        return LossTerm("ewc", self._compute, weight, _examples_of)

    def _compute(self, step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        ones = torch.ones(len(batch.rows), device=batch.rows.device)
        # nothing has moved before the first step, and all that is asked for then is a gradient path
        fisher = self.fisher if self.fisher is not None else dict.fromkeys(self.names, torch.ones(()))
        return TermValues(penalty(self.model, fisher, self.start).to(ones.device) * ones, ones)

    @contextmanager
    def at_start(self) -> Iterator[None]:
        """Have the model be as it started inside the block, and to the bit what it was after it."""
        now = {name: one.detach().clone() for name, one in self.model.named_parameters()}
        self._become(self.start)
        try:
            yield
        finally:
            self._become(now)

    @torch.no_grad()
    def _become(self, weights: Mapping[str, Tensor]) -> None:
        for name, one in self.model.named_parameters():
            one.copy_(weights[name])


def penalty(model: nn.Module, fisher: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> Tensor:
    """Return ½ Σ Fᵢ (wᵢ − w₀ᵢ)², (), over the parameters that may move; frozen ones are where they were."""
    moving = {name: one for name, one in model.named_parameters() if name in fisher and one.requires_grad}
    costs = [
        (fisher[name].to(one.device) * (one - start[name].to(one.device)).square()).sum()
        for name, one in moving.items()
    ]
    return torch.stack(costs).sum() / 2 if costs else torch.zeros(())


def _examples_of(batch: Batch) -> Tensor:
    return torch.tensor(float(len(batch.rows)), device=batch.rows.device)
