"""Advice printed: the recommendation and its reasons first, then what was measured, then the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from triune.alignment import aligned, shortened, wrapped
from triune.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triune.advising.advice import Advice

MOST = 12  # rows of a table; JSON has all
USEFUL = 0.01  # a point: what less is worth, nobody labels for


def lines_of(advice: Advice) -> Iterator[str]:
    """Yield all that there is to print."""
    facts = cast("Mapping[str, Any]", advice.facts)
    yield _head(facts)
    yield ""
    yield from wrapped(_said(facts), "", "Recommended: ")
    for reason in advice.reasons:
        yield from wrapped(reason, "  ", "- ")
    for part in (_ways, _classes, _labels, _rules, _suspicious):
        lines = list(part(facts))
        if lines:
            yield from ("", *lines)
    yield from ("", "Configuration", *(f"  {line}" for line in advice.yaml.splitlines() if not line.startswith("#")))


def _head(facts: Mapping[str, Any]) -> str:
    rules = (
        f", {len(facts['rules'])} rules that vote on {facts['coverage']:.0%} of them"
        if facts["rules"]
        else ", no rules"
    )
    uneven = f"; the largest class has {facts['imbalance']:.1f} times the smallest" if facts["imbalance"] else ""
    sample = f"a sample of {facts['texts_in_all']:,}: " if facts["texts_in_all"] > facts["texts"] else ""
    labelled = f"{facts['labelled']} labelled with {len(facts['labels'])} labels"
    return f"{sample}{facts['texts']} texts, {labelled}{rules}{uneven}"


def _said(facts: Mapping[str, Any]) -> str:
    found = facts["recommended"]
    ties = f" (a tie with {listed(found['ties'])})" if found["ties"] else ""
    learns = {"hybrid": "rules and labels"}.get(found["family"], found["family"])
    return f"{found['family']}{ties}, the strategy {found['strategy']!r}, which learns from {learns}"


def _ways(facts: Mapping[str, Any]) -> Iterator[str]:
    if not facts["ways"]:
        return
    counted = "labels as often as they seem to occur" if facts["metric"] == "accuracy" else "all labels alike"
    yield f"Ways of learning, each a linear head on features that do not move; labels held out, counting {counted}"
    rows = [("", "FAMILY", "RIGHT", "± ", "AGAINST LABELS", "± ", "")]
    for one in facts["ways"]:
        against = "" if one["family"] == "labels" else f"{100 * one['against_labels']:+.1f}"
        error = "" if one["family"] == "labels" else f"{100 * one['against_error']:.1f}"
        note = "" if one["installed"] else "no installed strategy learns so"
        score = (f"{100 * one['score']:.1f} %", f"{100 * one['error']:.1f}")
        rows.append((one["way"], one["family"], *score, against, error, note))
    yield from aligned(rows, right=(2, 3, 4, 5), indent="  ")
    votes = facts["votes"]
    if votes and votes["accuracy"] is not None:
        right, of = f"{votes['accuracy']:.1%}", votes["labelled"]
        yield f"  the rules' vote itself is right on {right} of the {of} labelled texts it speaks of"


def _classes(facts: Mapping[str, Any]) -> Iterator[str]:
    rows = facts["classes"]
    names = [name for name in ("labels", "rules", "votes", "recognised") if any(name in row for row in rows)]
    yield "Labels"
    table = [("", *(name.upper() for name in names))]
    table += [(shortened(row["label"], 32), *(_cell(row.get(name)) for name in names)) for row in rows[:MOST]]
    yield from aligned(table, right=range(1, len(names) + 1), indent="  ")
    if len(rows) > MOST:
        yield f"  … and {len(rows) - MOST} more"
    lacking = [row["label"] for row in rows if row.get("rules") == 0]
    if lacking:
        yield from wrapped(f"no rule votes for {listed(lacking, MOST)}: rules for these would help most", "  ")
    weak = [row for row in rows if row.get("recognised") is not None]
    if weak:
        worst = sorted(weak, key=lambda row: (row["recognised"], row["labels"]))[:3]
        more = "or write rules, " if not facts["rules"] else ""
        yield from wrapped(
            f"label these next, {more}since they are recognised least: {listed(r['label'] for r in worst)}", "  "
        )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.0%}" if isinstance(value, float) else str(value)


def _labels(facts: Mapping[str, Any]) -> Iterator[str]:
    rows = facts["more_labels"]
    if not rows:
        return
    yield f"More labels, learning as recommended ({facts['recommended']['way']})"
    table = [("LABELS", "RIGHT", "90 %", "")]
    for one in rows:
        interval = "" if one["low"] is None else f"{100 * one['low']:.0f}–{100 * one['high']:.0f}"
        table.append((str(one["labels"]), f"{100 * one['score']:.1f} %", interval, one["kind"]))
    yield from aligned(table, right=(0, 1, 2), indent="  ")
    ahead = [one for one in rows if one["kind"] == "forecast"]
    gain = ahead[-1]["score"] - ahead[0]["score"]
    worth = f"would add about {100 * gain:.0f} points" if gain >= USEFUL else "would add next to nothing"
    yield f"  {ahead[-1]['labels']} labels, four times as many, {worth}"


def _rules(facts: Mapping[str, Any]) -> Iterator[str]:
    more = facts["more_rules"]
    if more:
        half = (
            f"half of the rules vote on {more['covered_half']:.0%} of the texts, all of them on {more['covered']:.0%}"
        )
        adds = f"the other half adds {100 * more['gain']:.1f} ± {100 * more['error']:.1f} points"
        twice, expected = f"{more['covered_twice']:.0%}", f"{100 * more['expected']:.1f}"
        ahead = f"as many again like these would vote on {twice} and add about {expected}"
        yield from wrapped(f"{half}; {adds}; {ahead}", "", "More rules: ")
    wrong = [one for one in facts["rules"] if one["likely_wrong"]]
    if wrong:
        yield "Rules that labels say are wrong more often than they state"
        table = [("", "STATES", "RIGHT", "SUGGESTED", "")]
        for one in sorted(wrong, key=lambda one: one["suggested"])[:MOST]:
            right = f"{one['right']} of {one['labelled']}"
            table.append(
                (
                    shortened(one["rule"], 36),
                    f"{one['confidence']:.2f}",
                    right,
                    f"{one['suggested']:.2f}",
                    shortened(one["says"], 40),
                )
            )
        yield from aligned(table, right=(1, 2, 3), indent="  ")
    if not facts["rules"] and facts["ways"]:
        yield "Rules were not given: a few words that give a label away are the cheapest to write, for the labels above"


def _suspicious(facts: Mapping[str, Any]) -> Iterator[str]:
    rows: Sequence[Mapping[str, Any]] = facts["suspicious"]
    if rows:
        yield "Labels to look at: rules, and a head that has not seen the label, agree on another"
    for one in rows[:5]:
        text = shortened(" ".join(one["text"].split()), 60)
        yield f"  {one['place']}  {one['label']}, perhaps {one['instead']}: {text!r}"
    if len(rows) > 5:
        yield f"  … and {len(rows) - 5} more"
