"""Rules about many variables: count trees and compiled circuits, in one circuit.

A soft rule of penalty w is a hard rule that is in force with probability 1 - exp(-w): the expectation over
that coin is exp(-w) + (1 - exp(-w)) r(y) = exp(-w (1 - r(y))), what it should be. So each soft formula gets
one yes-or-no variable, its *coin*, and the circuit says: coin implies formula, for all. Examples on which a
rule does not fire, weights and strengths change the coin's weights and never the circuit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from triune.logic.assembly import assembled
from triune.logic.variables import variables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import Generator, Tensor

    from triune.logic.circuits import Sketch
    from triune.logic.costs import Budget, Cost
    from triune.logic.formulas import Formula
    from triune.logic.leaves import Leaves
    from triune.logic.levels import Circuit
    from triune.logic.queries import Query
    from triune.logic.variables import Space, Variables

CHUNK = 2**23
"""Numbers held at once while drawing."""


@dataclass(frozen=True, slots=True)
class Network:
    """An engine over independent variables.

    Attributes:
        variables: those of the scores, then the coins, one a formula.
        sketch: the circuit, before its levels.
        root: the node of everything; 0 where the formulas that always hold contradict each other.
        cost: what it costs.
        made: its levels and leaves, by device, made when first used.
    """

    variables: Variables
    sketch: Sketch
    root: int
    cost: Cost
    made: dict[torch.device, tuple[Circuit, Leaves]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def possible(self) -> bool:
        """Whether any assignment is allowed."""
        return self.root != 0

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, columns) that each label is true."""
        _, leaves = self._on(scores.device)
        return leaves.log_weights(scores)[leaves.true].t()

    def log_z(self, query: Query) -> Tensor:
        """Return (batch,) log E exp(-penalties of what is broken); -1e30, without gradient, where none is allowed."""
        from triune.logic.values import log_value

        return log_value(query.scores, query.penalties, *self._on(query.scores.device))

    def best(self, query: Query) -> Tensor:
        """Return (batch, columns) whether each label is true in the likeliest assignment."""
        import torch

        (circuit, leaves), penalties = self._on(query.scores.device), query.penalties
        values = circuit.best_values(leaves.relative_weights(query.scores), torch.cat((-penalties, 0 * penalties)))
        picked = circuit.picked(values, lambda pairs: pairs)[: leaves.many]
        return leaves.decided(picked, leaves.drawn(query.scores, lambda shape: 0.0))

    def draws(self, n: int, query: Query) -> Tensor:
        """Return (n, batch, columns) whether each label is true in each draw."""
        import torch

        from triune.logic.values import log_coins

        scores = query.scores
        (circuit, leaves), noise = self._on(scores.device), gumbel(scores, query.generator)
        values, _ = circuit.values(leaves.log_weights(scores), log_coins(query.penalties))
        answers = torch.empty((n, *scores.shape), dtype=torch.bool, device=scores.device)
        for some in torch.split(answers, max(1, CHUNK // values.numel())):
            repeated, many = values.repeat(1, len(some)), scores.repeat(len(some), 1)
            picked = circuit.picked(repeated, lambda pairs: pairs + noise(pairs.shape))[: leaves.many]
            some.copy_(leaves.decided(picked, leaves.drawn(many, noise)).view(some.shape))
        return answers

    def _on(self, device: torch.device) -> tuple[Circuit, Leaves]:
        from triune.logic.leaves import leaves_of
        from triune.logic.levels import levelled

        if device not in self.made:
            self.made[device] = (levelled(self.sketch, self.root, device), leaves_of(self.variables, device))
        return self.made[device]


def gumbel(like: Tensor, generator: Generator | None) -> Callable[[Sequence[int]], Tensor]:
    """Return what makes Gumbel noise of a shape: the place of the largest of log-weights with it is a draw."""
    import torch

    def noise(shape: Sequence[int]) -> Tensor:
        uniform = torch.rand(tuple(shape), generator=generator, dtype=torch.float64, device=like.device)
        return -(-uniform.clamp_(min=1e-300).log()).log().to(like.dtype)

    return noise


def network(formulas: Sequence[Formula], always: Sequence[Formula], space: Space, budget: Budget) -> Network:
    """Return the engine of formulas over several variables.

    Raises:
        FormulaError: a formula names an unknown label.
        RuleCostError: the circuit is larger than the budget, or would be.
    """
    variables = replace(variables_of(space), extra=len(formulas))
    return Network(variables, *assembled(variables, formulas, always, budget))
