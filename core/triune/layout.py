"""Whose each parameter is and where it sits: the layout that claims select from."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from triune.errors import PluginError, listed
from triune.types import ModelLayout, ParameterInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import nn


def layout_of(model: nn.Module, owners: Mapping[str, str], head: Iterable[str], task: str | None = None) -> ModelLayout:
    """Return the layout of a model, from the owner of each parameter, the globs of its head, and the task's name."""
    depths = block_depths(model)
    globs = tuple(head)
    parameters = tuple(
        ParameterInfo(
            name=name,
            owner=owners[name],
            depth=_depth(name, depths),
            head=any(fnmatchcase(name, glob) for glob in globs),
            elements=parameter.numel(),
            decays=parameter.dim() > 1,
            brought=task is not None and owners[name] != task,
        )
        for name, parameter in model.named_parameters()
    )
    return ModelLayout(parameters, blocks=len(set(depths.values())))


def block_depths(model: nn.Module) -> dict[str, int]:
    """Return the depth of every block by the prefix of its parameters: `{"bert.encoder.layer.0.": 0, …}`.

    Blocks are the members of the longest outermost `ModuleList` whose members are all of one class, and of those
    that bear its name or hold its class; of an encoder and a decoder, the decoder's lie on top. Blocks that share
    one set of weights, as ALBERT's do, are no list, and none are found.
    """
    from torch import nn

    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) > 1 and len({type(block) for block in module}) == 1
    }
    outermost = {name: one for name, one in lists.items() if not any(name.startswith(f"{other}.") for other in lists)}
    if not outermost:
        return {}
    longest = max(map(len, outermost.values()))
    kinds = {type(one[0]) for one in outermost.values() if len(one) == longest}
    names = {_last(name) for name, one in outermost.items() if len(one) == longest}
    # the decoder may be shorter than its encoder, and of another class
    stacks = [(name, one) for name, one in outermost.items() if type(one[0]) in kinds or _last(name) in names]
    prefixes = [f"{name}.{index}." for name, one in stacks for index in range(len(one))]
    return {prefix: depth for depth, prefix in enumerate(prefixes)}


def stacks_of(model: nn.Module) -> list[list[nn.Module]]:
    """Return the blocks of a model from the input up, an encoder's and a decoder's apart."""
    stacks: dict[str, list[nn.Module]] = {}
    for prefix in block_depths(model):
        name = prefix.removesuffix(".")
        stacks.setdefault(name.rpartition(".")[0], []).append(model.get_submodule(name))
    return list(stacks.values())


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def _depth(name: str, depths: Mapping[str, int]) -> int | None:
    match = next((prefix for prefix in depths if name.startswith(prefix)), None)
    return None if match is None else depths[match]


class Ownership:
    """Who brought each parameter: the task at first, then whichever plugin's `adapt_model` added it."""

    def __init__(self, model: nn.Module, task: str) -> None:
        """Give the task every parameter that there is."""
        self.owners = {name: task for name, _ in model.named_parameters()}

    def note(self, model: nn.Module, plugin: str) -> None:
        """Give a plugin what is new.

        Raises:
            PluginError: the plugin removed or renamed parameters.
        """
        names = {name for name, _ in model.named_parameters()}
        if gone := sorted(set(self.owners) - names):
            raise PluginError(
                f"plugin {plugin!r} removed or renamed parameters of the model: {listed(gone, 4)}; add parameters "
                "beside the old ones, so that claims and checkpoints keep finding them"
            )
        self.owners.update(dict.fromkeys(names - set(self.owners), plugin))
