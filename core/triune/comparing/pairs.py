"""Every pair of arms set against each other on the examples that both answered."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, cast

from triune.comparing.answers import TOLERANCE, WHOLE, Statistic, statistic
from triune.comparing.recording import recorded
from triune.comparing.significance import holm, interval, permutation_p, sign_p, standard_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from triune.comparing.recording import Answers
    from triune.types import JSON

    Row = dict[str, JSON]

SEED = 0  # of exchanges and resamples: the same answers give the same p


@dataclass(frozen=True, slots=True)
class Paired:
    """What can be said of pairs.

    Attributes:
        rows: one a pair.
        errors: the standard error over examples, of each arm.
        notes: what the reader should know of the tests.
    """

    rows: Sequence[Row]
    errors: Mapping[str, float]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The labels of the examples, and the answers of every run to them, by arm and seed."""

    gold: Sequence[object]
    answers: Mapping[str, Mapping[int, Sequence[object]]]


def pairs_of(rows: Sequence[Row], metric: str, folders: Mapping[tuple[str, int], Path]) -> Paired:
    """Return every pair of arms with its difference, interval and p values.

    Args:
        rows: of the finished runs.
        metric: which decides.
        folders: of the runs, by arm and seed.
    """
    sheet, notes = _sheet(rows, folders)
    if sheet is None:
        return Paired((), {}, notes)
    measured = {(str(row["arm"]), cast("int", row["seed"])): row.get(metric) for row in rows}
    tested = _tested(metric, sheet, measured)
    if tested.name != metric:
        notes.append(
            f"{metric} is no sum over examples that is known here: differences are tested in the share of examples "
            "whose whole answer is right"
        )
    return Paired(*_set_against(sheet, tested), notes)


def _sheet(rows: Sequence[Row], folders: Mapping[tuple[str, int], Path]) -> tuple[Sheet | None, list[str]]:
    """Return the answers on the examples that have a label, and what kept some from being looked at."""
    notes: list[str] = []
    answers: dict[str, dict[int, Sequence[object]]] = {}
    first: Answers | None = None
    for row in rows:
        arm, seed = str(row["arm"]), cast("int", row["seed"])
        found = recorded(folders[arm, seed]).answers.get(str(row["split"]))
        if found is None:
            notes.append(f"{arm}, seed {seed}: its answers were not kept, so no test counts it")
            continue
        first = first or found
        if (found.rows, found.gold) != (first.rows, first.gold):
            notes.append(f"{arm}, seed {seed}: it was measured on other examples than the rest, so no test counts it")
            continue
        kept = [said for said, true in zip(found.predicted, found.gold, strict=True) if true is not None]
        answers.setdefault(arm, {})[seed] = kept
    if first is None or not any(true is not None for true in first.gold):
        return None, [*notes, "no example has a label, so no difference is tested"]
    return Sheet([true for true in first.gold if true is not None], answers), notes


def _tested(metric: str, sheet: Sheet, measured: Mapping[tuple[str, int], JSON]) -> Statistic:
    """Return the metric as a statistic if it comes out as it was measured, else the share of right answers."""
    given = [cells for by_seed in sheet.answers.values() for cells in by_seed.values()]
    for name in (metric, WHOLE):
        found = statistic(name, sheet.gold, given)
        if found is not None and (name == WHOLE or _agrees(found, sheet, measured)):
            return found
    raise AssertionError("the share of right answers is always known")


def _agrees(one: Statistic, sheet: Sheet, measured: Mapping[tuple[str, int], JSON]) -> bool:
    values = {
        (arm, seed): float(one.value(one.parts(cells).sum(0)))
        for arm, by_seed in sheet.answers.items()
        for seed, cells in by_seed.items()
    }
    return all(abs(value - cast("float", measured[run])) < TOLERANCE for run, value in values.items())


def _set_against(sheet: Sheet, tested: Statistic) -> tuple[list[Row], dict[str, float]]:
    import numpy as np

    right = statistic(WHOLE, sheet.gold, ())
    assert right is not None
    parts = {arm: {seed: tested.parts(cells) for seed, cells in one.items()} for arm, one in sheet.answers.items()}
    hits = {arm: {seed: right.parts(cells) for seed, cells in one.items()} for arm, one in sheet.answers.items()}
    rows: list[Row] = []
    for first, second in combinations(sheet.answers, 2):
        seeds = sorted(parts[first].keys() & parts[second].keys())
        if not seeds:
            continue
        one, other = (np.stack([parts[arm][seed] for seed in seeds]) for arm in (first, second))
        generator = np.random.default_rng(SEED)
        low, high = interval(one, other, tested.value, generator)
        rows.append(
            {
                "first": first,
                "second": second,
                "metric": tested.name,
                "seeds": len(seeds),
                "difference": _value(one, tested) - _value(other, tested),
                "low": low,
                "high": high,
                "p": permutation_p(one, other, tested.value, generator),
                "p_right": sign_p(_right(hits[first], seeds), _right(hits[second], seeds)),
            }
        )
    errors = {
        arm: standard_error(np.stack(list(by_seed.values())), tested.value, np.random.default_rng(SEED))
        for arm, by_seed in parts.items()
    }
    return _corrected(rows), errors


def _value(parts: NDArray[np.float64], tested: Statistic) -> float:
    return float(tested.value(parts.sum(1)).mean())


def _right(hits: Mapping[int, NDArray[np.float64]], seeds: Sequence[int]) -> NDArray[np.float64]:
    """Return (examples,) with how many seeds each was answered rightly."""
    total: NDArray[np.float64] = sum(hits[seed][:, 0] for seed in seeds)  # type: ignore[assignment]
    return total


def _corrected(rows: Sequence[Row]) -> list[Row]:
    columns = {name: holm([cast("float", row[name]) for row in rows]) for name in ("p", "p_right")}
    return [
        {**row, **{f"{name}_corrected": found[place] for name, found in columns.items()}}
        for place, row in enumerate(rows)
    ]
