"""What was measured, as rows of plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from triune.advising import heads
from triune.advising.forecast import forecasts, more_rules
from triune.advising.probing import Part, mean_of, scored
from triune.advising.ways import LABELS, PROBES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np

    from triune.advising.choosing import Measured
    from triune.advising.heads import Floats, Ground, Rows
    from triune.advising.material import Tables
    from triune.advising.probing import Trial
    from triune.audit import Audit
    from triune.types import JSON

    Row = dict[str, JSON]

SHARES = (0.25, 0.5, 1.0)
"""Of the labels of a part, for the learning curve."""

TIMES = (1, 2, 4)
"""So many times the labels are forecast."""

HALVES = 1
"""Different halves of the rules that are tried."""

SUSPICIOUS = 20
"""Labels that are shown at most, the surest first."""

WAYS = ("way", "family", "does", "score", "error", "against_labels", "against_error", "installed")
FORECASTS = ("labels", "kind", "score", "low", "high")
RULES = (
    "rule", "says", "fires", "covers", "conflicts", "labelled", "right", "confidence", "suggested", "likely_wrong",
)  # fmt: skip
SUSPECTS = ("place", "text", "label", "instead", "belief")
"""The columns of rows, for frames without one."""


def classes_of(tables: Tables, ground: Ground, trial: Trial | None) -> list[Row]:
    """Return a row for each label."""
    import numpy as np

    counts = np.bincount(ground.gold[ground.labelled], minlength=ground.labels)
    shares = ground.voting.shares() if ground.voting is not None else None
    rows: list[Row] = []
    for label, name in enumerate(tables.names):
        row: Row = {"label": name, "labels": int(counts[label]), "share": float(counts[label] / max(counts.sum(), 1))}
        if ground.voting is not None and shares is not None:
            voters = ground.voting.allowed[:, label] & (ground.voting.allowed.sum(axis=1) <= ground.labels / 2)
            row |= {
                "rules": int(voters.sum()),
                "votes": float((shares.argmax(axis=1) == label)[shares.any(axis=1)].mean()) if shares.any() else 0.0,
            }
        if trial is not None:
            own = ground.gold[ground.labelled] == label
            row["recognised"] = float((trial.said[own].argmax(axis=1) == label).mean()) if own.any() else None
        rows.append(row)
    return rows


def ways_of(found: Sequence[Measured]) -> list[Row]:
    """Return a row for each way, the best first."""
    ordered = sorted(found, key=lambda one: -one.score.mean)
    return [
        {
            "way": one.name,
            "family": one.family,
            "does": PROBES[one.name].says,
            "score": one.score.mean,
            "error": one.score.error,
            "against_labels": one.against.mean,
            "against_error": one.against.error,
            "installed": one.installed,
        }
        for one in ordered
    ]


def more_labels(ground: Ground, parts: list[Part], weights: Floats, way: str, known: int, seed: int) -> list[Row]:
    """Return rows of what a way scored with fewer labels, then of what is forecast with all `known` ones and more."""
    import numpy as np

    generator = np.random.default_rng(seed)
    make = PROBES[way].make
    errors, counts = [], []
    for part in parts:
        cuts = [_share(part.train, ground.gold, share, generator) for share in SHARES]
        errors.append(
            [1 - scored(make(ground, rows, part.held), ground.gold[part.held], weights[part.held]) for rows in cuts]
        )
        counts.append([len(rows) for rows in cuts])
    table, sizes = np.array(errors), np.array(counts).mean(axis=0)
    there: list[Row] = [
        {"labels": round(float(size)), "kind": "measured", "score": 1 - float(error.mean()), "low": None, "high": None}
        for size, error in zip(sizes, table.T, strict=True)
    ]
    ahead = forecasts(sizes.tolist(), table, [times * known for times in TIMES], seed)
    forecast: list[Row] = [
        {"labels": one.at, "kind": "forecast", "score": one.score, "low": one.low, "high": one.high} for one in ahead
    ]
    return [*there, *forecast]


def _share(rows: Rows, gold: Rows, share: float, generator: np.random.Generator) -> Rows:
    """Return a share of some rows, one of each class at least."""
    import numpy as np

    kept = []
    for label in np.unique(gold[rows]):
        members = rows[gold[rows] == label]
        kept.append(generator.permutation(members)[: max(round(len(members) * share), 1)])
    return np.concatenate(kept)


def rules_forecast(ground: Ground, parts: list[Part], weights: Floats, way: str, trial: Trial, seed: int) -> Row | None:
    """Return what half of the rules give and what twice as many would; None where there is nothing to halve."""
    from dataclasses import replace

    import numpy as np

    voting = ground.voting
    if voting is None or len(voting.names) < 2:
        return None
    generator = np.random.default_rng(seed)
    gains, covered = [], []
    for _ in range(HALVES):
        half = np.sort(generator.permutation(len(voting.names))[: len(voting.names) // 2])
        less = replace(ground, voting=voting.only(half))
        scores = [
            scored(PROBES[way].make(less, part.train, part.held), ground.gold[part.held], weights[part.held])
            for part in parts
        ]
        gains.append(trial.scores - np.array(scores))
        covered.append(coverage(less))
    gain = mean_of(np.mean(gains, axis=0), parts)
    return asdict(more_rules(len(voting.names), float(np.mean(covered)), coverage(ground), gain.mean, gain.error))


def coverage(ground: Ground) -> float:
    """Return the share of all texts on which rules cast a vote."""
    return 0.0 if ground.voting is None else float(ground.voting.shares().any(axis=1).mean())


def above_chance(ground: Ground) -> float:
    """Return how far the rules' vote is on its way from chance, 0, to being right wherever there is one, 1."""
    import numpy as np

    assert ground.voting is not None
    shares = ground.voting.shares()
    rows = ground.labelled[shares[ground.labelled].any(axis=1)]
    if not len(rows):
        return 1.0
    right = scored(shares[rows], ground.gold[rows], np.ones(len(rows)))
    return (right - 1 / ground.labels) / (1 - 1 / ground.labels)


def rules_of(found: Audit) -> list[Row]:
    """Return a row for each rule; one is likely wrong if labels all but rule out what it says of itself."""
    return [
        {
            "rule": one.name,
            "says": one.says,
            "fires": one.fires,
            "covers": one.coverage,
            "conflicts": one.conflicts,
            "labelled": one.labelled,
            "right": one.right,
            "confidence": one.confidence,
            "suggested": one.suggested,
            "likely_wrong": one.interval is not None and one.interval[1] < one.confidence,
        }
        for one in found.rules
    ]


def suspicious(tables: Tables, ground: Ground, trials: Mapping[str, Trial]) -> list[Row]:
    """Return the labels that the rules' votes and a head that did not see them agree against, the surest first."""
    if ground.voting is None:
        return []
    return sorted(_against(tables, ground, trials[LABELS].said), key=lambda row: -float(row["belief"]))[:SUSPICIOUS]  # type: ignore[arg-type]


def _against(tables: Tables, ground: Ground, said: Floats) -> Iterator[Row]:
    assert ground.voting is not None
    shares = ground.voting.shares()
    for place, row in enumerate(ground.labelled.tolist()):
        votes, gold = shares[row], int(ground.gold[row])
        other = int(said[place].argmax())
        if other != gold and votes[other] > 0.5 and said[place, other] > 2 * said[place, gold]:
            yield {
                "place": tables.place(row),
                "text": tables.text(row),
                "label": tables.names[gold],
                "instead": tables.names[other],
                "belief": float(said[place, other]),
            }


def text_shares(ground: Ground, metric: str) -> Floats:
    """Return (labels,) how much each label counts: as often as it is among the texts, or as much as any other."""
    import numpy as np

    if metric == "macro":
        return np.full(ground.labels, 1 / ground.labels)
    return heads.shares_of_text(ground)
