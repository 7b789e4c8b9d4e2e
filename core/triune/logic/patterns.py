"""Rules that are too much together and not one by one: an engine for each set of rules that fires together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.logic.costs import Cost
from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from triune.logic.formulas import Formula
    from triune.logic.queries import Engine, Query

    Maker = Callable[[Sequence[Formula], Sequence[Formula]], Engine]
    Pattern = tuple[int, ...]

SILENT, SOFT, HARD = 0, 1, 2


@dataclass(frozen=True, slots=True)
class ByPattern:
    """An engine that keeps one engine for each firing pattern, made when it is first met.

    Attributes:
        formulas: those with penalties.
        always: those that always hold.
        make: makes an engine of formulas with penalties and formulas that always hold.
        engines: what was made, by pattern: for each formula, whether it is silent, soft or hard; with the places
            of the formulas whose penalties the engine wants.
    """

    formulas: tuple[Formula, ...]
    always: tuple[Formula, ...]
    make: Maker
    engines: dict[Pattern, tuple[Engine, list[int]]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def cost(self) -> Cost:
        """The costliest pattern met so far."""
        self.of(self._silence)
        worst = max((engine.cost for engine, _ in self.engines.values()), key=lambda cost: cost.edges)
        return Cost(f"{worst.form} for each firing pattern", worst.edges, worst.width)

    @property
    def possible(self) -> bool:
        """Whether the formulas that always hold leave an answer."""
        return self.of(self._silence)[0].possible

    @property
    def _silence(self) -> Pattern:
        return (SILENT,) * len(self.formulas)

    def of(self, pattern: Pattern) -> tuple[Engine, list[int]]:
        """Return the engine of a pattern, and the places of its formulas.

        Raises:
            RuleCostError: even the rules of one pattern exceed the budget.
        """
        if pattern not in self.engines:
            soft = [place for place, how in enumerate(pattern) if how == SOFT]
            hard = [place for place, how in enumerate(pattern) if how == HARD]
            engine = self.make(self._at(soft), (*self.always, *self._at(hard)))
            if hard and not engine.possible:  # as penalties they can all be broken: the example has no answer
                soft = hard + soft
                engine = self.make(self._at(soft), self.always)
            self.engines[pattern] = (engine, soft)
        return self.engines[pattern]

    def _at(self, places: Sequence[int]) -> list[Formula]:
        return [self.formulas[place] for place in places]

    def prepare(self, penalties: Tensor) -> None:
        """Make the engines of every pattern of (formulas, examples) penalties."""
        for _ in self._parted(penalties):
            pass

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return the log-probability of every label."""
        return self.of(self._silence)[0].log_probabilities(scores)

    def log_z(self, query: Query) -> Tensor:
        """Return (batch,)."""
        import torch

        pieces, order = [], []
        for rows, engine, kept in self._parted(query.penalties):
            pieces.append(engine.log_z(query.of(rows, kept)))
            order.append(rows)
        return torch.cat(pieces)[torch.cat(order).argsort()]

    def best(self, query: Query) -> Tensor:
        """Return booleans in the shape of the scores."""
        import torch

        answers = torch.zeros(query.scores.shape, dtype=torch.bool, device=query.scores.device)
        for rows, engine, kept in self._parted(query.penalties):
            answers[rows] = engine.best(query.of(rows, kept))
        return answers

    def draws(self, n: int, query: Query) -> Tensor:
        """Return booleans (n, *shape of the scores)."""
        import torch

        answers = torch.zeros((n, *query.scores.shape), dtype=torch.bool, device=query.scores.device)
        for rows, engine, kept in self._parted(query.penalties):
            answers[:, rows] = engine.draws(n, query.of(rows, kept))
        return answers

    def _parted(self, penalties: Tensor) -> Iterator[tuple[Tensor, Engine, list[int]]]:
        """Yield (rows, engine, its formulas) for each pattern of a batch."""
        import torch

        how = (penalties > 0).long() + (penalties >= -NEVER / 2).long()
        patterns, of_row = torch.unique(how, dim=1, return_inverse=True)
        for place in range(patterns.shape[1]):
            rows = (of_row == place).nonzero()[:, 0]
            engine, kept = self.of(tuple(patterns[:, place].tolist()))
            yield rows, engine, kept
