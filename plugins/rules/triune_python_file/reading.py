"""From a Python file to the rules that stand in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from triune import Rule
from triune.conditions.functions import loaded_file
from triune.errors import RuleError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def read(path: Path) -> tuple[Rule, ...]:
    """Return the rules of a file, by itself or in lists, in its order; one under two names is one.

    Raises:
        RuleError: there is no such file, it fails, or it holds no rule.
    """
    here = Path.cwd()
    shown = path.relative_to(here) if path.is_relative_to(here) else path
    if not shown.is_file():
        folder = shown.parent
        names = [one.name for one in folder.glob("*.py")] if folder.is_dir() else []
        what = "this is a folder; name a Python file in it" if shown.is_dir() else "there is no such file"
        raise RuleError([f"{shown}: {what}{nearest(shown.name, names)}"])
    module = loaded_file(shown)
    rules = [rule if rule.place else replace(rule, place=str(shown)) for rule in _rules(module)]
    if not rules:
        raise RuleError([f'{shown}: no rule stands in this file; write @triune.rule(then="label") above a function'])
    return tuple(rules)


def _rules(module: ModuleType) -> Iterator[Rule]:
    """Yield each rule once."""
    seen: set[int] = set()
    for value in vars(module).values():
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, Rule) and id(one) not in seen:
                seen.add(id(one))
                yield one
