"""How far weights are from where they started, as the value of a loss term."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune import TermValues

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from torch import Tensor, nn

    from triune import Batch, Outputs, Step


def start_of(model: nn.Module, names: Collection[str]) -> dict[str, Tensor]:
    """Return a copy of the named parameters, where they are."""
    return {name: one.detach().clone() for name, one in model.named_parameters() if name in names}


def distance(model: nn.Module, start: Mapping[str, Tensor]) -> Tensor:
    """Return ½‖w − w₀‖², (), over the parameters with a start that may move; frozen ones are where they were."""
    return _half([parameter - start[name] for name, parameter in _moving(model, start).items()])


def size(model: nn.Module, names: Collection[str]) -> Tensor:
    """Return ½‖w‖², (), over the named parameters that may move."""
    return _half(list(_moving(model, names).values()))


def on_every_example(value: Callable[[], Tensor]) -> Callable[[Step, Batch, Outputs], TermValues]:
    """Return a term that gives each example the same value.

    The sum over a batch divided by its examples is the value, and so it is over the parts of a batch.
    """

    def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        import torch

        ones = torch.ones(len(batch.rows), device=batch.rows.device)
        return TermValues(value().to(ones.device) * ones, ones)  # zero is on no device of its own

    return compute


def examples_of(batch: Batch) -> Tensor:
    """Return the sum of the mask of `on_every_example`, ()."""
    import torch

    return torch.tensor(float(len(batch.rows)), device=batch.rows.device)


def _moving(model: nn.Module, names: Collection[str]) -> dict[str, nn.Parameter]:
    return {name: one for name, one in model.named_parameters() if name in names and one.requires_grad}


def _half(differences: list[Tensor]) -> Tensor:
    import torch

    squares = [one.square().sum() for one in differences]
    return torch.stack(squares).sum() / 2 if squares else torch.zeros(())
