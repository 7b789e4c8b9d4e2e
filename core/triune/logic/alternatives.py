"""One rule that exactly one, or at most one, of some labels holds, in closed form.

With odds o_i = p_i / (1 - p_i), the logarithms of which are the scores,

    P(exactly one) = prod_i (1 - p_i) sum_i o_i,        P(at most one) = prod_i (1 - p_i) (1 + sum_i o_i).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.logic.costs import Cost, affordable
from triune.logic.counts import counting
from triune.logic.exclusions import merged
from triune.logic.normal import Literal, Statements, stated
from triune.logic.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from triune.logic.costs import Budget
    from triune.logic.formulas import Formula
    from triune.logic.queries import Query
    from triune.logic.variables import Space


@dataclass(frozen=True, slots=True)
class Alternatives:
    """An engine over yes-or-no outputs.

    Attributes:
        columns: the labels that exclude each other.
        signs: of each, 1 where it is the label that holds, -1 where it is its absence.
        none: whether none may hold.
        penalised: whether breaking the rule has a penalty; otherwise it always holds.
    """

    columns: tuple[int, ...]
    signs: tuple[int, ...]
    none: bool
    penalised: bool

    @property
    def cost(self) -> Cost:
        """Two edges a label."""
        return Cost("closed form", 2 * len(self.columns))

    @property
    def possible(self) -> bool:
        """Always: any of the labels may hold alone."""
        return True

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, columns) that each label is true."""
        from torch.nn.functional import logsigmoid

        return logsigmoid(scores)

    def log_z(self, query: Query) -> Tensor:
        """Return (batch,) log(e^-w + (1 - e^-w) P), w being the penalty and P the probability of the rule."""
        import torch
        from torch.nn.functional import logsigmoid

        odds = self._odds(query.scores)
        value = logsigmoid(-odds).sum(-1) + self._cases(odds).logsumexp(-1)
        if self.penalised:
            off, on = self._coin(query)
            value = torch.logaddexp(off, on + value)
        return value.to(query.scores.dtype)

    def best(self, query: Query) -> Tensor:
        """Return (batch, columns) whether each label is true in the likeliest answer."""
        odds = self._odds(query.scores)
        # what keeping the rule costs, against each label's likelier side
        loss = odds.relu().sum(-1) - self._cases(odds).amax(-1)
        kept = loss <= query.penalties[0] if self.penalised else loss == loss
        return self._answer(query.scores > 0, self._cases(odds).argmax(-1), kept)

    def draws(self, n: int, query: Query) -> Tensor:
        """Return (n, batch, columns) whether each label is true in each draw."""
        import torch

        scores, odds = query.scores.double(), self._odds(query.scores)
        p = scores.sigmoid()
        free = torch.rand((n, *p.shape), generator=query.generator, dtype=p.dtype, device=p.device) < p
        drawn = torch.multinomial(self._cases(odds).softmax(-1), n, replacement=True, generator=query.generator).t()
        kept = torch.ones_like(drawn, dtype=torch.bool)
        if self.penalised:
            off, _ = self._coin(query)
            coin = torch.rand(drawn.shape, generator=query.generator, dtype=scores.dtype, device=scores.device)
            kept = coin.log() >= off - self.log_z(query).double()
        return torch.stack([self._answer(*one) for one in zip(free, drawn, kept, strict=True)])

    def _odds(self, scores: Tensor) -> Tensor:
        """Return (batch, alternatives) the log-odds of each."""
        import torch

        odds = scores if scores.device.type == "mps" else scores.double()  # which knows no double precision
        if self.columns != tuple(range(scores.shape[1])):
            odds = odds[:, list(self.columns)]
        return odds if set(self.signs) == {1} else odds * torch.tensor(self.signs, device=odds.device)

    def _cases(self, odds: Tensor) -> Tensor:
        """Return (batch, cases) the log-odds of each alternative, and 0 for none where that may be."""
        import torch

        return torch.cat((odds, torch.zeros_like(odds[:, :1])), 1) if self.none else odds

    def _coin(self, query: Query) -> tuple[Tensor, Tensor]:
        """Return (batch,) the log-probabilities that the rule is not in force, and that it is."""
        import torch

        from triune.logic.values import log_coins

        off, on = log_coins(query.penalties.to(torch.promote_types(query.penalties.dtype, query.scores.dtype)))
        return off, on

    def _answer(self, free: Tensor, case: Tensor, kept: Tensor) -> Tensor:
        """Return (batch, columns) free answers, and those of a case where the rule is kept."""
        import torch
        from torch.nn.functional import one_hot

        chosen = one_hot(case, len(self.columns) + self.none)[:, : len(self.columns)].bool()
        answer = free.clone()
        answer[:, list(self.columns)] = chosen == (torch.tensor(self.signs, device=free.device) > 0)
        return torch.where(kept[:, None], answer, free)


def alternatives(
    formulas: Sequence[Formula], always: Sequence[Formula], space: Space, budget: Budget
) -> Alternatives | None:
    """Return the engine of one formula, if it is such a rule.

    Raises:
        FormulaError: the formula names an unknown label.
        RuleCostError: even that is more than the budget.
    """
    if len(formulas) + len(always) != 1 or space.kind != "binaries":
        return None
    variables = variables_of(space)
    statements = Statements(variables.sizes)
    said = merged(statements, statements.conjuncts(stated((*formulas, *always)[0], statements, variables.places())))
    count = counting(statements, [statements.at_least(len(said), said)])
    if count is None or len(count.events) < 3 or count.allowed[0] not in _wanted(len(count.events)):
        return None
    literals = [statements.bodies[one] for one in count.events]
    own = [one for one in literals if isinstance(one, Literal)]
    signs = tuple(1 if one.values == 2 else -1 for one in own)
    found = Alternatives(tuple(one.variable for one in own), signs, count.allowed[0][0], bool(formulas))
    affordable(found.cost, budget, f"a choice among {len(own)} labels")
    return found


def _wanted(events: int) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
    rest = (False,) * (events - 1)
    return (False, True, *rest), (True, True, *rest)
