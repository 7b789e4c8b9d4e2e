"""`hierarchy`: a tree of labels, each of which implies the one above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune import logic
from triune.documents import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triune.logic import Formula
    from triune_rule_file.written import Written


def hierarchy(value: Written) -> Formula | None:
    """Return that every child implies its parent: {hierarchy: {animal: {dog: [poodle], cat: }}}."""
    tree = value.at("hierarchy")
    if not isinstance(tree.value, dict) or not tree.value:
        return tree.wrong(f"found {found(tree.value)}, wanted a mapping: {{animal: [dog, cat]}}")
    before = len(tree.problems)
    edges = list(_edges(tree, ()))
    if not edges and len(tree.problems) == before:
        return tree.wrong("no label has a child, so it says nothing: {animal: [dog, cat]}")
    if len(tree.problems) > before:
        return None
    return logic.hierarchy(tree.value)


def _edges(value: Written, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield child and parent of everything below; `above` are the labels on the way, the closest last."""
    for name, entry in _children(value):
        if name in above:
            entry.wrong(f"{name!r} stands above itself")
            continue
        if above:
            yield name, above[-1]
        if entry is not value and isinstance(entry.value, dict | list | str) and _branches(value):
            yield from _edges(entry, (*above, name))


def _branches(value: Written) -> bool:
    return isinstance(value.value, dict)


def _children(value: Written) -> Iterator[tuple[str, Written]]:
    if isinstance(value.value, dict):
        for key in value.value:
            child = value.at(key)
            if not (child.value is None or isinstance(child.value, dict | list | str)):
                child.wrong(f"found {found(child.value)}, wanted labels below {key!r}: a list, a mapping or nothing")
            yield key, child
    elif isinstance(value.value, list):
        for entry in (value.at(number) for number in range(len(value.value))):
            name = entry.text()
            if name is not None:
                yield name, entry
    elif isinstance(value.value, str):
        yield value.value, value
