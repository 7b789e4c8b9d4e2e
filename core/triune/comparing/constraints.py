"""Who wins under which constraint: the best, the best that keeps the rules, and the cheapest that is as good."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triune.types import JSON

    Row = Mapping[str, JSON]

LEVEL = 0.05
CHEAPEST = (
    ("fewest trained parameters", "trained_parameters"),
    ("least time", "seconds"),
    ("least memory", "peak_memory"),
)


def winners_of(
    summary: Sequence[Row], pairs: Sequence[Row], metric: str, violations: float | None
) -> list[dict[str, JSON]]:
    """Return the winner under each constraint, with what it reaches.

    Args:
        summary: a row an arm.
        pairs: a row a pair of arms.
        metric: which decides.
        violations: the share of broken rules that is allowed; None for that of the right answers themselves.
    """
    judged = [row for row in summary if isinstance(row.get(metric), float)]
    if not judged:
        return []
    best = max(judged, key=lambda row: _of(row, metric))
    found = [_won("best quality", best, metric, _rivals(best, judged, pairs))]
    found += _keeping(judged, metric, violations)
    error = best.get("standard_error")
    if isinstance(error, float):
        as_good = [row for row in judged if _of(row, metric) >= _of(best, metric) - error]
        for title, cost in CHEAPEST:
            if all(isinstance(row.get(cost), int | float) for row in as_good):
                winner = min(as_good, key=lambda row, cost=cost: _of(row, cost))  # type: ignore[misc]
                found.append(_won(f"{title}, within one standard error of the best", winner, metric, cost=cost))
    return found


def _keeping(judged: Sequence[Row], metric: str, violations: float | None) -> list[dict[str, JSON]]:
    """Return the best of those that break no more rules than is allowed, if rules were watched."""
    watched = [row for row in judged if isinstance(row.get("violation_rate"), float)]
    floor = next((row["violation_rate_on_gold"] for row in watched if row.get("violation_rate_on_gold") is not None), 0)
    allowed = float(cast("float", floor)) if violations is None else violations
    if not watched:
        return []
    title = f"best that breaks at most {allowed:.1%} of what rules say"
    keeping = [row for row in watched if _of(row, "violation_rate") <= allowed]
    if not keeping:
        nearest = min(watched, key=lambda row: _of(row, "violation_rate"))
        said = f"nobody: {nearest['arm']} comes nearest, with {_of(nearest, 'violation_rate'):.1%}"
        return [{"constraint": title, "arm": None, metric: None, "note": said}]
    winner = max(keeping, key=lambda row: _of(row, metric))
    return [_won(title, winner, metric, cost="violation_rate")]


def _rivals(best: Row, judged: Sequence[Row], pairs: Sequence[Row]) -> str:
    """Return whom the best is not shown to be better than."""
    unclear = []
    for row in judged:
        pair = next((one for one in pairs if {one["first"], one["second"]} == {row["arm"], best["arm"]}), None)
        if row is not best and (pair is None or _of(pair, "p_corrected") > LEVEL):
            unclear.append(str(row["arm"]))
    if len(judged) == 1:
        return ""
    return f"not shown to be better than {', '.join(unclear)}" if unclear else "better than every other arm"


def _won(title: str, row: Row, metric: str, note: str = "", cost: str = "") -> dict[str, JSON]:
    reached = {cost: row[cost]} if cost else {}
    return {"constraint": title, "arm": row["arm"], metric: row[metric], **reached, "note": note}


def _of(row: Row, name: str) -> float:
    return float(cast("float", row[name]))
