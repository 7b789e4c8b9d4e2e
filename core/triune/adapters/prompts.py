"""Learnt vectors that a whole network reads beside its text: prompts and prefixes, put in place and taken out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from triune.adapters.beside import adapter_names, carried, put_beside, take_away
from triune.adapters.saving import WEIGHTS, place_of
from triune.errors import DataError, OutputError, PlanError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

VECTORS = "prompt_embeddings"  # what `peft` calls them in a file
TEXT, PADDED, TOLERANCE = 5, 3, 1e-3


@dataclass
class Prompted:
    """The vectors that a method brought to one model."""

    place: str  # path of the module that they stand beside; "" is the whole model
    module: Any  # has an `embedding` of the vectors
    config: Any  # a PeftConfig
    names: tuple[str, ...]  # of the parameters in the model
    first: bool  # whether the model carried no adapter before
    state: dict[str, Tensor] = field(default_factory=dict)  # the vectors once they are folded

    def fold(self, model: nn.Module) -> None:
        """Take the vectors out of the model; no weights can take them in, so they stay apart."""
        self.state = {VECTORS: self.module.embedding.weight.detach().cpu().clone()}
        take_away(model.get_submodule(self.place))


def prompt(model: nn.Module, place: str, module: nn.Module, config: Any, method: str, adapter: str) -> Prompted:  # noqa: ANN401
    """Put vectors beside a part of a network.

    Raises:
        PlanError: others stand there, another adapter has this name, or the network does not work with them.
    """
    part = model.get_submodule(place)
    if adapter in adapter_names(model):
        raise PlanError(
            [f"{method}: another adapter of this run is called {adapter!r} too: give each an adapter_name of its own"]
        )
    if carried(part):
        raise PlanError([f"{method}: {place or 'the model'!r} carries another method's vectors: leave one method out"])
    first = not any(map(carried, model.modules()))
    vars(module)["active_adapters"] = [adapter]
    child = method.replace("-", "_")
    put_beside(part, child, module)
    _refuse_unsteady(model, module, method)
    inside = f"{place}.{child}" if place else child
    return Prompted(place, module, config, tuple(f"{inside}.{name}" for name, _ in module.named_parameters()), first)


def recall(prompted: Prompted, model_folder: Path, adapter: str) -> None:
    """Give vectors the values that lie beside an exported model.

    Raises:
        OutputError: none do.
    """
    import torch
    from safetensors.torch import load_file

    file = place_of(model_folder, adapter) / WEIGHTS
    stored = load_file(file).get(VECTORS) if file.is_file() else None
    weight = prompted.module.embedding.weight
    if stored is None or stored.shape != weight.shape:
        raise OutputError(
            f"{str(file)!r} does not hold the vectors that the model needs: run again with another output"
        )
    with torch.no_grad():
        weight.copy_(stored)


def positions_of(model: Any) -> int | None:  # noqa: ANN401 - transformers is untyped
    """Return how many tokens a network has places for, or None where it does not say."""
    most = getattr(model.config, "max_position_embeddings", None)
    tables = [one for name, one in model.named_modules() if name.endswith("position_embeddings")]
    padding = [one.padding_idx for one in tables if getattr(one, "padding_idx", None) is not None]
    return int(most) - max(padding, default=-1) - 1 if isinstance(most, int) else None  # RoBERTa counts from behind it


def refuse_overlong(method: str, text: int, vectors: int, positions: int | None) -> None:
    """Refuse texts that have no place left beside the vectors.

    Raises:
        DataError: they are too long together.
    """
    if positions is not None and text + vectors > positions:
        raise DataError(
            f"{method}: a text of {text} tokens and {vectors} vectors are more than the {positions} positions of the "
            f"model: set training.max_length to {positions - vectors}"
        )


def _refuse_unsteady(model: nn.Module, module: Any, method: str) -> None:  # noqa: ANN401
    """Push one text through, with padding and without, and follow the gradient back to the vectors."""
    import torch

    training = model.training
    try:
        model.eval()
        plain, padded = (_logits(model, padding) for padding in (0, PADDED))
        (slope,) = torch.autograd.grad(plain.square().sum(), [module.embedding.weight], allow_unused=True)
    except Exception as error:  # whatever a network raises that does not take what it is given
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise PlanError(
            [f"{method}: {type(model).__name__} does not work with it ({said}): use another method"]
        ) from error
    finally:
        model.train(training)
    if slope is None or not bool(slope.any()):
        raise PlanError([f"{method}: {type(model).__name__} pays no attention to the vectors: use another method"])
    if not torch.allclose(plain, padded, rtol=TOLERANCE, atol=TOLERANCE * float(plain.detach().abs().max())):
        raise PlanError(
            [
                f"{method}: what {type(model).__name__} says with it depends on how far a text is padded, because it "
                "looks for the last token in the text alone: use another method"
            ]
        )


def _logits(model: Any, padding: int) -> Tensor:  # noqa: ANN401
    import torch

    pad = getattr(model.config, "pad_token_id", None) or 0
    words = [number for number in range(3, 4 + TEXT) if number != pad][:TEXT]
    ids = torch.tensor([words + [pad] * padding])
    mask = torch.tensor([[1] * len(words) + [0] * padding])
    scores: Tensor = model(input_ids=ids, attention_mask=mask).logits
    return scores[:, : len(words)] if scores.dim() == 3 else scores
