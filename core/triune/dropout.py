"""Dropout at a fraction of torch's price on a CPU.

There, torch draws one Bernoulli number an element, which costs as much as dozens of additions, and
attention with dropout leaves the fused kernel for a slow path. Here one draw of the same generator
yields the masks of four elements. Nothing in a model changes: inside the context, calls of `dropout`
and `scaled_dot_product_attention` are answered by the functions below; outside it, by torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - this module is torch
from torch import Tensor, nn  # noqa: TID253
from torch.autograd import Function  # noqa: TID253
from torch.autograd.graph import _engine_run_backward  # noqa: TID253
from torch.nn import functional  # noqa: TID253
from torch.overrides import TorchFunctionMode  # noqa: TID253

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

LEVELS = 2**16
"""Probabilities are multiples of 1 / LEVELS: an element's share of a draw is 16 bits."""


def fast_dropout() -> AbstractContextManager[object]:
    """Return the context in which dropout on a CPU is cheap; forward and backward belong inside.

    Every network is reached that calls `torch.nn.functional.dropout` (as `nn.Dropout` does) or torch's
    `scaled_dot_product_attention`, whatever its class; modules, parameters and hooks stay as they are.
    The rest is left to torch: other devices, evaluation, in-place dropout, p = 0 and p = 1, causal and
    grouped attention, learnt masks, and dropout inside of torch's own fused layers (`nn.MultiheadAttention`).

    An element is dropped with probability round(p · 65536) / 65536, at least 1 / 65536, and what is kept
    is divided by exactly one minus that, so expectations are those without dropout. Masks come from torch's
    global generator: its state is all that a resumed run needs. The numbers drawn are not torch's, though
    their distribution is. The attention can be differentiated once.

    Example:
        >>> import torch
        >>> with fast_dropout():
        ...     kept = torch.nn.functional.dropout(torch.ones(10_000), 0.25)
        >>> sorted({round(value, 4) for value in kept.tolist()})
        [0.0, 1.3333]
    """
    return _FastDropout()


class _FastDropout(TorchFunctionMode):
    """Answers the two functions in `ANSWERS`; a call made while answering goes to torch."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Iterable[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        if func is Tensor.backward:
            _backward(self, *args, **(kwargs or {}))
            return None
        return ANSWERS.get(func, func)(*args, **(kwargs or {}))


def _backward(
    mode: _FastDropout,
    loss: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Do what `Tensor.backward` does, with the mode on: checkpointed activations are computed again in there.

    Torch suspends a mode while it answers, and each public way to the engine asks the mode first.
    """
    if gradient is None and loss.numel() != 1:
        torch.autograd.backward(loss)  # which says what is wrong
    seed = torch.ones_like(loss) if gradient is None else gradient
    ends = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs or ())
    retain = create_graph if retain_graph is None else retain_graph
    with mode:
        _engine_run_backward((loss,), (seed,), retain, create_graph, ends, allow_unreachable=True, accumulate_grad=True)


def keep_mask(shape: torch.Size, p: float) -> tuple[Tensor, float]:
    """Return a uint8 mask of `shape`, 0 with probability p and 1 otherwise, and the factor for what is kept."""
    dropped = min(max(round(p * LEVELS), 1), LEVELS - 1)
    count = shape.numel()
    draws = torch.empty(-(-count // 4), dtype=torch.int64, device="cpu").random_(-(2**63), None)
    bits = draws.view(torch.int16)[:count]  # uniform over [-LEVELS / 2, LEVELS / 2)
    return (bits >= dropped - LEVELS // 2).view(torch.uint8).view(shape), LEVELS / (LEVELS - dropped)


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if training and not inplace and 0 < p < 1 and _plain(input):
        dropped: Tensor = _Dropout.apply(input, p)  # type: ignore[no-untyped-call]
        return dropped
    return functional.dropout(input, p, training, inplace)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    plain = _plain(query, key, value) and query.dim() == 4 and query.shape[:2] == key.shape[:2] == value.shape[:2]
    if plain and 0 < dropout_p < 1 and not is_causal and not enable_gqa:
        bias = None if attn_mask is None else _additive(attn_mask, query.dtype)
        if bias is None or not (bias.requires_grad or bool(bias.amax(-1).isneginf().any())):
            factor = query.shape[-1] ** -0.5 if scale is None else scale
            heads = _as_autocast(query, key, value)
            attended: Tensor = _Attention.apply(*heads, bias, dropout_p, factor)  # type: ignore[no-untyped-call]
            return attended
    return functional.scaled_dot_product_attention(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )


ANSWERS: Mapping[Callable[..., object], Callable[..., object]] = {
    functional.dropout: _dropout,
    functional.scaled_dot_product_attention: _attention,
}


def _plain(*tensors: Tensor) -> bool:
    return all(
        type(tensor) in (Tensor, nn.Parameter) and tensor.device.type == "cpu" and tensor.is_floating_point()
        for tensor in tensors
    )


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a mask as what is added to scores: where a Boolean one is False, minus infinity."""
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, dtype=dtype).masked_fill_(~mask, float("-inf"))


def _as_autocast(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Return the tensors as autocast would hand them to attention."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    return tuple(tensor.to(torch.get_autocast_dtype("cpu")) for tensor in tensors)


class _Dropout(Function):
    """y = x · mask / (1 - p)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float) -> Tensor:  # noqa: ANN401
        mask, ctx.factor = keep_mask(x.shape, p)
        ctx.save_for_backward(mask)
        return (x * mask).mul_(ctx.factor)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        (mask,) = ctx.saved_tensors
        return (grad * mask).mul_(ctx.factor), None


class _Attention(Function):
    """o = (softmax(q kᵀ · scale + bias) · mask / (1 - p)) v; q, k, v, o are (batch, heads, tokens, width).

    Written out because it keeps one probability and one byte a pair of tokens for the way back, and scales
    the output instead of the probabilities.
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        q: Tensor,
        k: Tensor,
        v: Tensor,
        bias: Tensor | None,
        p: float,
        scale: float,
    ) -> Tensor:
        pairs = (*q.shape[:3], k.shape[2])  # (batch, heads, queries, keys)
        q, k, v = ((q * scale).flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1))
        scores = (q @ k.mT).view(pairs)
        scores = scores if bias is None else scores.add_(bias)
        wide = torch.promote_types(scores.dtype, torch.float32)  # a softmax in bf16 would lose too much
        probabilities = scores.softmax(-1, dtype=wide).to(v.dtype).flatten(0, 1)
        mask, ctx.factor = keep_mask(probabilities.shape, p)
        ctx.scale = scale
        ctx.save_for_backward(q, k, v, probabilities, mask)
        return ((probabilities * mask) @ v).mul_(ctx.factor).view(*pairs[:3], -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        q, k, v, probabilities, mask = ctx.saved_tensors
        shapes = [(*grad.shape[:2], *one.shape[1:]) for one in (q, k, v)]
        grad = (grad * ctx.factor).flatten(0, 1)
        grad_v = (probabilities * mask).mT @ grad
        slopes = (grad @ v.mT).mul_(mask)
        # The softmax's own backward: P · (slopes − Σ P · slopes), in one pass.
        slopes = torch._softmax_backward_data(slopes, probabilities, -1, probabilities.dtype)
        grad_q, grad_k = (slopes @ k).mul_(ctx.scale), slopes.mT @ q
        grads = zip((grad_q, grad_k, grad_v), shapes, strict=True)
        return *(one.view(shape) for one, shape in grads), None, None, None
