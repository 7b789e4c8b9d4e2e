"""One module that holds the model and its composed losses.

A term's value is the sum of its masked values divided by the sum of its mask *over everything the
optimiser step learns from*, on all processes. A part of a batch knows its own sums only, so what to
divide by is given to it; the gradients of the parts then add up to the gradient of the whole batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch
from torch import Tensor, nn  # noqa: TID253

from triune.errors import PluginError, TrainingError
from triune.processes import ALONE, World

if TYPE_CHECKING:
    from triune.types import Batch, LossTerm, Outputs, Step

Compose = Callable[[Mapping[str, Tensor], "Step"], Tensor]


@dataclass(frozen=True, slots=True)
class Sums:
    """A term over some examples: the sum of its masked values, and the sum of its mask."""

    value: Tensor  # (), of a term of means (features,)
    mask: Tensor  # ()


@dataclass(frozen=True, slots=True)
class Share:
    """What a part must know of the whole batch: what to divide by, and how much each term's value matters.

    `slopes` are the derivatives of the composed loss by each term's mean at the whole batch; with them a loss
    that is no plain sum of means is exact under accumulation too. `terms` are the weighted terms there.
    """

    masks: Mapping[str, Tensor]
    slopes: Mapping[str, Tensor] | None = None
    terms: Mapping[str, Tensor] | None = None


class Objective(nn.Module):
    """The model and what is minimised."""

    def __init__(
        self,
        model: nn.Module,
        forward: Callable[[nn.Module, Batch], Outputs],
        constrain: Callable[[Outputs, Batch], Outputs],
        terms: Mapping[str, tuple[str, LossTerm]],
        compose: Compose | None = None,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """Take the parts; `terms` maps a term's name to its owner and the term."""
        super().__init__()
        self.model = model
        self._outputs_of = forward
        self._constrain = constrain
        self.terms = terms
        self._compose = compose
        self._autocast = autocast

    @property
    def is_sum(self) -> bool:
        """Whether the loss is the plain sum of its weighted terms, and each term a mean over examples."""
        return self._compose is None and not any(term.of_means for _, term in self.terms.values())

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def outputs(self, batch: Batch) -> Outputs:
        """Return the constrained outputs of a batch."""
        with self._autocast():
            outputs = self._outputs_of(self.model, batch)
        return self._constrain(outputs, batch)

    def sums(self, batch: Batch, step: Step) -> dict[str, Sums]:
        """Return every term's sums over a batch."""
        outputs = self.outputs(batch)
        return {name: _sums(owner, term, step, batch, outputs) for name, (owner, term) in self.terms.items()}

    def weighted(self, sums: Mapping[str, Sums], masks: Mapping[str, Tensor], step: Step) -> dict[str, Tensor]:
        """Return every term's weighted value; a term whose mask is empty is zero."""
        means = {name: one.value / masks[name].clamp(min=1e-12) for name, one in sums.items()}
        return {name: self.valued(name, mean, step) for name, mean in means.items()}

    def valued(self, name: str, mean: Tensor, step: Step) -> Tensor:
        """Return the weighted value of a term, (), from its mean over everything that the step learns from."""
        term = self.terms[name][1]
        value = term.of_means(step, mean) if term.of_means else mean
        return self.factor(name, step) * value

    def factor(self, name: str, step: Step) -> float:
        """Return what a term's value is multiplied by: its weight, and what other terms scale it by."""
        scales = [term.scales[name].at(step) for _, term in self.terms.values() if name in term.scales]
        return prod([self.terms[name][1].weight.at(step), *scales])

    def compose(self, terms: Mapping[str, Tensor], step: Step) -> Tensor:
        """Return the loss, (), of the weighted terms."""
        if self._compose is not None:
            return self._compose(terms, step)
        return torch.stack(list(terms.values())).sum()

    def forward(self, batch: Batch, step: Step, share: Share | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss to back-propagate for these examples, and every term's weighted value, detached.

        Without `share` the examples are the whole batch. Where `share` holds the terms of the whole batch already,
        none are returned.
        """
        sums = self.sums(batch, step)
        if share and share.slopes:  # a part alone has no means to make terms of: those of the whole are in `share`
            parts = [
                (slope * sums[name].value).sum() / share.masks[name].clamp(min=1e-12)
                for name, slope in share.slopes.items()
            ]
            return torch.stack(parts).sum(), {}
        masks = share.masks if share else {name: one.mask for name, one in sums.items()}
        terms = self.weighted(sums, masks, step)
        return self.compose(terms, step), {name: term.detach() for name, term in terms.items()}


def share_of(
    objective: Objective,
    batches: Sequence[Batch],
    step: Step,
    untouched: Callable[[], AbstractContextManager[object]] = nullcontext,
    world: World = ALONE,
) -> Share:
    """Return what the parts of a batch, those of other processes too, must know of the whole.

    Where every term counts its mask from the batch alone and the loss is their sum, the model is not asked;
    otherwise the parts are forwarded once without gradient, from the random state that the real pass will
    see, and a composed loss is differentiated at the values of the whole batch. `untouched` is the context in
    which the run's own generators draw as if they had not.
    """
    counters = {name: term.counts for name, (_, term) in objective.terms.items()}
    if objective.is_sum and all(counters.values()):
        counted = [{name: count(batch) for name, count in counters.items() if count} for batch in batches]
        return Share(world.added(summed(counted), objective.device))
    with untouched():
        sums = rehearsed(objective, batches, step)
    masks = world.added(summed([{name: one.mask for name, one in part.items()} for part in sums]), objective.device)
    if objective.is_sum:
        return Share(masks)
    whole = world.added(summed([{name: one.value for name, one in part.items()} for part in sums]), objective.device)
    means = {name: (value / masks[name].clamp(min=1e-12)).requires_grad_() for name, value in whole.items()}
    terms = {name: objective.valued(name, mean, step) for name, mean in means.items()}
    objective.compose(terms, step).backward()  # type: ignore[no-untyped-call]
    return Share(
        masks,
        {name: mean.grad if mean.grad is not None else mean.detach() * 0 for name, mean in means.items()},
        {name: term.detach() for name, term in terms.items()},
    )


@torch.no_grad()
def rehearsed(objective: Objective, batches: Sequence[Batch], step: Step) -> list[dict[str, Sums]]:
    """Return the sums of every part, and leave torch's random state as it was."""
    devices = [batch.rows.device for batch in batches[:1] if batch.rows.is_cuda]
    with torch.random.fork_rng(devices=devices):
        return [objective.sums(batch, step) for batch in batches]


def summed(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the sums, by name, over the parts of a batch; of no parts there are none."""
    return {name: torch.stack([part[name] for part in parts]).sum(0) for name in (parts[0] if parts else ())}


def _sums(owner: str, term: LossTerm, step: Step, batch: Batch, outputs: Outputs) -> Sums:
    try:
        found = term.compute(step, batch, outputs)
    except Exception as error:
        error.add_note(f"raised by plugin {owner!r} in the loss term {term.name!r}")
        raise
    features = found.values.shape[-1:] if term.of_means else ()
    if found.values.shape != (*found.mask.shape, *features):
        raise PluginError(
            f"loss term {term.name!r} of plugin {owner!r}: values {tuple(found.values.shape)} and mask "
            f"{tuple(found.mask.shape)} differ in shape: return both unreduced, of one shape"
            f"{' but for the last dimension, the features' if term.of_means else ''}"
        )
    total = found.mask.sum().detach().to(found.values.dtype)
    mask = found.mask.to(found.values.dtype).reshape((*found.mask.shape, *(1 for _ in features)))
    # where the mask is zero the value must not matter, not even if it is infinite
    values = torch.where(mask > 0, found.values, torch.zeros_like(found.values)) * mask
    return Sums(values.reshape((-1, *features)).sum(0), total)


def check_finite(terms: Mapping[str, float], owners: Mapping[str, str], step: Step) -> None:
    """Raise at the first term that is not a finite number.

    Raises:
        TrainingError: naming the term, its plugin and the step; nothing of this step has been learnt.
    """
    for name, value in terms.items():
        if value != value or value in (float("inf"), float("-inf")):
            raise TrainingError(
                f"step {step.index + 1}: loss term {name!r} of plugin {owners[name]!r} is {value}: nothing was learnt "
                "from this step and the last checkpoint holds; try a lower training.learning_rate, or a lower weight "
                "of the term"
            )
