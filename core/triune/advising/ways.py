"""The ways of learning that are tried, and which family of strategies each stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.advising import heads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triune.advising.probing import Way
    from triune.settings import Family
    from triune.strategies import RulesAs

LABELS = "labels"


@dataclass(frozen=True, slots=True)
class Probe:
    """A way of learning in its cheapest form: a linear head on features that do not move.

    Attributes:
        family: what it learns from.
        rules_as: what it takes rules for, as strategies say it; None if it takes none.
        says: what it does.
        make: what it says of held-out texts.
    """

    family: Family
    rules_as: RulesAs | None
    says: str
    make: Way


PROBES: Mapping[str, Probe] = {
    LABELS: Probe("labels", None, "learns from labels alone", heads.by_labels),
    "votes": Probe("rules", "votes", "learns from the rules' votes on text, sees no label", heads.by_votes),
    "labels and votes": Probe(
        "hybrid", "votes", "learns from labels, and from votes on text", heads.by_labels_and_votes
    ),
    "labels and belief": Probe(
        "hybrid",
        "belief",
        "learns from labels, and from what they and the rules, trusted as labels show, say of text",
        heads.by_belief,
    ),
    "labels, then rules": Probe(
        "hybrid", "prediction", "learns from labels alone, and rules correct its predictions", heads.by_projection
    ),
}
"""By name, the simplest first: of two that measure alike, the one before."""
