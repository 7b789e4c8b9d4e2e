"""From formulas to one circuit: groups that share variables, each in its cheapest form."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from triune.logic.circuits import Sketch, edges_below
from triune.logic.compiler import compiled, components
from triune.logic.costs import Cost, affordable, of_circuit
from triune.logic.counts import by_count, counted, counting
from triune.logic.exclusions import merged
from triune.logic.normal import Statements, stated
from triune.logic.ordering import Interactions, places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune.logic.costs import Budget
    from triune.logic.counts import Count
    from triune.logic.formulas import Formula
    from triune.logic.ordering import Order
    from triune.logic.variables import Variables

One = TypeVar("One")

CERTAIN = 1e15
"""More branches than these need no counting."""


@dataclass(frozen=True, slots=True)
class Part:
    """A statement, and the variable of the coin that puts it in force; None: it always is."""

    number: int
    coin: int | None


@dataclass(frozen=True, slots=True)
class Problem:
    """What is to hold, in groups that share no variable of the outputs."""

    statements: Statements
    groups: tuple[tuple[Part, ...], ...]

    def in_force(self, part: Part) -> list[int]:
        """Return the statements "if the coin says so, this conjunct holds", which the compiler can take apart."""
        conjuncts = self.statements.conjuncts(part.number)
        if part.coin is None:
            return list(conjuncts)
        off = self.statements.literal(part.coin, 1)
        return [self.statements.at_least(1, (off, one)) for one in conjuncts]

    def count(self, group: Sequence[Part]) -> Count | None:
        """Return the one count that a group speaks of, if it does."""
        return counting(self.statements, [part.number for part in group])


def assembled(
    variables: Variables, formulas: Sequence[Formula], always: Sequence[Formula], budget: Budget
) -> tuple[Sketch, int, Cost]:
    """Return a sketch, its root, and what it costs; the extra variables are the coins of `formulas`.

    Raises:
        FormulaError: a formula names an unknown label.
        RuleCostError: the circuit is larger than the budget, or would be.
    """
    everything = (*formulas, *always)
    before = _problem(variables, everything, range(len(variables.sizes)))
    order = _ordered(before, budget)
    rank = _ranks(order, len(variables.sizes))
    problem = _problem(variables, everything, rank)
    sketch = Sketch(_permuted(variables.leaves(), rank), budget)
    root = sketch.conjunction([_node(problem, group, sketch) for group in problem.groups])
    forms = dict.fromkeys("circuit" if problem.count(group) is None else "count tree" for group in problem.groups)
    return sketch, root, Cost(" + ".join(forms) or "circuit", edges_below(sketch, root), order.width)


def _problem(variables: Variables, everything: Sequence[Formula], rank: Sequence[int]) -> Problem:
    """Return what formulas say where variable v is called `rank[v]`; the last formulas have no coin."""
    statements = Statements(_permuted(variables.sizes, rank))
    labels = {label: (rank[variable], value) for label, (variable, value) in variables.places().items()}
    numbers = [stated(formula, statements, labels) for formula in everything]
    parts = []
    for place, number in enumerate(numbers[: variables.extra]):
        conjuncts = merged(statements, statements.conjuncts(number))
        parts.append(Part(statements.at_least(len(conjuncts), conjuncts), rank[len(variables.groups) + place]))
    always = [one for number in numbers[variables.extra :] for one in statements.conjuncts(number)]
    parts.extend(Part(one, None) for one in merged(statements, always))
    mentions = [statements.mentions[part.number] for part in parts]
    groups = components(range(len(parts)), mentions)
    return Problem(statements, tuple(tuple(parts[place] for place in sorted(group)) for group in groups))


def _ordered(problem: Problem, budget: Budget) -> Order:
    """Return an order for what needs compiling, once everything is known to be affordable."""
    interactions, many = Interactions(problem.statements), 0
    for group in problem.groups:
        count = problem.count(group)
        if count is None:
            alone = _lone_coin(group) is not None
            for one in [part.number for part in group] if alone else _in_force(problem, group):
                interactions.add(one)
            many += len(group)
        else:
            subject = f"a count of {len(count.events)} labels"
            affordable(Cost("count tree", count.edges), budget, subject)
    order = interactions.order(CERTAIN)
    labels = len(places(interactions.mentioned))
    affordable(of_circuit(order), budget, f"{many} statements that tie {labels} labels and rules together")
    return order


def _lone_coin(group: Sequence[Part]) -> int | None:
    """Return the one coin of a group: it stays out of the order, so is decided first, in force or not."""
    coins = [part.coin for part in group if part.coin is not None]
    return coins[0] if len(coins) == 1 else None


def _in_force(problem: Problem, group: Sequence[Part]) -> list[int]:
    return [one for part in group for one in problem.in_force(part)]


def _ranks(order: Order, many: int) -> list[int]:
    """Return the new number of each variable: first eliminated first, then those without a place."""
    placed = set(order.last)
    rank = [0] * many
    for place, variable in enumerate([*order.last, *(one for one in range(many) if one not in placed)]):
        rank[variable] = place
    return rank


def _permuted(values: Sequence[One], rank: Sequence[int]) -> list[One]:
    return [value for _, value in sorted(zip(rank, values, strict=True), key=itemgetter(0))]


def _node(problem: Problem, group: Sequence[Part], sketch: Sketch) -> int:
    count = problem.count(group)
    if count is None:
        return compiled(problem.statements, _in_force(problem, group), sketch)
    pairs = []
    for holds, nodes in by_count(counted(problem.statements, count, sketch), count.allowed).items():
        broken = [part for part, held in zip(group, holds, strict=True) if not held]
        if all(part.coin is not None for part in broken):
            off = sketch.conjunction([sketch.values(part.coin, 1) for part in broken if part.coin is not None])
            pairs.append((sketch.either(nodes), off))
    return sketch.choice(pairs)
