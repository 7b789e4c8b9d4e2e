"""An audit of rules as a page to read, or as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from triune.alignment import aligned, count, shortened, wrapped
from triune.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triune.audit import Audit, RuleFigures
    from triune.types import JSON

MOST_WRONG = 2  # examples shown of each rule; JSON has more
MOST_NAMES = 20


def as_json(audit: Audit) -> JSON:
    """Return an audit as plain values; `ok` is whether a run would take the rules."""
    return cast("JSON", {**_plain(asdict(audit)), "ok": audit.sound})


def _plain(value: dict[str, object]) -> dict[str, object]:
    return {key: _listed(one) for key, one in value.items()}


def _listed(value: object) -> object:
    if isinstance(value, dict):
        return _plain(value)
    return [_listed(one) for one in value] if isinstance(value, list | tuple) else value


def page(audit: Audit) -> Iterator[str]:
    """Yield the lines of the page: the table of rules, then what is worth knowing, the worst last."""
    yield from (_head(audit), "")
    yield from _table(audit)
    for part in (_votes, _wrong, _notes, _problems):
        lines = list(part(audit))
        if lines:
            yield from ("", *lines)


def _head(audit: Audit) -> str:
    rules = count(len(audit.rules), "rule")
    if audit.examples is None:
        kind = "any number of labels" if audit.several else "one label"
        return f"{rules}, no table (`--data FILE`), each example taken to have {kind} (`--labels`)"
    share = audit.covered / max(audit.examples, 1)
    return (
        f"{rules} on {count(audit.examples, 'example')}, {audit.labelled} of them labelled; "
        f"a rule with a condition fires on {audit.covered} ({share:.0%})"
    )


def _table(audit: Audit) -> Iterator[str]:
    if audit.examples is None:
        yield from aligned([(shortened(rule.name, 36), _trust(rule), rule.says) for rule in audit.rules])
        return
    head = ("RULE", "FIRES", "COVERS", "OVERLAP", "CONFLICT", "RIGHT", "95 %", "SAYS", "SUGGESTED")
    yield from aligned([head, *map(_row, audit.rules)], right=range(1, len(head)))


def _row(rule: RuleFigures) -> tuple[str, ...]:
    interval = "–" if rule.interval is None else f"{rule.interval[0]:.0%}–{rule.interval[1]:.0%}".replace("%–", "–")
    suggested = "–" if rule.suggested is None else f"{rule.suggested:.2f}"
    shares = (rule.coverage, rule.overlaps, rule.conflicts, rule.accuracy)
    covers, overlap, conflict, right = ("–" if one is None else f"{one:.1%}" for one in shares)
    return (
        shortened(rule.name, 36), str(rule.fires), covers, overlap, conflict, right, interval, _trust(rule), suggested
    )  # fmt: skip


def _trust(rule: RuleFigures) -> str:
    return "hard" if rule.hard else f"{rule.confidence:.2f}"


def _votes(audit: Audit) -> Iterator[str]:
    votes = audit.votes
    if votes is None:
        return
    covered = votes.covered / max(audit.examples or 0, 1)
    said = f"majority vote: labels {count(votes.covered, 'example')} ({covered:.0%}), {votes.ties} by a tie"
    if votes.accuracy is not None and votes.interval is not None:
        low, high = votes.interval
        said += f"; right on {votes.accuracy:.1%} of the {votes.labelled} that have a label ({low:.0%} to {high:.0%})"
    yield said


def _wrong(audit: Audit) -> Iterator[str]:
    broken = [rule for rule in audit.rules if rule.wrong]
    if broken:
        yield "labels that break a rule:"
    for rule in broken[:MOST_NAMES]:
        yield f"  {rule.name} ({rule.labelled - rule.right} of {rule.labelled}): {rule.says}"
        for one in rule.wrong[:MOST_WRONG]:
            text = shortened(" ".join(one.text.split()), 70)
            yield f"    {one.place}  {', '.join(one.labels) or 'no label'}: {text!r}"
    if len(broken) > MOST_NAMES:
        yield f"  … and {count(len(broken) - MOST_NAMES, 'more rule')}; `--json` has all"


def _notes(audit: Audit) -> Iterator[str]:
    for rule in audit.rules:
        if rule.abstained:
            silent = count(rule.abstained, "example")
            yield from wrapped(f"{rule.name} abstains on {silent}: {rule.reason}", "  ", "note: ")
        if rule.hard and rule.right < rule.labelled:
            wrong = rule.labelled - rule.right
            breaking = f"{wrong} of {count(rule.labelled, 'label')} {'breaks' if wrong == 1 else 'break'} it"
            what = f"{rule.name} is hard, and {breaking}: mend these, or give it a confidence"
            yield from wrapped(what, "  ", "note: ")
    if audit.never:
        yield from wrapped(f"never fires: {listed(audit.never, MOST_NAMES)}", "  ", "note: ")
    for group in audit.duplicates:
        yield from wrapped(f"the same rule on these examples: {listed(group, MOST_NAMES)}", "  ", "note: ")
    for one in audit.implied[:MOST_NAMES]:
        why = f"is said already by {listed(one.by, MOST_NAMES)}" if one.by else "can never be broken"
        yield from wrapped(f"{one.rule} {why}", "  ", "note: ")
    if audit.undecided:
        what = f"{audit.undecided} questions about several rules at once were too large to be answered"
        yield from wrapped(what, "  ", "note: ")


def _problems(audit: Audit) -> Iterator[str]:
    places = {rule.name: rule.place for rule in audit.rules}
    for one in audit.contradictions:
        yield "these hard rules contradict one another:" if len(one.rules) > 1 else "this hard rule can never hold:"
        for name in one.rules:
            yield f"  {places[name]}: {name}: {next(rule.says for rule in audit.rules if rule.name == name)}"
        if one.examples:
            count = f"{one.examples} example{'s' * (one.examples > 1)}"
            yield f"  no answer is allowed on {count}: {listed(one.places)}{', …' * (one.examples > len(one.places))}"
        elif one.always:
            yield "  no answer is allowed wherever they fire"
    yield from audit.problems
    if audit.sound:
        yield "no contradiction"
