"""The network and its tokenizer: loaded with a head for the task's labels, and saved."""

from __future__ import annotations

from contextlib import contextmanager
from fnmatch import fnmatchcase
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from triune.errors import EnvironmentProblem
from triune.spaces import Categorical, OutputSpace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import nn

FAILURES = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What transformers raises of a folder that it cannot make sense of."""


def tokenizer_of(source: Path, name: str) -> Any:  # noqa: ANN401 - transformers is untyped
    """Return the tokenizer beside a model.

    Raises:
        EnvironmentProblem: it is not there, or cannot be read.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        # where no tokenizer lies, transformers makes one that knows no word, and every text would be alike
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
            raise OSError("it is not there: no file holds its vocabulary")
    except FAILURES as error:
        raise _unreadable(name, source, "tokenizer", error) from error
    return tokenizer


def network_of(source: Path, space: OutputSpace, name: str, dropout: float | None) -> nn.Module:
    """Return the network with one score a label, in full precision.

    Raises:
        EnvironmentProblem: it cannot be read.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForSequenceClassification

    try:
        settings = AutoConfig.from_pretrained(source)
        settings.update(_head(space))
        if dropout is not None:
            settings.update({key: dropout for key in settings.to_dict() if key.endswith(("dropout", "dropout_prob"))})
        with quiet():
            network: nn.Module = AutoModelForSequenceClassification.from_pretrained(
                source, config=settings, dtype=torch.float32
            )
    except SafetensorError as error:
        raise _unreadable(name, source, "model", OSError(f"its weights are damaged ({error})")) from error
    except FAILURES as error:
        raise _unreadable(name, source, "model", error) from error
    return network


def _head(space: OutputSpace) -> dict[str, object]:
    several = "single_label_classification" if isinstance(space, Categorical) else "multi_label_classification"
    names = {place: str(label) for place, label in enumerate(space.labels)}
    return {
        "num_labels": len(names),
        "problem_type": several,
        "id2label": names,
        "label2id": {name: place for place, name in names.items()},
    }


def head_of(network: nn.Module) -> tuple[str, ...]:
    """Return globs of the parameters that lie outside the pretrained encoder, or are its pooler.

    A pooler sits between the last block and the classifier, and many checkpoints come without its weights.
    """
    encoder = getattr(network, "base_model_prefix", "")
    outside = [f"{name}.*" for name, _ in network.named_children() if name != encoder]
    pooled = any(name.startswith(f"{encoder}.pooler.") for name, _ in network.named_parameters())
    return (*outside, *([f"{encoder}.pooler.*"] if pooled else []))


def start_at(network: nn.Module, shares: Sequence[float]) -> None:
    """Set the bias of the head's last layer so that every label begins at its share, in (0, 1).

    From one half, the first hundreds of steps only teach a head that most labels are rare, and the encoder
    meanwhile learns to say nothing (Lin et al. 2017, §4.1). A head without a bias stays as it is.
    """
    import torch
    from torch import nn

    last = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear)
        and module.out_features == len(shares)
        and module.bias is not None
        and any(fnmatchcase(f"{name}.bias", glob) for glob in head_of(network))
    ]
    if last:
        with torch.no_grad():
            last[-1].bias.copy_(torch.tensor(shares).logit())


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


def _unreadable(name: str, source: Path, what: str, error: Exception) -> EnvironmentProblem:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if "ignore_mismatched_sizes" in reason:
        reason = "its weights have not the shapes that its config.json says"
    reason = shorten(reason, 200, placeholder=" …").rstrip(".")
    return EnvironmentProblem(
        f"model {name!r}: the {what} in {source} cannot be read: {reason}; "
        "give a folder that save_pretrained wrote, with its tokenizer"
    )
