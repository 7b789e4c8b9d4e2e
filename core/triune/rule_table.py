"""What a run has to say of rules, as tables: each rule, and the run beside its projection and its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from triune.alignment import aligned, count, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from triune.types import JSON

    Figures = Mapping[str, JSON]

MOST_RULES = 15
MOST_FIGURES = 4
NOT_MEASURED = "not_measured"
"""Where metrics of a table say why they say nothing of quality."""
HEADLINES = ("macro_f1", "accuracy", "micro_f1", "auroc")
COLUMNS = (
    ("fires on", "coverage"),
    ("broken", "violation_rate"),
    ("before", "violation_rate_before"),
    ("by labels", "violation_rate_on_gold"),
    ("premise met", "violation_given_premise"),
    ("holds with", "satisfaction_probability"),
    ("held with", "satisfaction_probability_before"),
)
"""What each column says of a rule: where it fires, how often the predictions break it, those of the model before it
learnt, the labels, the predictions where the rule's premise is met, and the probability that the model gives it, or how
true it is if it is a function, after and before it learnt."""


def rule_lines(split: str, metrics: Figures) -> Iterator[str]:
    """Yield the rules of a split, those that are broken most often first."""
    rules = cast("Mapping[str, Figures]", metrics.get("rules", {}))
    if not rules:
        return
    ordered = sorted(rules.items(), key=lambda item: urgency(item[1]), reverse=True)
    shown = [("all together", cast("Figures", metrics["rules_overall"])), *ordered[:MOST_RULES]]
    columns = [(title, key) for title, key in COLUMNS if any(one.get(key) is not None for _, one in shown)]
    rows = [["", *(title for title, _ in columns)]]
    rows += [[shortened(name, 36), *(_percent(one.get(key)) for _, key in columns)] for name, one in shown]
    yield from ("", f"  rules ({split})")
    yield from aligned(rows, right=range(1, len(columns) + 1), indent="  ")
    if len(ordered) > MOST_RULES:
        yield f"  … and {len(ordered) - MOST_RULES} more, broken less often: metrics.json has them"
    hard = cast("Figures", metrics["rules_overall"]).get("hard_violations")
    if hard:
        yield f"  hard rules are broken {count(int(cast('float', hard)), 'time')}"


def beside_lines(metrics: Figures, among: Sequence[str] = ("test", "valid", "train")) -> Iterator[str]:
    """Yield the run beside its projection onto the rules and its baselines, on the first table that there is."""
    split = next((one for one in among if isinstance(metrics.get(one), Mapping)), None)
    rows = [] if split is None else list(compared(metrics, split))
    if len(rows) < 2:
        return
    names = dict.fromkeys(name for _, one in rows for name, value in one.items() if isinstance(value, float))
    figures = [name for name in HEADLINES if name in names][:MOST_FIGURES] or list(names)[:MOST_FIGURES]
    table = [["", *(name.replace("_", " ") for name in figures), "rules broken"]]
    for title, one in rows:
        cells = [f"{value:.4f}" if isinstance(value := one.get(name), float) else "–" for name in figures]
        table.append([title, *cells, _percent(one.get("violation_rate"))])
    yield from ("", f"Beside it ({split})")
    yield from aligned(table, right=range(1, len(figures) + 2), indent="  ")
    for name, one in _items(metrics.get("baselines")):
        if "left_out" in one:
            yield f"  {name.replace('_', ' ')}: left out, as {one['left_out']}"


def compared(metrics: Figures, split: str) -> Iterator[tuple[str, Figures]]:
    """Yield a title and the figures of whatever stands beside a run, the run first."""
    own = cast("Figures", metrics[split])
    overall = cast("Figures", own.get("rules_overall", {}))
    yield "this run", {**own, **overall}
    projection = own.get("projection")
    if isinstance(projection, Mapping) and "left_out" not in projection:
        yield "  projected onto the rules", projection
    titles = {
        "without_rules": "without rules",
        "projection_only": "  projected onto the rules",
        "with_validation_labels": "  and with validation labels",
    }
    for name, one in _items(metrics.get("baselines")):
        if isinstance(found := one.get(split), Mapping) and "left_out" not in found:
            yield titles[name], found


def _items(value: JSON) -> list[tuple[str, Figures]]:
    return (
        [(name, one) for name, one in value.items() if isinstance(one, Mapping)] if isinstance(value, Mapping) else []
    )


def urgency(rule: Figures) -> tuple[float, float]:
    """Return how many examples a rule is broken on, then how many it speaks of, as shares of the table."""
    coverage, rate = rule.get("coverage"), rule.get("violation_rate")
    covered = float(coverage) if isinstance(coverage, int | float) else 0.0
    return covered * (float(rate) if isinstance(rate, int | float) else 0.0), covered


def _percent(value: JSON) -> str:
    return f"{100 * value:.1f} %" if isinstance(value, int | float) else "–"
