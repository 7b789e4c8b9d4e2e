"""From statements to a circuit, top down: propagate, split into components, branch, remember.

The algorithm is that of exhaustive DPLL with component caching (Darwiche 2004, "New advances in compiling
CNF to DNNF"), on thresholds instead of clauses, so that a cardinality is never expanded; a variable of K
values branches K ways, and values that leave the same problem share one branch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.logic.circuits import FALSE
from triune.logic.normal import FALSE as BROKEN
from triune.logic.normal import TRUE as HELD
from triune.logic.normal import Literal
from triune.logic.ordering import places

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from triune.logic.circuits import Sketch
    from triune.logic.normal import Statements

    Problem = frozenset[int]
    Task = Generator["Problem", int, int]


def compiled(statements: Statements, problem: Iterable[int], sketch: Sketch) -> int:
    """Return the node of a sketch that says that all statements of a problem hold.

    Variables are decided from the highest number down, so number them by an elimination order.

    Raises:
        RuleCostError: the budget of the sketch is spent.
    """
    return _Compiler(statements, sketch).run(frozenset(problem))


class _Compiler:
    def __init__(self, statements: Statements, sketch: Sketch) -> None:
        self.statements = statements
        self.sketch = sketch
        self.solved: dict[Problem, int] = {}

    def run(self, problem: Problem) -> int:
        """Return the node of a problem. Its own stack of tasks, as Python's is too short for long chains."""
        stack = [self.solve(problem)]
        answer: int | None = None
        while stack:
            try:
                asked = stack[-1].send(answer)  # type: ignore[arg-type]
            except StopIteration as done:
                stack.pop()
                answer = done.value
                continue
            stack.append(self.solve(asked))
            answer = None
        assert answer is not None
        return answer

    def solve(self, problem: Problem) -> Task:
        """Return the node of a problem, asking for those of smaller ones."""
        literals, rest = propagated(self.statements, problem)
        if literals is None:
            return FALSE
        mentioned = 0
        for one in rest:
            mentioned |= self.statements.mentions[one]
        parts = [
            self.sketch.values(variable, values)
            for variable, values in literals.items()
            if not mentioned >> variable & 1
        ]
        open_domains = {variable: values for variable, values in literals.items() if mentioned >> variable & 1}
        for component in components(rest, self.statements.mentions):
            node = yield from self.branched(component, open_domains)
            if node == FALSE:
                return FALSE
            parts.append(node)
        return self.sketch.conjunction(parts)

    def branched(self, component: Sequence[int], domains: dict[int, int]) -> Task:
        """Return the node of statements that hang together, by cases of one variable."""
        statements, mentioned = self.statements, 0
        for one in component:
            mentioned |= statements.mentions[one]
        narrowed = [statements.literal(one, values) for one, values in domains.items() if mentioned >> one & 1]
        key = frozenset((*component, *narrowed))
        if key in self.solved:
            return self.solved[key]
        self.sketch.check_time()
        variable = mentioned.bit_length() - 1
        cases: dict[Problem, int] = {}
        for value in places(domains.get(variable, (1 << statements.sizes[variable]) - 1)):
            left = frozenset(statements.restricted(one, variable, 1 << value) for one in key)
            cases[left] = cases.get(left, 0) | 1 << value
        pairs = []
        for left, values in cases.items():
            below = FALSE if BROKEN in left else (yield left - {HELD})
            pairs.append((self.sketch.values(variable, values), below))
        self.solved[key] = node = self.sketch.choice(pairs)
        return node


def propagated(statements: Statements, problem: Problem) -> tuple[dict[int, int] | None, set[int]]:
    """Return what is known of single variables (variable → values), and the statements left.

    A variable in both is one whose values are narrowed but not settled. None in place of the first: the
    statements contradict each other.
    """
    known: dict[int, int] = {}
    rest: set[int] = set()
    fresh = [part for one in problem for part in statements.conjuncts(one)]
    while fresh:
        news: dict[int, int] = {}
        for one in fresh:
            body = statements.bodies[one]
            if isinstance(body, Literal):
                news[body.variable] = news.get(body.variable, known.get(body.variable, -1)) & body.values
            elif one == BROKEN:
                return None, rest
            elif one != HELD:
                rest.add(one)
        fresh = []
        news = {variable: values for variable, values in news.items() if known.get(variable) != values}
        known |= news
        if 0 in news.values():
            return None, rest
        touched = sum(1 << variable for variable in news)
        for one in [one for one in rest if statements.mentions[one] & touched]:
            read = one
            for variable in places(statements.mentions[one] & touched):
                read = statements.restricted(read, variable, news[variable])
            if read != one:
                rest.discard(one)
                fresh.extend(statements.conjuncts(read))
    return known, rest


def components(problem: Iterable[int], mentions: Sequence[int]) -> list[list[int]]:
    """Return the statements in groups that share no variable."""
    groups: list[tuple[int, list[int]]] = []
    for one in problem:
        mentioned, members, apart = mentions[one], [one], []
        for group in groups:
            if group[0] & mentioned:
                mentioned |= group[0]
                members.extend(group[1])
            else:
                apart.append(group)
        groups = [*apart, (mentioned, members)]
    return [members for _, members in groups]
