"""The teacher: q(y) ∝ p(y) exp(−C · what the rules that y breaks cost), the student projected onto the rules.

Of independent outputs the student learns q's marginals, which is all of q that it can say; the gradient of the
cross-entropy is then exactly that of −log Z (the module `triune.logic.inference` says why).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune import TermValues
from triune.answers import certainly, truth_of
from triune.errors import PlanError
from triune.logic.inference import log_odds
from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from triune import Batch, Outputs, Rule, Step
    from triune.logic.inference import Compiled
    from triune.seats import Seated
    from triune.spaces import OutputSpace


@dataclass(frozen=True, slots=True)
class Teacher:
    """What the rules make of the student.

    Attributes:
        seated: the rules.
        compiled: those that say a formula, in their exact form.
        strength: C.
    """

    seated: Seated
    compiled: Compiled
    strength: float

    @property
    def cost(self) -> str:
        """What an example costs, for the plan."""
        return f"C = {self.strength:g}, {self.compiled.cost}"

    def __call__(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return q's marginals, in the shape of the scores, without gradient.

        Where no answer satisfies the hard rules, they are the student's own.
        """
        import torch

        with torch.no_grad():
            scores = outputs.scores.detach().float()
            for costs in (self._of_tokens(batch, scores.shape[1]), self._of_functions(batch, outputs)):
                # p exp(−costs) with costs of single labels is again a softmax, of scores less costs
                scores = scores if costs is None else scores.log_softmax(-1) - costs.to(scores)
            return self.compiled.marginals(scores, self.seated.fires(batch), self.strength, outputs.mask)

    def _of_tokens(self, batch: Batch, width: int) -> Tensor | None:
        """Return (batch, tokens, tags) what rules about tokens cost, from zero at each token."""
        costs = self.seated.tokens(batch, width, self.nats)
        return None if costs is None else costs - costs.amin(-1, keepdim=True)

    def _of_functions(self, batch: Batch, outputs: Outputs) -> Tensor | None:
        """Return (batch, labels) what rules that say a function of the outputs cost: each is asked of every label."""
        import torch

        if not self.seated.soft:
            return None
        costs = outputs.scores.new_zeros(outputs.scores.shape, dtype=torch.float32)
        fires = self.seated.grounded.on(batch)
        for place in self.seated.soft:
            rule = self.seated.grounded.rules[place]
            for label in range(costs.shape[1]):
                answer = torch.zeros_like(costs, dtype=torch.bool)
                answer[:, label] = True
                broken = 1 - truth_of(rule, certainly(outputs, answer), batch, fires[place])
                costs[:, label] += self.nats(rule) * broken
        return costs - costs.amin(-1, keepdim=True)

    def nats(self, rule: Rule) -> float:
        """Return what breaking a rule costs; below zero, what keeping one does that is more likely to be broken."""
        return -NEVER if rule.hard else self.strength * log_odds(rule.confidence)


def teacher_of(seated: Seated, space: OutputSpace, strength: float) -> Teacher:
    """Return the teacher that rules make.

    Raises:
        PlanError: a rule is a function of outputs that have too many answers to ask it of each.
        RuleCostError: exact inference would exceed the budget.
        ContradictionError: hard rules that always fire leave no answer.
    """
    functions = [seated.grounded.rules[place] for place in seated.soft]
    if functions and space.kind != "categorical":
        raise PlanError(
            f"{rule.where} says a SoftFormula, which the teacher asks of every answer, and here answers are too many: "
            "write it as a formula, or keep it from this seat with seats"
            for rule in functions
        )
    return Teacher(seated, seated.compiled(), strength)


def imitated(teacher: Teacher) -> Callable[[Step, Batch, Outputs], TermValues]:
    """Return the loss term's values, −Σ q log p, and what they count.

    They are reduced as a task reduces its own: of several yes-or-no labels to their mean, of tokens not at all.
    """

    def compute(step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        values = -outputs.space.log_likelihood(outputs.scores, teacher(batch, outputs))
        if outputs.mask is not None:
            return TermValues(values, outputs.mask * batch.weights[:, None])
        return TermValues(values if values.dim() == 1 else values.mean(-1), batch.weights)

    return compute


def counts_of(space: OutputSpace) -> Callable[[Batch], Tensor] | None:
    """Return what sums up the mask of `imitated` from the batch alone; None where only outputs know their tokens."""
    return None if space.kind == "tags" else lambda batch: batch.weights.sum()
