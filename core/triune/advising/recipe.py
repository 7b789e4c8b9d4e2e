"""The configuration that advice comes with: the sections of a strategy, around the tables and rules that were given."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from triune.catalog import reader_of, task_for_text
from triune.errors import PluginError
from triune.rule_input import reader_of_rules
from triune.strategies import entries, loaded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triune.settings import Family
    from triune.strategies import RulesAs, Strategy
    from triune.types import LabelValue

GIVEN = "given"
"""What rules are called in a configuration that were handed over from Python."""


def strategies_for(family: Family) -> list[Strategy]:
    """Return the installed strategies of a family that can be used, the default ones first."""
    found = []
    for entry in entries():
        if entry.status == "available":
            try:
                found.append(loaded(entry))
            except PluginError:
                continue
    return sorted((one for one in found if one.family == family), key=lambda one: (not one.default, len(one.methods)))


def strategy_for(family: Family, rules_as: RulesAs | None) -> Strategy:
    """Return the strategy that learns like a way that was tried, otherwise the first of its family.

    Raises:
        PluginError: none is installed.
    """
    found = strategies_for(family)
    if not found:
        raise PluginError(f"no installed strategy learns from {family}: install one (`triune.strategies`)")
    return next((one for one in found if one.rules_as == rules_as), found[0])


def configuration(
    strategy: Strategy,
    labels: Sequence[LabelValue],
    model: str,
    tables: Mapping[str, Path | None],
    columns: Mapping[str, str],
    rules: Path | None,
    given: bool,
) -> dict[str, object]:
    """Return the configuration of a strategy.

    Args:
        strategy: which.
        labels: the labels.
        model: the pretrained model.
        tables: the files by split; None for a frame, which is to be passed again.
        columns: which column means what.
        rules: the file of rules.
        given: whether rules were handed over from Python.
    """
    sections: dict[str, object] = {
        "task": {"use": task_for_text(), "model": model, "labels": list(labels)},
        "data": {"use": reader_of(["label"])[0], **_paths(tables), **columns},
        "methods": list(strategy.methods),
    }
    if rules is not None:
        sections["rules"] = [{"use": reader_of_rules(rules)[0].name, "path": str(rules)}]
    elif given:
        sections["rules"] = [GIVEN]
    if strategy.training:
        sections["training"] = dict(strategy.training)
    return sections


def _paths(tables: Mapping[str, Path | None]) -> dict[str, str]:
    return {split: str(path) for split, path in tables.items() if path is not None}


def as_yaml(config: Mapping[str, object], why: Sequence[str], folder: Path, output: str) -> str:
    """Return a configuration as text, its reasons above it and its paths as seen from the folder it is written to."""
    lines = [f"# {line}" for line in why]
    for key, value in config.items():
        lines += ["", f"{key}:"]
        if isinstance(value, list):
            lines += [f"  - {_flow(_seen_from(folder, one) if isinstance(one, dict) else one)}" for one in value]
        elif isinstance(value, dict):
            lines += [f"  {name}: {_flow(one)}" for name, one in _seen_from(folder, value).items()]
    return "\n".join([*lines, "", f"output: {json.dumps(output)}", ""])


def _seen_from(folder: Path, section: Mapping[str, object]) -> dict[str, object]:
    """Return a section with the paths in it relative to a folder."""
    named = ("train", "unlabelled", "path")
    return {
        key: Path(os.path.relpath(str(value), folder)).as_posix() if key in named else value
        for key, value in section.items()
    }


def _flow(value: object) -> str:
    """Return a value in one line; JSON is YAML."""
    return json.dumps(value, ensure_ascii=False)
