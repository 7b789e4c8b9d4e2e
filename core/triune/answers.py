"""Answers in the form of outputs, and what rules whose truth is a function say of them.

A `SoftFormula` reads what the model believes. Of outputs that give one answer for sure it tells how true the rule is
of that answer; methods that weigh answers against one another ask it so.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from triune.errors import PluginError
from triune.logic.formulas import FormulaError, SoftFormula

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from triune.types import Batch, GroundedRules, Outputs, Rule

SURE = 1e6
"""The score of what an answer says, and less this of what it does not: its probability is 1 to the last bit."""
ROUNDING = 1e-4


def certainly(outputs: Outputs, answer: Tensor) -> Outputs:
    """Return outputs that give an answer, booleans in the shape of the scores, for sure."""
    return replace(outputs, scores=(2 * answer.float() - 1) * SURE, hidden=None, decided=answer)


def truth_of(rule: Rule, outputs: Outputs, batch: Batch, fires: Tensor) -> Tensor:
    """Return what `belief_of` does, without gradient.

    So its function may return anything that can be made a tensor: a list of booleans, say.

    Raises:
        FormulaError: it says a formula.
        PluginError: its function returns what is no truth.
    """
    import torch

    with torch.no_grad():
        return belief_of(rule, outputs, batch, fires)


def belief_of(rule: Rule, outputs: Outputs, batch: Batch, fires: Tensor) -> Tensor:
    """Return (batch,) how true a rule is that says a `SoftFormula`, with gradient; 1 where it does not fire.

    Args:
        rule: the rule.
        outputs: what it is asked of.
        batch: the examples.
        fires: (batch,) on which of them it fires.

    Raises:
        FormulaError: it says a formula; the exact engine answers for those.
        PluginError: its function returns what is no truth, or loses the gradient.
    """
    import torch

    if not isinstance(rule.then, SoftFormula):
        raise FormulaError(f"{rule.where} says a formula over labels: ask the exact engine")
    truth = torch.where(fires, _shaped(rule, rule.then.fn(outputs, batch), fires), 1.0)
    wrong = ~((truth >= -ROUNDING) & (truth <= 1 + ROUNDING))  # NaN is wrong too
    if bool(wrong.any()):
        raise PluginError(
            f"{rule.where}: its function returns {truth[wrong][0].item():g} for example {int(batch.rows[wrong][0])} of "
            f"the {batch.split} table: a truth is from 0, broken, to 1, kept"
        )
    if torch.is_grad_enabled() and outputs.scores.requires_grad and not truth.requires_grad:
        raise PluginError(
            f"{rule.where}: its function loses the gradient: compute from outputs.scores with torch operations, "
            "without detach, item or numpy"
        )
    return truth.clamp(0, 1)


def _shaped(rule: Rule, said: object, fires: Tensor) -> Tensor:
    """Return what a function said as a tensor, one an example."""
    import torch

    try:
        truth = torch.as_tensor(said, dtype=torch.float32, device=fires.device)
    except (TypeError, ValueError, RuntimeError):
        truth = torch.empty(0)
    if truth.shape != fires.shape:
        found = tuple(said.shape) if isinstance(said, torch.Tensor) else type(said).__name__
        raise PluginError(
            f"{rule.where}: its function returns {found}: return a tensor ({len(fires)},), one an example"
        )
    return truth


def believed(rules: GroundedRules) -> Callable[[Outputs, Batch], Tensor] | None:
    """Return what gives (rules, batch), the truths under outputs of all rules that say a `SoftFormula`, in their order.

    NaN where one does not fire; None where no rule says one.
    """
    import torch

    soft = soft_places(rules)
    if not soft:
        return None

    def truths(outputs: Outputs, batch: Batch) -> Tensor:
        fires = rules.on(batch)[list(soft)]
        each = [truth_of(rules.rules[place], outputs, batch, fired) for place, fired in zip(soft, fires, strict=True)]
        return torch.where(fires, torch.stack(each), float("nan"))

    return truths


def soft_places(rules: GroundedRules) -> tuple[int, ...]:
    """Return which rules say a `SoftFormula`."""
    return tuple(place for place, rule in enumerate(rules.rules) if isinstance(rule.then, SoftFormula))
