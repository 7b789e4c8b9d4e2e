"""An explanation as a page of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triune.alignment import aligned, bar, shortened, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triune.explaining.values import Explanation

    Row = Mapping[str, Any]

WIDE = 60  # characters of a text in a table
MOST_LABELS, MOST_WORDS, MOST_TAGS = 6, 12, 40
BAR = 12
LEAST = 0.1
"""The log-odds of a full bar at the least: what is nearly nothing looks so."""
BASIS = {"structure": "in the structure", "projection": "by projection"}
LEGEND = {
    "structure": "in the structure: what the run itself says, with its hard rules and without that one",
    "projection": "by projection: what the rules make of the model's scores, exactly; the run's prediction does not "
    "use it, and what a rule taught the model in training is in the model already",
}


def explanation_lines(found: Explanation) -> Iterator[str]:
    """Yield the page: every text with its labels, rules, words and nearest training examples."""
    document: Any = found.document()
    for number, text in enumerate(document["texts"]):
        if number:
            yield ""
        yield from wrapped(_said(text["text"]), "", "Text  ")
        yield f"      → {_said(text['predicted'])}"
        yield from _labels(text["labels"])
        yield from _rules(text)
        yield from _words(text["tokens"])
        yield from _nearest(text["nearest"])
    for note in document["notes"]:
        yield ""
        yield from wrapped(note, "", "note: ")


def _labels(rows: Sequence[Row]) -> Iterator[str]:
    tagged = any(row["token"] is not None for row in rows)
    most = MOST_TAGS if tagged else MOST_LABELS
    shown = rows if tagged else sorted(rows, key=lambda row: (-row["predicted"], -row["probability"]))
    named = [[row["word"], row["label"]] if tagged else [row["label"]] for row in shown[:most]]
    heads = {"probability": "this run", "model": "model alone", "with_rules": "with rules"}
    if all(row["probability"] == row["model"] == row["with_rules"] for row in rows):
        heads = {"probability": "this run"}  # no rule has a say
    figures = [[_percent(row[key]) for key in heads] for row in shown[:most]]
    table = [
        [*(["token", "tag"] if tagged else ["label"]), *heads.values()],
        *([*map(str, names), *cells] for names, cells in zip(named, figures, strict=True)),
    ]
    yield ""
    yield from aligned(table, right=range(len(table[0]) - len(heads), len(table[0])), indent="  ")
    if len(rows) > most:
        yield f"  … and {len(rows) - most} more"


def _rules(text: Row) -> Iterator[str]:
    rows: Sequence[Row] = text["rules"]
    yield ""
    if not rows:
        yield "  no rule fires"
        return
    yield "  rules that fire"
    for row in rows:
        yield from _rule(row)
    yield ""
    for basis in dict.fromkeys(row["basis"] for row in rows if row["basis"]):
        yield from wrapped(LEGEND[basis], "  ")


def _rule(row: Row) -> Iterator[str]:
    strength = "hard" if row["hard"] else f"confidence {row['confidence']:g}"
    where = f" at {row['words']!r}" if row["words"] else ""
    yield ""
    yield f"  {row['rule']}{where}: {'kept' if row['kept'] else 'BROKEN'} by the prediction"
    yield from wrapped(f"{row['says']}, when {row['when']} ({strength})", "    ")
    yield from wrapped(f"acts in {', '.join(row['acts']) or 'nothing: it is only reported'}", "    ")
    if row["with"] is None:
        return
    label = f"probability of {row['label']}" + ("" if row["token"] is None else f" at token {row['token'] + 1}")
    table = [[BASIS[row["basis"]], "model alone", "with rules", "without this one"]]
    table.append([label, *(_percent(row[key]) for key in ("model", "with", "without"))])
    table.append(["that it holds", *(_percent(row[key]) for key in ("holds_model", "holds_with", "holds_without"))])
    yield from aligned(table, right=range(1, 4), indent="    ")
    if row["changes_answer"]:
        yield from wrapped(f"it decides: without it the answer is {_said(row['answer_without'])}", "    ")


def _words(rows: Sequence[Row]) -> Iterator[str]:
    for label, token in dict.fromkeys((row["label"], row["of_token"]) for row in rows):
        own = [row for row in rows if (row["label"], row["of_token"]) == (label, token)]
        most = max(LEAST, *(abs(row["attribution"]) for row in own))
        shown = sorted(own, key=lambda row: -abs(row["attribution"]))[:MOST_WORDS]
        yield ""
        at = "" if token is None else f" at token {token + 1}"
        first = own[0]
        yield (
            f"  words that mattered for {label}{at}: log-odds {first['log_odds_empty']:+.2f} without words, "
            f"{first['log_odds']:+.2f} with them"
        )
        table = [
            [row["word"], f"{row['attribution']:+.2f}", bar(abs(row["attribution"]) / most, BAR)]
            for row in sorted(shown, key=lambda row: row["position"])
        ]
        yield from aligned(table, right=(1,), indent="    ")
        if len(own) > len(shown):
            yield f"    … and {len(own) - len(shown)} that mattered less"


def _nearest(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield ""
    yield "  nearest training examples"
    table = [
        [f"{row['similarity']:.2f}", _said(row["label"]), shortened(_said(row["text"]), WIDE), row["place"]]
        for row in rows
    ]
    yield from aligned(table, indent="    ")


def _said(cell: object) -> str:
    if cell is None:
        return "–"
    return (" ".join(map(str, cell)) or "no label") if isinstance(cell, list) else str(cell)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
