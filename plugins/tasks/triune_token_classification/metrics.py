"""What a table of predicted tags is worth: spans by the CoNLL definition, or single tokens."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from triune_token_classification.schemes import NONE, spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from triune.types import JSON, LabelValue
    from triune_token_classification.schemes import Cell

Found = tuple[str, int, int, int]  # kind or tag, example, start, stop


def metrics_of(predictions: pd.DataFrame, scheme: str) -> dict[str, JSON]:
    """Return the metrics of a split.

    Precision, recall and F1 count spans, right only with both ends and kind right; where tags mark no spans, they
    count tokens. Macro averages count every kind that occurs in gold or predicted tags alike.

    Args:
        predictions: "gold" and "predicted" lists of tags; a gold tag of None is not known.
        scheme: how tags mark spans; "none" where they do not.
    """
    gold: list[Cell] = predictions["gold"].tolist()
    predicted: list[Cell] = predictions["predicted"].tolist()
    pairs = [
        [(g, p) for g, p in zip(*both, strict=True) if g is not None] for both in zip(gold, predicted, strict=True)
    ]
    right = [[str(g) == str(p) for g, p in row] for row in pairs]
    wanted, said = (tokens_of(pairs, 0), tokens_of(pairs, 1)) if scheme == NONE else spans_of(gold, predicted)
    counts = figures(wanted, said)
    total = figures({("", *one) for one in wanted}, {("", *one) for one in said}).get("", dict.fromkeys(FIGURES, 0.0))
    shares = Counter(str(p) for row in pairs for _, p in row)
    tokens = sum(map(len, right))
    return {
        **{f"macro_{name}": sum(row[name] for row in counts.values()) / max(len(counts), 1) for name in FIGURES},
        **{f"micro_{name}": total[name] for name in FIGURES},
        "token_accuracy": sum(map(sum, right)) / max(tokens, 1),
        "sequence_accuracy": sum(map(all, right)) / max(len(right), 1),
        "largest_predicted_share": max(shares.values(), default=0) / max(tokens, 1),
        "per_class": {kind: {**row} for kind, row in counts.items()},
    }


FIGURES = ("precision", "recall", "f1")


def spans_of(gold: Sequence[Cell], predicted: Sequence[Cell]) -> tuple[set[Found], set[Found]]:
    """Return gold and predicted spans, of the examples of which every gold tag is known."""
    whole = [row for row, tags in enumerate(gold) if None not in tags]
    return _placed(gold, whole), _placed(predicted, whole)


def _placed(sequences: Sequence[Cell], rows: Iterable[int]) -> set[Found]:
    return {(kind, row, start, stop) for row in rows for kind, start, stop in spans(sequences[row])}


def tokens_of(pairs: Sequence[Sequence[tuple[LabelValue, LabelValue | None]]], side: int) -> set[Found]:
    """Return every token with its tag, of one side of pairs (gold, predicted)."""
    return {
        (str(pair[side]), row, place, place + 1)
        for row, tokens in enumerate(pairs)
        for place, pair in enumerate(tokens)
    }


def figures(wanted: Iterable[tuple[object, ...]], said: Iterable[tuple[object, ...]]) -> dict[str, dict[str, float]]:
    """Return precision, recall, F1 and support by what the entries begin with, in natural order."""
    wanted, said = set(wanted), set(said)
    true, given, hits = (Counter(str(one[0]) for one in some) for some in (wanted, said, wanted & said))
    return {
        kind: {
            "precision": _share(hits[kind], given[kind]),
            "recall": _share(hits[kind], true[kind]),
            "f1": _share(2 * hits[kind], given[kind] + true[kind]),
            "support": true[kind],
        }
        for kind in sorted({*true, *given})
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
