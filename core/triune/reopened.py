"""A finished run opened again, to evaluate it or to predict with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from triune.catalog import installed, reader_of
from triune.config import LoadedConfig, load_config
from triune.context import FinishedRun
from triune.errors import DataError, OutputError
from triune.evaluation import evaluate_split
from triune.final_report import final_metrics
from triune.folder import MODEL, Folder
from triune.hooks import Hooks
from triune.hookspecs import RuleApplication, RunLifecycle
from triune.opening import build, encode, objective_of, started
from triune.rule_files import check_rule_files
from triune.spaces import restored
from triune.types import GroundedRules

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from triune.context import Run
    from triune.data import Data
    from triune.evaluation import Evaluation
    from triune.examples import Examples
    from triune.opening import Opened
    from triune.spaces import OutputSpace
    from triune.types import JSON

SPLIT = "test"


class Reader(Protocol):
    """A data plugin that can read one more table in the way it read the run's."""

    def reading(self, source: str | Path | pd.DataFrame) -> object:
        """Return a plugin whose `load_data` brings `source` as the test table, and nothing else."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """A table predicted and measured by a finished run."""

    place: str
    table: pd.DataFrame
    predictions: pd.DataFrame
    metrics: Mapping[str, JSON]
    tokenised: bool = False  # whether texts are lists of tokens, and predictions lists of tags
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reopened:
    """A finished run, and a table as its test table."""

    loaded: LoadedConfig
    finished: FinishedRun
    opened: Opened
    data: Data


def measured(folder: Path, source: str | Path | pd.DataFrame, plugins: Mapping[str, object] | None = None) -> Found:
    """Return the predictions of a finished run for a table, and its metrics over the rows that have a label."""
    return _found(folder, source, plugins, lambda data: data, final_metrics)


def predicted(folder: Path, source: str | Path | pd.DataFrame, plugins: Mapping[str, object] | None = None) -> Found:
    """Return the predictions of a finished run for a table; labels that it may have are not looked at."""
    return _found(folder, source, plugins, _without_labels, lambda found, *_: dict(found.metrics))


def _without_labels(data: Data) -> Data:
    return replace(data, roles={role: column for role, column in data.roles.items() if role != "label"})


def _found(
    folder: Path,
    source: str | Path | pd.DataFrame,
    plugins: Mapping[str, object] | None,
    seen: Callable[[Data], Data],
    judged: Callable[[Evaluation, Examples, Hooks, Run, OutputSpace, GroundedRules], dict[str, JSON]],
) -> Found:
    again = reopened(folder, source, plugins, seen)
    opened, data, finished = again.opened, again.data, again.finished
    run, hooks = opened.run, opened.hooks
    asked = "label" in data.roles or hooks.implementers(RuleApplication.constrain_outputs)
    # a prediction that no rule takes part in needs none of the columns that rules ask for
    rules = opened.grounded(data) if asked else GroundedRules((), {}, space=finished.space)
    objective = objective_of(opened, rules, {})
    objective.eval()
    examples = encode(opened.bundle, data)[SPLIT]
    found = evaluate_split(objective.outputs, examples, data.splits[SPLIT].index, hooks, run, finished.space, rules)
    metrics = judged(found, examples, hooks, run, finished.space, rules)
    return Found(data.place(SPLIT), data.splits[SPLIT], found.predictions, metrics, data.tokenised, examples.notes)


def reopened(
    folder: Path,
    source: str | Path | pd.DataFrame,
    plugins: Mapping[str, object] | None = None,
    seen: Callable[[Data], Data] = _without_labels,
) -> Reopened:
    """Return a finished run with its model and its rules, and the table that it is to be used on.

    Raises:
        TriuneError: the folder holds no finished run, or the table cannot be used.
    """
    place = Folder(folder)
    facts = place.facts()
    loaded = _configuration(place, facts, plugins)
    space, roles = facts["space"], facts["roles"]
    assert isinstance(space, Mapping) and isinstance(roles, Mapping)
    finished = FinishedRun(
        folder / MODEL, restored(space), {role: str(column) for role, column in roles.items()}, facts
    )
    if not (finished.model / "config.json").is_file():
        raise OutputError(f"{str(finished.model)!r} holds no model: run again with another output")
    run, hooks = started(loaded, finished=finished)
    data = seen(_table(source, hooks, run))
    return Reopened(loaded, finished, build(run, hooks, data), data)


def _configuration(place: Folder, facts: Mapping[str, JSON], plugins: Mapping[str, object] | None) -> LoadedConfig:
    config = cast("dict[str, object]", facts["config"])
    loaded = load_config(config, catalog=installed(), instances=plugins or {})
    check_rule_files(facts.get("rules"), loaded)
    folder = Path(str(facts["folder"]))
    return LoadedConfig(loaded.run, loaded.plugins, folder if folder.is_dir() else place.path)


def _table(source: str | Path | pd.DataFrame, hooks: Hooks, run: Run) -> Data:
    """Return the one table, read as the run read its own: by its data plugin, or by one that reads files and frames.

    Raises:
        DataError: there is nothing in it.
    """
    reader = next((one.reading(source) for one in hooks.plugins.values() if hasattr(one, "reading")), None)
    decided = Hooks({"table": reader or _any_reader(run).reading(source)}).decide(RunLifecycle.load_data, run=run)
    if decided is None or not len(decided[1].splits[SPLIT]):
        raise DataError(f"{source}: there is nothing to predict: give at least one row")
    return decided[1]


def _any_reader(run: Run) -> Reader:
    """Return an installed data plugin that reads files and frames, set to the columns of the run."""
    assert run.finished is not None
    cls = reader_of(run.finished.roles)[1]
    return cast("Reader", cls(cls.Config.model_validate(dict(run.finished.roles))))
