"""Which label model is believed: the one that was named, or one that proves better than majority vote."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from triune.errors import PlanError, count
from triune_weak_labels.generative import dawid_skene, one_coin
from triune_weak_labels.votes import ABSTAIN
from triune_weak_labels.voting import Majority, by_confidence, tied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from triune_weak_labels.votes import Votes

FEWEST = 3  # rules, of which a model can learn from agreement alone how good each is
BEST = "best"


class LabelModel(Protocol):
    """What makes probabilities of votes."""

    def posterior(self, votes: Votes) -> NDArray[np.float64]:
        """Return (examples, classes) the probability of each class."""
        ...


FITS: Mapping[str, Callable[[Votes, float], LabelModel]] = {
    "majority": lambda votes, smoothing: Majority(),
    "weighted": lambda votes, smoothing: by_confidence(votes),
    "dawid-skene": dawid_skene,
    "one-coin": lambda votes, smoothing: one_coin(votes),
}
LEARNT = ("dawid-skene", "one-coin")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The model that is believed, what it says of each example, and why."""

    name: str
    probabilities: NDArray[np.float64]  # (examples, classes)
    notes: tuple[str, ...]


def chosen(votes: Votes, wanted: str, gold: NDArray[np.int64], smoothing: float) -> Chosen:
    """Return what the wanted model makes of the votes, or of "best" the model that is.

    No model looks at labels, so every labelled example is held out for all of them.

    Args:
        votes: on every training example.
        wanted: a key of `FITS`, or "best".
        gold: (examples,) the place of the label, -1 where there is none.
        smoothing: of Dawid and Skene's confusion tables.

    Raises:
        PlanError: the one-coin model is wanted of fewer than three rules.
    """
    if wanted != BEST:
        if wanted == "one-coin" and votes.voters < FEWEST:
            raise PlanError(
                [f"weak-labels: {_too_few(votes)}, so the model 'one-coin' is refused: say model: majority"]
            )
        doubts = doubted(votes) if wanted in LEARNT else ()
        return Chosen(wanted, FITS[wanted](votes, smoothing).posterior(votes), doubts)
    judged = (gold != ABSTAIN) & votes.spoken
    if not judged.any():
        why = "majority vote is believed: no labelled example that a rule speaks of could show another model better"
        return Chosen("majority", Majority().posterior(votes), (why,))
    names = [name for name in FITS if name not in LEARNT or not doubted(votes)]
    found = {name: FITS[name](votes, smoothing).posterior(votes) for name in names}
    hits = {name: right(one[judged], gold[judged]) for name, one in found.items()}
    best = max(names, key=lambda name: gain(hits[name], hits["majority"]))
    best = best if better(hits[best], hits["majority"]) else "majority"
    said = ", ".join(f"{name} {100 * hit.mean():.1f} %" for name, hit in hits.items())
    verdict = "no other is better by more than chance" if best == "majority" else "better than majority vote"
    why = f"right on {int(judged.sum())} labelled examples that rules speak of: {said}; {best} is believed, {verdict}"
    return Chosen(best, found[best], (why, *doubted(votes)))


def right(probabilities: NDArray[np.float64], gold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (examples,) how likely the decision is right, one of k tied classes being drawn with 1 / k."""
    best = tied(probabilities)
    hits: NDArray[np.float64] = best[range(len(gold)), gold] / best.sum(axis=1)
    return hits


def gain(model: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Return how many more examples a model is right on."""
    return float((model - reference).sum())


def better(model: NDArray[np.float64], reference: NDArray[np.float64]) -> bool:
    """Return whether a model is right more often by more than one standard error of the paired difference."""
    error = float(((model - reference) ** 2).sum())
    return gain(model, reference) > math.sqrt(error)


def doubted(votes: Votes) -> tuple[str, ...]:
    """Return why agreement between these rules teaches nothing of how good they are."""
    if votes.voters < FEWEST:
        return (f"{_too_few(votes)}: a model that learns from their agreement can say anything",)
    if votes.overlap == 0:
        return ("no two rules speak of the same example: agreement teaches nothing of how good they are",)
    return ()


def _too_few(votes: Votes) -> str:
    voting = f"{count(votes.voters, 'rule')} {'votes' if votes.voters == 1 else 'vote'}"
    return f"{voting}, and {FEWEST} are needed to learn how good each is"
