"""The quadratic penalty around the weights that a run starts from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune import LossTerm, TermValues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from triune import Batch, Outputs, Schedule, Step


def held(model: nn.Module, fisher: Mapping[str, Tensor], weight: Schedule) -> LossTerm:
    """Return the term "ewc": it gives every example of a batch the same value, so that it counts once a step."""
    start = {name: model.get_parameter(name).detach().clone() for name in fisher}

    def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        import torch

        examples = len(batch.rows)
        value = penalty(model, fisher, start).to(batch.rows.device)
        return TermValues(value.expand(examples), torch.ones(examples, device=batch.rows.device))

    return LossTerm("ewc", compute, weight, _examples_of)


def penalty(model: nn.Module, fisher: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> Tensor:
    """Return ½ Σ Fᵢ (wᵢ − w₀ᵢ)², (), over the parameters that may move; frozen ones are where they were."""
    import torch

    moving = {name: one for name, one in model.named_parameters() if name in fisher and one.requires_grad}
    costs = [
        (fisher[name].to(one.device) * (one - start[name].to(one.device)).square()).sum()
        for name, one in moving.items()
    ]
    return torch.stack(costs).sum() / 2 if costs else torch.zeros(())


def _examples_of(batch: Batch) -> Tensor:
    import torch

    return torch.tensor(float(len(batch.rows)), device=batch.rows.device)
