"""Rules about one choice among K labels: a table of which label satisfies which formula, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.logic.costs import Cost, affordable
from triune.logic.normal import TRUE as HELD
from triune.logic.normal import Statements, stated
from triune.logic.variables import NEVER, variables_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from triune.logic.costs import Budget
    from triune.logic.formulas import Formula
    from triune.logic.queries import Query
    from triune.logic.variables import Space


@dataclass(frozen=True, slots=True)
class TruthTable:
    """An engine over one categorical.

    Attributes:
        allowed: (labels,) whether the label satisfies every formula that always holds.
        broken: (formulas, labels) whether the label breaks the formula.
    """

    allowed: tuple[bool, ...]
    broken: tuple[tuple[bool, ...], ...]
    tables: dict[tuple[torch.device, torch.dtype], tuple[Tensor, Tensor | None]] = field(
        default_factory=dict, compare=False, repr=False
    )

    @property
    def cost(self) -> Cost:
        """One edge a formula and label."""
        return Cost("table", len(self.allowed) * (len(self.broken) + 1))

    @property
    def possible(self) -> bool:
        """Whether any label is allowed."""
        return any(self.allowed)

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, labels)."""
        return scores.log_softmax(-1)

    def log_z(self, query: Query) -> Tensor:
        """Return (batch,) log sum_k p_k exp(-penalty_k); -1e30, without gradient, where no label is allowed."""
        import torch

        log_p = self._weighed(query)
        top = log_p.amax(-1, keepdim=True).detach()  # torch's own logsumexp rounds its gradient far from zero
        possible = top[:, 0] > NEVER / 2
        shares = torch.where(possible[:, None], log_p - top, 0.0).exp()
        return torch.where(possible, shares.sum(-1).log() + top[:, 0], NEVER)

    def best(self, query: Query) -> Tensor:
        """Return (batch, labels) true at the likeliest label."""
        from torch.nn.functional import one_hot

        return one_hot(self._weighed(query).argmax(-1), len(self.allowed)).bool()

    def draws(self, n: int, query: Query) -> Tensor:
        """Return (n, batch, labels) true at the label drawn."""
        import torch
        from torch.nn.functional import one_hot

        p = self._weighed(query).softmax(-1)
        drawn = torch.multinomial(p, n, replacement=True, generator=query.generator).t()
        return one_hot(drawn, len(self.allowed)).bool()

    def _weighed(self, query: Query) -> Tensor:
        broken, forbidden = self._on(query.scores)
        log_p = query.scores.log_softmax(-1)
        if len(self.broken):
            log_p = log_p - (query.penalties.t() @ broken).clamp(max=-NEVER)
        return log_p.clamp(min=NEVER) if forbidden is None else log_p.masked_fill(forbidden, NEVER).clamp(min=NEVER)

    def _on(self, scores: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return the table, and what is forbidden if anything is, as tensors beside scores."""
        import torch

        key = (scores.device, scores.dtype)
        if key not in self.tables:
            broken = torch.tensor(self.broken, dtype=scores.dtype, device=scores.device).view(-1, len(self.allowed))
            forbidden = None if all(self.allowed) else ~torch.tensor(self.allowed, device=scores.device)
            self.tables[key] = (broken, forbidden)
        return self.tables[key]


def truth_table(formulas: Sequence[Formula], always: Sequence[Formula], space: Space, budget: Budget) -> TruthTable:
    """Return the engine of formulas over one categorical.

    Raises:
        FormulaError: a formula names an unknown label.
        RuleCostError: the table is larger than the budget.
    """
    variables = variables_of(space)
    (labels,) = variables.sizes
    affordable(Cost("table", labels * (len(formulas) + 1)), budget, f"{len(formulas)} formulas over {labels} labels")
    statements, places = Statements(variables.sizes), variables.places()

    def truths(formula: Formula) -> tuple[bool, ...]:
        number = stated(formula, statements, places)
        return tuple(statements.restricted(number, 0, 1 << value) == HELD for value in range(labels))

    broken = tuple(tuple(not one for one in truths(formula)) for formula in formulas)
    kept = [truths(formula) for formula in always]
    return TruthTable(tuple(all(one[value] for one in kept) for value in range(labels)), broken)
