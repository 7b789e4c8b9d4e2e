"""What the reader of a plan should know of labels from rules: how many, how sure, and whether they collapsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.errors import count
from triune_weak_labels.votes import ABSTAIN
from triune_weak_labels.voting import Majority, decided, tied

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from triune_weak_labels.choosing import Chosen
    from triune_weak_labels.votes import Votes

SEEDS = 10  # drawings of ties, for their spread
MARGIN = 0.2  # by which the share of the largest class may exceed what it is compared with
WHOLE = 0.95  # share of one class that is a collapse, whatever it is compared with
ENOUGH = 10  # labelled examples whose distribution is worth a comparison


def summary(votes: Votes, one: Chosen, gold: NDArray[np.int64], generator: np.random.Generator) -> Iterator[str]:
    """Yield what the labels are like, and what is suspicious in them."""
    if not votes.spoken.any():
        yield "no rule speaks of any training example, so none is labelled by rules"
        return
    best = decided(one.probabilities[votes.spoken], generator)
    counts = _counts(best, len(votes.labels))
    largest = int(counts.argmax())
    share = counts[largest] / counts.sum()
    ties = float((tied(one.probabilities[votes.spoken]).sum(axis=1) > 1).mean())
    yield (
        f"{one.name} speaks of {int(votes.spoken.sum())} of {len(votes.spoken)} training examples by "
        f"{count(votes.voters, 'rule')} ({100 * votes.overlap:.0f} % under several, {100 * ties:.0f} % tied); "
        f"largest class {votes.labels[largest]!r} {100 * share:.0f} %"
    )
    yield from _spread(votes, one, gold, generator)
    unheard = [str(label) for label, count in zip(votes.labels, counts, strict=True) if not count]
    if unheard:
        yield f"no example is labelled {', '.join(map(repr, unheard))} by rules: write rules for it, or give labels"
    yield from _collapse(votes, one, gold, largest, float(share))


def _spread(votes: Votes, one: Chosen, gold: NDArray[np.int64], generator: np.random.Generator) -> Iterator[str]:
    import numpy as np

    judged = (gold != ABSTAIN) & votes.spoken
    if not judged.any():
        return
    known, found = gold[judged], one.probabilities[judged]
    rates = [float((decided(found, generator) == known).mean()) for _ in range(SEEDS)]
    yield (
        f"accuracy of {one.name} on {count(int(judged.sum()), 'labelled example')}, ties broken by {SEEDS} seeds: "
        f"{100 * np.mean(rates):.1f} ± {100 * np.std(rates):.1f} %"
    )


def _collapse(votes: Votes, one: Chosen, gold: NDArray[np.int64], largest: int, share: float) -> Iterator[str]:
    """Yield a warning if classes are exchanged (against majority vote) or one takes over."""
    majority = Majority().posterior(votes)
    clear = votes.spoken & (tied(majority).sum(axis=1) == 1)
    agreeing = (one.probabilities.argmax(axis=1) == majority.argmax(axis=1))[clear]
    if len(agreeing) and agreeing.mean() < 0.5:
        yield (
            f"warning: {one.name} contradicts majority vote on {100 * (1 - agreeing.mean()):.0f} % of the examples, as "
            "a model does that has exchanged the classes: say model: majority, or best with some labels"
        )
    known = gold[gold != ABSTAIN]
    places = known if len(known) >= ENOUGH else majority[clear].argmax(axis=1)
    where = "of the labelled examples" if len(known) >= ENOUGH else "by majority vote"
    expected = float((places == largest).mean()) if len(places) else 0.0
    if share > min(WHOLE, expected + MARGIN):
        yield (
            f"warning: {100 * share:.0f} % of the labels are {votes.labels[largest]!r}, which is "
            f"{100 * expected:.0f} % {where}: the rules, or the model, may have collapsed to one class"
        )


def _counts(places: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    import numpy as np

    counts: NDArray[np.int64] = np.bincount(places, minlength=classes)
    return counts
