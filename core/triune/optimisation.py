"""Parameters as the optimiser sees them: grouped, thawed and frozen by the plan, each at its learning rate.

Frozen means frozen: outside its windows a parameter asks for no gradient, has none, and holds no
optimiser state; no decay reaches it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.types import ParamGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import torch
    from torch import nn

    from triune.config import Training
    from triune.types import ModelLayout, ParameterInfo
    from triune.windows import Window, Windows

SHAPES: Mapping[str, Callable[[float], float]] = {
    "constant": lambda share: 1.0,
    "linear": lambda share: 1.0 - share,
    "cosine": lambda share: (1.0 + math.cos(math.pi * share)) / 2,
}


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that train in the same windows, and decay alike."""

    names: tuple[str, ...]
    windows: tuple[Window, ...]
    decays: bool
    elements: int

    def window(self, step: int) -> Window | None:
        """Return the window that a step lies in, or None where the group is frozen."""
        return next((one for one in self.windows if one.holds(step)), None)


def groups_of(windows: Windows, layout: ModelLayout) -> tuple[Group, ...]:
    """Return the parameters that ever train, by window and decay, in the order of the model.

    Parameters whose windows only training tells share a group where the same claims take them.
    """
    members: dict[tuple[tuple[Window, ...], bool, tuple[int, ...]], list[ParameterInfo]] = {}
    for parameter in layout.parameters:
        if mine := windows.of[parameter.name]:
            members.setdefault((mine, parameter.decays, windows.told[parameter.name]), []).append(parameter)
    return tuple(
        Group(tuple(one.name for one in found), mine, decay, sum(one.elements for one in found))
        for (mine, decay, _), found in members.items()
    )


def moved(groups: Sequence[Group], windows: Windows) -> tuple[Group, ...]:
    """Return the groups in the windows that they turned out to have."""
    return tuple(replace(group, windows=windows.of[group.names[0]]) for group in groups)


@dataclass(frozen=True, slots=True)
class Rate:
    """The learning rate of a run: warm-up, then a shape, and a warm-up of its own for what thaws later."""

    base: float
    shape: str
    warmup: int  # steps
    total: int

    def at(self, step: int, window: Window) -> float:
        """Return the learning rate of a group whose window a step lies in.

        Warm-up counts from the start of the window, so that a group thawed in mid-run begins softly too.
        """
        warm = min((step - window.start + 1) / (self.warmup + 1), 1.0)
        begun = max(step - self.warmup, 0) / max(self.total - self.warmup, 1)
        return self.base * window.lr_scale * warm * SHAPES[self.shape](begun)


def rate_of(training: Training, total: int) -> Rate:
    """Return the learning rate that the training section asks for."""
    return Rate(training.learning_rate, training.schedule, round(training.warmup * total), total)


def param_groups(model: nn.Module, groups: Sequence[Group], training: Training) -> list[ParamGroup]:
    """Return the groups as `build_optimizer` takes them."""
    parameters = dict(model.named_parameters())
    return [
        ParamGroup(
            names=group.names,
            parameters=tuple(parameters[name] for name in group.names),
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay if group.decays else 0.0,
        )
        for group in groups
    ]


def adamw(groups: Sequence[ParamGroup]) -> torch.optim.Optimizer:
    """Return AdamW with bias correction (Loshchilov & Hutter 2019), fused."""
    import torch

    return torch.optim.AdamW(
        [
            {"params": list(group.parameters), "lr": group.learning_rate, "weight_decay": group.weight_decay}
            for group in groups
        ],
        fused=True,
    )


def move_to(
    step: int,
    parameters: Mapping[str, nn.Parameter],
    groups: Sequence[Group],
    rate: Rate,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Bring every parameter into the state it has at a step: thawed or frozen, at its learning rate."""
    for group, settings in zip(groups, optimizer.param_groups, strict=True):
        window = group.window(step)
        settings["lr"] = 0.0 if window is None else rate.at(step, window)
        for name in group.names:
            if window is None:
                _freeze(parameters[name], optimizer)
            elif not parameters[name].requires_grad:
                parameters[name].requires_grad_(True)


def begin_moments(optimizer: torch.optim.Optimizer) -> None:
    """Give what trains from now on the state that fused AdamW itself would begin with, before a step computes anything.

    Made amid a step, as AdamW does, it lies between gradients and activations for good, and the next step finds no
    room as large as it needs there.
    """
    import torch

    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.requires_grad and parameter not in optimizer.state:
                moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
                step = torch.zeros((), dtype=torch.float32, device=parameter.device)
                optimizer.state[parameter] = {"step": step, **moments}


def freeze_all(model: nn.Module) -> None:
    """Freeze every parameter; the plan thaws what trains."""
    for parameter in model.parameters():
        parameter.requires_grad_(False)


def _freeze(parameter: nn.Parameter, optimizer: torch.optim.Optimizer) -> None:
    """Freeze a parameter, also one that is frozen: a checkpoint of a window's last step brings its state back."""
    parameter.requires_grad_(False)
    parameter.grad = None
    optimizer.state.pop(parameter, None)
