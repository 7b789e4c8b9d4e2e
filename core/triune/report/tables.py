"""The tables of a run's page, as rows of plain values: metrics, labels, confusions, rules, what trained when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.report.plain import as_list, as_mapping, as_number
from triune.rule_table import HEADLINES, compared, urgency

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from triune.types import JSON

    Figures = Mapping[str, JSON]

SPLITS = ("test", "valid")
MOST_LABELS = 20
"""The most labels of which a whole matrix of confusions can be read."""
MOST_CONFUSIONS = 30
MOST_ROWS = 200
BROKEN = ("violation_rate", "hard_violations")
APART = ("coverage", "violation_rate_before", "violation_rate_on_gold", "examples", "labelled")
"""What stands elsewhere on the page."""
RULE_COLUMNS = (
    ("fires on", "coverage", "share of the examples on which the rule fires"),
    ("broken", "violation_rate", "share of those whose prediction breaks it"),
    ("before", "violation_rate_before", "the same, of the model before it learnt"),
    ("by labels", "violation_rate_on_gold", "share whose label breaks it: the rule's noise floor"),
    ("premise met", "violation_given_premise", "of an implication: broken where its premise is predicted"),
    ("holds with", "satisfaction_probability", "mean probability under the model that it holds"),
    ("agrees", "agreement_with_gold", "share whose label keeps it"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The metrics of one table, of the run and of what stands beside it.

    Attributes:
        split: the table.
        examples: how many it has.
        labelled: how many of them have a label.
        columns: the run, and what stands beside it.
        rows: by metric, a value for each column.
        left_out: what does not stand beside it, with the reason.
    """

    split: str
    examples: JSON
    labelled: JSON
    columns: list[str]
    rows: list[tuple[str, list[JSON]]]
    left_out: list[tuple[str, str]]


def metric_tables(metrics: Figures) -> list[Comparison]:
    """Return the metrics by table, the test table first."""
    return [_metric_table(metrics, split) for split in SPLITS if isinstance(metrics.get(split), Mapping)]


def _metric_table(metrics: Figures, split: str) -> Comparison:
    own = as_mapping(metrics[split])
    beside = [(title, _scalars(one)) for title, one in compared(metrics, split)]
    found = {name for _, one in beside for name in one}
    names = [name for name in dict.fromkeys([*HEADLINES, *beside[0][1], *BROKEN]) if name in found]
    baselines = {name: as_mapping(one) for name, one in as_mapping(metrics.get("baselines")).items()}
    left_out = [(name, str(one["left_out"])) for name, one in baselines.items() if "left_out" in one]
    projection = as_mapping(own.get("projection"))
    if "left_out" in projection:
        left_out.insert(0, ("projected onto the rules", str(projection["left_out"])))
    return Comparison(
        split,
        own.get("examples"),
        own.get("labelled"),
        list(_whole_titles([title for title, _ in beside])),
        [(name, [one.get(name) for _, one in beside]) for name in names],
        left_out,
    )


def _whole_titles(titles: Sequence[str]) -> Iterator[str]:
    """Yield titles of which those that hang below another, indented, begin with it; the run's own need not."""
    above = ""
    for title in titles:
        if title != title.lstrip() and above:
            yield f"{above}, {title.strip()}"
        else:
            above = title if title == title.lstrip() and title != titles[0] else above
            yield title.strip()


def _scalars(figures: Figures) -> dict[str, JSON]:
    return {
        name: value
        for name, value in figures.items()
        if name not in APART and isinstance(value, int | float) and not isinstance(value, bool)
    }


@dataclass(frozen=True, slots=True)
class Matrix:
    """How often each label was predicted as each: whole, or the commonest confusions where labels are many."""

    labels: list[str]
    rows: list[tuple[str, list[int], int]]  # label, how often predicted as each, how often in all; none if many labels
    top: list[tuple[str, str, int, float]]  # label, predicted, how often, as a share of the label's examples


def matrix(counts: Counter[tuple[str, str]]) -> Matrix | None:
    """Return the confusions of a table; None where there are none to tell."""
    if not counts:
        return None
    labels = sorted({label for pair in counts for label in pair})
    totals = dict.fromkeys(labels, 0)
    for (gold, _), number in counts.items():
        totals[gold] += number
    wrong = sorted(((number, *pair) for pair, number in counts.items() if pair[0] != pair[1]), reverse=True)
    top = [(gold, said, number, number / totals[gold]) for number, gold, said in wrong[:MOST_CONFUSIONS]]
    if len(labels) > MOST_LABELS:
        return Matrix(labels, [], top)
    return Matrix(labels, [(one, [counts[one, other] for other in labels], totals[one]) for one in labels], top)


def label_rows(per_label: Figures) -> tuple[list[str], list[tuple[str, list[JSON]]]]:
    """Return the columns and rows of what is measured of each label, the commonest first where they are many."""
    each = {str(label): as_mapping(one) for label, one in per_label.items()}
    columns = list(dict.fromkeys(name for one in each.values() for name in one))
    ordered = list(each.items())
    if len(ordered) > MOST_ROWS:
        ordered.sort(key=lambda item: -as_number(item[1].get("support")))
    return columns, [(label, [one.get(name) for name in columns]) for label, one in ordered[:MOST_ROWS]]


def rule_rows(
    figures: Figures, written: Sequence[Figures]
) -> tuple[list[tuple[str, str]], list[tuple[Figures, list[JSON]]]]:
    """Return the columns (title, meaning) and rows (the rule as written, its figures), most broken first."""
    each = {name: as_mapping(one) for name, one in as_mapping(figures.get("rules")).items()}
    by_name = {str(one["name"]): one for one in written}
    ordered = sorted(each.items(), key=lambda item: urgency(item[1]), reverse=True)
    overall: Figures = {"name": "all together", "when": "", "then": "", "confidence": None, "hard": False}
    rows = [(overall, as_mapping(figures.get("rules_overall")))]
    rows += [(by_name.get(name, {**overall, "name": name}), one) for name, one in ordered[:MOST_ROWS]]
    columns = [one for one in RULE_COLUMNS if any(row.get(one[1]) is not None for _, row in rows)]
    return [(title, meaning) for title, _, meaning in columns], [
        (rule, [row.get(key) for _, key, _ in columns]) for rule, row in rows
    ]


def header(facts: Figures) -> list[tuple[str, str]]:
    """Return what a run is, as terms and their descriptions."""
    config, ended, plan = (as_mapping(facts.get(key)) for key in ("config", "ended", "plan"))
    model, seeds = as_mapping(plan.get("model")), as_mapping(facts.get("seeds"))
    rows = [
        ("task", _section(config.get("task"))),
        ("model", _model(model)),
        ("methods", "; ".join(map(_section, as_list(config.get("methods"))))),
        ("rules", "; ".join(map(_section, as_list(config.get("rules"))))),
        ("steps", f"{ended.get('step')} of {ended.get('of')}: {ended.get('because')}"),
        ("chosen by", _chosen(ended)),
        ("seeds", ", ".join(f"{name} {value}" for name, value in seeds.items())),
        ("machine", ", ".join(f"{name} {value}" for name, value in as_mapping(facts.get("machine")).items())),
    ]
    return [(term, said) for term, said in rows if said]


def _model(model: Figures) -> str:
    if not model:
        return ""
    return f"{model.get('name')}, {model.get('parameters'):,} parameters, of which {model.get('trainable'):,} trained"


def _chosen(ended: Figures) -> str:
    best = ended.get("best")
    by = str(ended.get("chosen_by", ""))
    if not by or by.startswith("nothing"):
        return by
    return f"{by}: step {ended.get('best_step')}" + (f", at {best:.4f}" if isinstance(best, float) else "")


def _section(section: JSON) -> str:
    """Return a section of the configuration in a line."""
    if not isinstance(section, Mapping):
        return "" if section is None else str(section)
    given = {key: value for key, value in section.items() if key != "use" and value not in (None, [], {})}
    settings = [f"{key} {_brief(value)}" for key, value in given.items()]
    return f"{section.get('use')} ({', '.join(settings)})" if settings else str(section.get("use"))


def _brief(value: JSON) -> str:
    text = str(value)
    if isinstance(value, str) and value.startswith("/"):
        return value.rpartition("/")[2]
    return text if len(text) <= 60 else f"{text[:57]}…"
