"""`when`: of which examples a rule speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.conditions import (
    AllTrue,
    AnyTrue,
    Contains,
    ContainsAll,
    EndsWith,
    Length,
    NotTrue,
    Pointing,
    Python,
    Regex,
    Script,
    SpanRegex,
    StartsWith,
    Token,
    TokenRegex,
    TokensWhere,
)
from triune.conditions.columns import COMPARISONS
from triune.conditions.texts import compiled, runs_away
from triune.documents import found
from triune.errors import RuleError, listed, nearest
from triune_rule_file.comparisons import comparison

if TYPE_CHECKING:
    from collections.abc import Callable

    from triune.types import Condition
    from triune_rule_file.written import Written

SCRIPTS = (
    "Latin", "Cyrillic", "Greek", "Arabic", "Hebrew", "Han", "Hiragana", "Katakana", "Hangul", "Devanagari", "Bengali",
    "Tamil", "Telugu", "Thai", "Georgian", "Armenian", "Ethiopic", "Khmer", "Gujarati", "Gurmukhi", "Kannada",
    "Malayalam", "Sinhala", "Lao", "Myanmar", "Tibetan",
)  # fmt: skip
OPTIONS = {
    "regex": ("case", "column"), "contains": ("case", "inside", "column"), "any_of": ("case", "inside", "column"),
    "all_of": ("case", "inside", "column"), "starts_with": ("case", "column"), "ends_with": ("case", "column"),
    "length": ("column",), "script": ("share", "column"), "python": ("column",), "and": (), "or": (), "not": (),
    "token": ("case",), "token_regex": ("case",), "span_regex": ("case",),
}  # fmt: skip

ALONE = "a condition on tokens stands alone, or as the only such one of an 'and'"


def condition(value: Written, folder: str) -> Condition | None:
    """Return a condition, or None after noting what is wrong with it.

    Args:
        value: what is written.
        folder: where the file lies, beside which Python modules may lie.
    """
    if isinstance(value.value, list):
        return value.wrong("found a list; write {and: […]} if all must hold, {or: […]} if one must")
    if not isinstance(value.value, dict) or not value.value:
        example = f"{{contains: {value.value}}}" if isinstance(value.value, str) else "{contains: refund}"
        return value.wrong(f"found {found(value.value) if value.value else 'nothing'}, wanted a mapping: {example}")
    known = [*OPTIONS, "column", "case", "inside", "share", *COMPARISONS]
    if not value.check_keys(known, "a condition"):
        return None
    main = [key for key in value.keys if key in OPTIONS]
    compared = [key for key in value.keys if key in COMPARISONS]
    if len(main) + bool(compared) > 1:
        second = [*main, *compared][1]
        return value.wrong_key(second, f"{main[0]!r} and {second!r} are two conditions; write {{and: [{{…}}, {{…}}]}}")
    if compared or (value.has("column") and not main):
        return comparison(value)
    if not main:
        return value.wrong(f"{listed(map(repr, value.keys))} asks nothing; say what: {listed(OPTIONS)}")
    return _asked(value, main[0], folder)


def _asked(value: Written, main: str, folder: str) -> Condition | None:
    strange = [key for key in value.keys if key not in (main, *OPTIONS[main])]
    for key in strange:
        value.wrong_key(key, f"{key!r} means nothing beside {main!r}{_takes(main)}")
    options = _options(value)
    return None if strange or options is None else CONDITIONS[main](value.at(main), options, folder)


def _takes(main: str) -> str:
    return f", which takes {listed(map(repr, OPTIONS[main]))}" if OPTIONS[main] else ""


def _options(value: Written) -> dict[str, object] | None:
    """Return `case`, `inside`, `share` and `column` as far as they are there."""
    read: dict[str, object | None] = {}
    for key in ("case", "inside"):
        if value.has(key):
            read[key] = value.at(key).truth()
    if value.has("share"):
        read["share"] = value.at("share").share()
    if value.has("column"):
        read["column"] = value.at("column").text()
    return None if None in read.values() else dict(read)


def _pattern(build: Callable[..., Condition]) -> Callable[..., Condition | None]:
    def read(value: Written, options: dict[str, object], folder: str) -> Condition | None:
        return build(value.value, **options) if _sound(value, options) else None

    return read


def _sound(value: Written, options: dict[str, object]) -> bool | None:
    """Return whether a value is a regular expression that can be asked, or None after noting what is wrong."""
    if not isinstance(value.value, str) or not value.value:
        return value.wrong(f"found {found(value.value) if value.value else 'nothing'}, wanted a regular expression")
    case = bool(options.get("case"))
    try:
        matches_nothing = compiled(value.value, case=case).fullmatch("") is not None
    except RuleError as error:
        return value.wrong(str(error))
    if matches_nothing and compiled(value.value, case=case).search("\x00") is not None:
        return value.wrong(f"{value.value!r} matches every text; leave 'when' out if that is meant")
    if text := runs_away(value.value, case=case):
        return value.wrong(
            f"{value.value!r} takes for ever on some texts, such as {text[:12] + '…'!r}; "
            "make each of its repetitions match in one way only"
        )
    return True


def _phrases(build: Callable[..., Condition], join: Callable[..., Condition]) -> Callable[..., Condition | None]:
    """Return what reads a word, a list of words, or a list that holds conditions too."""

    def read(value: Written, options: dict[str, object], folder: str) -> Condition | None:
        if not (isinstance(value.value, list) and any(isinstance(one, dict) for one in value.value)):
            phrases = value.texts("words or phrases")
            return None if phrases is None else build(*phrases, **options)
        parts = [_part(one, options, folder) for one in value.items("words or conditions") or []]
        whole = [one for one in parts if one is not None]
        return join(*whole) if len(whole) == len(parts) else None

    return read


def _part(value: Written, options: dict[str, object], folder: str) -> Condition | None:
    if isinstance(value.value, dict):
        return condition(value, folder)
    text = value.text()
    return None if text is None else Contains(text, **options)  # type: ignore[arg-type]


def _edge(build: Callable[..., Condition]) -> Callable[..., Condition | None]:
    def read(value: Written, options: dict[str, object], folder: str) -> Condition | None:
        texts = value.texts("texts")
        return None if texts is None else build(*texts, **options)

    return read


def _length(value: Written, options: dict[str, object], folder: str) -> Condition | None:
    if not isinstance(value.value, dict) or not {"at_least", "at_most"} & {*value.value}:
        return value.wrong(f"found {found(value.value)}, wanted bounds: {{at_least: 3, at_most: 20, unit: words}}")
    if not value.check_keys(("at_least", "at_most", "unit"), "a length"):
        return None
    least = value.at("at_least").whole() if value.has("at_least") else 0
    most = value.at("at_most").whole() if value.has("at_most") else None
    unit = value.at("unit").choice(("words", "characters"), "a unit") if value.has("unit") else "words"
    if least is None or unit is None or (most is None and value.has("at_most")):
        return None
    if most is not None and least > most:
        return value.at("at_least").wrong(f"found {least}, which is above at_most ({most}): no text is so long")
    return Length(least, most, unit, **options)  # type: ignore[arg-type]


def _script(value: Written, options: dict[str, object], folder: str) -> Condition | None:
    names = value.texts("scripts")
    if names is None:
        return None
    for entry, name in zip(value.one_or_more("scripts") or [], names, strict=True):
        try:
            compiled(rf"\p{{Script={name}}}", case=True)
        except RuleError:
            return entry.wrong(f"{name!r} is no script of Unicode; some: {listed(SCRIPTS)}{nearest(name, SCRIPTS)}")
    found_in = [Script(name, **options) for name in names]  # type: ignore[arg-type]
    return found_in[0] if len(found_in) == 1 else AnyTrue(*found_in)


def _python(value: Written, options: dict[str, object], folder: str) -> Condition | None:
    target = value.text()
    if target is None:
        return None
    asked = Python(target, folder, **options)  # type: ignore[arg-type]
    try:
        asked.function()
    except RuleError as error:
        return value.wrong(str(error))
    return asked


def _joined(build: Callable[..., Condition]) -> Callable[..., Condition | None]:
    def read(value: Written, options: dict[str, object], folder: str) -> Condition | None:
        parts = _parts(value, folder)
        if any(isinstance(one, Pointing) for one in parts):
            return value.wrong(ALONE)
        return build(*parts) if parts else None

    return read


def _and(value: Written, options: dict[str, object], folder: str) -> Condition | None:
    """Return what holds where all parts do; of a part that points at tokens, these tokens."""
    parts = _parts(value, folder)
    pointing = [one for one in parts if isinstance(one, Pointing)]
    others = [one for one in parts if one not in pointing]
    if len(pointing) > 1:
        return value.wrong(ALONE)
    if pointing and others:
        return TokensWhere(pointing[0], others[0] if len(others) == 1 else AllTrue(*others))
    return AllTrue(*parts) if parts else None


def _parts(value: Written, folder: str) -> list[Condition]:
    """Return the conditions of a list, none if one of them cannot be read."""
    parts = [condition(one, folder) for one in value.items("conditions") or []]
    read = [one for one in parts if one is not None]
    return read if len(read) == len(parts) else []


def _not(value: Written, options: dict[str, object], folder: str) -> Condition | None:
    inner = condition(value, folder)
    if isinstance(inner, Pointing):
        return value.wrong(ALONE)
    return None if inner is None else NotTrue(inner)


CONDITIONS: dict[str, Callable[[Written, dict[str, object], str], Condition | None]] = {
    "regex": _pattern(Regex),
    "token": _edge(Token),
    "token_regex": _pattern(TokenRegex),
    "span_regex": _pattern(SpanRegex),
    "contains": _phrases(Contains, AnyTrue),
    "any_of": _phrases(Contains, AnyTrue),
    "all_of": _phrases(ContainsAll, AllTrue),
    "starts_with": _edge(StartsWith),
    "ends_with": _edge(EndsWith),
    "length": _length,
    "script": _script,
    "python": _python,
    "and": _and,
    "or": _joined(AnyTrue),
    "not": _not,
}
