"""The rules of one seat, and the form in which the exact engine answers for them.

A method that pushes rules asks `seated` for those that may act in its seat and compiles them as it weighs them:

```python
mine = seated(rules, Seat.LOSS)
compiled = mine.compiled()                                      # weights: the log-odds of confidences
loss = -compiled.log_z(outputs.scores, mine.fires(batch), mask=outputs.mask)
```
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

from triune.errors import listed
from triune.logic.formulas import Formula, FormulaError
from triune.logic.inference import ContradictionError, RuleSet, Weighted
from triune.logic.spans import OnTokens
from triune.logic.variables import NEVER
from triune.types import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.examples import Examples
    from triune.logic.costs import Budget
    from triune.logic.inference import Compiled
    from triune.logic.variables import Space
    from triune.types import Batch, GroundedRules, Rule, Seat

On = Literal["all", "unlabelled", "labelled"]
"""Which examples learn from rules."""

Labelled = TypeVar("Labelled", "Tensor", "NDArray[np.float32]")

LONG = 64
"""Tokens of a sequence that is long enough for what rules ask of it."""


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

    @property
    def formulas(self) -> tuple[Formula, ...]:
        """What those rules say."""
        return tuple(rule.then for rule in self.rules if isinstance(rule.then, Formula))

    def fires(self, batch: Batch) -> Tensor:
        """Return (rules, batch) whether each rule that says a formula fires on each example."""
        return self.grounded.on(batch)[list(self.places)]

    def fired(self, batch: Batch) -> Tensor:
        """Return (batch,) whether any rule of the seat fires on each example, whatever it says."""
        return self.grounded.on(batch)[[*self.places, *self.soft, *self.pointing]].any(0)

    def tokens(self, batch: Batch, width: int, nats: Callable[[Rule], float]) -> Tensor | None:
        """Return (batch, width, tags) what each tag costs at each token by the rules about tokens, None where nothing.

        Args:
            batch: the examples.
            width: how many tokens the outputs have.
            nats: what breaking a rule costs at each token; below zero, what keeping it does; 1e30 for a hard one.
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

    def problems(self, on: On, train: Examples) -> list[str]:
        """Return what keeps a method from pushing the rules: contradictions, or nothing to push on."""
        fired = self.grounded.fires[train.split][[*self.places, *self.soft, *self.pointing]].any(axis=0)
        silent = not (fired * counting(on, train.gold)).any()
        which = "" if on == "all" else f"{on} "
        idle = f"the rules that may act here fire on no {which}training example: nothing would be learnt from them"
        return [*self.contradictions(train.split), *([idle] if silent else [])]

    def contradictions(self, split: str = "train") -> list[str]:
        """Return a problem for each set of hard rules that fire together and leave no answer, with the examples.

        Sequences are taken to be long: that one is too short for what a rule asks of it is no contradiction of rules.
        """
        hard = [place for place in self.places if self.grounded.rules[place].hard]
        if not hard or self.grounded.space is None:
            return []
        says = zip(self.rules, self.formulas, strict=True)
        rules = [Weighted(rule.name, then, hard=True) for rule, then in says if rule.hard]
        found: dict[str, list[int]] = {}
        for together, rows in unanswerable(rules, self.grounded.fires[split][hard], self.grounded.space):
            said = _contradiction([rules[one] for one in together], self.grounded.space)
            found.setdefault(said, []).extend(rows)
        return [f"{said}; they leave no answer on {self._places(split, rows)}" for said, rows in found.items()]

    def _places(self, split: str, rows: list[int]) -> str:
        places = listed((self.grounded.place(split, row) for row in sorted(rows)[:3]), 3)
        return places if len(rows) <= 3 else f"{len(rows)} examples: {places}, …"


def counting(on: On, labelled: Labelled) -> Labelled:
    """Return (batch,) 1.0 for examples that learn from rules, for `labelled`, 1.0 where an example has a label."""
    return {"all": labelled * 0 + 1, "unlabelled": 1 - labelled, "labelled": labelled}[on]


def own_labels(batch: Batch) -> Tensor:
    """Return (batch,) 1.0 where an example has a label of the table's own: not one that rules decided."""
    return batch.labelled if batch.gold is None else batch.gold


def decisions(batch: Batch) -> Tensor:
    """Return (batch,) how many decisions an example is: the tokens of a sequence, else one.

    A value of a whole sequence over this, counted as often, is reduced as a task reduces its tokens.
    """
    ones = batch.weights.new_ones(len(batch.rows))
    return ones if batch.mask is None else batch.mask.sum(-1).clamp(min=1).to(ones)


def unanswerable(
    rules: Sequence[Weighted], fires: NDArray[np.bool_], space: Space
) -> Iterator[tuple[list[int], list[int]]]:
    """Yield each set of hard rules that fire together and leave no answer, and the examples that they fire on.

    Args:
        rules: the rules, all hard.
        fires: (rules, examples).
        space: the outputs that they speak of; sequences are taken to be long.
    """
    import numpy as np
    import torch

    patterns, which = np.unique(fires, axis=1, return_inverse=True)
    tokens = (LONG,) if space.kind == "tags" else ()
    scores = torch.zeros((patterns.shape[1], *tokens, len(space.labels)))
    impossible = RuleSet(tuple(rules)).compiled(space).log_z(scores, torch.from_numpy(patterns)) <= NEVER / 2
    for number in impossible.nonzero()[:, 0].tolist():
        yield np.flatnonzero(patterns[:, number]).tolist(), np.flatnonzero(which.reshape(-1) == number).tolist()


def _contradiction(rules: Sequence[Weighted], space: Space) -> str:
    """Return the sentence that names a smallest set of rules that contradict each other."""
    try:
        RuleSet(tuple(replace(rule, always=True) for rule in rules)).compiled(space)
    except ContradictionError as error:
        return str(error)
    return f"rules {listed(repr(rule.name) for rule in rules)} contradict each other and are hard"


def seated(rules: GroundedRules, seat: Seat) -> Seated | None:
    """Return the rules that may act in a seat, or None where there are none."""
    places = [place for place, rule in enumerate(rules.rules) if seat in rule.seats]
    says = {place: rules.rules[place].then for place in places}
    pointing = tuple(place for place, then in says.items() if isinstance(then, OnTokens))
    formulas = tuple(place for place, then in says.items() if isinstance(then, Formula) and place not in pointing)
    soft = tuple(place for place in places if place not in pointing and place not in formulas)
    return Seated(rules, formulas, soft, pointing) if places else None
