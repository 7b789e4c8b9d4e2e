"""A finished run opened again, to evaluate it or to predict with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Protocol, cast

from triune.catalog import installed, reader_of
from triune.config import LoadedConfig, load_config
from triune.context import FinishedRun
from triune.ensembles import members_of, together
from triune.errors import DataError, OutputError
from triune.evaluation import evaluate_split, report_split
from triune.final_report import final_metrics
from triune.folder import MODEL, Folder
from triune.hooks import Hooks
from triune.hookspecs import RuleApplication, RunLifecycle
from triune.opening import build, build_model, encode, objective_of, started
from triune.rule_files import check_rule_files
from triune.spaces import restored
from triune.state import undisturbed
from triune.types import GroundedRules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune.context import Run
    from triune.data import Data
    from triune.evaluation import Evaluation
    from triune.opening import Opened
    from triune.spaces import OutputSpace
    from triune.types import JSON, Batch, Outputs

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
    """A finished run with its model and its rules, and a table as its test table."""

    loaded: LoadedConfig
    finished: FinishedRun
    opened: Opened
    data: Data


@undisturbed()
def measured(folder: Path, source: str | Path | pd.DataFrame, plugins: Mapping[str, object] | None = None) -> Found:
    """Return the predictions of a finished run for a table, its metrics over rows with a label, and its rules' report.

    Of a folder that holds several finished runs it is their mean that is measured; "members" says how each does.

    Raises:
        OutputError: several runs do not belong together.
        RuleError: the rules are no longer those of the run.
    """
    first, *others = members_of(folder)
    facts, loaded, finished = _reopened(Folder(first), plugins)
    check_rule_files(facts.get("rules"), loaded)
    run, hooks = started(loaded, finished=finished)
    data = _table(source, hooks, run)
    opened = build(run, hooks, data)
    rules = opened.grounded(data)
    examples, index = encode(opened.bundle, data)[SPLIT], data.splits[SPLIT].index
    each = [_outputs_of(opened, rules), *(_of_member(one, plugins, data, rules) for one in others)]
    measure = partial(evaluate_split, examples=examples, index=index, hooks=hooks, run=run, space=finished.space)
    found = measure(together(each, finished.space), rules=rules)
    metrics = final_metrics(found, hooks, run, finished.space)
    if others:
        metrics["members"] = spread_of([measure(one, rules=rules).quality for one in each])
    return _found(data, found, metrics)


def predicted(folder: Path, source: str | Path | pd.DataFrame, plugins: Mapping[str, object] | None = None) -> Found:
    """Return the predictions of a finished run for a table, as a `Predictor` makes them; errors are its own."""
    return Predictor(folder, plugins).predicted(source)


class Predictor:
    """A finished run, or several as one, kept open: it predicts tables one after another and loads its model once.

    A prediction that no rule takes part in needs neither the rules nor the columns that they ask for. Where rules do
    take part, the run is opened anew for each table, since what they say hangs on it. Threads are let in one by one.
    """

    def __init__(self, folder: Path, plugins: Mapping[str, object] | None = None) -> None:
        """Take the folder of a finished run, or of several, whose mean belief is what is predicted.

        Raises:
            OutputError: it holds none, or several that do not belong together.
            RuleError: rules take part, and are no longer those of the run.
        """
        self.folder, self.plugins = folder, dict(plugins or {})
        self._members = members_of(folder)
        facts, self._loaded, self._finished = _reopened(Folder(self._members[0]), plugins)
        self._constrained = _constrained(self._loaded)
        if self._constrained:
            check_rule_files(facts.get("rules"), self._loaded)
        self._open: tuple[Opened, ...] = ()  # a member each, once a table has been seen
        self._one_by_one = Lock()

    @undisturbed()
    def predicted(self, source: str | Path | pd.DataFrame) -> Found:
        """Return the predictions for a table; labels that it may have are not looked at.

        Raises:
            TriuneError: the table cannot be used.
        """
        with self._one_by_one:
            return self._predicted_constrained(source) if self._constrained else self._predicted_free(source)

    def _predicted_free(self, source: str | Path | pd.DataFrame) -> Found:
        space = self._finished.space
        run, hooks = (
            (self._open[0].run, self._open[0].hooks)
            if self._open
            else started(_without_rules(self._loaded), finished=self._finished)
        )
        data = _without_labels(_table(source, hooks, run))
        if not self._open:
            others = (_model_of(one, self.plugins, data) for one in self._members[1:])
            self._open = (build_model(run, hooks, data), *others)
        nothing = GroundedRules((), {SPLIT: _nowhere(len(data.splits[SPLIT]))}, space=space)
        each = [_outputs_of(one, nothing) for one in self._open]
        return _answered(self._open[0], each, data, space)

    def _predicted_constrained(self, source: str | Path | pd.DataFrame) -> Found:
        run, hooks = started(self._loaded, finished=self._finished)
        data = _without_labels(_table(source, hooks, run))
        opened = build(run, hooks, data)
        rules = opened.grounded(data)
        others = (_of_member(one, self.plugins, data, rules) for one in self._members[1:])
        return _answered(opened, [_outputs_of(opened, rules), *others], data, self._finished.space)


def _answered(opened: Opened, each: Sequence[Callable[[Batch], Outputs]], data: Data, space: OutputSpace) -> Found:
    """Return what several say together of a table; rules are not reported on."""
    examples, index = encode(opened.bundle, data)[SPLIT], data.splits[SPLIT].index
    nothing = GroundedRules((), {SPLIT: _nowhere(len(index))}, space=space)
    found = report_split(together(each, space), examples, index, opened.run, space, nothing)
    return _found(data, found, found.metrics)


@undisturbed()
def reopened(folder: Path, source: str | Path | pd.DataFrame, plugins: Mapping[str, object] | None = None) -> Reopened:
    """Return a finished run, and the table that it is to be used on; labels that it may have are not looked at.

    Raises:
        OutputError: the folder holds no finished run.
        RuleError: the rules are no longer those of the run.
    """
    facts, loaded, finished = _reopened(Folder(folder), plugins)
    check_rule_files(facts.get("rules"), loaded)
    run, hooks = started(loaded, finished=finished)
    data = _without_labels(_table(source, hooks, run))
    return Reopened(loaded, finished, build(run, hooks, data), data)


def _constrained(loaded: LoadedConfig) -> bool:
    """Return whether rules take part in predictions."""
    return any(hasattr(one.cls, RuleApplication.constrain_outputs.__name__) for one in loaded.plugins)


def _without_rules(loaded: LoadedConfig) -> LoadedConfig:
    """Return a configuration without the plugins that bring rules: their files may be gone."""
    return replace(loaded, plugins=tuple(one for one in loaded.plugins if one.family != "rule"))


def _without_labels(data: Data) -> Data:
    return replace(data, roles={role: column for role, column in data.roles.items() if role != "label"})


def _nowhere(examples: int) -> NDArray[np.bool_]:
    import numpy as np

    return np.zeros((0, examples), dtype=np.bool_)


def _of_member(
    member: Path, plugins: Mapping[str, object] | None, data: Data, rules: GroundedRules
) -> Callable[[Batch], Outputs]:
    """Return the outputs of one more run of those that are asked together: its model under the same rules."""
    return _outputs_of(_model_of(member, plugins, data), rules)


def _model_of(member: Path, plugins: Mapping[str, object] | None, data: Data) -> Opened:
    _, loaded, finished = _reopened(Folder(member), plugins)
    run, hooks = started(loaded if _constrained(loaded) else _without_rules(loaded), finished=finished)
    return build_model(run, hooks, data)


def spread_of(members: Sequence[Mapping[str, JSON]]) -> dict[str, JSON]:
    """Return how many members there are, and mean and standard deviation of each of their metrics."""
    from statistics import mean, stdev

    found: dict[str, JSON] = {"count": len(members)}
    for name, value in members[0].items():
        values = [one.get(name) for one in members]
        if isinstance(value, float) and all(isinstance(one, float) for one in values):
            numbers = [float(str(one)) for one in values]
            found[name] = {"mean": mean(numbers), "deviation": stdev(numbers), "each": list(numbers)}
    return found


def _outputs_of(opened: Opened, rules: GroundedRules) -> Callable[[Batch], Outputs]:
    objective = objective_of(opened, rules, {})
    objective.eval()
    return objective.outputs


def _found(data: Data, found: Evaluation, metrics: Mapping[str, JSON]) -> Found:
    notes = found.examples.notes
    return Found(data.place(SPLIT), data.splits[SPLIT], found.predictions, metrics, data.tokenised, notes)


def _reopened(
    place: Folder, plugins: Mapping[str, object] | None
) -> tuple[Mapping[str, JSON], LoadedConfig, FinishedRun]:
    """Return what is written of a finished run, its configuration, and what plugins are told of it.

    Raises:
        OutputError: it holds no model.
    """
    facts = place.facts()
    loaded = _configuration(place, facts, plugins)
    space, roles = facts["space"], facts["roles"]
    assert isinstance(space, Mapping) and isinstance(roles, Mapping)
    finished = FinishedRun(
        place.path / MODEL, restored(space), {role: str(column) for role, column in roles.items()}, facts
    )
    if not (finished.model / "config.json").is_file():
        raise OutputError(f"{str(finished.model)!r} holds no model: run again with another output")
    return facts, loaded, finished


def _configuration(place: Folder, facts: Mapping[str, JSON], plugins: Mapping[str, object] | None) -> LoadedConfig:
    config = cast("dict[str, object]", facts["config"])
    loaded = load_config(config, catalog=installed(), instances=plugins or {})
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
