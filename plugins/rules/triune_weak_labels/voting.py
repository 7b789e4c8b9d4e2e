"""Votes counted: each alike (majority), or by the confidence of its rule (weighted)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from triune_weak_labels.votes import Votes

CERTAIN = 0.99  # no rule counts for more; a confidence of 1 would outvote all others together


@dataclass(frozen=True, slots=True)
class Majority:
    """Every vote counts 1; one for a set of labels counts as much, in equal parts."""

    def posterior(self, votes: Votes) -> NDArray[np.float64]:
        """Return (examples, classes) the share of the votes; uniform where no rule speaks."""
        import numpy as np

        parts = votes.ballots / votes.ballots.sum(axis=1, keepdims=True)
        counts = votes.tally(np.broadcast_to(parts, (len(votes.names), *parts.shape)))
        counts[~votes.spoken] = 1.0
        shares: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
        return shares


@dataclass(frozen=True, slots=True)
class Weighted:
    """Independent rules, right with a given probability; before they speak, classes are equally likely.

    Attributes:
        accuracies: (rules,) how often each is right, in (0, 1).
    """

    accuracies: NDArray[np.float64]

    def posterior(self, votes: Votes) -> NDArray[np.float64]:
        """Return (examples, classes) p(class | votes); uniform where no rule speaks."""
        return softmax(votes.tally(log_odds(votes.ballots, self.accuracies)))


def by_confidence(votes: Votes) -> Weighted:
    """Return the vote weighted by what the rules' authors say of them."""
    return Weighted(votes.confidences.clip(1 - CERTAIN, CERTAIN))


def log_odds(ballots: NDArray[np.bool_], accuracies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (rules, ballots, classes) what a vote adds to the log-probability of each class.

    A rule that is right with probability a spreads it evenly over the m labels that it names, and 1 - a over the
    K - m others: log(a (K - m) / ((1 - a) m)) for the named ones.
    """
    import numpy as np

    named = ballots.sum(axis=1)  # (ballots,)
    odds = np.log(accuracies / (1 - accuracies))[:, None] + np.log((ballots.shape[1] - named) / named)
    weights: NDArray[np.float64] = np.where(ballots, odds[:, :, None], 0.0)
    return weights


def softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (examples, classes) exp(scores), each row divided by its sum."""
    import numpy as np

    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares


def tied(probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (examples, classes) which classes are the most probable, all of them where several are."""
    best: NDArray[np.bool_] = probabilities >= probabilities.max(axis=1, keepdims=True) - 1e-9
    return best


def decided(probabilities: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Return (examples,) the place of the most probable class, one at random of those that tie."""
    draws = generator.random(probabilities.shape)
    places: NDArray[np.int64] = (tied(probabilities) * (draws + 1)).argmax(axis=1)
    return places
