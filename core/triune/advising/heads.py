"""Linear heads on frozen features, and the ways of making one from labels, from rules, and from both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.linear_heads import head

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from triune.advising.voting import Voting

    Floats = NDArray[np.float64]
    Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Ground:
    """What heads are made from and measured on.

    Attributes:
        x: (examples, features) of all texts.
        gold: (examples,) the label of each, by its place; -1 where there is none.
        labels: how many labels there are.
        voting: what the rules say; None without any.
    """

    x: Floats
    gold: Rows
    labels: int
    voting: Voting | None = None

    @property
    def labelled(self) -> Rows:
        """The rows that have a label."""
        found: Rows = (self.gold >= 0).nonzero()[0]
        return found

    @property
    def unlabelled(self) -> Rows:
        """The rows that have none."""
        found: Rows = (self.gold < 0).nonzero()[0]
        return found

    def targets(self, rows: Rows) -> Floats:
        """Return (rows, labels) one at the label of each."""
        import numpy as np

        return np.eye(self.labels)[self.gold[rows]]


def by_labels(ground: Ground, train: Rows, at: Rows) -> Floats:
    """Return what a head says that has seen labels alone."""
    import numpy as np

    return head(ground.x[train], ground.targets(train), np.ones(len(train)), ground.x[at])


def by_votes(ground: Ground, train: Rows, at: Rows) -> Floats:
    """Return what a head says that has seen the rules' votes alone, on texts with and without labels."""
    rows = _voted(ground, train)
    if not len(rows):
        return _nothing(ground, at)
    shares = _voting(ground).shares()[rows]
    return head(ground.x[rows], shares, shares.sum(axis=1), ground.x[at])


def by_labels_and_votes(ground: Ground, train: Rows, at: Rows) -> Floats:
    """Return what a head says that has seen labels, and votes where there are none, half of each."""
    import numpy as np

    rows = _voted(ground, train[:0])
    if not len(rows):
        return by_labels(ground, train, at)
    x = np.concatenate([ground.x[train], ground.x[rows]])
    targets = np.concatenate([ground.targets(train), _voting(ground).shares()[rows]])
    weights = np.repeat([1.0, min(len(train) / len(rows), 1.0)], [len(train), len(rows)])
    return head(x, targets, weights, ground.x[at])


def by_belief(ground: Ground, train: Rows, at: Rows) -> Floats:
    """Return what a head says that has seen labels, and what labels and rules together make of other texts.

    q ∝ p exp(-cost), p that of a head made from the labels, costs of rules as right as the labels show them to be.
    """
    import numpy as np

    voting, rows = _voting(ground), _voted(ground, train[:0])
    if not len(rows):
        return by_labels(ground, train, at)
    nats = estimated_nats(ground, train)
    q = normalised(by_labels(ground, train, rows), voting.costs(nats)[rows])
    certain = 1 + (q * np.log(q.clip(1e-12))).sum(axis=1) / np.log(ground.labels)
    x = np.concatenate([ground.x[train], ground.x[rows]])
    targets = np.concatenate([ground.targets(train), q])
    weights = np.concatenate([np.ones(len(train)), certain * len(train) / max(certain.sum(), 1e-9)])
    return head(x, targets, weights, ground.x[at])


def by_projection(ground: Ground, train: Rows, at: Rows) -> Floats:
    """Return what a head says that has seen labels alone, projected onto the rules as they are written."""
    voting = _voting(ground)
    return normalised(by_labels(ground, train, at), voting.costs(voting.stated())[at])


def by_vote(ground: Ground, train: Rows, at: Rows) -> Floats:
    """Return the votes themselves, no head; where no rule votes, nothing is known."""
    shares = _voting(ground).shares()[at]
    silent = shares.sum(axis=1, keepdims=True) == 0
    found: Floats = shares + silent / ground.labels
    return found


def shares_of_text(ground: Ground) -> Floats:
    """Return (labels,) the share of each label among texts without one, as labels and rules guess it.

    Half of the guess is the shares among the labels, since a head made from few of them is not to be trusted.
    """
    import numpy as np

    train, at = ground.labelled, ground.unlabelled
    own = np.bincount(ground.gold[train], minlength=ground.labels) / max(len(train), 1)
    if not len(at) or not len(train):
        return own
    p = by_labels(ground, train, at)
    if ground.voting is not None:
        p = normalised(p, ground.voting.costs(estimated_nats(ground, train))[at])
    found: Floats = (own + p.mean(axis=0)) / 2
    return found


def estimated_nats(ground: Ground, train: Rows) -> Floats:
    """Return (rules,) what breaking each costs, by how right the labels of some rows show it to be."""
    import numpy as np

    voting = _voting(ground)
    shares = (np.bincount(ground.gold[train], minlength=ground.labels) + 1) / (len(train) + ground.labels)
    return voting.lift(voting.estimated(ground.gold, train), shares)


def normalised(p: Floats, costs: Floats) -> Floats:
    """Return q ∝ p exp(-cost), the least cost of each example taken off all."""
    import numpy as np

    q = (p + 1e-9) * np.exp(costs.min(axis=1, keepdims=True) - costs)
    found: Floats = q / q.sum(axis=1, keepdims=True)
    return found


def _voted(ground: Ground, also: Rows) -> Rows:
    """Return the rows without a label, and some more, on which the rules cast a vote."""
    import numpy as np

    rows = np.concatenate([ground.unlabelled, also])
    found: Rows = rows[_voting(ground).shares()[rows].sum(axis=1) > 0]
    return found


def _voting(ground: Ground) -> Voting:
    assert ground.voting is not None
    return ground.voting


def _nothing(ground: Ground, at: Rows) -> Floats:
    import numpy as np

    return np.full((len(at), ground.labels), 1 / ground.labels)
