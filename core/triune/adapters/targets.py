"""Which modules of a model get an adapter: the linear layers of its blocks, or those that globs name."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from triune.adapters.beside import carried
from triune.errors import PlanError, listed, nearest
from triune.layout import block_depths

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn


def targets_of(model: nn.Module, globs: Sequence[str] | None, method: str) -> list[str]:
    """Return the paths of the modules to adapt, in the order of the model.

    Args:
        model: the model, which may carry adapters of other methods.
        globs: of whole paths or of their ends, `query` or `attention.*.query`; None takes every linear layer of the
            blocks.
        method: who asks, for messages.

    Raises:
        PlanError: a glob takes no linear layer, the model has no blocks, or another adapter stands at one of them.
    """
    linear = linear_layers(model)
    if globs is None:
        blocks = tuple(block_depths(model))
        found = [path for path in linear if path.startswith(blocks)] if blocks else []
        if not found:
            raise PlanError([f"{method}: no blocks with linear layers are found in this model: name some as targets"])
    else:
        found = [path for path in linear if any(matches(path, glob) for glob in globs)]
        _refuse_idle(linear, globs, method)
    taken = [path for path in found if carried(model.get_submodule(path))]
    if taken:
        raise PlanError(
            [
                f"{method}: {listed(map(repr, taken), 3)} carry an adapter of another method already, and one module "
                "takes one: give each method targets of its own"
            ]
        )
    return found


def linear_layers(model: nn.Module) -> list[str]:
    """Return the paths of a model's linear layers, transformers' transposed ones included, adapters left out."""
    from torch import nn

    inside = tuple(f"{path}." for path, module in model.named_modules() if "stands_beside" in vars(module))
    return [
        path
        for path, module in model.named_modules()
        if (isinstance(module, nn.Linear) or _transposed(module)) and not (inside and path.startswith(inside))
    ]


def fans_out(model: nn.Module, paths: Sequence[str]) -> bool:
    """Return whether the layers keep their weights transposed, as GPT-2's do."""
    return any(_transposed(model.get_submodule(path)) for path in paths)


def matches(path: str, glob: str) -> bool:
    """Return whether a glob is of the whole path, or of its end.

    >>> matches("encoder.layer.0.attention.query", "query"), matches("encoder.subquery", "query")
    (True, False)
    """
    return fnmatchcase(path, glob) or fnmatchcase(path, f"*.{glob}")


def _transposed(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D" and type(module).__module__.startswith("transformers.")


def _refuse_idle(linear: Sequence[str], globs: Sequence[str], method: str) -> None:
    ends = sorted({path.rpartition(".")[2] for path in linear})
    problems = [
        f"{method}: targets: {glob!r} matches none of the model's {len(linear)} linear layers"
        f"{nearest(glob, [*ends, *linear])}; they end in {listed(ends, 12)}"
        for glob in globs
        if not any(matches(path, glob) for path in linear)
    ]
    if problems:
        raise PlanError(problems)
