"""The page of a comparison: several ways of learning beside each other, with their spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.report import figures
from triune.report.page import filled
from triune.report.plain import as_list, as_mapping, as_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune.types import JSON

    Row = Mapping[str, JSON]

COSTS = ("violation_rate", "seconds", "trained_parameters")
"""What stands in a figure of its own beside the metric."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with their columns, and those that hold numbers."""

    columns: list[str]
    rows: list[dict[str, JSON]]
    numeric: frozenset[str]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the page."""

    key: str
    title: str
    note: str = ""
    table: Table | None = None
    figures: tuple[figures.Figure, ...] = ()


SECTIONS = (
    ("winners", "Which wins under which constraint", ""),
    ("summary", "Every strategy", "Means over the seeds; columns that end in “spread” are standard deviations."),
    ("pairs", "What differences are worth", "Strategies in pairs, on the same examples."),
    ("runs", "Every run", ""),
    ("failures", "What failed", ""),
)


def comparison_page(comparison: Mapping[str, JSON], title: str = "Comparison") -> str:
    """Return the page of a comparison.

    Args:
        comparison: plain values, of which each may be missing: "metric" (what decides), rows of "winners", "summary",
            "pairs", "runs" (each with "arm", "seed" and figures) and "failures", "left_out" (reasons by name),
            "notes"; other values that are no tables stand at the top of the page.
        title: its title.
    """
    metric = str(comparison.get("metric") or "")
    known = {"left_out", "notes", *(key for key, _, _ in SECTIONS)}
    plain = [(key, _brief(value)) for key, value in comparison.items() if key not in known and not as_rows(value)]
    failures = as_rows(comparison.get("failures"))
    values = {
        "title": title,
        "header": [(key, value) for key, value in plain if value not in ("", None)],
        "warnings": [f"{len(failures)} of the runs failed; they stand at the end"] if failures else [],
        "notes": [*map(str, as_list(comparison.get("notes"))), *_left_out(comparison.get("left_out"))],
        "parts": [part for key, name, note in SECTIONS if (part := _part(comparison, key, name, note, metric))],
    }
    return filled("comparison.html.j2", values)


def _part(comparison: Mapping[str, JSON], key: str, title: str, note: str, metric: str) -> Part | None:
    rows = as_rows(comparison.get(key))
    if not rows:
        return None
    drawn = tuple(_spreads(as_rows(comparison.get("runs")), metric)) if key == "summary" else ()
    return Part(key, title, note, _table(rows), drawn)


def _spreads(runs: Sequence[Row], metric: str) -> list[figures.Figure]:
    """Return how the metric that decides, and what it costs, scatter over the seeds of each strategy."""
    found = []
    for name in (metric, *COSTS):
        values: dict[str, list[float]] = {}
        for number, arm in enumerate(dict.fromkeys(str(row.get("arm")) for row in runs), 1):
            each = [row.get(name) for row in runs if str(row.get("arm")) == arm]
            numbers = [float(one) for one in each if isinstance(one, int | float) and not isinstance(one, bool)]
            if numbers:
                values[f"{number}: {arm}"] = numbers
        if values:
            found.append(figures.spread(name.replace("_", " "), values))
    return found


def _table(rows: Sequence[Row]) -> Table:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    filled_in = [{name: _brief(row.get(name)) for name in columns} for row in rows]
    numeric = frozenset(
        name
        for name in columns
        if all(isinstance(row[name], int | float | None) for row in filled_in)
        and any(row[name] is not None for row in filled_in)
    )
    return Table(columns, filled_in, numeric)


def _brief(value: JSON) -> JSON:
    """Return a value as a cell holds it: numbers and text as they are, lists and mappings in words."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_brief(one)}" for key, one in value.items())
    return ", ".join(str(_brief(one)) for one in value) if isinstance(value, list) else value


def _left_out(value: JSON) -> list[str]:
    return [f"{name} is left out: {reason}" for name, reason in as_mapping(value).items()]
