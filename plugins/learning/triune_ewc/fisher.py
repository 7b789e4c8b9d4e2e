"""The diagonal of the Fisher information: how much each weight matters to what the model says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import DataError, PlanError, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Generator, Tensor, nn

    from triune import Batch, Bundle, Outputs, Run
    from triune.examples import Examples


@dataclass(frozen=True, slots=True)
class Fisher:
    """What the information is estimated from: the model as it is whenever it is asked for, and texts of a table."""

    bundle: Bundle
    examples: Examples
    names: Sequence[str]
    count: int
    run: Run

    def diagonal(self) -> dict[str, Tensor]:
        """Return Fᵢ = E_x E_{y ~ p(·|x)} (∂ log p(y|x) / ∂wᵢ)², each text with one y drawn from the model.

        A gold label in place of the drawn one would make it the "empirical" Fisher, which is none (Kunstner et al.
        2019). Texts are taken one by one: the square of a mean is not the mean of squares.
        """
        import torch

        model = self.bundle.model
        asked = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
        weights = {name: model.get_parameter(name) for name in self.names}
        found = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        training = model.training
        model.eval()
        try:
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(name in weights)
            with self.run.generators.untouched():  # the same estimate whenever it is asked for
                drawing = self.run.generators.torch("ewc")
                rows = torch.randperm(len(self.examples), generator=drawing)[: self.count].tolist()
                for row in rows:
                    slopes = self._slopes(row, list(weights.values()), drawing)
                    for total, slope in zip(found.values(), slopes, strict=True):
                        if slope is not None:
                            total += slope.square() / len(rows)
        finally:
            model.train(training)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(asked[name])
        return found

    def _slopes(self, row: int, weights: list[nn.Parameter], drawing: Generator) -> tuple[Tensor | None, ...]:
        import numpy as np
        import torch

        batch: Batch = self.examples.batch(np.array([row])).to(self.run.device)
        outputs = self.bundle.forward(self.bundle.model, batch)
        likelihood = outputs.space.log_likelihood(outputs.scores, _drawn(outputs, drawing))
        return torch.autograd.grad(likelihood.sum(), weights, allow_unused=True)


def _drawn(outputs: Outputs, drawing: Generator) -> Tensor:
    """Return an answer drawn from what the model says, as targets are; a token that does not count has none."""
    import torch

    p = outputs.space.probabilities(outputs.scores.detach()).cpu()
    if outputs.space.kind == "binaries":
        answer = torch.bernoulli(p, generator=drawing)
    else:
        flat = torch.multinomial(p.reshape(-1, p.shape[-1]), 1, generator=drawing)
        answer = torch.zeros_like(p).view(-1, p.shape[-1]).scatter_(1, flat, 1.0).view_as(p)
    if outputs.mask is not None:
        answer = answer * outputs.mask.cpu()[..., None]
    return answer.to(outputs.scores.device)


def write(diagonal: Mapping[str, Tensor], file: Path) -> None:
    """Write the diagonal for a later run."""
    from safetensors.torch import save_file

    save_file({name: one.cpu().contiguous() for name, one in diagonal.items()}, file)


def read(file: Path, model: nn.Module, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the diagonal that an earlier run kept, for these parameters of the model.

    Raises:
        DataError: there is no such file.
        PlanError: it is of another model.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        stored = load_file(file)
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"ewc: fisher_from: {str(file)!r} cannot be read ({error}): give the fisher.safetensors of a run with "
            "`ewc: {keep: true}`"
        ) from error
    shapes = {name: tuple(model.get_parameter(name).shape) for name in names}
    found = {name: one for name, one in stored.items() if shapes.get(name) == tuple(one.shape)}
    if lacking := [name for name in names if name not in found]:
        raise PlanError(
            [
                f"ewc: fisher_from: {str(file)!r} is of another model: it lacks {len(lacking)} of {len(names)} "
                f"parameters, {listed(lacking, 3)}"
            ]
        )
    return found
