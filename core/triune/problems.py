"""pydantic's errors in a user's words: one line each, at the place in the data that is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, ValidationError

from triune.documents import Document, dotted, found
from triune.errors import listed, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from triune.markup import Keys, Spot

KINDS = {
    "int": "a whole number",
    "int_from": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "dataclass": "a mapping",
    "path": "a path",
    "none_required": "nothing (null)",
    "callable": "a function",
}

BOUNDS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("of at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("of at most", "le"),
}


@dataclass(slots=True)
class Report:
    """Collects what is wrong with a document, as lines that begin with the place."""

    document: Document
    lines: list[tuple[Spot, str]] = field(default_factory=list)

    def add(self, where: Keys, text: str) -> None:
        """Note what is wrong with the value at `where`, or with what is missing there."""
        self._note(self.document.value_at(where), where, text)

    def add_key(self, where: Keys, text: str) -> None:
        """Note what is wrong with the key at `where`."""
        self._note(self.document.key_at(where), where, text)

    def _note(self, at: tuple[Spot, str], where: Keys, text: str) -> None:
        spot, place = at
        self.lines.append((spot, f"{place}: {dotted(where)}: {text}" if where else f"{place}: {text}"))

    def sorted(self) -> list[str]:
        """Return the lines in the order of the file."""
        return [line for _, line in sorted(self.lines, key=lambda one: one[0])]


def unknown(key: str, known: Iterator[str] | list[str], owner: str) -> str:
    """Say that a key is not known, which ones are, and which was meant."""
    names = sorted(known)
    there = f"; known: {listed(names)}" if names else ", which takes no settings"
    return f"unknown key {key!r} of {owner}{there}{nearest(key, names)}"


def explain(
    error: ValidationError, model: type[BaseModel], data: object, owner: str
) -> Iterator[tuple[Keys, str, bool]]:
    """Turn a validation error into problems.

    Args:
        error: what pydantic raised for `data`.
        model: the model it was validated by.
        data: the plain values.
        owner: whose settings these are: `plugin 'mine'`.

    Yields:
        Where below `data`, what is wrong there, and whether the key is at fault rather than its value.
    """
    unions: dict[Keys, dict[str, list[tuple[Keys, ErrorDetails]]]] = {}
    for detail in error.errors(include_url=False):
        where, union, member = _trail(detail, data)
        if union is None:
            yield _said(where, detail, model, owner)
        else:
            unions.setdefault(union, {}).setdefault(member, []).append((where, detail))
    for union, members in unions.items():
        yield from _of_union(union, members, model, owner)


def _trail(detail: ErrorDetails, data: object) -> tuple[Keys, Keys | None, str]:
    """Separate the way through the data from the names of union members that pydantic puts into it."""
    where: Keys = ()
    union: Keys | None = None
    member = ""
    here, last = data, len(detail["loc"]) - 1
    for n, part in enumerate(detail["loc"]):
        inside = (isinstance(here, Mapping) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        if inside:
            where, here = (*where, part), here[part]  # type: ignore[index]
        elif n == last and detail["type"] == "missing":
            where = (*where, part)
        elif part != "[key]" and union is None:
            union, member = where, str(part)
    return where, union, member


def _of_union(
    union: Keys, members: dict[str, list[tuple[Keys, ErrorDetails]]], model: type[BaseModel], owner: str
) -> Iterator[tuple[Keys, str, bool]]:
    """Tell one story about a value of several possible forms: that of the form it comes closest to."""
    fitting = [each for each in members.values() if not all(w == union and _wanted(d) for w, d in each)]
    if fitting:
        for where, detail in min(fitting, key=len):
            yield _said(where, detail, model, owner)
        return
    details = [detail for each in members.values() for _, detail in each]
    wanted = list(dict.fromkeys(_wanted(detail) for detail in details))
    choices = [choice for detail in details for choice in _choices(detail)]
    value = _given(details[0])
    yield union, f"found {found(value)}, wanted {' or '.join(wanted)}{nearest(value, choices)}", False


def _said(where: Keys, detail: ErrorDetails, model: type[BaseModel], owner: str) -> tuple[Keys, str, bool]:
    kind = detail["type"]
    if kind == "extra_forbidden":
        return where, unknown(str(where[-1]), list(_keys(model, where[:-1])), owner), True
    if kind == "missing":
        return where, f"missing key {str(where[-1])!r} of {owner}", False
    return where, _sentence(detail), detail["loc"][-1:] == ("[key]",)


def _sentence(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], _given(detail), detail.get("ctx", {})
    if kind in {"value_error", "assertion_error"}:
        return str(context.get("error", "")) or detail["msg"]
    wanted = _wanted(detail)
    if wanted:
        return f"found {found(value)}, wanted {wanted}{nearest(value, _choices(detail))}"
    if kind in BOUNDS:
        word, key = BOUNDS[kind]
        return f"found {found(value)}, wanted a number {word} {_number(context[key])}"
    if kind in {"too_short", "too_long"}:
        bound = f"at least {context['min_length']}" if kind == "too_short" else f"at most {context['max_length']}"
        return f"found {context['actual_length']} entries, wanted {bound}"
    if kind == "string_too_short" and context["min_length"] == 1:
        return "found an empty text"
    if kind == "string_pattern_mismatch":
        return f"found {found(value)}, wanted text of the form {context['pattern']}"
    if kind == "finite_number":
        return f"found {value!r}, wanted a finite number"
    message = detail["msg"]
    return f"found {found(value)}: {message[0].lower()}{message[1:]}"


def _wanted(detail: ErrorDetails) -> str:
    """Say what kind of value was wanted; `""` when the kind is right and something else is wrong."""
    kind = detail["type"]
    if choices := _choices(detail):
        return f"one of {', '.join(choices)}" if len(choices) > 1 else repr(choices[0])
    if kind.endswith(("_type", "_parsing")) or kind in {"int_from_float", "none_required"}:
        return KINDS.get(kind if kind in KINDS else kind.rpartition("_")[0], "")
    if kind == "is_instance_of":
        return f"an object of the class {detail['ctx']['class']}"
    return ""


def _given(detail: ErrorDetails) -> object:
    """Return the value at fault: of members that one key tells apart, what that key says."""
    return detail["ctx"]["tag"] if detail["type"] == "union_tag_invalid" else detail["input"]


def _choices(detail: ErrorDetails) -> list[str]:
    if detail["type"] in {"literal_error", "enum"}:
        parts = re.findall(r"'([^']*)'|\"([^\"]*)\"|([^\s,]+)", detail["ctx"]["expected"])
        return [a or b or c for a, b, c in parts if c != "or"]
    if detail["type"] == "union_tag_invalid":
        return re.findall(r"'([^']*)'", detail["ctx"]["expected_tags"])
    return []


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _keys(model: type[BaseModel], where: Keys) -> Iterator[str]:
    """Yield the keys that the models at a place below `model` know, under the names a user writes."""
    models = {model}
    for part in where:
        fields = [one.model_fields[name] for one in models for name in one.model_fields if _key(one, name) == part]
        below = {inner for each in fields for inner in _models(each.annotation)}
        models = below or (models if isinstance(part, int) else below)
    yield from {_key(one, name) for one in models for name in one.model_fields}


def _key(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
