"""Gradients that pull against each other: PCGrad, Yu et al. 2020, as coefficients of the losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn


def inner_products(losses: Sequence[Tensor], parameters: Sequence[nn.Parameter]) -> Tensor:
    """Return (losses, losses) the inner products of the losses' gradients; the graph is kept."""
    import torch

    flat = []
    for loss in losses:
        found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
        each = zip(found, parameters, strict=True)
        flat.append(torch.cat([(p.new_zeros(p.shape) if g is None else g).flatten() for g, p in each]))
    gradients = torch.stack(flat).double()
    return gradients @ gradients.T


def projected(products: Tensor, orders: Sequence[Sequence[int]]) -> list[float]:
    """Return what each loss counts where every gradient gave up what pulls against another.

    Each gradient g_i loses, for one other after the other, its part along g_j where g_i · g_j < 0. As all of them stay
    combinations of the gradients, the sum is one, and so is the loss of which it is the gradient.

    Args:
        products: (losses, losses) inner products of gradients.
        orders: for each loss the others, in the order in which it gives way to them.
    """
    import torch

    shares = torch.eye(len(products), dtype=products.dtype)
    for mine, others in enumerate(orders):
        for other in others:
            along = shares[mine] @ products[:, other]
            if along < 0 and products[other, other] > 0:
                shares[mine, other] -= along / products[other, other]
    found: list[float] = shares.sum(0).tolist()
    return found
