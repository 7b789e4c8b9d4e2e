"""A module beside another one: it answers in its place, and no parameter changes its name."""

from __future__ import annotations

from collections import OrderedDict
from copy import copy
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

ORIGINAL = "original"


def put_beside(module: nn.Module, name: str, adapter: nn.Module, original: str = ORIGINAL) -> None:
    """Let `adapter` answer every call of `module`, and be its child of that name.

    What the adapter calls in turn, the module as it was, is its attribute `original`. It shares the module's
    parameters, and is no child of the adapter: a wrapped module would be found under another name.

    Raises:
        ValueError: an adapter stands there already.
    """
    if carried(module):
        raise ValueError(f"module {type(module).__name__} carries an adapter already")
    vars(adapter)[original] = _as_it_was(module)
    vars(adapter)["stands_beside"] = original
    module.add_module(name, adapter)
    vars(module)["forward"] = adapter.forward


def take_away(module: nn.Module) -> None:
    """Let a module answer for itself again; its adapter keeps its weights."""
    for name, adapter in list(module.named_children()):
        if attribute := vars(adapter).pop("stands_beside", None):
            vars(adapter).pop(attribute)
            del module._modules[name]
            del vars(module)["forward"]


def carried(module: nn.Module) -> nn.Module | None:
    """Return the adapter that stands beside a module, or None."""
    return next((one for one in module.children() if "stands_beside" in vars(one)), None)


def adapter_names(model: nn.Module) -> set[str]:
    """Return what the adapters of a model are called."""
    standing = [module for module in model.modules() if "stands_beside" in vars(module)]
    return {name for one in standing for name in getattr(one, "active_adapters", ())}


def original_of(adapter: nn.Module) -> nn.Module:
    """Return the module that an adapter stands beside, as it was."""
    found: nn.Module = vars(adapter)[vars(adapter)["stands_beside"]]
    return found


def _as_it_was(module: nn.Module) -> nn.Module:
    """Return a second object over the same parameters, without hooks: those of the module are called already."""
    shadow = copy(module)
    for name in [name for name in vars(shadow) if name.endswith("_hooks")]:
        vars(shadow)[name] = OrderedDict()
    vars(shadow)["_modules"] = dict(module._modules)
    return shadow
