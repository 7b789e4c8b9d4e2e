"""What the questions of an audit are asked of: rules as plain formulas, and where they fire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.audit.satisfying import UndecidedError
from triune.types import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.audit.answers import Answers
    from triune.logic import Formula
    from triune.types import Rule


@dataclass(slots=True)
class Scene:
    """The rules and the table.

    Attributes:
        rules: the rules.
        formulas: what each says, plain; None where that is no matter of labels (tags, soft formulas).
        fires: (rules, examples) where it fires; no example without a table.
        answers: the answers that the task can give.
        undecided: how many questions were too large.
    """

    rules: Sequence[Rule]
    formulas: Sequence[Formula | None]
    fires: NDArray[np.bool_]
    answers: Answers
    undecided: int = field(default=0)

    def decided(self, question: Callable[[], bool], otherwise: bool) -> bool:
        """Return the answer to a question; where it is too large, count it and return `otherwise`."""
        try:
            return question()
        except UndecidedError:
            self.undecided += 1
            return otherwise

    def possible(self, rules: Sequence[int]) -> bool:
        """Return whether the formulas of some rules can hold at once."""
        said = [formula for rule in rules if (formula := self.formulas[rule]) is not None]
        return self.decided(lambda: self.answers.possible(said), otherwise=True)

    def everywhere(self, rule: int) -> bool:
        """Return whether a rule speaks of all examples, of any table."""
        return self.rules[rule].when == ALWAYS

    def speaking(self) -> Iterator[tuple[int, Formula]]:
        """Yield the rules that speak of labels."""
        yield from ((number, one) for number, one in enumerate(self.formulas) if one is not None)
