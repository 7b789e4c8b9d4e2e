"""The network with a score for each tag of each piece, and a tokenizer that takes words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from triune.errors import ModelError
from triune.pretrained import names_of
from triune.pretrained import network_of as loaded
from triune.pretrained import tokenizer_of as loaded_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from triune.spaces import Tags

SCHEME = "tag_scheme"
"""Where the configuration of an exported network says which scheme its tags follow."""


def network_of(source: Path, space: Tags, scheme: str, name: str, dropout: float | None) -> nn.Module:
    """Return the network, in full precision.

    Raises:
        ModelError: it cannot be read.
    """
    from transformers import AutoModelForTokenClassification

    settings = {**names_of(space.labels), SCHEME: scheme}
    return loaded(AutoModelForTokenClassification, source, name, settings, dropout)


def scheme_in(folder: Path) -> str:
    """Return the scheme that an exported network was trained with."""
    return str(json.loads((folder / "config.json").read_text(encoding="utf-8"))[SCHEME])


def tokenizer_of(source: Path, name: str) -> Any:  # noqa: ANN401 - transformers is untyped
    """Return a tokenizer that knows which word each piece is of, and that words stand between blanks.

    Raises:
        ModelError: it cannot be read, or cannot tell.
    """
    tokenizer = loaded_tokenizer(source, name)
    if not tokenizer.is_fast:
        raise ModelError(
            f"model {name!r}: its tokenizer does not tell which word a piece is of; give a model with a fast tokenizer "
            "(tokenizer.json)"
        )
    if getattr(tokenizer, "add_prefix_space", None) is False:
        tokenizer = loaded_tokenizer(source, name, {"add_prefix_space": True})
    _part_words(tokenizer.backend_tokenizer)
    return tokenizer


def _part_words(backend: Any) -> None:  # noqa: ANN401
    """Let byte-level pieces say that a word begins: given words one by one, the tokenizer sees no blank between."""
    from tokenizers.pre_tokenizers import ByteLevel

    splitting = backend.pre_tokenizer
    if isinstance(splitting, ByteLevel) and not splitting.add_prefix_space:
        backend.pre_tokenizer = ByteLevel(add_prefix_space=True, use_regex=splitting.use_regex)
