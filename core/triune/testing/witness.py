"""Who sees the model of a run, and what every step does to it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from triune.events import Planned, Stepped, Warned
from triune.hookspecs import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from triune.events import Event
    from triune.planning import Plan


class Witness:
    """A plugin that keeps a copy of the weights after every step, and who had a state in the optimiser."""

    model: nn.Module
    plan: Plan

    def __init__(self) -> None:
        self.weights: list[dict[str, Tensor]] = []  # before the first step, and after each
        self.holding: list[set[str]] = []  # by step: the parameters that the optimiser keeps something for
        self.warnings: list[str] = []

    @hookimpl
    def adapt_model(self, model: nn.Module) -> None:
        """Keep hold of the model."""
        self.model = model

    @hookimpl
    def observe(self, event: Event) -> None:
        """Copy the weights."""
        if isinstance(event, Warned):
            self.warnings.append(event.message)
        if isinstance(event, Planned):
            self.plan = event.plan  # type: ignore[assignment]
        if isinstance(event, Planned | Stepped):
            self.weights.append(self.now())

    def now(self) -> dict[str, Tensor]:
        """Return a copy of everything in the model."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note inside the block what the optimiser keeps after each of its steps."""
        from torch.optim.optimizer import register_optimizer_step_post_hook

        def note(optimizer: Optimizer, args: object, kwargs: object) -> None:
            names: dict[Tensor, str] = {parameter: name for name, parameter in self.model.named_parameters()}
            self.holding.append({names[one] for one, state in optimizer.state.items() if state and one in names})

        handle = register_optimizer_step_post_hook(note)
        try:
            yield
        finally:
            handle.remove()
