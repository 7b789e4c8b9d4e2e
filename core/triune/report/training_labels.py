"""Training labels that are to be looked at again: those that rules, or what models believe, speak against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.report.disagreements import MOST, Kind, Shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune.report.records import Record

BOTH = Kind(
    "doubted-by-both",
    "A rule and what models believe speak against the label",
    "Mostly the label is wrong.",
)
BELIEFS = Kind(
    "doubted-by-models",
    "Models believe another label, and no rule speaks against this one",
    "A wrong label, or an example of two minds: what belongs to which label may have to be said more clearly.",
)
RULES = Kind(
    "doubted-by-rules",
    "A rule speaks against the label, and models do not",
    "The higher up, the less they believe in the label. Far down it is the rule that is wrong, or too broad.",
)
DOUBTS = (BOTH, BELIEFS, RULES)


def doubt_of(record: Record) -> Kind | None:
    """Return what speaks against the label of a training example; None where nothing does."""
    if record.doubted:
        return BOTH if record.broken_by_label else BELIEFS
    return RULES if record.broken_by_label else None


def in_doubt(records: Iterable[Record]) -> list[tuple[Kind, Shown]]:
    """Return the training examples of each kind that a page shows, those first whose label is least believed."""
    found: dict[Kind, list[Record]] = {kind: [] for kind in DOUBTS}
    for one in records:
        if kind := doubt_of(one):
            found[kind].append(one)
    ranked = {kind: sorted(mine, key=belief) for kind, mine in found.items()}
    return [(kind, Shown("", tuple(mine[:MOST]), len(mine))) for kind, mine in ranked.items()]


def belief(record: Record) -> float:
    """Return how far its label is believed: the mean of the model and of the head that has not seen it."""
    given = [one for one in (record.confidence, record.unseen) if one is not None]
    return sum(given) / len(given) if given else 0.0
