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
    from torch import Tensor

    from triune.types import Batch, Outputs, Rule

SURE = 1e6
"""The score of what an answer says, and less this of what it does not: its probability is 1 to the last bit."""
ROUNDING = 1e-4


def certainly(outputs: Outputs, answer: Tensor) -> Outputs:
    """Return outputs that give an answer, booleans in the shape of the scores, for sure."""
    return replace(outputs, scores=(2 * answer.float() - 1) * SURE, hidden=None, decided=answer)


def truth_of(rule: Rule, outputs: Outputs, batch: Batch, fires: Tensor) -> Tensor:
    """Return (batch,) how true a rule is that says a `SoftFormula`, without gradient; 1 where it does not fire.

    As no gradient is asked for, its function may return anything that can be made a tensor: a list of booleans, say.

    Args:
        rule: the rule.
        outputs: what it is asked of.
        batch: the examples.
        fires: (batch,) on which of them it fires.

    Raises:
        FormulaError: it says a formula; the exact engine answers for those.
        PluginError: its function returns what is no truth.
    """
    import torch

    if not isinstance(rule.then, SoftFormula):
        raise FormulaError(f"{rule.where} says a formula over labels: ask the exact engine")
    with torch.no_grad():
        said = rule.then.fn(outputs, batch)
    try:
        truth = torch.as_tensor(said, dtype=torch.float32, device=fires.device)
    except (TypeError, ValueError, RuntimeError):
        truth = torch.empty(0)
    if truth.shape != fires.shape:
        found = getattr(said, "shape", type(said).__name__)
        raise PluginError(
            f"{rule.where}: its function returns {found}: return a tensor ({len(fires)},), one an example"
        )
    truth = torch.where(fires, truth, 1.0)
    wrong = ~((truth >= -ROUNDING) & (truth <= 1 + ROUNDING))  # NaN is wrong too
    if bool(wrong.any()):
        raise PluginError(
            f"{rule.where}: its function returns {truth[wrong][0].item():g} for example {int(batch.rows[wrong][0])} of "
            f"the {batch.split} table: a truth is from 0, broken, to 1, kept"
        )
    return truth.clamp(0, 1)
