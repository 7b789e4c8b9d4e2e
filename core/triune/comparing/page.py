"""A comparison printed: a table of arms, what their differences are worth, and who wins under which constraint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from triune.alignment import aligned, duration, size, wrapped
from triune.comparing.constraints import LEVEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from triune.comparing.comparison import Comparison
    from triune.types import JSON

    Row = Mapping[str, JSON]

FIGURES = ("macro_f1", "accuracy", "micro_f1")
MOST_FIGURES = 2
MOST_PAIRS = 15


def lines_of(comparison: Comparison) -> Iterator[str]:
    """Yield all that there is to print."""
    facts = comparison.facts
    summary = sorted(_rows(facts["summary"]), key=lambda row: _number(row, comparison.metric), reverse=True)
    if summary:
        yield from _table(summary, comparison)
        yield from _pairs(_rows(facts["pairs"]), summary, comparison.metric)
        yield from _winners(_rows(facts["winners"]), comparison.metric)
    else:
        yield "No run was finished, so there is nothing to compare."
    for name, reason in comparison.left_out.items():
        yield from wrapped(f"{name}: {reason}", "", "left out  ")
    for row in _rows(facts["failures"]):
        yield from wrapped(" ".join(f"{row['arm']}, seed {row['seed']}: {row['error']}".split()), "", "failed    ")
    for note in cast("Sequence[str]", facts["notes"]):
        yield from wrapped(note, "", "note      ")


def _table(summary: Sequence[Row], comparison: Comparison) -> Iterator[str]:
    names = [comparison.metric, *(name for name in FIGURES if name in summary[0] and name != comparison.metric)]
    names = [name for name in names[:MOST_FIGURES] if name]
    count = max(int(_number(row, "runs")) for row in summary)
    runs = "mean ± standard deviation over the seeds" if count > 1 else "one seed, so no spread"
    seeds = f"seed{'s' if len(comparison.seeds) > 1 else ''} {', '.join(map(str, comparison.seeds))}"
    yield f"On the {comparison.facts['split']} table, {seeds} ({runs})"
    yield ""
    head = ["", "learns from", *(name.replace("_", " ") for name in names)]
    rows = [[*head, "rules broken", "trained", "time", "memory"]]
    for row in summary:
        figures = [_with_spread(row, name) for name in names]
        rows.append(
            [
                str(row["arm"]),
                {"hybrid": "both"}.get(str(row["family"]), str(row["family"])),
                *figures,
                _percent(row.get("violation_rate")),
                _count(row.get("trained_parameters")),
                duration(_number(row, "seconds")),
                size(_number(row, "peak_memory")) if row.get("peak_memory") else "–",
            ]
        )
    yield from aligned(rows, right=range(2, len(rows[0])), indent="  ")
    floor = next((row["violation_rate_on_gold"] for row in summary if row.get("violation_rate_on_gold") is not None), 0)
    if any(row.get("violation_rate") is not None for row in summary):
        yield f"  (the right answers themselves break {_percent(floor)} of what the rules say)"
    for row in summary:
        if row["collapsed"]:
            yield f"  {row['arm']}: one label took over in {row['collapsed']} of {row['runs']:.0f} runs"


def _pairs(pairs: Sequence[Row], summary: Sequence[Row], metric: str) -> Iterator[str]:
    """Yield the differences of the best arm to each other one; comparison.json has every pair."""
    best = str(summary[0]["arm"])
    shown = [one for one in (_turned(row, best) for row in pairs) if one][:MOST_PAIRS]
    if not shown:
        return
    tested = str(shown[0]["metric"]).replace("_", " ")
    yield from ("", f"Is {best} better? Differences in {tested}, the same examples and seeds")
    rows = [["", "difference", "95 % interval", "p", "p (right or wrong)", ""]]
    for row in shown:
        p = _number(row, "p_corrected")
        rows.append(
            [
                f"than {row['second']}",
                f"{_number(row, 'difference'):+.4f}",
                f"{_number(row, 'low'):+.4f} … {_number(row, 'high'):+.4f}",
                f"{p:.4f}",
                f"{_number(row, 'p_right_corrected'):.4f}",
                "yes" if p <= LEVEL else "not shown",
            ]
        )
    yield from aligned(rows, right=range(1, 5), indent="  ")
    yield f"  p: permutation of examples; right or wrong: McNemar's; both corrected for {len(pairs)} pairs (Holm)"


def _turned(row: Row, best: str) -> Row | None:
    """Return a pair with the best arm first, or None where it is not in it."""
    if row["first"] == best:
        return row
    if row["second"] != best:
        return None
    turned = {"first": best, "second": row["first"], "difference": -_number(row, "difference")}
    return {**row, **turned, "low": -_number(row, "high"), "high": -_number(row, "low")}


def _winners(winners: Sequence[Row], metric: str) -> Iterator[str]:
    if not winners:
        return
    yield from ("", "Who wins")
    rows = []
    for row in winners:
        value = row.get(metric)
        figure = f"{value:.4f}" if isinstance(value, float) else ""
        rows.append([str(row["constraint"]), str(row["arm"] or "–"), figure, str(row["note"])])
    yield from aligned(rows, indent="  ")
    yield ""


def _with_spread(row: Row, name: str) -> str:
    value, spread = row.get(name), row.get(f"{name}_spread")
    if not isinstance(value, float):
        return "–"
    return f"{value:.4f} ± {spread:.4f}" if isinstance(spread, float) else f"{value:.4f}"


def _rows(value: JSON) -> list[Row]:
    return [row for row in cast("Sequence[JSON]", value) if isinstance(row, Mapping)]


def _number(row: Row, name: str) -> float:
    value = row.get(name)
    return float(value) if isinstance(value, int | float) else float("-inf")


def _percent(value: JSON) -> str:
    return f"{value:.1%}" if isinstance(value, int | float) else "–"


def _count(value: JSON) -> str:
    return f"{value:,.0f}" if isinstance(value, int | float) else "–"
