"""An optimiser's state by parameter name: exact to the bit, whatever is frozen, without pickle."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from triune.errors import CheckpointError, nearest
from triune.state import join_state, split_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor
    from torch.nn import Parameter
    from torch.optim import Optimizer

    from triune.types import JSON

# The machine decides these, not the run: a group keeps its own.
_MACHINE = {"params", "fused", "foreach", "capturable", "differentiable"}


def optimizer_state(optimizer: Optimizer, names: Mapping[Parameter, str]) -> tuple[dict[str, Tensor], JSON]:
    """Return an optimiser's tensors as `"parameter name/state key"`, and all else it remembers as JSON.

    A parameter without state, as a frozen one, takes no room.

    Raises:
        CheckpointError: the optimiser remembers something for what is not a named parameter.
        PluginError: it remembers something that cannot be stored.
    """
    import torch

    groups = [{"names": _named(group, names), "options": _options(group)} for group in optimizer.param_groups]
    tensors: dict[str, Tensor] = {}
    other: dict[str, dict[object, object]] = {}
    for parameter, values in optimizer.state.items():
        name = _name_of(parameter, names)
        for key, value in values.items():
            if isinstance(value, torch.Tensor) and "/" not in key:
                tensors[f"{name}/{key}"] = value
            else:
                other.setdefault(name, {})[key] = value
    # An empty parameter name is no parameter's, so these numbers cannot meet a name.
    numbered, facts = split_state({"groups": groups, "other": other}, "optimizer")
    return tensors | {f"/{number}": tensor for number, tensor in numbered.items()}, facts


def restore_optimizer(
    optimizer: Optimizer, names: Mapping[Parameter, str], tensors: Mapping[str, Tensor], facts: JSON
) -> None:
    """Give an optimiser over the same parameters what `optimizer_state` returned, exact to the bit.

    Not `load_state_dict`: that casts to the parameter's type, and counts parameters instead of naming them.

    Raises:
        CheckpointError: the state is of a parameter or of groups that this optimiser does not have.
    """
    numbered = {key[1:]: tensor for key, tensor in tensors.items() if key.startswith("/")}
    kept = cast("dict[str, dict[str, dict[str, object]]]", join_state(numbered, facts))
    state = _by_parameter(tensors, kept["other"])
    groups = cast("list[dict[str, object]]", kept["groups"])
    owners = {name: (parameter, group) for group in optimizer.param_groups for parameter, name in _pairs(group, names)}
    _refuse_strangers(state, owners)
    _refuse_other_groups(groups, [_named(group, names) for group in optimizer.param_groups])
    for group, saved in zip(optimizer.param_groups, groups, strict=True):
        group.update(cast("dict[str, object]", saved["options"]))
    optimizer.state.clear()
    for name, values in state.items():
        parameter, group = owners[name]
        optimizer.state[parameter] = {key: _placed(key, value, parameter, group) for key, value in values.items()}


def _by_parameter(
    tensors: Mapping[str, Tensor], other: Mapping[str, Mapping[str, object]]
) -> dict[str, dict[str, object]]:
    state: dict[str, dict[str, object]] = {name: dict(values) for name, values in other.items()}
    for key, tensor in tensors.items():
        name, _, what = key.rpartition("/")
        if name:
            state.setdefault(name, {})[what] = tensor
    return state


def _placed(key: str, value: object, parameter: Parameter, group: Mapping[str, object]) -> object:
    """Return a copy of the value where torch keeps it: a plain `step` on the CPU, all else with its parameter."""
    import torch

    if isinstance(value, list):
        return [_placed(key, part, parameter, group) for part in value]
    if not isinstance(value, torch.Tensor):
        return value
    on_cpu = key == "step" and not (group.get("fused") or group.get("capturable"))
    return value.to(torch.device("cpu") if on_cpu else parameter.device, copy=True)


def _options(group: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in group.items() if key not in _MACHINE}


def _pairs(group: Mapping[str, object], names: Mapping[Parameter, str]) -> list[tuple[Parameter, str]]:
    return [(parameter, _name_of(parameter, names)) for parameter in cast("list[Parameter]", group["params"])]


def _named(group: Mapping[str, object], names: Mapping[Parameter, str]) -> list[str]:
    return [name for _, name in _pairs(group, names)]


def _name_of(parameter: object, names: Mapping[Parameter, str]) -> str:
    name = names.get(cast("Parameter", parameter))
    if not name:
        shape = tuple(getattr(parameter, "shape", ()))
        raise CheckpointError(
            f"optimizer: it holds a parameter of shape {shape} that has no name in the model; "
            "build the optimizer from the model's own parameters."
        )
    return name


def _refuse_strangers(state: Iterable[str], owners: Mapping[str, object]) -> None:
    for name in state:
        if name not in owners:
            raise CheckpointError(
                f"checkpoint: it holds optimizer state of {name!r}, which this optimizer does not train"
                f"{nearest(name, owners)}. Resume with the configuration and plugins of the run that wrote it."
            )


def _refuse_other_groups(saved: list[dict[str, object]], here: list[list[str]]) -> None:
    if [group["names"] for group in saved] != here:
        raise CheckpointError(
            f"checkpoint: its {len(saved)} optimizer groups do not hold the same parameters as the {len(here)} groups "
            "of this run; resume with the configuration and plugins of the run that wrote it."
        )
