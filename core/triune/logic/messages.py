"""Tag sequences on tensors: sums and best paths over automaton × tags, every sequence of a batch at once.

With states i, j and a set of tags g(i, j) that leads from i to j, the messages are

    forward_{t+1}[j] = log sum_i exp(forward_t[i] + log p_t(g(i, j))),    backward alike from the end.

Both run in one loop. Tensors are (tokens, …, batch), so that the batch is contiguous.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253
from torch.autograd import Function  # noqa: TID253
from torch.autograd.function import once_differentiable  # noqa: TID253

from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

BLOCK = 2**22
"""Numbers of a block of moves."""


@dataclass(frozen=True, slots=True)
class Moves:
    """Which tags lead from which state to which.

    Attributes:
        states: how many.
        sets: the distinct sets of tags that lead from some state to another.
        between: (states, states) the number of the set that leads from i to j; `len(sets)` where none does.
    """

    states: int
    sets: tuple[tuple[int, ...], ...]
    between: Tensor

    def sums(self, log_p: Tensor) -> Tensor:
        """Return (tokens, sets + 1, batch) the log-probability of each set, and never, for (tokens, tags, batch)."""
        return self._of_sets(log_p, lambda members: members.logsumexp(1))

    def best(self, log_p: Tensor) -> Tensor:
        """Return (tokens, sets + 1, batch) the largest log-probability in each set, and never."""
        return self._of_sets(log_p, lambda members: members.amax(1))

    def _of_sets(self, log_p: Tensor, law: Callable[[Tensor], Tensor]) -> Tensor:
        own = log_p.new_full((len(log_p), len(self.sets) + 1, log_p.shape[2]), NEVER)
        for place, tags in enumerate(self.sets):
            members = log_p.index_select(1, torch.tensor(tags, device=log_p.device))
            own[:, place] = members[:, 0] if len(tags) == 1 else law(members)
        return own


def moved(sets: Tensor, between: Tensor) -> Iterator[Tensor]:
    """Yield, token by token, (*between, batch) the logarithm of every move, for (tokens, sets, batch)."""
    batch = sets.shape[2]
    at_once = max(1, BLOCK // max(between.numel() * batch, 1))
    for block in torch.split(sets, at_once):
        yield from block.index_select(1, between.reshape(-1)).view(-1, *between.shape, batch)


def both_ways(moves: Moves, sets: Tensor, final: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return (tokens + 1, states, batch) the forward and the backward messages; a masked token changes none.

    `sets` are (tokens, sets, batch), `final` (states, batch), `mask` (tokens, batch).
    """
    tokens, many, batch = sets.shape
    # direction 1 reads the sequence from its end, along the moves turned around
    between = torch.stack((moves.between, moves.between.t() + many), 1)
    masks = None if mask is None else torch.stack((mask, mask.flip(0)), 1).unsqueeze(2)
    messages = sets.new_full((tokens + 1, 2, moves.states, batch), NEVER)
    messages[0, 0, 0] = 0.0
    messages[0, 1] = final
    for token, step in enumerate(moved(torch.cat((sets, sets.flip(0)), 1), between)):
        paths = step + messages[token].transpose(0, 1).unsqueeze(2)
        top = paths.amax(0)
        after = paths.sub_(top).exp_().sum(0).log_().add_(top)
        messages[token + 1] = after if masks is None else torch.where(masks[token], after, messages[token])
    return messages[:, 0], messages[:, 1].flip(0)


class LogSum(Function):
    """The log-probability that a sequence is accepted, penalties included; its gradient are posterior marginals."""

    @staticmethod
    def forward(ctx: Any, log_p: Tensor, final: Tensor, mask: Tensor | None, moves: Moves) -> Tensor:  # noqa: ANN401
        """Return (batch,), for (tokens, tags, batch) and final weights (states, batch)."""
        sets = moves.sums(log_p)
        ahead, back = both_ways(moves, sets, final, mask)
        log_z = (ahead[-1] + final).logsumexp(0).clamp_(min=NEVER)
        ctx.moves, ctx.mask = moves, mask
        ctx.save_for_backward(log_p, sets, ahead, back, log_z, final)
        return log_z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:  # noqa: ANN401
        """Return the gradients of log-probabilities and final weights; none where nothing is accepted."""
        log_p, sets, ahead, back, log_z, final = ctx.saved_tensors
        gradient = gradient * (log_z > NEVER / 2)
        shares = _tag_shares(ctx.moves, log_p, sets, ahead, back)
        if ctx.mask is not None:
            shares = shares * ctx.mask[:, None]
        return shares.mul_(gradient), (ahead[-1] + final).softmax(0).mul_(gradient), None, None


def _tag_shares(moves: Moves, log_p: Tensor, sets: Tensor, ahead: Tensor, back: Tensor) -> Tensor:
    """Return (tokens, tags, batch) the posterior probability of every tag."""
    before, after = (moves.between < len(moves.sets)).nonzero(as_tuple=True)
    which = moves.between[before, after]
    paths = ahead[:-1].index_select(1, before) + sets.index_select(1, which) + back[1:].index_select(1, after)
    # far from zero logarithms are rounded coarsely: shares are made to sum to one
    of_moves = paths.softmax(1)
    of_sets = torch.zeros_like(sets).index_add_(1, which, of_moves)
    members = [(place, tag) for place, tags in enumerate(moves.sets) for tag in tags]
    place, tag = torch.tensor(members, dtype=torch.long, device=sets.device).view(-1, 2).t()
    within = (log_p.index_select(1, tag) - sets.index_select(1, place)).exp_()
    of_sets /= torch.full_like(sets, 1e-30).index_add_(1, place, within)
    return torch.zeros_like(log_p).index_add_(1, tag, within.mul_(of_sets.index_select(1, place)))


def best_path(moves: Moves, log_p: Tensor, final: Tensor, mask: Tensor | None) -> Tensor:
    """Return (tokens, batch) the tags of the likeliest sequence (Viterbi)."""
    sets = moves.best(log_p)
    message = torch.full_like(final, NEVER)
    message[0] = 0.0
    pointers = []
    stay = torch.arange(moves.states, device=final.device)[:, None].expand_as(final)
    for token, step in enumerate(moved(sets, moves.between)):
        after, came = (step + message[:, None]).max(0)
        if mask is not None:
            after, came = torch.where(mask[token], after, message), torch.where(mask[token], came, stay)
        message = after
        pointers.append(came)
    state = (message + final).argmax(0)
    return _traced(moves, log_p, state, lambda token, to: pointers[token].gather(0, to[None])[0], lambda many: many)


def drawn_paths(
    moves: Moves, log_p: Tensor, final: Tensor, mask: Tensor | None, n: int, noise: Callable[[Sequence[int]], Tensor]
) -> Tensor:
    """Return (tokens, n · batch) the tags of n sequences a batch drawn (forward filtering, backward sampling)."""
    sets = moves.sums(log_p)
    ahead, _ = both_ways(moves, sets, final, mask)
    many = log_p.repeat(1, 1, n)
    state = _chosen((ahead[-1] + final).repeat(1, n), noise)

    def before(token: int, to: Tensor) -> Tensor:
        step = sets[token].repeat(1, n).gather(0, moves.between.to(to.device)[:, to])
        came = _chosen(ahead[token].repeat(1, n) + step, noise)
        return came if mask is None else torch.where(mask[token].repeat(n), came, to)

    return _traced(moves, many, state, before, lambda weights: weights + noise(weights.shape))


def _chosen(weights: Tensor, noise: Callable[[Sequence[int]], Tensor]) -> Tensor:
    return (weights + noise(weights.shape)).argmax(0)


def _traced(
    moves: Moves,
    log_p: Tensor,
    state: Tensor,
    before: Callable[[int, Tensor], Tensor],
    prefer: Callable[[Tensor], Tensor],
) -> Tensor:
    """Return (tokens, batch) the tags along a path, from its last states (batch,) back."""
    allowed = _allowed_tags(moves, log_p)  # (sets + 1, tags)
    tags = []
    for token in reversed(range(len(log_p))):
        came = before(token, state)
        which = moves.between[came, state]
        weights = log_p[token].masked_fill(~allowed[which].t(), 4 * NEVER)  # behind tags that cost as much as can be
        tags.append(prefer(weights).argmax(0))
        state = came
    return torch.stack(tags[::-1])


def _allowed_tags(moves: Moves, log_p: Tensor) -> Tensor:
    allowed = torch.zeros(len(moves.sets) + 1, log_p.shape[1], dtype=torch.bool, device=log_p.device)
    for place, tags in enumerate(moves.sets):
        allowed[place, list(tags)] = True
    return allowed
