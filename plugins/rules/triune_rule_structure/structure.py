"""The hard rules of a run over its outputs: which form conditions the outputs on them, on which examples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from triune import Seat
from triune.errors import PlanError, RuleError
from triune.seats import Seated, seated
from triune_rule_structure.forms import form_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from triune import Batch, GroundedRules, Outputs
    from triune_rule_structure.forms import Form, Settings

FEW = 3


@dataclass(frozen=True, slots=True)
class Structure:
    """Hard rules over outputs.

    Attributes:
        seated: the hard rules.
        form: what conditions outputs on them.
        known: which sets of rules leave an answer, by what fires and the length of the sequence.
    """

    seated: Seated
    form: Form
    known: dict[tuple[bytes, int], bool] = field(default_factory=dict, compare=False, repr=False)

    def applied(self, outputs: Outputs, batch: Batch) -> Outputs:
        """Return the outputs given the rules.

        Raises:
            RuleError: an example is left without an answer.
        """
        import torch

        self.refuse_impossible(batch, outputs.mask)
        fires = self.seated.fires(batch)
        free = outputs.scores if outputs.scores.element_size() > 2 else outputs.scores.float()
        scores = self.form.conditioned(free, fires, outputs.mask)
        # while a model learns nobody reads the answer, and a joint one costs as much as a step of learning
        decided = None if torch.is_grad_enabled() else self.form.decided(free, fires, outputs.mask)
        return replace(outputs, scores=scores, decided=decided, free=free)

    def refuse_impossible(self, batch: Batch, mask: Tensor | None) -> None:
        """Raise if the rules leave an example of a batch without an answer.

        Raises:
            RuleError: naming examples and rules.
        """
        rows = batch.rows.cpu().numpy()
        lengths = None if mask is None else mask.sum(1).cpu().numpy()
        if wrong := self.impossible(batch.split, rows, lengths):
            raise RuleError(wrong)

    def impossible(self, split: str, rows: NDArray[np.int64], lengths: NDArray[np.int64] | None) -> tuple[str, ...]:
        """Return a sentence for the examples that the rules leave without an answer; `lengths` are (rows,)."""
        import numpy as np

        fires = self.fired(split, rows)  # (rules, rows)
        sizes = np.zeros(len(rows), dtype=np.int64) if lengths is None else lengths
        keys = [(column.tobytes(), int(size)) for column, size in zip(fires.T, sizes, strict=True)]
        new = list({key: place for place, key in enumerate(keys) if key not in self.known}.values())
        if new:
            found = self.form.possible(fires[:, new], sizes[new])
            self.known.update({keys[place]: bool(one) for place, one in zip(new, found, strict=True)})
        lost = [place for place, key in enumerate(keys) if not self.known[key]]
        return (self._said_of(split, rows[lost], fires[:, lost[0]]),) if lost else ()

    def fired(self, split: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return (rules, rows) whether each hard rule fires on each of some examples."""
        return self.seated.grounded.fires[split][list(self.seated.places)][:, rows]

    def _said_of(self, split: str, rows: NDArray[np.int64], fires: NDArray[np.bool_]) -> str:
        names = [repr(rule.name) for rule, fired in zip(self.seated.rules, fires, strict=True) if fired]
        return (
            f"{self.places_of(split, rows)}: the hard rules that fire there leave no answer "
            f"({', '.join(names[:5])}{', …' if len(names) > 5 else ''}): make one of them soft or mend its condition"
        )

    def places_of(self, split: str, rows: NDArray[np.int64]) -> str:
        """Return where examples stand, the first few by name."""
        places = [self.seated.grounded.place(split, int(row)) for row in rows[:FEW]]
        more = f" and {len(rows) - FEW} more" if len(rows) > FEW else ""
        return ", ".join(places) + more


def structure_of(rules: GroundedRules, settings: Settings, transitions: nn.Parameter | None) -> Structure:
    """Return the structure that the hard rules of a run give its outputs.

    Raises:
        PlanError: no rule is hard, or one says what no structure can enforce.
        FormulaError: a rule does not speak of what the task predicts.
        RuleCostError: exact inference would exceed the budget.
        ContradictionError: hard rules that always fire leave no answer.
    """
    import torch

    mine = seated(rules, Seat.STRUCTURE)
    soft = [rules.rules[place] for place in mine.soft if rules.rules[place].hard] if mine else []
    if soft:
        raise PlanError(
            f"{rule.where} is hard and says a SoftFormula, whose truth no structure can enforce: say it as a formula "
            "over labels, or make it soft"
            for rule in soft
        )
    hard = tuple(place for place in mine.places if rules.rules[place].hard) if mine else ()
    if mine is None or not hard:
        raise PlanError(
            [
                "no rule of this run is hard and may act in the structure, so rule-structure has nothing to enforce: "
                "mark rules that always hold as hard, or leave rule-structure out"
            ]
        )
    chosen = replace(mine, places=hard, soft=())
    with torch.inference_mode(False):  # what is made while predicting is used for gradients too
        return Structure(chosen, form_of(chosen, settings, transitions))
