"""From measurements to a family: the usual one unless another is better by more than chance, and the reasons.

What is usual, in order: without rules, labels. Without labels, rules. With both, hybrid where labels are few and rules
speak of enough of the text, since rules that are there already cost nothing; otherwise labels, which need least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.advising.probing import Difference, mean_of
from triune.advising.ways import LABELS, PROBES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from triune.advising.probing import Part, Trial
    from triune.settings import Family

FEW = 64
"""So many labels a class, on average, are few."""

COVERED = 0.1
"""Rules that vote on this share of the texts speak of enough of them to matter."""

BETTER = 0.1
"""A vote of rules is better than chance if it goes this part of the way from there to being always right."""

BEYOND = 1.3
"""Standard errors that a difference must exceed not to be chance: one in ten would by chance alone, on one side."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A way as it was measured.

    Attributes:
        name: of the way.
        score: the share of held-out labels that it predicts.
        against: how much more that is than with labels alone, on the same folds.
        installed: whether a strategy that is installed learns like this.
    """

    name: str
    score: Difference
    against: Difference
    installed: bool

    @property
    def family(self) -> Family:
        """What it learns from."""
        return PROBES[self.name].family


@dataclass(frozen=True, slots=True)
class Choice:
    """What is recommended.

    Attributes:
        family: which family of strategies.
        way: the way of it that measured best.
        ties: families that measure alike.
        reasons: sentences.
    """

    family: Family
    way: str
    ties: tuple[Family, ...]
    reasons: tuple[str, ...]


def measured(trials: Mapping[str, Trial], parts: list[Part], installed: Collection[str]) -> list[Measured]:
    """Return what every way scored, and how much more than labels alone."""
    base = trials[LABELS].scores
    return [
        Measured(name, mean_of(one.scores, parts), mean_of(one.scores - base, parts), name in installed)
        for name, one in trials.items()
    ]


def chosen(
    found: Sequence[Measured],
    trials: Mapping[str, Trial],
    parts: list[Part],
    labels_a_class: float,
    covered: float,
    better: float,
) -> Choice:
    """Return the family that suits texts with labels and rules.

    Args:
        found: the ways as they were measured.
        trials: the same on every part.
        parts: the folds.
        labels_a_class: how many there are, on average.
        covered: the share of texts on which rules vote.
        better: how far the vote is from chance (0) to being right wherever there is one (1).
    """
    best = {family: _best(found, family) for family in ("hybrid", "labels", "rules")}
    few = labels_a_class < FEW and covered >= COVERED and better >= BETTER
    usual = best["hybrid"] if few else best["labels"]
    reasons = [_usual(labels_a_class, covered, better, usual.family)]
    scores = {one.name: trials[one.name].scores for one in best.values()}
    pick = usual
    for other in best.values():
        ahead = mean_of(scores[other.name] - scores[pick.name], parts)
        if other is not pick and ahead.mean > BEYOND * ahead.error and ahead.mean > 0:
            reasons.append(
                f"{other.family} is {_points(ahead)} above {pick.family}, more than chance makes likely, so it is taken"
            )
            pick = other
    ties = []
    for other in best.values():
        behind = mean_of(scores[pick.name] - scores[other.name], parts)
        if other is pick:
            continue
        if not behind.mean and not behind.error:
            ties.append(other.family)
            reasons.append(
                f"{other.family} and {pick.family} answered alike in every trial: rules are learnt from where a text "
                "has no label, and these may all have one; text without labels would tell"
            )
        elif behind.mean <= BEYOND * behind.error:
            ties.append(other.family)
            side = "above" if behind.mean >= 0 else "below"
            reasons.append(
                f"{other.family} measures alike: {pick.family} is {_points(behind)} {side} it, within chance"
            )
        else:
            reasons.append(f"{pick.family} is {_points(behind)} above {other.family}, more than chance makes likely")
    return Choice(pick.family, pick.name, tuple(ties), tuple(reasons))


def _best(found: Sequence[Measured], family: Family) -> Measured:
    """Return the way of a family that measured best; where ways measure alike, the first; installed ones go before."""
    own = [one for one in found if one.family == family]
    usable = [one for one in own if one.installed] or own
    return max(usable, key=lambda one: one.score.mean)


def _usual(labels_a_class: float, covered: float, better: float, family: Family) -> str:
    if better < BETTER:
        return f"the rules' vote is hardly better than chance on the labels, where {family} is usual"
    many = "few" if labels_a_class < FEW else "many"
    much = "enough" if covered >= COVERED else "too little"
    return (
        f"there are {many} labels ({labels_a_class:.0f} a class) and rules speak of {much} of the text "
        f"({covered:.0%}), where {family} is usual: it is taken unless another measures better"
    )


def _points(one: Difference) -> str:
    return f"{abs(100 * one.mean):.1f} ± {100 * one.error:.1f} points"
