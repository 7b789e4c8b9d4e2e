"""Counts over records: which labels are taken for which, and how far probabilities can be believed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.data import label_set

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from triune.report.records import Record

BINS = 15


@dataclass(frozen=True, slots=True)
class Bin:
    """The decisions whose probability lies in one of `BINS` equal parts of [0, 1]."""

    count: int
    confidence: float  # their mean probability
    right: float  # the share of them that are right


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far probabilities can be believed.

    Attributes:
        bins: those that hold a decision.
        error: the expected calibration error (Guo et al. 2017, eq. 3).
        brier: the mean squared difference of probabilities and truth (Brier 1950).
        of: what is counted: "predictions", "labels of examples", "tokens".
    """

    bins: tuple[Bin, ...]
    error: float
    brier: float
    of: str


def confusions(records: Iterable[Record]) -> Counter[tuple[str, str]]:
    """Return how often a label (first) was predicted as a label (second); of sequences, token by token.

    Records of several labels at once have none: no label stands for another there.
    """
    found: Counter[tuple[str, str]] = Counter()
    for one in records:
        gold, said = label_set(one.gold), label_set(one.predicted)
        if gold is not None and said is not None and _exclusive(one):
            found.update((str(g), str(s)) for g, s in zip(gold, said, strict=False) if g is not None and s is not None)
    return found


def per_label(counts: Counter[tuple[str, str]]) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support of each label, by its confusions."""
    wanted, given = Counter[str](), Counter[str]()
    for (gold, said), number in counts.items():
        wanted[gold] += number
        given[said] += number
    return {
        label: {
            "precision": counts[label, label] / given[label] if given[label] else 0.0,
            "recall": counts[label, label] / wanted[label] if wanted[label] else 0.0,
            "f1": 2 * counts[label, label] / (wanted[label] + given[label]),
            "support": wanted[label],
        }
        for label in sorted({*wanted, *given})
    }


def calibration(records: Sequence[Record], labels: int) -> Calibration | None:
    """Return how far the probabilities of labelled examples can be believed; None where there are none.

    Args:
        records: the examples.
        labels: how many labels there are: where several may hold at once, each is a decision, and those that the
            records leave out had a probability of nearly nothing and did not come true.
    """
    labelled = [one for one in records if one.labelled]
    pairs = [pair for one in labelled for pair in decisions(one)]
    if not pairs:
        return None
    silent = sum(labels - len(one.probabilities) for one in labelled if not _exclusive(one))
    bins = tuple(_bins(pairs, silent))
    error = sum(one.count * abs(one.confidence - one.right) for one in bins) / (len(pairs) + silent)
    return Calibration(bins, error, _brier(labelled, pairs, silent), _counted(records))


def decisions(record: Record) -> Iterator[tuple[float, bool]]:
    """Yield (probability, whether it came true): of the prediction, of each label, or of each token's tag."""
    gold, said = label_set(record.gold) or (), label_set(record.predicted) or ()
    if isinstance(record.probabilities, list):
        for p, g, s in zip(record.probabilities, gold, said, strict=False):
            if g is not None:
                yield p, str(g) == str(s)
    elif _exclusive(record):
        name = str(said[0]) if said else ""
        if name in record.probabilities:
            # what a structure decides need not be what is most probable
            yield record.probabilities[name], not record.differs
    else:
        true = set(map(str, gold))
        yield from ((p, name in true) for name, p in record.probabilities.items())


def _exclusive(record: Record) -> bool:
    """Return whether one label holds, of the example or of each token."""
    return isinstance(record.probabilities, list) or not isinstance(record.predicted, list)


def _bins(pairs: Sequence[tuple[float, bool]], silent: int) -> Iterator[Bin]:
    members: dict[int, list[tuple[float, bool]]] = {0: []} if silent else {}
    for pair in pairs:
        members.setdefault(min(int(pair[0] * BINS), BINS - 1), []).append(pair)
    for place, inside in sorted(members.items()):
        count = len(inside) + (0 if place else silent)
        yield Bin(count, sum(p for p, _ in inside) / count, sum(right for _, right in inside) / count)


def _brier(records: Sequence[Record], pairs: Sequence[tuple[float, bool]], silent: int) -> float:
    """Return the mean over examples of Σ_k (p_k − y_k)²; of several labels and of tokens, over decisions."""
    sums = [_squares(one) for one in records if one.probabilities and _one_of_several(one)]
    return sum(sums) / len(sums) if sums else sum((p - right) ** 2 for p, right in pairs) / (len(pairs) + silent)


def _one_of_several(record: Record) -> bool:
    return isinstance(record.probabilities, dict) and not isinstance(record.predicted, list)


def _squares(record: Record) -> float:
    assert isinstance(record.probabilities, dict)
    true = set(map(str, label_set(record.gold) or ()))
    return sum((p - (name in true)) ** 2 for name, p in record.probabilities.items())


def _counted(records: Sequence[Record]) -> str:
    if any(isinstance(one.probabilities, list) for one in records):
        return "tokens"
    return "predictions" if all(_exclusive(one) for one in records) else "labels of examples"
