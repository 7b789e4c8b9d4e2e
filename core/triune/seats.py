"""The rules of one seat, and the form in which the exact engine answers for them.

A method that pushes rules asks `seated` for those that may act in its seat and compiles them as it weighs them:

```python
mine = seated(rules, Seat.LOSS)
compiled = mine.compiled()                                      # weights: the log-odds of confidences
loss = -compiled.log_z(outputs.scores, mine.fires(batch), mask=outputs.mask)
```
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic.formulas import Formula, FormulaError
from triune.logic.inference import RuleSet, Weighted
from triune.logic.spans import OnTokens
from triune.types import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from triune.logic.costs import Budget
    from triune.logic.inference import Compiled
    from triune.types import Batch, GroundedRules, Rule, Seat


@dataclass(frozen=True, slots=True)
class Seated:
    """The rules that act in one seat.

    Attributes:
        grounded: all rules of the run, and where they fire.
        places: which of them say a formula, in the order of `fires`.
        soft: which of them say a `SoftFormula`, whose truth only a loss can read.
        pointing: which of them speak of single tokens; they act through `tokens`.
    """

    grounded: GroundedRules
    places: tuple[int, ...]
    soft: tuple[int, ...]
    pointing: tuple[int, ...] = ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that say a formula, in the order of `fires`."""
        return tuple(self.grounded.rules[place] for place in self.places)

    def fires(self, batch: Batch) -> Tensor:
        """Return (rules, batch) whether each rule that says a formula fires on each example."""
        return self.grounded.on(batch)[list(self.places)]

    def tokens(self, batch: Batch, width: int, nats: Callable[[Rule], float]) -> Tensor | None:
        """Return (batch, width, tags) what each tag costs at each token by the rules about tokens, None where nothing.

        Args:
            batch: the examples.
            width: how many tokens the outputs have.
            nats: what breaking a rule costs at each token; 1e30 for a hard one.
        """
        table = self.grounded.tokens.get(batch.split)
        if table is None or not self.pointing:
            return None
        costs = [0.0] * len(self.grounded.rules)
        for place in self.pointing:
            costs[place] = nats(self.grounded.rules[place])
        found = table.penalties(batch.rows.cpu().numpy(), width, costs)
        return None if found is None else found.to(batch.rows.device)

    def compiled(self, weigh: Callable[[Rule], Weighted] | None = None, budget: Budget | None = None) -> Compiled:
        """Return the rules in their cheapest exact form, and with it what every table of the run will need.

        Args:
            weigh: how a rule acts; by default a soft one costs the log-odds of its confidence where it is broken.
            budget: the largest form that is still compiled.

        Raises:
            FormulaError: a rule does not speak of what the task predicts.
            RuleCostError: exact inference would exceed the budget.
            ContradictionError: hard rules that always fire leave no answer.
        """
        import torch

        from triune.logic.costs import Budget

        if self.grounded.space is None:
            raise FormulaError("the rules do not know which outputs they speak of: ground them in a run")
        always = [rule.name for rule in self.rules if rule.when == ALWAYS]
        rules = RuleSet(tuple(map(weigh, self.rules))) if weigh else RuleSet.of(self.rules, always)
        compiled = rules.compiled(self.grounded.space, budget or Budget())
        for fires in self.grounded.fires.values():
            compiled.prepare(torch.from_numpy(fires[list(self.places)]))
        return compiled


def seated(rules: GroundedRules, seat: Seat) -> Seated | None:
    """Return the rules that may act in a seat, or None where there are none."""
    places = [place for place, rule in enumerate(rules.rules) if seat in rule.seats]
    says = {place: rules.rules[place].then for place in places}
    pointing = tuple(place for place, then in says.items() if isinstance(then, OnTokens))
    formulas = tuple(place for place, then in says.items() if isinstance(then, Formula) and place not in pointing)
    soft = tuple(place for place in places if place not in pointing and place not in formulas)
    return Seated(rules, formulas, soft, pointing) if places else None
