"""Networks and tokenizers of `transformers`: loaded with a head for a task's labels, measured, and saved.

Tasks share it, so that a folder that cannot be read is told in one way, whatever it is to predict.
"""

from __future__ import annotations

from contextlib import contextmanager
from fnmatch import fnmatchcase
from textwrap import shorten
from typing import TYPE_CHECKING, Any, cast

from triune.errors import ModelError, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from triune.types import LabelValue

FAILURES = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What transformers raises of a folder that it cannot make sense of."""


def tokenizer_of(source: Path, name: str, settings: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401
    """Return the tokenizer beside a model.

    Args:
        source: the model's folder.
        name: what messages call the model.
        settings: what to set otherwise than it was saved.

    Raises:
        ModelError: it is not there, or cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **(settings or {}))
        # where no tokenizer lies, transformers makes one that knows no word, and every text would be alike
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
            raise OSError("it is not there: no file holds its vocabulary")
    except FAILURES as error:
        raise _unreadable(name, source, "tokenizer", error) from error
    return tokenizer


def network_of(
    architecture: Any,  # noqa: ANN401 - transformers is untyped
    source: Path,
    name: str,
    settings: Mapping[str, object],
    dropout: float | None = None,
) -> nn.Module:
    """Return a network, in full precision; a head for another number of labels is left, and a new one begins.

    Args:
        architecture: the class of `transformers` that loads it, `AutoModelForTokenClassification`.
        source: the model's folder.
        name: what messages call the model.
        settings: what its configuration says of the task, such as the labels.
        dropout: everywhere in the model; None: as it was pretrained.

    Raises:
        ModelError: it cannot be read.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig

    try:
        configuration = AutoConfig.from_pretrained(source)
        other = configuration.num_labels != settings.get("num_labels", configuration.num_labels)
        configuration.update(settings)
        if dropout is not None:
            keys = [key for key in configuration.to_dict() if key.endswith(("dropout", "dropout_prob"))]
            configuration.update(dict.fromkeys(keys, dropout))
        with quiet():
            network, found = architecture.from_pretrained(
                source,
                config=configuration,
                dtype=torch.float32,
                ignore_mismatched_sizes=other,
                output_loading_info=True,
            )
        _refuse_other_shapes(network, [str(name) for name, *_ in found["mismatched_keys"]])
    except SafetensorError as error:
        raise _unreadable(name, source, "model", OSError(f"its weights are damaged ({error})")) from error
    except FAILURES as error:
        raise _unreadable(name, source, "model", error) from error
    return cast("nn.Module", network)


def _refuse_other_shapes(network: nn.Module, mismatched: Sequence[str]) -> None:
    head = head_of(network)
    if damaged := [name for name in mismatched if not any(fnmatchcase(name, glob) for glob in head)]:
        raise ValueError(f"its weights have not the shapes that its config.json says: {listed(damaged, 3)}")


def names_of(labels: Sequence[LabelValue]) -> dict[str, object]:
    """Return how the configuration of a network says which labels there are."""
    names = {place: str(label) for place, label in enumerate(labels)}
    return {"num_labels": len(names), "id2label": names, "label2id": {name: place for place, name in names.items()}}


def head_of(network: nn.Module) -> tuple[str, ...]:
    """Return globs of the parameters that lie outside the pretrained encoder, or are its pooler.

    A pooler sits between the last block and the classifier, and many checkpoints come without its weights.
    """
    encoder = getattr(network, "base_model_prefix", "")
    outside = [f"{name}.*" for name, _ in network.named_children() if name != encoder]
    pooled = any(name.startswith(f"{encoder}.pooler.") for name, _ in network.named_parameters())
    return (*outside, *([f"{encoder}.pooler.*"] if pooled else []))


def length_limit(asked: int | None, tokenizer: Any, network: Any) -> int:  # noqa: ANN401
    """Return how many tokens a text may have: what was asked for, within what the model takes."""
    positions = getattr(network.config, "max_position_embeddings", None)
    # RoBERTa-like models number positions from behind the padding token
    first = getattr(network.config, "pad_token_id", 0) or 0 if _offsets_positions(network) else -1
    most = min(
        tokenizer.model_max_length, positions - first - 1 if isinstance(positions, int) and positions > 0 else 10**9
    )
    return int(min(asked or most, most))


def _offsets_positions(network: Any) -> bool:  # noqa: ANN401
    return any(
        getattr(module, "padding_idx", None) is not None
        for name, module in network.named_modules()
        if name.endswith("position_embeddings")
    )


def save(network: Any, tokenizer: Any, folder: Path) -> None:  # noqa: ANN401
    """Write network and tokenizer as `transformers` loads them."""
    with quiet():
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence what transformers says of a head that is new, which it always is here."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _unreadable(name: str, source: Path, what: str, error: Exception) -> ModelError:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "ignore_mismatched_sizes" in reason:
        reason = "its weights have not the shapes that its config.json says"
    reason = shorten(reason, 200, placeholder=" …").rstrip(".")
    return ModelError(
        f"model {name!r}: the {what} in {source} cannot be read: {reason}; "
        "give a folder that save_pretrained wrote, with its tokenizer"
    )
