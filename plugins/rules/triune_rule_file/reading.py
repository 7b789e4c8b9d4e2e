"""From a file to rules; every mistake in it is told at once, with its line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune import ALL, ALWAYS, Rule, Seat
from triune.conditions import Pointing
from triune.documents import found, read_document
from triune.errors import RuleError, listed, nearest
from triune.logic import OnTokens
from triune_rule_file.conditions import condition
from triune_rule_file.formulas import formula, of_tokens
from triune_rule_file.written import Written

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEYS = ("name", "when", "then", "confidence", "hard", "seats", "note", "tags")
SEATS = {seat.value: seat for seat in Seat}


def read(path: Path, confidence: float = 1.0) -> tuple[Rule, ...]:
    """Return the rules of a file.

    Args:
        path: a YAML or JSON file.
        confidence: of rules that say neither `confidence` nor `hard`.

    Raises:
        ConfigError: the file cannot be read as such.
        RuleError: rules are not as they should be; a line for each mistake.
    """
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    document = read_document(shown, starts_with="'rules:'")
    top = Written(document, (), document.data, [])
    rules = list(_rules(top, confidence))
    if top.problems:
        raise RuleError(said for _, said in sorted(top.problems, key=lambda one: one[0]))
    return tuple(rules)


def chosen(rules: Sequence[Rule], only: Sequence[str], without: Sequence[str]) -> tuple[Rule, ...]:
    """Return the rules that have a tag of `only`, if it names any, and none of `without`.

    Raises:
        RuleError: no rule has such a tag.
    """
    known = sorted({tag for rule in rules for tag in rule.tags})
    unknown = [tag for tag in (*only, *without) if tag not in known]
    if unknown:
        there = f"tags: {listed(known)}" if known else "none has tags"
        raise RuleError(f"no rule has the tag {tag!r}; {there}{nearest(tag, known)}" for tag in unknown)
    return tuple(rule for rule in rules if (not only or rule.tags & {*only}) and not rule.tags & {*without})


def _rules(top: Written, confidence: float) -> Iterable[Rule]:
    top.check_keys(["rules"], "a rule file")
    if not top.has("rules"):
        top.wrong("missing key 'rules' of a rule file")
        return []
    entries = top.at("rules").items("rules") or []
    names: dict[str, Written] = {}
    rules: list[Rule] = []
    for number, entry in enumerate(entries, 1):
        named = entry.of(_called(entry, number))
        _note_twice(named, names)
        rule = _rule(named, confidence)
        if rule is not None:
            rules.append(rule)
    return rules


def _called(entry: Written, number: int) -> str:
    name = entry.value.get("name") if isinstance(entry.value, dict) else None
    return f"rule {name!r}" if isinstance(name, str) and name.strip() else f"rule {number}"


def _note_twice(entry: Written, names: dict[str, Written]) -> None:
    if entry.has("name") and isinstance(entry.at("name").value, str):
        name = entry.at("name")
        first = names.setdefault(str(name.value), name)
        if first is not name:
            line = first.document.value_at(first.where)[0][0]
            name.wrong(f"another rule of this name is in line {line}; rename one")


def _rule(entry: Written, confidence: float) -> Rule | None:
    """Return a rule, or None after noting what is wrong with it."""
    if not isinstance(entry.value, dict):
        return entry.wrong(f"found {found(entry.value)}, wanted a mapping with 'name', 'when' and 'then'")
    before = len(entry.problems)
    entry.check_keys(KEYS, "a rule")
    for key in ("name", "then"):
        if not entry.has(key):
            entry.wrong(f"missing key {key!r} of a rule")
    if entry.has("hard") and entry.has("confidence"):
        entry.wrong_key("confidence", "a hard rule has no confidence; leave out 'confidence' or 'hard'")
    name = entry.at("name").text() if entry.has("name") else None
    then = formula(entry.at("then")) if entry.has("then") else None
    when = condition(entry.at("when"), _folder(entry)) if entry.has("when") else ALWAYS
    sure = entry.at("confidence").share() if entry.has("confidence") else confidence
    hard = entry.at("hard").truth() if entry.has("hard") else False
    note = entry.at("note").text() if entry.has("note") else ""
    tags = entry.at("tags").texts("tags") if entry.has("tags") else ()
    seats = _seats(entry.at("seats")) if entry.has("seats") else ALL
    if isinstance(when, Pointing) and then is not None:
        then = of_tokens(entry.at("then"), then)
    elif isinstance(then, OnTokens) and when is not None:
        entry.at("then").wrong(f"{then}: of which? Say {{token: …}}, {{token_regex: …}} or {{span_regex: …}} as 'when'")
    if len(entry.problems) > before:
        return None
    assert name and then is not None and when is not None and sure is not None and seats is not None
    return Rule(
        name, then, when, 1.0 if hard else sure, bool(hard), seats, entry.place, note or "", frozenset(tags or ())
    )


def _folder(entry: Written) -> str:
    return str(Path(entry.document.name).parent)


def _seats(value: Written) -> frozenset[Seat] | None:
    entries = value.one_or_more("seats") or []
    names = [one.choice(SEATS, "a seat") for one in entries]
    return frozenset(SEATS[name] for name in names if name is not None) or None
