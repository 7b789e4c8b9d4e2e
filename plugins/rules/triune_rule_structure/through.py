"""Scores that say another distribution, with the gradient of the likelihood under it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253
from torch.autograd import Function  # noqa: TID253

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST = 1e-12
"""The smallest probability that is told apart from zero."""


class Through(Function):
    """The second argument, with the gradient of the first.

    A cross-entropy of conditioned scores has the gradient q - y with respect to them, q being the marginals given the
    rules; and q - y is also the gradient of -log p(y | rules) with respect to the model's own scores, since

        d log p(y) / d s = y - p    and    d log Z / d s = q - p.

    So a loss of labels that reads conditioned scores learns the conditioned likelihood, to the last digit.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, other: Tensor) -> Tensor:  # noqa: ANN401
        """Return the second argument."""
        return other.view_as(other)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        """Give the first argument the gradient."""
        return gradient, None


def through(scores: Tensor, other: Tensor) -> Tensor:
    """Return `other` as if it were `scores` to whoever goes back along the gradient."""
    found: Tensor = Through.apply(scores, other.to(scores.dtype))  # type: ignore[no-untyped-call]
    return found


def of_binaries(scores: Tensor, q: Tensor) -> Tensor:
    """Return the log-odds of marginals q (double), exactly the scores where rules change nothing."""
    untouched = (q - scores.double().sigmoid()).abs() < LEAST
    return torch.where(untouched, scores.double(), q.clamp(LEAST, 1 - LEAST).logit())


def of_tags(scores: Tensor, q: Tensor) -> Tensor:
    """Return the logarithm of marginals q (double)."""
    return q.clamp(min=LEAST).log()


AS_SCORES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"binaries": of_binaries, "tags": of_tags}


def log_p(kind: str, scores: Tensor, targets: Tensor) -> Tensor:
    """Return (batch,) the log-likelihood of targets when all variables are independent."""
    from torch.nn.functional import logsigmoid

    if kind == "binaries":
        return (targets * logsigmoid(scores) + (1 - targets) * logsigmoid(-scores)).sum(-1)
    return (targets * scores.log_softmax(-1)).sum((-1, -2))
