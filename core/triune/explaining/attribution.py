"""The tokens that mattered: integrated gradients of a label's log-odds on the embeddings (Sundararajan et al. 2017).

What is added up runs from the text with all its tokens replaced by padding to the text as it is, special tokens left
as they are; the words' shares make the difference of the log-odds at the two ends (completeness).
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from triune.errors import EnvironmentProblem
from triune.pretrained import tokenizer_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from triune.examples import Examples
    from triune.explaining.targets import Target
    from triune.types import Batch, Bundle

PACKAGE = "captum"
MISSING = (
    'the tokens that mattered are left out: they need captum, which is not installed: `pip install "triune[explain]"`'
)
CLOSE = 0.02
"""The share of the difference that the sum may miss before four times as many steps are taken."""
MOST_STEPS = 800
STARTS, CONTINUES = ("Ġ", "▁"), "##"
"""Marks of pieces: that a word begins (byte pairs, SentencePiece), or goes on (WordPiece)."""


def installed() -> bool:
    """Return whether attributions can be had."""
    return find_spec(PACKAGE) is not None


class Attribution:
    """Integrated gradients of one network."""

    def __init__(self, bundle: Bundle, folder: Path, device: str) -> None:
        """Find the embeddings, and the tokenizer that names them.

        Raises:
            EnvironmentProblem: the network has no embeddings of tokens.
        """
        self.bundle, self.device = bundle, device
        self.embeddings = embeddings_of(bundle.model)
        try:
            self.tokenizer = tokenizer_of(folder, str(folder))
        except EnvironmentProblem:
            self.tokenizer = None  # a network of another making: its tokens are named by their numbers

    def rows(
        self, examples: Examples, number: int, targets: Sequence[Target], steps: int
    ) -> Iterator[dict[str, object]]:
        """Yield what each word adds to the log-odds of each target."""
        import numpy as np

        batch = examples.batch(np.asarray([number])).to(self.device)
        name = "input_ids" if "input_ids" in batch.inputs else next(iter(batch.inputs))
        ids = batch.inputs[name]
        empty = self._emptied(ids, examples.inputs[name].padding)
        spans = words_of(self._pieces(ids[0].tolist()), (ids != empty)[0].tolist())
        for target in targets:
            shares, ends = self._shares(batch, name, empty, target, steps)
            for position, (word, pieces) in enumerate(spans):
                yield {
                    "example": number,
                    "label": target.label,
                    "of_token": target.token,
                    "position": position,
                    "word": word,
                    "attribution": float(shares[pieces].sum()),
                    "log_odds": ends[1],
                    "log_odds_empty": ends[0],
                }

    def _shares(
        self, batch: Batch, name: str, empty: Tensor, target: Target, steps: int
    ) -> tuple[Tensor, tuple[float, float]]:
        """Return (pieces,) what each adds, and the log-odds of the empty text and of the whole one."""
        import torch
        from captum.attr import LayerIntegratedGradients

        def log_odds(ids: Tensor) -> Tensor:
            return log_odds_of(self.bundle, widened(batch, name, ids), target)

        with torch.no_grad():
            ends = (log_odds(empty).item(), log_odds(batch.inputs[name]).item())
        method = LayerIntegratedGradients(log_odds, self.embeddings)
        while True:
            found = method.attribute(batch.inputs[name], empty, n_steps=steps, internal_batch_size=64)
            shares = cast("Tensor", found)[0].sum(-1).detach().cpu().double()
            gap = abs(float(shares.sum()) - (ends[1] - ends[0]))
            if gap <= CLOSE * max(abs(ends[1] - ends[0]), 0.1) or steps >= MOST_STEPS:
                return shares, ends
            steps = min(4 * steps, MOST_STEPS)

    def _emptied(self, ids: Tensor, padding: int) -> Tensor:
        """Return the tokens with all but special ones replaced by padding."""
        import torch

        special = [] if self.tokenizer is None else set(self.tokenizer.all_special_ids) - {self.tokenizer.unk_token_id}
        kept = torch.isin(ids, torch.tensor(sorted(special), dtype=ids.dtype, device=ids.device))
        return torch.where(kept, ids, padding)

    def _pieces(self, ids: list[int]) -> list[str]:
        if self.tokenizer is None:
            return [str(one) for one in ids]
        return [str(one) for one in self.tokenizer.convert_ids_to_tokens(ids)]


def embeddings_of(model: nn.Module) -> nn.Module:
    """Return the module that embeds token ids.

    Raises:
        EnvironmentProblem: there is none.
    """
    from torch import nn

    own: Any = getattr(model, "get_input_embeddings", None)
    found = own() if own else next((one for one in model.modules() if isinstance(one, nn.Embedding)), None)
    if found is None:
        raise EnvironmentProblem(
            f"the tokens that mattered are left out: {type(model).__name__} has no embeddings of tokens to begin from"
        )
    return cast("nn.Module", found)


def log_odds_of(bundle: Bundle, batch: Batch, target: Target) -> Tensor:
    """Return (batch,) the log-odds of a label under the network alone."""
    import torch

    scores = bundle.forward(bundle.model, batch).scores.float()
    scores = scores if target.token is None else scores[:, target.token]  # (batch, labels)
    own = scores[:, target.number]
    if bundle.space.kind == "binaries":
        return own
    others = torch.ones(scores.shape[1], dtype=torch.bool, device=scores.device)
    others[target.number] = False
    return own - scores[:, others].logsumexp(-1)


def widened(batch: Batch, name: str, ids: Tensor) -> Batch:
    """Return a batch of one example as often as there are rows of `ids`, with these in place of its own."""

    def repeated(tensor: Tensor) -> Tensor:
        return tensor.expand(len(ids), *tensor.shape[1:])

    return replace(
        batch,
        rows=repeated(batch.rows),
        inputs={other: ids if other == name else repeated(tensor) for other, tensor in batch.inputs.items()},
        targets=repeated(batch.targets),
        labelled=repeated(batch.labelled),
        weights=repeated(batch.weights),
        gold=None if batch.gold is None else repeated(batch.gold),
        mask=None if batch.mask is None else repeated(batch.mask),
    )


def words_of(pieces: Sequence[str], counted: Sequence[bool]) -> list[tuple[str, list[int]]]:
    """Return words, and the pieces that each is made of; pieces that do not count are in none.

    Where no piece carries a mark of how words are parted, every piece is a word.
    """
    marked = any(piece.startswith(STARTS) for piece in pieces)
    found: list[tuple[str, list[int]]] = []
    for place, piece in enumerate(pieces):
        if not counted[place]:
            continue
        goes_on = not piece.startswith(STARTS) if marked else piece.startswith(CONTINUES) and piece != CONTINUES
        if goes_on and found and found[-1][1][-1] == place - 1:
            word, own = found[-1]
            found[-1] = (word + piece.removeprefix(CONTINUES), [*own, place])
        else:
            found.append((piece.lstrip("".join(STARTS)) if marked else piece, [place]))
    return found
