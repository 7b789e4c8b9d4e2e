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
from triune.logic.variables import drawn, log_weights, relative_weights, variables_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import Generator, Tensor

    from triune.logic.circuits import Sketch
    from triune.logic.costs import Budget, Cost
    from triune.logic.formulas import Formula
    from triune.logic.levels import Circuit
    from triune.logic.variables import Space, Variables

NEVER = -1e30
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
        circuits: the levels, by device, made when first used.
    """

    variables: Variables
    sketch: Sketch
    root: int
    cost: Cost
    circuits: dict[torch.device, Circuit] = field(default_factory=dict, compare=False, repr=False)

    @property
    def possible(self) -> bool:
        """Whether any assignment is allowed."""
        return self.root != 0

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return (batch, columns) that each label is true."""
        return log_weights(replace(self.variables, extra=0), scores)[self.variables.true_leaves()].t()

    def log_z(self, scores: Tensor, penalties: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) log E exp(-penalties of what is broken); -1e30, without gradient, where none is allowed."""
        from triune.logic.levels import LogValue

        weights = self._with_coins(log_weights, scores, _log_off(penalties), _log_on(penalties))
        value: Tensor = LogValue.apply(weights, self._on(scores.device))  # type: ignore[no-untyped-call]
        return value

    def best(self, scores: Tensor, penalties: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch, columns) whether each label is true in the likeliest assignment."""
        weights = self._with_coins(relative_weights, scores, _log_off(penalties), 0 * penalties)
        circuit = self._on(scores.device)
        picked = circuit.picked(circuit.best_values(weights), lambda pairs: pairs)
        return self._decided(picked, drawn(replace(self.variables, extra=0), scores, lambda shape: 0.0))

    def draws(
        self, n: int, scores: Tensor, penalties: Tensor, mask: Tensor | None, generator: Generator | None
    ) -> Tensor:
        """Return (n, batch, columns) whether each label is true in each draw."""
        import torch

        circuit, noise = self._on(scores.device), gumbel(scores, generator)
        values = circuit.values(self._with_coins(log_weights, scores, _log_off(penalties), _log_on(penalties)))
        free, at_once = replace(self.variables, extra=0), max(1, CHUNK // values.numel())
        pieces = []
        for some in torch.arange(n).split(at_once):
            repeated, many = values.repeat(1, len(some)), scores.repeat(len(some), 1)
            picked = circuit.picked(repeated, lambda pairs: pairs + noise(pairs.shape))
            pieces.append(self._decided(picked, drawn(free, many, noise)).view(len(some), *scores.shape))
        return torch.cat(pieces) if pieces else scores.new_zeros((0, *scores.shape), dtype=torch.bool)

    def _on(self, device: torch.device) -> Circuit:
        from triune.logic.levels import levelled

        if device not in self.circuits:
            self.circuits[device] = levelled(self.sketch, self.root, device)
        return self.circuits[device]

    def _with_coins(
        self, law: Callable[[Variables, Tensor], Tensor], scores: Tensor, off: Tensor, on: Tensor
    ) -> Tensor:
        import torch

        weights = law(replace(self.variables, extra=0), scores)
        return torch.cat((weights, torch.stack((off, on), 1).flatten(0, 1))) if len(off) else weights

    def _decided(self, picked: Tensor, free: Tensor) -> Tensor:
        """Return (batch, columns) the labels of picked leaves, and of free ones for variables without a pick."""
        import torch

        own = picked[: len(free)]
        variable = torch.tensor(
            [place for place, size in enumerate(self.variables.sizes) for _ in range(size)], device=own.device
        )[: len(free)]
        counts = own.new_zeros((len(self.variables.groups), own.shape[1]), dtype=torch.int32)
        settled = counts.index_add_(0, variable, own.int()).index_select(0, variable) > 0
        return (own | (free & ~settled))[self.variables.true_leaves()].t()


def _log_off(penalties: Tensor) -> Tensor:
    return -penalties


def _log_on(penalties: Tensor) -> Tensor:
    import torch

    positive = penalties > 0
    return torch.where(positive, (-torch.expm1(-penalties.where(positive, torch.ones_like(penalties)))).log(), NEVER)


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
