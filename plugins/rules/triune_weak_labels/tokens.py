"""Votes of rules about tokens: every token of every training example is one that rules may vote on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.logic import OnTokens
from triune.types import Seat
from triune_weak_labels.votes import ABSTAIN, Votes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune import GroundedRules, Rule
    from triune.types import LabelValue

OUTSIDE = "O"


def token_votes(
    rules: GroundedRules, labels: Sequence[LabelValue], lengths: NDArray[np.int64]
) -> tuple[Votes, list[Rule]]:
    """Return votes on tokens, laid end to end, and the rules that ask for this seat and speak of no token.

    A rule votes for the tags that it allows a token; where it points at a token twice, the last stretch counts.

    Args:
        rules: grounded on the training table.
        labels: the tags.
        lengths: (examples,) how many tokens each example has.
    """
    import numpy as np

    asked = [number for number, rule in enumerate(rules.rules) if Seat.LABELS in rule.seats]
    able = [number for number in asked if isinstance(rules.rules[number].then, OnTokens)]
    table = rules.tokens.get("train")
    ballots = np.eye(len(labels), dtype=np.bool_)
    cast = np.full((len(able), int(lengths.sum())), ABSTAIN, dtype=np.int64)
    if table is not None:
        sets = [_place(ballots, allowed) for allowed in table.allowed]
        wide = [allowed for allowed, place in zip(table.allowed, sets, strict=True) if place is None]
        ballots = np.concatenate([ballots, np.asarray(wide, dtype=np.bool_).reshape(-1, len(labels))])
        places = np.asarray([_place(ballots, allowed) for allowed in table.allowed], dtype=np.int64)
        mine = np.isin(table.rules, able) & ~table.allowed[table.sets].all(axis=1)
        starts = lengths.cumsum() - lengths
        tokens = starts[table.rows[mine]] + table.tokens[mine]
        cast[np.searchsorted(able, table.rules[mine]), tokens] = places[table.sets[mine]]
    votes = Votes(
        names=tuple(rules.rules[number].name for number in able),
        labels=tuple(labels),
        ballots=ballots,
        cast=cast,
        confidences=np.asarray([rules.rules[number].confidence for number in able], dtype=np.float64),
    )
    return votes, [rules.rules[number] for number in asked if number not in able]


def outside(
    found: NDArray[np.float64], spoken: NDArray[np.bool_], labels: Sequence[LabelValue], lengths: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Make the silent tokens of examples that a rule speaks of an O, in place; return (tokens,) what has a label.

    Args:
        found: (tokens, tags) probabilities.
        spoken: (tokens,) whether a rule votes.
        labels: the tags.
        lengths: (examples,) how many tokens each example has.
    """
    import numpy as np

    names = [str(label) for label in labels]
    if OUTSIDE not in names:
        return spoken
    owners = np.repeat(np.arange(len(lengths)), lengths)
    heard = np.bincount(owners, weights=spoken, minlength=len(lengths)) > 0
    silent = ~spoken & heard[owners]
    found[silent] = np.eye(len(names))[names.index(OUTSIDE)]
    return spoken | silent


def _place(ballots: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> int | None:
    same = (ballots == allowed).all(axis=1).nonzero()[0]
    return int(same[0]) if len(same) else None
