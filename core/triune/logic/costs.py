"""What exact inference will cost, said before it is paid, and refused when it is too much.

The unit is the *edge*: one sum or product that is done for every example of a batch, at each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import TriuneError

if TYPE_CHECKING:
    from triune.logic.ordering import Order

SLACK = 512
"""How many times smaller than its bound a circuit may come out before the bound is believed.

On random clauses of three labels circuits have 4 times (as many clauses as labels) to 1000 times (three times
as many) fewer edges than the bound; what is in between is compiled as far as the budget goes.
"""


class RuleCostError(TriuneError):
    """Exact inference with these rules costs more than its budget."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What compiling may cost.

    Attributes:
        edges: the most edges of what is compiled.
        seconds: the most time that compiling takes.
    """

    edges: int = 200_000
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one exact form costs.

    Attributes:
        form: "table", "count tree", "automaton" or "circuit".
        edges: operations an example, forward.
        width: of a circuit, the widest elimination in bits; of other forms, 0.
    """

    form: str
    edges: float
    width: float = 0.0

    @property
    def named(self) -> str:
        """The form, with its width where it has one."""
        return f"{self.form}, width {self.width:.0f}" if self.width else self.form

    def __str__(self) -> str:
        return f"{rounded(self.edges)} edges ({self.named})"


def of_circuit(order: Order) -> Cost:
    """Return the least that a circuit is expected to cost, from its elimination order."""
    return Cost("circuit", max(order.branches / SLACK, 1.0), order.width)


def affordable(cost: Cost, budget: Budget, subject: str) -> Cost:
    """Return a cost that is within its budget.

    Raises:
        RuleCostError: it is not.
    """
    if cost.edges > budget.edges:
        raise RuleCostError(
            f"{subject}: exact inference would take at least about {rounded(cost.edges)} edges ({cost.named}), "
            f"and the budget is {budget.edges:,}; {WAY_OUT}"
        )
    return cost


def exhausted(budget: Budget, edges: int, seconds: float) -> RuleCostError:
    """Return the error that compiling met its budget."""
    return RuleCostError(
        f"compiling the rules stopped at {edges:,} edges after {seconds:.1f} s, "
        f"and the budget is {budget.edges:,} edges and {budget.seconds:g} s; {WAY_OUT}"
    )


WAY_OUT = (
    "split rules that tie many labels together, name fewer labels in them, "
    "say with at_most / exactly what is said by many pairs, or raise the budget"
)


def rounded(edges: float) -> str:
    """Return a number of edges as a reader takes it in: 381, 19 thousand, 10^14."""
    if edges < 10_000:
        return f"{edges:.0f}"
    if edges < 1e9:
        return f"{edges / 1000:,.0f} thousand"
    return f"10^{len(f'{edges:.0f}') - 1}"
