"""Label models that learn from agreement alone how good each rule is: expectation maximisation, in log space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune_weak_labels.votes import ABSTAIN, patterns
from triune_weak_labels.voting import Majority, Weighted, softmax

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from triune_weak_labels.votes import Votes

ROUNDS = 1000
TOLERANCE = 1e-6  # of a posterior, between two rounds
RIGHT, WRONG = 7.0, 3.0  # votes that a coin has seen before the first
WORST = 0.5  # a rule is taken to be right at least this often
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """A confusion table for each rule, abstention being one of its answers (Dawid & Skene 1979).

    Attributes:
        log_prior: (classes,) log p(class).
        log_confusion: (rules, classes, ballots + 1) log p(answer | class); the last answer is abstention.
    """

    log_prior: NDArray[np.float64]
    log_confusion: NDArray[np.float64]

    def posterior(self, votes: Votes) -> NDArray[np.float64]:
        """Return (examples, classes) p(class | answers)."""
        return softmax(self.log_joint(votes))

    def log_joint(self, votes: Votes) -> NDArray[np.float64]:
        """Return (examples, classes) log p(class, answers): that of silence, and what each vote changes of it."""
        silence = self.log_confusion[:, :, -1]  # (rules, classes)
        changes = self.log_confusion[:, :, :-1] - silence[:, :, None]  # (rules, classes, ballots)
        total: NDArray[np.float64] = votes.tally(changes.transpose(0, 2, 1)) + self.log_prior + silence.sum(axis=0)
        return total


def dawid_skene(votes: Votes, smoothing: float = 0.01, rounds: int = ROUNDS) -> DawidSkene:
    """Return the model that fits the votes, begun from majority vote.

    Examples on which every rule abstains count too: silence is evidence of where a rule does not speak.

    Args:
        votes: on all examples, labelled or not.
        smoothing: added to each count of a confusion table, and the likelihood's prior with it.
        rounds: how often both steps are taken at most.
    """
    import numpy as np

    distinct, counts, _ = patterns(votes)
    believed = Majority().posterior(distinct)  # (patterns, classes)
    model = _confusion(distinct, counts, believed, smoothing)
    for _ in range(rounds - 1):
        before, believed = believed, model.posterior(distinct)
        if np.abs(believed - before).max(initial=0.0) < TOLERANCE:
            break
        model = _confusion(distinct, counts, believed, smoothing)
    return model


def _confusion(votes: Votes, counts: NDArray[np.int64], believed: NDArray[np.float64], smoothing: float) -> DawidSkene:
    import numpy as np

    mass = believed * counts[:, None]  # (patterns, classes)
    answers = np.empty((len(votes.names), len(votes.labels), len(votes.ballots) + 1))
    for rule, cast in enumerate(votes.cast):
        voting = np.flatnonzero(cast != ABSTAIN)
        ballots = [np.bincount(cast[voting], column, len(votes.ballots)) for column in mass[voting].T]
        answers[rule, :, :-1] = ballots
    answers[:, :, -1] = (mass.sum(axis=0) - answers[:, :, :-1].sum(axis=2)).clip(min=0)  # what is left was silent
    answers += smoothing
    shares = answers / np.maximum(answers.sum(axis=2, keepdims=True), TINY)
    prior = mass.sum(axis=0) / mass.sum()
    return DawidSkene(np.log(prior + TINY), np.log(shares + TINY))


def one_coin(votes: Votes, rounds: int = ROUNDS) -> Weighted:
    """Return the vote weighted by accuracies that the votes themselves suggest.

    A rule that votes is right with a probability of its own, whatever the class; that it abstains says nothing. The
    accuracies have a prior, 7 right votes to 3 wrong ones and nothing below one half, as the classes exchanged would
    explain the votes as well. Classes are equally likely beforehand: a share learnt from votes runs away to the class
    with the most rules.
    """
    import numpy as np

    distinct, counts, _ = patterns(votes)
    believed = Majority().posterior(distinct)
    model = Weighted(_accuracies(distinct, counts, believed))
    for _ in range(rounds - 1):
        before, believed = believed, model.posterior(distinct)
        if np.abs(believed - before).max(initial=0.0) < TOLERANCE:
            break
        model = Weighted(_accuracies(distinct, counts, believed))
    return model


def _accuracies(votes: Votes, counts: NDArray[np.int64], believed: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    right, cast = np.empty(len(votes.names)), np.empty(len(votes.names))
    for rule, ballots in enumerate(votes.cast):
        voting = np.flatnonzero(ballots != ABSTAIN)
        agrees = (believed[voting] * votes.ballots[ballots[voting]]).sum(axis=1)
        right[rule], cast[rule] = (agrees * counts[voting]).sum(), counts[voting].sum()
    accuracies: NDArray[np.float64] = ((right + RIGHT) / (cast + RIGHT + WRONG)).clip(min=WORST)
    return accuracies
