"""Rules and a table, each read by whichever installed plugin says that it can, for verbs without a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from triune.catalog import Entry, installed, reader_of
from triune.config import RunConfig, Section
from triune.context import FinishedRun, Run
from triune.data import Data, missing_column
from triune.errors import DataError, PluginError, listed
from triune.hooks import Hooks, given
from triune.hookspecs import RuleApplication, RunLifecycle
from triune.spaces import Categorical
from triune.types import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

SPLIT = "test"  # what a data plugin calls a table that it reads by itself


def rules_of(path: Path) -> tuple[Rule, ...]:
    """Return the rules of a file, read by the rule plugin whose `reads` holds its ending.

    Raises:
        TriuneError: no plugin or more than one reads such files, or the file is not as it should be.
    """
    return _made(*reader_of_rules(path), path)


def reader_of_rules(path: Path) -> tuple[Entry, type]:
    """Return the rule plugin whose `reads` holds the ending of a file.

    Raises:
        PluginError: none does, or more than one.
    """
    found = list(_readers())
    fitting = [(entry, cls) for entry, cls in found if path.suffix.lower() in cls.reads]  # type: ignore[attr-defined]
    if len(fitting) != 1:
        endings = sorted({ending for _, cls in found for ending in cls.reads})  # type: ignore[attr-defined]
        which = " and ".join(f"{entry.name!r} of {entry.origin}" for entry, _ in fitting)
        what = f"read by {which}; uninstall all but one" if fitting else "read by no plugin"
        raise PluginError(f"{path}: files ending in {path.suffix!r} are {what}; endings: {listed(endings) or 'none'}")
    return fitting[0]


def _made(entry: Entry, cls: type, path: Path) -> tuple[Rule, ...]:
    plugin = cls(cls.Config.model_validate({"path": path}, context={"folder": Path.cwd()}))  # type: ignore[attr-defined]
    owned = Hooks({entry.name: plugin}).collect(RuleApplication.rules, run=_run({}))
    return tuple(given(owner, rule, Rule, RuleApplication.rules.__name__) for owner, rule in owned)


def _readers() -> Iterator[tuple[Entry, type]]:
    for entry in installed():
        if entry.family == "rule" and entry.status == "available":
            cls = entry.load()
            if getattr(cls, "reads", ()):
                yield entry, cls


def table_of(source: Path | pd.DataFrame, columns: Mapping[str, str]) -> tuple[Data, str]:
    """Return a table, and the split that it is, read by a data plugin that reads files.

    Args:
        source: the file, or a frame.
        columns: the settings of the plugin that name columns: text, label, label_separator.

    Raises:
        TriuneError: no plugin reads files, or the table is not as it should be.
    """
    name, cls = reader_of(columns)
    plugin = cls(cls.Config.model_validate(dict(columns))).reading(source)
    decided = Hooks({name: plugin}).decide(RunLifecycle.load_data, run=_run(columns))
    return _checked(cast("tuple[str, Data]", decided)[1], columns), SPLIT


def _checked(data: Data, columns: Mapping[str, str]) -> Data:
    table = data.splits[SPLIT]
    if "label" in columns and columns["label"] not in table.columns:
        raise DataError(missing_column(data.place(SPLIT), columns["label"], "label", list(table.columns)))
    return data


def _run(roles: Mapping[str, str]) -> Run:
    """Return a run that only reads."""
    config = RunConfig(task=Section(use="none"), data=())
    return Run(config, Path.cwd(), finished=FinishedRun(Path(), Categorical(()), roles, {}))
