"""Words and their pieces: the first piece of a word carries its score."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

UNREAD = 20.0
"""How much more a word that no piece was read of scores for O than for any other tag."""


def first_pieces(words: Iterable[int | None]) -> list[int]:
    """Return, for each piece, the number of the word that it begins, counted from 1; 0 if it begins none."""
    numbers: list[int] = []
    seen: set[int] = set()
    for word in words:
        numbers.append(0 if word is None or word in seen else word + 1)
        if word is not None:
            seen.add(word)
    return numbers


def read(begins: Tensor, words: int) -> Tensor:
    """Return (batch, words) whether a piece of each word was read, from (batch, pieces) the words they begin."""
    seen = begins.new_zeros((len(begins), words + 1))
    return seen.scatter_(1, begins, 1)[:, 1:].bool()


def of_words(scores: Tensor, begins: Tensor, words: int, outside: int | None) -> Tensor:
    """Return (batch, words, tags) the score of each word's first piece, from (batch, pieces, tags).

    A word that no piece was read of (it was cut off, or has none) is O to the model; where there is no O, any tag
    is as good.

    Args:
        scores: of the pieces.
        begins: (batch, pieces) the number of the word that each begins, from 1; else 0.
        words: of the longest example.
        outside: the number of the tag O, if there is one.
    """
    import torch

    places = torch.arange(begins.shape[1], device=begins.device).expand_as(begins)
    first = begins.new_zeros((len(begins), words + 1)).scatter_(1, begins, places)[:, 1:]  # (batch, words)
    found = scores.gather(1, first[..., None].expand(-1, -1, scores.shape[-1]))
    unread = scores.new_zeros(scores.shape[-1])
    if outside is not None:
        unread -= UNREAD
        unread[outside] = 0.0
    return torch.where(read(begins, words)[..., None], found, unread)
