"""Whether formulas hold of given answers, thousands at once: the opposite of knowing it of all answers.

An answer over labels is (…, labels) booleans; over a sequence it is (…, tokens) tags, with the tokens that count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253

from triune.logic.formulas import AtLeast, Label, Not
from triune.logic.recognition import recognised
from triune.logic.variables import place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from triune.logic.automata import Automaton
    from triune.logic.formulas import Formula

    Truth = Callable[[Tensor, Tensor | None], Tensor]


def of_labels(formula: Formula, columns: Mapping[str, tuple[int, int]]) -> Truth:
    """Return what says whether a formula holds of answers over labels.

    Args:
        formula: the formula.
        columns: for each label, its column, and something that is not read.

    Raises:
        FormulaError: there is no such label, or the formula speaks of sequences.
    """
    match formula:
        case Label(name):
            column, _ = place_of(name, columns)
            return lambda answers, mask: answers[..., column]
        case Not(inner):
            opposite = of_labels(inner, columns)
            return lambda answers, mask: ~opposite(answers, mask)
        case AtLeast(k, of):
            parts = [of_labels(one, columns) for one in of]
            return lambda answers, mask: _at_least(k, [part(answers, mask) for part in parts], answers)
        case _:
            return of_labels(formula.expanded(), columns)


def of_tags(formula: Formula, tags: Sequence[str]) -> Truth:
    """Return what says whether a formula holds of sequences, part by part, so that no product of automata is made.

    Raises:
        FormulaError: a tag or glob is like no tag.
        RuleCostError: a part of it alone needs too large an automaton.
    """
    match formula:
        case Not(inner):
            opposite = of_tags(inner, tags)
            return lambda answers, mask: ~opposite(answers, mask)
        case AtLeast(k, of):
            parts = [of_tags(one, tags) for one in of]
            return lambda answers, mask: _at_least(k, [part(answers, mask) for part in parts], answers[..., 0:1])
        case Label():
            return _read(recognised(formula, tags))
        case _ if hasattr(formula, "automaton"):
            return _read(recognised(formula, tags))
        case _:
            return of_tags(formula.expanded(), tags)


def _at_least(k: int, truths: list[Tensor], answers: Tensor) -> Tensor:
    if not truths:
        return torch.full(answers.shape[:-1], k <= 0, device=answers.device)
    return torch.stack(truths).sum(0) >= k


def _read(automaton: Automaton[bool]) -> Truth:
    moves, says = torch.tensor(automaton.moves), torch.tensor(automaton.says)

    def truth(answers: Tensor, mask: Tensor | None) -> Tensor:
        state = torch.zeros(answers.shape[:-1], dtype=torch.long, device=answers.device)
        here = moves.to(answers.device)
        for token in range(answers.shape[-1]):
            after = here[state, answers[..., token]]
            state = after if mask is None else torch.where(mask[..., token], after, state)
        return says.to(answers.device)[state]

    return truth
