"""The outcome of a run whose outputs obey rules, with those rules and without each of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from triune.errors import TriuneError
from triune.explaining.effects import Outcome
from triune.logic import OnTokens
from triune.types import GroundedRules, Seat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triune.opening import Opened
    from triune.spaces import OutputSpace
    from triune.token_rules import TokenRules
    from triune.types import Batch, Outputs


def in_structure(rules: GroundedRules) -> frozenset[int]:
    """Return the rules that a structure keeps: the hard ones that may act there."""
    return frozenset(place for place, rule in enumerate(rules.rules) if rule.hard and Seat.STRUCTURE in rule.seats)


def outcomes_of(outputs: Outputs, space: OutputSpace, lengths: Sequence[int | None]) -> list[Outcome]:
    """Return what outputs say of each example; `lengths` are those of sequences."""
    decided = space.decide(outputs.scores) if outputs.decided is None else outputs.decided
    mask = None if outputs.mask is None else outputs.mask.cpu()
    cells = space.cells(decided.cpu(), mask)
    probabilities = space.probabilities(outputs.scores).double().cpu()
    return [Outcome(one[:length], cell) for one, cell, length in zip(probabilities, cells, lengths, strict=True)]


def without_each(
    opened: Opened,
    rules: GroundedRules,
    free: Outputs,
    batch: Batch,
    alone: Iterable[int],
    lengths: Sequence[int | None],
) -> tuple[dict[int, list[Outcome]], list[str]]:
    """Return, for each rule to leave out, what the structure says of every example then; and notes.

    Args:
        opened: the run.
        rules: all rules, and where they fire.
        free: the outputs of the network.
        batch: the examples.
        alone: rules that the structure keeps.
        lengths: those of sequences.
    """
    found: dict[int, list[Outcome]] = {}
    notes: list[str] = []
    kept = in_structure(rules)
    for place in alone:
        fewer = left_out(rules, place)
        try:
            outputs = opened.constraining(fewer)(free, batch) if kept - {place} else free
        except TriuneError as error:
            notes.append(f"without rule {rules.rules[place].name!r} the structure cannot be asked: {error}")
            continue
        found[place] = outcomes_of(outputs, opened.bundle.space, lengths)
    return found, notes


def left_out(rules: GroundedRules, place: int) -> GroundedRules:
    """Return all rules but one."""
    import numpy as np

    rest = [other for other in range(len(rules)) if other != place]
    return replace(
        rules,
        rules=tuple(rules.rules[other] for other in rest),
        fires={split: fires[rest] for split, fires in rules.fires.items()},
        abstained={split: np.delete(counts, place) for split, counts in rules.abstained.items()},
        tokens=_tokens(rules, place),
    )


def _tokens(rules: GroundedRules, place: int) -> dict[str, TokenRules]:
    if not any(isinstance(rule.then, OnTokens) for rule in rules.rules):
        return {}
    found = {}
    for split, table in rules.tokens.items():
        kept = table.rules != place
        numbers = table.rules[kept]
        found[split] = replace(
            table,
            rows=table.rows[kept],
            tokens=table.tokens[kept],
            rules=numbers - (numbers > place),
            sets=table.sets[kept],
            places=table.places[kept],
        )
    return found
