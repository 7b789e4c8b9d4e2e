"""`then`: what follows, as formulas over labels or over the tags of a sequence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from triune.documents import found
from triune.errors import listed
from triune.logic import (
    And,
    AnyOf,
    AtLeast,
    AtMost,
    EachIs,
    EachIsNot,
    EndsWith,
    EveryFollowedBy,
    EveryPrecededBy,
    Exactly,
    Formula,
    FormulaError,
    Iff,
    Implies,
    Label,
    Matches,
    NeverFollows,
    NoneOf,
    Not,
    Occurs,
    OnTokens,
    Or,
    Span,
    StartsWith,
    bio,
)
from triune_rule_file.hierarchies import hierarchy

if TYPE_CHECKING:
    from collections.abc import Callable

    from triune_rule_file.written import Written

COUNTS = {"exactly": Exactly, "at_least": AtLeast, "at_most": AtMost}
COMPANIONS = {
    "if": ("then",), "every": ("followed_by", "preceded_by"), "occurs": ("at_least", "at_most"),
    **dict.fromkeys(COUNTS, ("of", *COUNTS)),
}  # fmt: skip


def formula(value: Written) -> Formula | None:
    """Return a formula, or None after noting what is wrong with it."""
    if isinstance(value.value, list):
        return value.wrong("found a list; write {any_of: […]} for one of these, {and: […]} for all")
    if not isinstance(value.value, dict):
        name = label(value)
        return None if name is None else Label(name)
    main = _main(value)
    return STATEMENTS[main](value) if main else None


def label(value: Written) -> str | int | None:
    """Return the name of a label: a text, or a whole number."""
    name = value.value
    if isinstance(name, bool):
        written = str(name).lower()
        return value.wrong(f'found {written}, wanted a label; quote it if a label is called so: "{written}"')
    if isinstance(name, int) or (isinstance(name, str) and name.strip()):
        return name
    what = "nothing" if name is None or name == "" else found(name)
    return value.wrong(f"found {what}, wanted a label or a formula")


def of_tokens(value: Written, said: Formula) -> Formula | None:
    """Return what a formula says of every token that a rule points at, or None after noting that it says nothing."""
    match said:
        case OnTokens():
            return said
        case Label(name):
            return EachIs(str(name))
        case AnyOf(of) if all(isinstance(one, Label) for one in of):
            return EachIs(*(str(one) for one in of))
        case NoneOf(of) if all(isinstance(one, Label) for one in of):
            return EachIsNot(*(str(one) for one in of))
        case Not(Label(name)):
            return EachIsNot(str(name))
        case _:
            return value.wrong(
                "of tokens a rule may say a tag (B-LOC, '*-LOC'), {any_of: […]}, {none_of: […]} or {span: LOC}"
            )


def _main(value: Written) -> str | None:
    """Return the key that says what kind of statement a mapping is."""
    known = {*STATEMENTS, *(key for keys in COMPANIONS.values() for key in keys)}
    if not value.keys:
        return value.wrong("found an empty mapping, wanted a label or a formula")
    if not value.check_keys(sorted(known), "a formula"):
        return None
    first = next((key for key in ("occurs", *value.keys) if key in value.keys and key in STATEMENTS), None)
    if first is None:
        return value.wrong(f"{listed(map(repr, value.keys))} says nothing by itself{_needed(value.keys)}")
    others = [key for key in value.keys if key != first and key not in COMPANIONS.get(first, ())]
    if others:
        return value.wrong_key(
            others[0], f"{first!r} and {others[0]!r} are two statements; write {{and: [{{…}}, {{…}}]}}"
        )
    return first


def _needed(keys: list[str]) -> str:
    needed = [main for main, companions in COMPANIONS.items() if set(keys) & {*companions}]
    return f"; it goes with {listed(map(repr, needed))}" if needed else ""


def formulas(value: Written) -> list[Formula] | None:
    """Return the formulas of a list, in which no label stands twice."""
    entries = value.items("labels or formulas")
    if entries is None:
        return None
    read = [formula(one) for one in entries]
    for number, (entry, one) in enumerate(zip(entries, read, strict=True)):
        if one is not None and one in read[:number]:
            entry.wrong(f"{str(one)!r} stands there twice; keep one")
            read[number] = None
    whole = [one for one in read if one is not None]
    return whole if len(whole) == len(entries) else None


def _listed(build: Callable[..., Formula], key: str) -> Callable[[Written], Formula | None]:
    def read(value: Written) -> Formula | None:
        of = formulas(value.at(key))
        return None if of is None else build(*of)

    return read


def _not(value: Written) -> Formula | None:
    inner = formula(value.at("not"))
    return None if inner is None else Not(inner)


def _if(value: Written) -> Formula | None:
    if not value.has("then"):
        return value.wrong("'if' needs its 'then': {if: dog, then: animal}")
    premise, conclusion = formula(value.at("if")), formula(value.at("then"))
    if premise is None or conclusion is None:
        return None
    return value.wrong(f"{premise} follows from itself") if premise == conclusion else Implies(premise, conclusion)


def _iff(value: Written) -> Formula | None:
    sides = formulas(value.at("iff"))
    if sides is None:
        return None
    return Iff(*sides) if len(sides) == 2 else value.at("iff").wrong(f"found {len(sides)} entries, wanted two")


def _counted(value: Written) -> Formula | None:
    """Return a statement such as {at_least: 1, at_most: 2, of: [a, b, c]}."""
    bounds = {key: value.at(key).whole() for key in COUNTS if value.has(key)}
    if not value.has("of"):
        return value.wrong(f"{next(iter(bounds))!r} needs 'of': {{{next(iter(bounds))}: 1, of: [a, b]}}")
    of = formulas(value.at("of"))
    if "exactly" in bounds and len(bounds) > 1:
        return value.wrong_key("exactly", "'exactly' leaves nothing for 'at_least' or 'at_most' to say")
    if of is None or None in bounds.values():
        return None
    for key, k in bounds.items():
        assert k is not None
        if k > len(of) and key != "at_most":
            return value.at(key).wrong(f"found {k}, and there are only {len(of)} to choose from: it can never hold")
        if (key == "at_most" and k >= len(of)) or (key == "at_least" and k == 0):
            return value.at(key).wrong(f"found {k}, and there are {len(of)} to choose from: it always holds")
    if len(bounds) == 2 and (bounds["at_least"] or 0) > (bounds["at_most"] or 0):
        return value.at("at_least").wrong("'at_least' is above 'at_most': it can never hold")
    said = [COUNTS[key](k, of) for key, k in bounds.items() if k is not None]
    return said[0] if len(said) == 1 else And(*said)


def _never(value: Written) -> Formula | None:
    tags = value.at("never").items("two tags") and value.at("never").texts("two tags")
    if not tags:
        return None
    return (
        NeverFollows(*tags)
        if len(tags) == 2
        else value.at("never").wrong(
            f"found {len(tags)} entries, wanted two tags: {{never: [O, 'I-*']}} is that no I-* follows O"
        )
    )


def _edge(build: Callable[[str], Formula], key: str) -> Callable[[Written], Formula | None]:
    def read(value: Written) -> Formula | None:
        tags = value.at(key).texts("tags")
        if not tags:
            return None
        return build(tags[0]) if len(tags) == 1 else Or(*map(build, tags))

    return read


def _every(value: Written) -> Formula | None:
    beside = {"followed_by": EveryFollowedBy, "preceded_by": EveryPrecededBy}
    keys = [key for key in beside if value.has(key)]
    if not keys:
        return value.wrong("'every' needs 'followed_by' or 'preceded_by': {every: B-X, followed_by: [I-X, O]}")
    tag, read = value.at("every").text(), {key: value.at(key).texts("tags") for key in keys}
    if tag is None or None in read.values():
        return None
    said = [beside[key](tag, *by) for key, by in read.items() if by is not None]
    return said[0] if len(said) == 1 else And(*said)


def _occurs(value: Written) -> Formula | None:
    tag = value.at("occurs").text()
    least = value.at("at_least").whole() if value.has("at_least") else 0 if value.has("at_most") else 1
    most = value.at("at_most").whole() if value.has("at_most") else None
    if tag is None or least is None or (most is None and value.has("at_most")):
        return None
    if most is not None and least > most:
        return value.at("at_least").wrong("'at_least' is above 'at_most': it can never hold")
    return Occurs(tag, least, most)


def _matches(value: Written) -> Formula | None:
    pattern = value.at("matches").text()
    if pattern is None:
        return None
    try:
        said = Matches(pattern)
        said.holds([])
    except (FormulaError, re.error) as error:
        return value.at("matches").wrong(f"{pattern!r} is no pattern of tags: {error}")
    return said


def _span(value: Written) -> Formula | None:
    kind = value.at("span").text()
    return None if kind is None else Span(kind)


def _bio(value: Written) -> Formula | None:
    kinds = value.at("bio").texts("kinds of spans")
    return bio(*kinds) if kinds else None


STATEMENTS: dict[str, Callable[[Written], Formula | None]] = {
    "any_of": _listed(AnyOf, "any_of"),
    "none_of": _listed(NoneOf, "none_of"),
    "and": _listed(And, "and"),
    "or": _listed(Or, "or"),
    "not": _not,
    "if": _if,
    "iff": _iff,
    **dict.fromkeys(COUNTS, _counted),
    "hierarchy": hierarchy,
    "never": _never,
    "starts_with": _edge(StartsWith, "starts_with"),
    "ends_with": _edge(EndsWith, "ends_with"),
    "every": _every,
    "occurs": _occurs,
    "matches": _matches,
    "bio": _bio,
    "span": _span,
}
