"""The logarithm of a circuit's value with its gradient, which are the marginals of the leaves.

Products of probabilities in double precision are exact and, while a batch fits the cache, fast, down to 1e-200 and a
little below: what is lost under 1e-308 is nothing beside that. Examples whose value is smaller, and larger circuits,
are computed in logarithms.
"""

from __future__ import annotations

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

ROOM = 150_000
"""The most numbers of a batch, nodes times examples, that fit the cache in double precision."""

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
    large = leaves.variables > MOST or circuit.rows * len(scores) > ROOM
    if large or scores.device.type == "mps":  # which knows no double precision
        return LogValue.apply(scores, penalties, circuit, leaves)  # type: ignore[no-untyped-call,no-any-return]
    with torch.no_grad():
        values = circuit.products(leaves.weights(scores), _coins(penalties))
        fit = values[circuit.root] >= SMALLEST
    if fit.all():
        return PlainValue.apply(scores, penalties, values, circuit, leaves)  # type: ignore[no-untyped-call,no-any-return]
    if not fit.any():
        return LogValue.apply(scores, penalties, circuit, leaves)  # type: ignore[no-untyped-call,no-any-return]
    plain, far = fit.nonzero()[:, 0], (~fit).nonzero()[:, 0]
    near = PlainValue.apply(scores[plain], penalties[:, plain], values[:, plain], circuit, leaves)  # type: ignore[no-untyped-call]
    again = LogValue.apply(scores[far], penalties[:, far], circuit, leaves)  # type: ignore[no-untyped-call]
    return torch.cat((near, again))[torch.cat((plain, far)).argsort()]


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
    """The logarithm of a circuit's value by products, which are given.

    The gradient is found with the value, while the products are in the cache; nothing else is kept for it.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        scores: Tensor,
        penalties: Tensor,
        values: Tensor,
        circuit: Circuit,
        leaves: Leaves,
    ) -> Tensor:
        """Return (batch,) log-values."""
        value = values[circuit.root]
        if any(ctx.needs_input_grad):
            slopes, weights = circuit.slopes(values, value.reciprocal()), values[: leaves.many]
            of_scores = leaves.score_gradient(weights, slopes[: leaves.many].mul_(weights)).to(scores.dtype)
            ctx.save_for_backward(of_scores, _of_penalties(values, slopes, penalties, leaves))
        return value.log().to(scores.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None, None]:  # noqa: ANN401
        """Return the gradients of scores and penalties."""
        of_scores, of_penalties = ctx.saved_tensors
        of_penalties = of_penalties * gradient if ctx.needs_input_grad[1] else None
        return of_scores * gradient[:, None], of_penalties, None, None, None


def _of_penalties(values: Tensor, slopes: Tensor, penalties: Tensor, leaves: Leaves) -> Tensor:
    """Return (formulas, batch) the gradient of penalties, from the products and the slopes of the coins."""
    if not len(penalties):
        return penalties
    off, on = slopes[leaves.many :].view(2, *penalties.shape)
    slope: Tensor = on.sub_(off).mul_(values[leaves.many :][: len(penalties)])
    return slope.to(penalties.dtype)


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
