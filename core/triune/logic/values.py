"""The logarithm of a circuit's value with its gradient, which are the marginals of the leaves.

Products of probabilities in double precision are exact and fast, down to 1e-200 and a little below: what is lost
under 1e-308 is nothing beside that. Examples whose value is smaller are computed anew in logarithms.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253
from torch.autograd import Function  # noqa: TID253
from torch.autograd.function import once_differentiable  # noqa: TID253

from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from triune.logic.leaves import Leaves
    from triune.logic.levels import Circuit

SMALLEST = 1e-200
"""The smallest value of a circuit in plain numbers."""

MOST = 512
"""Of more variables than these, products are too small as a rule."""

TINY = 1e-18
"""Nats that change no value, and give rules that cost nothing the slope that they have there."""


def log_value(scores: Tensor, penalties: Tensor, circuit: Circuit, leaves: Leaves) -> Tensor:
    """Return (batch,) the logarithm of a circuit's value, differentiable once.

    Args:
        scores: (batch, columns).
        penalties: (formulas, batch) nats; the last leaves of the circuit are their coins, off and then on.
        circuit: the circuit.
        leaves: how scores become the weights of its leaves.
    """
    if leaves.variables > MOST or scores.device.type == "mps":  # which knows no double precision
        return LogValue.apply(scores, penalties, circuit, leaves)  # type: ignore[no-untyped-call,no-any-return]
    value, small = PlainValue.apply(scores, penalties, circuit, leaves)  # type: ignore[no-untyped-call]
    rows = small.nonzero()[:, 0]
    if len(rows):
        again = LogValue.apply(scores[rows], penalties[:, rows], circuit, leaves)  # type: ignore[no-untyped-call]
        value = value.index_copy(0, rows, again)
    return value  # type: ignore[no-any-return]


def log_coins(penalties: Tensor) -> Tensor:
    """Return (2 · formulas, batch) the log-probabilities that coins are off, then that they are on."""
    return torch.cat((-penalties, (-torch.expm1(-penalties - TINY)).log()))


def _coins(penalties: Tensor) -> Tensor:
    """Return (2 · formulas, batch) the probabilities that coins are off, then that they are on."""
    if not len(penalties):
        return penalties
    nats = -penalties.double()
    return torch.cat((nats.exp(), -nats.expm1()))


class PlainValue(Function):
    """The logarithm of a circuit's value by products, and where that is too small to be one."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        scores: Tensor,
        penalties: Tensor,
        circuit: Circuit,
        leaves: Leaves,
    ) -> tuple[Tensor, Tensor]:
        """Return (batch,) log-values and (batch,) whether they are of no use."""
        values = circuit.products(leaves.weights(scores), _coins(penalties))
        root = values[circuit.root]
        small = ~(root >= SMALLEST)
        ctx.circuit, ctx.leaves, ctx.dtype = circuit, leaves, scores.dtype
        ctx.save_for_backward(values, penalties, root.masked_fill(small, math.inf))
        ctx.mark_non_differentiable(small)
        return root.log().to(scores.dtype), small

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, Tensor | None, None, None]:  # noqa: ANN401
        """Return the gradients of scores and penalties; none where the value is too small."""
        values, penalties, root = ctx.saved_tensors
        leaves, slopes = ctx.leaves, ctx.circuit.slopes(values, gradient / root)
        weights = values[: leaves.many]
        of_scores = leaves.score_gradient(weights, slopes[: leaves.many] * weights).to(ctx.dtype)
        if not ctx.needs_input_grad[1]:
            return of_scores, None, None, None
        off, on = slopes[leaves.many :].view(2, *penalties.shape)
        return of_scores, ((on - off) * values[leaves.many :][: len(penalties)]).to(penalties.dtype), None, None


class LogValue(Function):
    """The logarithm of a circuit's value by sums of logarithms, at any size."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, penalties: Tensor, circuit: Circuit, leaves: Leaves) -> Tensor:  # noqa: ANN401
        """Return (batch,) the root's value; -1e30 where the circuit is false."""
        weights = leaves.log_weights(scores)
        values, shares = circuit.values(weights, log_coins(penalties))
        ctx.circuit, ctx.leaves = circuit, leaves
        ctx.save_for_backward(weights, penalties, values[circuit.root] > NEVER / 2, *shares)
        return values[circuit.root].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:  # noqa: ANN401
        """Return the gradients of scores and penalties; none where the circuit is false."""
        weights, penalties, possible, *shares = ctx.saved_tensors
        flow = ctx.circuit.flow(gradient * possible, shares)
        of_scores = ctx.leaves.score_gradient(weights.exp(), flow[: len(weights)])
        if not ctx.needs_input_grad[1]:
            return of_scores, None, None, None
        off, on = flow[len(weights) :].view(2, *penalties.shape)
        return of_scores, on / torch.expm1(penalties + TINY) - off, None, None
