"""The scores of neighbouring tags: a parameter of the model that this plugin brings, saves and loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.errors import CheckpointError, PlanError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from triune.spaces import OutputSpace

NAME = "tag_transitions"
FILE = "transitions.safetensors"


def attached(model: nn.Module, space: OutputSpace, finished: Path | None) -> nn.Parameter:
    """Return the parameter (tags, tags), row before column, after giving it to the model.

    Args:
        model: that the scores belong to.
        space: the tags.
        finished: where the model of a finished run lies, to read them from.

    Raises:
        PlanError: the outputs are no sequences of tags.
        CheckpointError: the file of a finished run is not as it was written.
    """
    import torch
    from torch import nn

    if space.kind != "tags":
        raise PlanError(
            [f"transitions: learned needs sequences of tags, and these outputs are {space.kind}: leave it out"]
        )
    tags = len(space.labels)
    scores = nn.Parameter(torch.zeros(tags, tags) if finished is None else _read(finished / FILE, tags))
    model.register_parameter(NAME, scores)
    # transformers would save it with the model, and then complain when it loads one that knows no such weight
    hidden = getattr(model, "_keys_to_ignore_on_save", None)
    if hasattr(model, "save_pretrained"):
        model._keys_to_ignore_on_save = [*(hidden or ()), NAME]  # type: ignore[assignment]
    return scores


def save(scores: nn.Parameter, folder: Path) -> None:
    """Write the scores beside the model."""
    from safetensors.torch import save_file

    save_file({NAME: scores.detach().cpu().contiguous()}, folder / FILE)


def _read(path: Path, tags: int) -> nn.Parameter:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)[NAME]
    except (OSError, SafetensorError, KeyError) as error:
        raise CheckpointError(f"{path}: the transitions cannot be read ({error}): run again") from error
    if found.shape != (tags, tags):
        raise CheckpointError(f"{path}: holds {tuple(found.shape)} scores, and there are {tags} tags: run again")
    return found  # type: ignore[no-any-return]
