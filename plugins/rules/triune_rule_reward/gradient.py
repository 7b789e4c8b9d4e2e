"""The policy gradient: answers that are worth more than the others drawn beside them become more likely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune import TermValues

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from triune import Batch, Outputs, Step
    from triune_rule_reward.draws import Draws
    from triune_rule_reward.rewards import Rewards


def advantages(rewards: Tensor) -> Tensor:
    """Return r_i − mean of the r_j of the other draws, (draws, batch): Kool et al. 2019."""
    draws = len(rewards)
    return (rewards - rewards.mean(0)) * (draws / (draws - 1))


def lost(rewards: Tensor, log_p: Tensor) -> Tensor:
    """Return (batch,) the share of rules that drawn answers break, 1 − mean r_i.

    Its gradient is that of −mean A_i log p(y_i), whose expectation is the gradient of 1 − E r: REINFORCE
    (Williams 1992) with the leave-one-out baseline, which is independent of the draw that it is taken from.
    """
    policy = -(advantages(rewards) * log_p).mean(0)
    return 1 - rewards.mean(0) + policy - policy.detach()


def log_likelihood(answers: Tensor, outputs: Outputs) -> Tensor:
    """Return (draws, batch) log p of answers (draws, *shape of the scores), summed over labels or tokens."""
    each = outputs.space.log_likelihood(outputs.scores, answers.float())
    if outputs.mask is not None:
        each = each * outputs.mask
    return each if each.dim() == 2 else each.sum(-1)


def rewarded(draws: Draws, rewards: Rewards) -> Callable[[Step, Batch, Outputs], TermValues]:
    """Return the loss term's values, and which examples they count of."""

    def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        answers = draws(step, batch, outputs)
        values = lost(rewards(answers, batch, outputs), log_likelihood(answers, outputs))
        return TermValues(values, rewards.mask(batch, outputs))

    return compute
