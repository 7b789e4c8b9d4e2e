"""Rules about a sequence of tags: one automaton for all of them, run over the scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.logic.automata import beside
from triune.logic.costs import Cost, affordable
from triune.logic.recognition import recognised
from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import Tensor

    from triune.logic.automata import Automaton
    from triune.logic.costs import Budget
    from triune.logic.formulas import Formula
    from triune.logic.messages import Moves
    from triune.logic.queries import Query
    from triune.logic.variables import Space

TYPICAL = 32
"""Tokens of a sequence for which the budget of edges is meant."""


@dataclass(frozen=True, slots=True)
class Chain:
    """An engine over sequences of tags; scores are (batch, tokens, tags), a token's tag is independent of others'.

    Attributes:
        says: for each state of the automaton, which formulas hold, and at last whether all that always do; the
            states from which the latter cannot come to hold are left out.
        sets: the distinct sets of tags that lead from one state to another.
        between: (states, states) the number of the set; `len(sets)` where there is none.
        formulas: how many have penalties.
    """

    says: tuple[tuple[bool, ...], ...]
    sets: tuple[tuple[int, ...], ...]
    between: tuple[tuple[int, ...], ...]
    formulas: int
    moves: dict[torch.device, Moves] = field(default_factory=dict, compare=False, repr=False)

    @property
    def cost(self) -> Cost:
        """Edges a sequence of typical length."""
        return _cost(len(self.says), sum(map(len, self.sets)))

    @property
    def possible(self) -> bool:
        """Whether any sequence is allowed."""
        return bool(self.says)

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, tokens, tags)."""
        return scores.log_softmax(-1)

    def log_z(self, query: Query) -> Tensor:
        """Return (batch,) log E exp(-penalties of what is broken); -1e30, without gradient, where none is allowed."""
        from triune.logic.messages import LogSum

        value: Tensor = LogSum.apply(*self._read(query), self._on(query.scores.device))  # type: ignore[no-untyped-call]
        return value

    def best(self, query: Query) -> Tensor:
        """Return (batch, tokens, tags) true at the tags of the likeliest sequence."""
        from triune.logic.messages import best_path

        tags = best_path(self._on(query.scores.device), *self._read(query))
        return _one_hot(tags.t(), query.scores, query.mask)

    def draws(self, n: int, query: Query) -> Tensor:
        """Return (n, batch, tokens, tags) true at the tags of each sequence drawn."""
        from triune.logic.messages import drawn_paths
        from triune.logic.networks import gumbel

        noise = gumbel(query.scores, query.generator)
        tags = drawn_paths(self._on(query.scores.device), *self._read(query), n, noise)
        return _one_hot(tags.view(len(tags), n, -1).permute(1, 2, 0), query.scores, query.mask)

    def _read(self, query: Query) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return log-weights (tokens, tags, batch), final weights (states, batch), mask (tokens, batch)."""
        import torch

        says = torch.tensor(self.says, device=query.scores.device)
        broken = (~says[:, : self.formulas]).to(query.scores.dtype) @ query.penalties
        final = (-broken).masked_fill(~says[:, self.formulas :], NEVER).clamp(min=NEVER)
        log_p = query.scores.log_softmax(-1)
        if query.tokens is not None:
            log_p = (log_p - query.tokens.to(log_p)).clamp(min=NEVER)
        return log_p.permute(1, 2, 0).contiguous(), final, None if query.mask is None else query.mask.bool().t()

    def _on(self, device: torch.device) -> Moves:
        import torch

        from triune.logic.messages import Moves

        if device not in self.moves:
            self.moves[device] = Moves(len(self.says), self.sets, torch.tensor(self.between, device=device))
        return self.moves[device]


def chain(formulas: Sequence[Formula], always: Sequence[Formula], space: Space, budget: Budget) -> Chain:
    """Return the engine of formulas over sequences of tags.

    Raises:
        FormulaError: a formula names an unknown tag.
        RuleCostError: the automaton is larger than the budget.
    """
    tags = [str(tag) for tag in space.labels]
    each = [recognised(one, tags) for one in (*formulas, *always)]
    together = beside(each, len(tags)).meaning(lambda held: (*held[: len(formulas)], all(held[len(formulas) :])))
    alive = _alive(together)
    sets: dict[tuple[int, ...], int] = {}
    leading = [[_leading(together, one, other) for other in alive] for one in alive]
    for row in leading:
        for of in filter(None, row):
            sets.setdefault(of, len(sets))
    affordable(
        _cost(len(alive), sum(map(len, sets))), budget, f"{len(each)} formulas over sequences of {len(tags)} tags"
    )
    between = tuple(tuple(sets.get(of, len(sets)) for of in row) for row in leading)
    return Chain(tuple(together.says[one] for one in alive), tuple(sets), between, len(formulas))


def _alive(automaton: Automaton[tuple[bool, ...]]) -> list[int]:
    """Return the states from which what always holds can come to hold, the start first; none if it is not alive."""
    alive = {state for state, said in enumerate(automaton.says) if said[-1]}
    before: dict[int, set[int]] = {}
    for state, row in enumerate(automaton.moves):
        for to in row:
            before.setdefault(to, set()).add(state)
    stack = list(alive)
    while stack:
        new = before.get(stack.pop(), set()) - alive
        alive |= new
        stack.extend(new)
    return sorted(alive) if 0 in alive else []


def _leading(automaton: Automaton[tuple[bool, ...]], one: int, other: int) -> tuple[int, ...]:
    return tuple(tag for tag, to in enumerate(automaton.moves[one]) if to == other)


def _cost(states: int, tags: int) -> Cost:
    return Cost("automaton", TYPICAL * (states * states + tags))


def _one_hot(tags: Tensor, scores: Tensor, mask: Tensor | None) -> Tensor:
    """Return tags as booleans; a masked token keeps the tag of the largest score."""
    import torch
    from torch.nn.functional import one_hot

    if mask is not None:
        tags = torch.where(mask.bool(), tags, scores.argmax(-1))
    return one_hot(tags, scores.shape[-1]).bool()
