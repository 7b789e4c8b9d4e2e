"""What an engine is asked, the scores of a batch and what every answer costs, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from triune.logic.costs import Cost


@dataclass(frozen=True, slots=True)
class Query:
    """A batch of examples.

    Attributes:
        scores: (batch, labels), or (batch, tokens, tags) of sequences.
        penalties: (formulas, batch) what breaking each formula costs, in nats from 0 to 1e30.
        mask: (batch, tokens) which tokens of sequences count; None: all.
        tokens: (batch, tokens, tags) what each tag costs at each token, in nats from 0 to 1e30; None: nothing.
        generator: of what is drawn where answers are estimated.
    """

    scores: Tensor
    penalties: Tensor
    mask: Tensor | None = None
    tokens: Tensor | None = None
    generator: Generator | None = None

    def of(self, rows: Tensor, formulas: list[int] | slice) -> Query:
        """Return some examples alone, asked with some of the formulas."""
        return Query(
            self.scores[rows],
            self.penalties[formulas][:, rows],
            None if self.mask is None else self.mask[rows],
            None if self.tokens is None else self.tokens[rows],
            self.generator,
        )


class Engine(Protocol):
    """One form of rules over outputs."""

    @property
    def cost(self) -> Cost:
        """What it costs."""
        ...

    @property
    def possible(self) -> bool:
        """Whether the formulas that always hold leave an answer."""
        ...

    def log_probabilities(self, scores: Tensor) -> Tensor:
        """Return the log-probability of every label, in the shape of the scores."""
        ...

    def log_z(self, query: Query) -> Tensor:
        """Return (batch,), differentiable in the scores, the penalties and what tokens cost."""
        ...

    def best(self, query: Query) -> Tensor:
        """Return booleans in the shape of the scores."""
        ...

    def draws(self, n: int, query: Query) -> Tensor:
        """Return booleans (n, *shape of the scores)."""
        ...
