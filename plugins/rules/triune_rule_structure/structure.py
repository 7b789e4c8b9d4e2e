"""The hard rules of a run over its outputs: which form conditions the outputs on them, on which examples."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from triune import Seat
from triune.errors import PlanError, RuleError
from triune.logic.variables import NEVER
from triune.seats import Seated, seated
from triune_rule_structure.forms import form_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from triune import Batch, GroundedRules, Outputs, Rule
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
        free = outputs.scores if outputs.scores.element_size() > 2 else outputs.scores.float()
        fires, barred = self.seated.fires(batch), self.barred(free, batch)
        scores = self.form.conditioned(barred, fires, outputs.mask)
        # while a model learns nobody reads the answer, and a joint one costs as much as a step of learning
        decided = None if torch.is_grad_enabled() else self.form.decided(barred, fires, outputs.mask)
        return replace(outputs, scores=scores, decided=decided, free=free)

    def barred(self, scores: Tensor, batch: Batch) -> Tensor:
        """Return scores out of which the tags are taken that rules about single tokens forbid."""
        forbidden = self.forbidden(batch, scores.shape[1])
        return scores if forbidden is None else scores.masked_fill(forbidden, NEVER)

    def forbidden(self, batch: Batch, width: int) -> Tensor | None:
        """Return (batch, width, tags) what rules about single tokens forbid; None where they forbid nothing."""
        costs = self.seated.tokens(batch, width, lambda rule: -NEVER)
        return None if costs is None else costs > 0

    def refuse_impossible(self, batch: Batch, mask: Tensor | None) -> None:
        """Raise if the rules leave an example of a batch without an answer.

        Raises:
            RuleError: naming examples and rules.
        """
        rows = batch.rows.cpu().numpy()
        lengths = None if mask is None else mask.sum(1).cpu().numpy()
        wrong = self.impossible(batch.split, rows, lengths)
        if not wrong and mask is not None:
            wrong = self._impossible_tokens(batch, mask)
        if wrong:
            raise RuleError(wrong)

    def impossible(self, split: str, rows: NDArray[np.int64], lengths: NDArray[np.int64] | None) -> tuple[str, ...]:
        """Return a sentence for the examples that the rules leave without an answer; `lengths` are (rows,).

        Rules about single tokens are left to `refuse_impossible`.
        """
        import numpy as np

        fires = self.fired(split, rows)  # (rules, rows)
        sizes = np.zeros(len(rows), dtype=np.int64) if lengths is None else lengths
        keys = [(column.tobytes(), int(size)) for column, size in zip(fires.T, sizes, strict=True)]
        new = list({key: place for place, key in enumerate(keys) if key not in self.known}.values())
        if new:
            found = self._possible(fires[:, new], sizes[new])
            self.known.update({keys[place]: one for place, one in zip(new, found, strict=True)})
        lost = [place for place, key in enumerate(keys) if not self.known[key]]
        return (self._said_of(split, rows[lost], fires[:, lost[0]]),) if lost else ()

    def _possible(self, fires: NDArray[np.bool_], sizes: NDArray[np.int64]) -> list[bool]:
        """Return whether there is an answer where rules (rules, cases) fire on so many tokens (cases,)."""
        import torch

        space = self.seated.grounded.space
        assert space is not None
        shape, mask = [len(sizes), len(space.labels)], None
        if space.kind == "tags":
            shape.insert(1, max(int(sizes.max()), 1))
            mask = torch.arange(shape[1]) < torch.from_numpy(sizes)[:, None]
        found: list[bool] = self.form.possible(torch.zeros(shape), torch.from_numpy(fires), mask).tolist()
        return found

    def _impossible_tokens(self, batch: Batch, mask: Tensor) -> tuple[str, ...]:
        import torch

        forbidden = self.forbidden(batch, mask.shape[1])
        if forbidden is None:
            return ()
        flat = torch.zeros(forbidden.shape, device=forbidden.device).masked_fill(forbidden, NEVER)
        possible = self.form.possible(flat, self.seated.fires(batch), mask)
        possible = possible & ~(forbidden.all(-1) & mask.bool()).any(-1)
        lost = (~possible).nonzero()[:, 0].cpu().numpy()
        rows = batch.rows.cpu().numpy()[lost]
        return (self._said_of(batch.split, rows, self.fired(batch.split, rows[:1])[:, 0]),) if len(lost) else ()

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The hard rules, those about single tokens last."""
        return (*self.seated.rules, *self.about_tokens)

    @property
    def about_tokens(self) -> tuple[Rule, ...]:
        """Those about single tokens."""
        return tuple(self.seated.grounded.rules[place] for place in self.seated.pointing)

    def fired(self, split: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return (rules, rows) whether each hard rule fires on each of some examples."""
        return self.seated.grounded.fires[split][list(self.seated.places)][:, rows]

    def _said_of(self, split: str, rows: NDArray[np.int64], fires: NDArray[np.bool_]) -> str:
        acting = [rule for rule, fired in zip(self.seated.rules, fires, strict=True) if fired]
        names = [repr(rule.name) for rule in (*acting, *self.about_tokens)]
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
    pointing = tuple(place for place in mine.pointing if rules.rules[place].hard) if mine else ()
    if mine is None or not hard + pointing:
        raise PlanError(
            [
                "no rule of this run is hard and may act in the structure, so rule-structure has nothing to enforce: "
                "mark rules that always hold as hard, or leave rule-structure out"
            ]
        )
    chosen = replace(mine, places=hard, soft=(), pointing=pointing)
    with torch.inference_mode(False):  # what is made while predicting is used for gradients too
        return Structure(chosen, form_of(chosen, settings, transitions))
