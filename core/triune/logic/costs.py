"""What exact inference will cost, said before it is paid, and refused when it is too much.

The unit is the *edge*: one sum or product that is done for every example of a batch, at each step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import TriuneError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune.logic.formulas import Formula
    from triune.logic.ordering import Order

SLACK = 512
"""How many times smaller than its bound a circuit may come out before the bound is believed.

On random clauses of three labels circuits have 4 times (as many clauses as labels) to 1000 times (three times
as many) fewer edges than the bound; what is in between is compiled as far as the budget goes.
"""


class RuleCostError(TriuneError):
    """Exact inference with these rules costs more than its budget."""


class UnansweredError(RuleCostError):
    """No draw of an estimate satisfies the hard rules of an example."""

    def __init__(self, unmet: Sequence[Formula], draws: int, examples: int, named: str = "") -> None:
        self.unmet, self.draws, self.examples = tuple(unmet), draws, examples
        super().__init__(
            f"{named or 'formulas ' + listed(unmet)}: none of {draws:,} draws of the model satisfies what is hard on "
            f"{examples} of the batch's examples, so nothing can be estimated for them; "
            f"raise the budget's samples or edges, make a rule soft, or split it"
        )

    def of_rules(self, names: Sequence[str]) -> UnansweredError:
        """Return the error that names rules."""
        return UnansweredError(self.unmet, self.draws, self.examples, f"rules {listed(map(repr, names))}")


@dataclass(frozen=True, slots=True)
class Budget:
    """What inference may cost.

    Attributes:
        edges: the most edges of what is compiled.
        seconds: the most time that compiling takes.
        samples: how many draws of the model estimate what would be too much; 0: that is refused.
    """

    edges: int = 200_000
    seconds: float = 20.0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What one exact form costs.

    Attributes:
        form: "table", "count tree", "automaton", "circuit", or "estimate from … draws".
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
    "say with at_most / exactly what is said by many pairs, raise the budget, "
    "or let it be estimated: Budget(samples=1000)"
)


def rounded(edges: float) -> str:
    """Return a number of edges as a reader takes it in: 381, 19 thousand, 10^14."""
    if edges < 10_000:
        return f"{edges:.0f}"
    if edges < 1e9:
        return f"{edges / 1000:,.0f} thousand"
    return f"10^{len(f'{edges:.0f}') - 1}"
