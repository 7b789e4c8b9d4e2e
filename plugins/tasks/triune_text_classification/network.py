"""The network with a head for the task's labels, and where that head starts."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from triune.pretrained import head_of, names_of
from triune.pretrained import network_of as loaded
from triune.spaces import Categorical, OutputSpace

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn


def network_of(source: Path, space: OutputSpace, name: str, dropout: float | None) -> nn.Module:
    """Return the network with one score a label, in full precision.

    Raises:
        ModelError: it cannot be read.
    """
    from transformers import AutoModelForSequenceClassification

    several = "single_label_classification" if isinstance(space, Categorical) else "multi_label_classification"
    settings = {"problem_type": several, **names_of(space.labels)}
    return loaded(AutoModelForSequenceClassification, source, name, settings, dropout)


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
