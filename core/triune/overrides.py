"""`--set training.epochs=5`: changes to a configuration from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.documents import Document, dotted, found
from triune.errors import ConfigError, listed, nearest
from triune.markup import Keys, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Sequence


SECTIONS = ("task", "data", "methods", "rules")


class _RefusedError(Exception):
    pass


def override(document: Document, overrides: Sequence[str]) -> None:
    """Carry out every override on the document's data, in place; the last one wins.

    Raises:
        ConfigError: an override has no value, or leads nowhere; all such overrides are named.
    """
    problems = []
    for text in overrides:
        label = f"--set {text}"
        try:
            path, value = _parsed(text)
            where = _put(document, path, value)
        except _RefusedError as refusal:
            problems.append(f"{label}: {refusal}")
            continue
        for old in [one for one in document.labels if one[: len(where)] == where]:
            del document.labels[old]
        document.labels[where] = label
    if problems:
        raise ConfigError(problems)


def _parsed(text: str) -> tuple[list[str], object]:
    path, equals, value = text.partition("=")
    segments = path.strip().replace("[", ".").replace("]", "").split(".")
    if not equals or not all(segments):
        raise _RefusedError("this is not of the form KEY=VALUE, such as training.epochs=5")
    marked = parse_yaml(value)
    if marked.problems:
        raise _RefusedError(f"the value {value!r} is no YAML: {marked.problems[0][1]}; quote it if it is text")
    return segments, marked.value


def _put(document: Document, segments: list[str], value: object) -> Keys:
    """Walk to the last segment and put the value there; mappings on the way are made where there are none."""
    holder: object = document.data
    where: Keys = ()
    for n, segment in enumerate(segments):
        key = _key(holder, where, segment)
        where = (*where, key)
        if n == len(segments) - 1:
            _assign(holder, key, value)
            return where
        inner = _get(holder, key)
        if isinstance(inner, str) and where[0] in SECTIONS:
            inner = {"use": inner}  # a bare name is short for a section without settings
            _assign(holder, key, inner)
        elif inner is None:
            inner = {}
            _assign(holder, key, inner)
        holder = inner
    return where


def _key(holder: object, where: Keys, segment: str) -> str | int:
    if isinstance(holder, dict):
        return segment
    if not isinstance(holder, list):
        raise _RefusedError(f"{dotted(where)} is {found(holder)}, which has nothing inside")
    names = [_name(item) for item in holder]
    if segment in names:
        return names.index(segment)
    if segment.isdecimal() and int(segment) < len(holder):
        return int(segment)
    said = f"say which by 0 to {len(holder) - 1} or by name: {listed(filter(None, names))}" if holder else "it is empty"
    raise _RefusedError(f"{dotted(where)} is a list without {segment!r}; {said}{nearest(segment, filter(None, names))}")


def _name(item: object) -> str:
    if isinstance(item, dict):
        return str(item.get("name") or item.get("use") or "")
    return item if isinstance(item, str) else ""


def _get(holder: object, key: str | int) -> object:
    if isinstance(holder, list) and isinstance(key, int):
        return holder[key]
    return holder.get(key) if isinstance(holder, dict) else None


def _assign(holder: object, key: str | int, value: object) -> None:
    if isinstance(holder, dict) or (isinstance(holder, list) and isinstance(key, int)):
        holder[key] = value  # type: ignore[index]
