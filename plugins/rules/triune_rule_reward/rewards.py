"""What an answer is worth: the share of the rules that fire on its example that it keeps, by their weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.answers import certainly, truth_of
from triune.logic.inference import CERTAIN_ODDS, Weighted, log_odds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from triune import Batch, Outputs, Rule
    from triune.logic.inference import Compiled
    from triune.seats import Seated

WORTH: Mapping[str, tuple[float, Callable[[float], float]]] = {
    "odds": (CERTAIN_ODDS, log_odds),
    "confidence": (1.0, lambda confidence: confidence),
}
"""What a rule of confidence 1 is worth, and what any is."""


@dataclass(frozen=True, slots=True)
class Rewards:
    """Rewards of answers, in [0, 1].

    Attributes:
        seated: the rules.
        compiled: those that say a formula, each at its worth.
        worth: what keeping a rule is worth; below zero, what breaking it is.
    """

    seated: Seated
    compiled: Compiled
    worth: Callable[[Rule], float]

    def __call__(self, answers: Tensor, batch: Batch, outputs: Outputs) -> Tensor:
        """Return (draws, batch) the rewards of answers (draws, *shape of the scores); 1 where nothing is at stake."""
        import torch

        with torch.no_grad():
            lost = self._of_formulas(answers, batch, outputs)
            lost = lost + self._of_functions(answers, batch, outputs) + self._of_tokens(answers, batch)
            return (1 - lost / self.at_stake(batch, outputs).clamp(min=1e-12)).clamp(0, 1)

    def at_stake(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return (batch,) the worth of all rules that speak of each example."""
        fires = self.seated.grounded.on(batch).float()
        rules = self.seated.grounded.rules
        worth = fires.new_zeros(len(rules))
        for place in (*self.seated.places, *self.seated.soft):
            worth[place] = abs(self.worth(rules[place]))
        tokens = self._token_costs(batch, outputs.scores.shape[1])
        return worth @ fires + (0.0 if tokens is None else tokens.amax(-1).sum(-1))

    def mask(self, batch: Batch, outputs: Outputs) -> Tensor:
        """Return (batch,) the weight of each example that rules speak of, 0 of others."""
        return batch.weights * (self.at_stake(batch, outputs) > 0)

    def _of_formulas(self, answers: Tensor, batch: Batch, outputs: Outputs) -> Tensor:
        """Return (draws, batch) the worth of broken rules: of outputs that are sure, −log Z is just that."""
        draws = len(answers)
        sure = certainly(outputs, answers.flatten(0, 1)).scores
        mask = None if outputs.mask is None else outputs.mask.repeat(draws, 1)
        fires = self.seated.fires(batch).repeat(1, draws)
        return -self.compiled.log_z(sure, fires, mask=mask).view(draws, -1)

    def _of_functions(self, answers: Tensor, batch: Batch, outputs: Outputs) -> Tensor:
        """Return (draws, batch) the worth that is lost on rules that say a function of the outputs."""
        import torch

        lost = torch.zeros(answers.shape[:2], device=answers.device)
        fires = self.seated.grounded.on(batch)
        for place in self.seated.soft:
            rule = self.seated.grounded.rules[place]
            for number, answer in enumerate(answers):
                truth = truth_of(rule, certainly(outputs, answer), batch, fires[place])
                worth = self.worth(rule)
                lost[number] += fires[place] * (worth * (1 - truth) if worth > 0 else -worth * truth)
        return lost

    def _of_tokens(self, answers: Tensor, batch: Batch) -> Tensor:
        """Return (draws, batch) the worth that is lost at tokens whose tag a rule does not allow."""
        costs = self._token_costs(batch, answers.shape[2])
        return answers.new_zeros(answers.shape[:2]).float() if costs is None else (answers * costs).sum((-1, -2))

    def _token_costs(self, batch: Batch, width: int) -> Tensor | None:
        return self.seated.tokens(batch, width, self.worth)


def rewards_of(seated: Seated, weigh: str, hard: float) -> Rewards:
    """Return the rewards that rules make.

    Args:
        seated: the rules.
        weigh: "odds" or "confidence".
        hard: how many rules of confidence 1 a hard rule is worth.

    Raises:
        RuleCostError: exact evaluation would exceed the budget.
    """
    most, of = WORTH[weigh]

    def worth(rule: Rule) -> float:
        return hard * most if rule.hard else of(rule.confidence)

    compiled = seated.compiled(lambda rule: Weighted(rule.name, rule.then, worth(rule)))  # type: ignore[arg-type]
    return Rewards(seated, compiled, worth)
