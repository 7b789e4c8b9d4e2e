"""The page of a run put together, from the files in its folder alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.folder import HISTORY, PREDICTIONS
from triune.report import figures, tables
from triune.report.disagreements import disagreements, shown
from triune.report.history import read_history
from triune.report.plain import as_list, as_mapping, as_rows
from triune.report.records import read_records
from triune.report.scoring import calibration, confusions, per_label
from triune.report.training_labels import in_doubt

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triune.folder import Folder
    from triune.report.figures import Figure
    from triune.report.history import History
    from triune.report.records import Record
    from triune.types import JSON


def run_values(folder: Folder) -> dict[str, object]:
    """Return what the template of a run's page is filled with.

    Raises:
        OutputError: the folder holds no finished run.
        CheckpointError: a file in it is damaged.
    """
    facts, metrics = folder.facts(), folder.metrics()
    history = read_history(folder.path / HISTORY)
    written = read_records(folder.path / PREDICTIONS)
    learnt, records = ([one for one in written if (one.split == "train") == seen] for seen in (True, False))
    plan = {"tables": {}, "groups": [], "terms": [], "composer": None, **as_mapping(facts.get("plan"))}
    ended = as_mapping(facts.get("ended"))
    return {
        "title": folder.path.resolve().name,
        "facts": facts,
        "header": tables.header(facts),
        "plan": plan,
        "collapsed": str(ended.get("collapsed") or ""),
        "warnings": history.warnings,
        "notes": facts.get("notes", []),
        "metric_tables": tables.metric_tables(metrics),
        "curves": list(_curves(history, plan)),
        "details": list(_details(metrics, records, facts)),
        "rules": _rules(metrics, facts),
        "disagreements": [(kind, shown(kind, mine), len(mine)) for kind, mine in disagreements(records).items()],
        "rule_set": {str(one["name"]): one for one in as_rows(facts.get("rule_set"))},
        "recorded": len(records),
        "has_texts": any(one.text is not None for one in records),
        "label_check": as_mapping(facts.get("label_check")) if learnt else None,
        "doubts": in_doubt(learnt),
        "doubts_have_texts": any(one.text is not None for one in learnt),
    }


def _curves(history: History, plan: Mapping[str, JSON]) -> Iterator[Figure]:
    """Yield how training went."""
    phases = "Dotted lines: where a phase ended." if history.phases else ""
    if history.losses:
        note = "Each term times its weight; loss is what was learnt from." if len(history.losses) > 1 else ""
        yield figures.curves("Loss", history.losses, "loss", f"{note} {phases}".strip(), history.phases)
    if history.metrics:
        best = history.best[-1:]
        note = "Dotted line: the model that was chosen." if best else ""
        yield figures.curves("Metrics of the validation table", history.metrics, "metric", note, best)
    if history.violations:
        note = "Of the examples on which a rule fires, in the validation table."
        yield figures.curves("Share of broken rules", history.violations, "share broken", note)
    for name, values in history.noted.items():
        yield figures.curves(name, values, "value", "Noted by the plugin as training went.")
    if history.rates:
        names = [str(one.get("where")) for one in as_rows(plan.get("groups"))]
        named = {
            f"{number}: {names[int(number) - 1]}" if int(number) <= len(names) else f"group {number}": one
            for number, one in history.rates.items()
        }
        note = "By group of parameters; zero is frozen."
        yield figures.curves("Learning rate", named, "learning rate", f"{note} {phases}".strip(), history.phases)


def _details(
    metrics: Mapping[str, JSON], records: Sequence[Record], facts: Mapping[str, JSON]
) -> Iterator[dict[str, object]]:
    """Yield, of each table with labels, what is measured of each label, the confusions and the calibration."""
    labels = len(as_list(as_mapping(facts.get("space")).get("labels")))
    for split in tables.SPLITS:
        mine = [one for one in records if one.split == split and one.labelled]
        counts = confusions(mine)
        measured = as_mapping(as_mapping(metrics.get(split)).get("per_class"))
        if not (measured or counts):
            continue
        columns, rows = tables.label_rows(measured or per_label(counts))
        found = calibration(mine, labels)
        yield {
            "split": split,
            "columns": columns,
            "rows": rows,
            "left": len(measured or per_label(counts)) - len(rows),
            "matrix": tables.matrix(counts),
            "calibration": found,
            "reliability": figures.reliability(f"Reliability ({split})", found) if found else None,
        }


def _rules(metrics: Mapping[str, JSON], facts: Mapping[str, JSON]) -> list[dict[str, object]]:
    """Return, of each table on which rules fire, what there is to say of each rule."""
    found: list[dict[str, object]] = []
    for split in tables.SPLITS:
        one = as_mapping(metrics.get(split))
        if one.get("rules"):
            columns, rows = tables.rule_rows(one, as_rows(facts.get("rule_set")))
            hard = as_mapping(one.get("rules_overall")).get("hard_violations")
            left = len(as_mapping(one["rules"])) - len(rows) + 1
            found.append({"split": split, "columns": columns, "rows": rows, "hard": hard, "left": left})
    return found
