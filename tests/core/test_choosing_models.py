"""Plugins choose the model that a run ends with, and note values over time."""

import json
import shutil

import numpy as np
import pytest
import torch

import triune
from tests.support import Tables, config, plugins, same, table, weights
from triune import hookimpl
from triune.errors import PlanError, PluginError
from triune.events import Checkpointed, Evaluated, Noted, Warned

SETTINGS = {"epochs": 8, "evaluate_every": 6, "early_stopping": None, "validation": 0.25}


class Remembers:
    """Keep the weights of every evaluated model, and the model itself."""

    @hookimpl
    def adapt_model(self, model):
        self.model, self.seen, self.values = model, {}, {}

    @hookimpl
    def observe(self, event):
        if isinstance(event, Evaluated) and event.split == "valid" and event.step.index not in self.seen:
            self.seen[event.step.index] = weights(self.model)
            self.values[event.step.index] = event.metrics["macro_f1"]


class Chooses:
    """Prefer whatever an order says."""

    def __init__(self, order):
        self.order, self.asked = order, []

    @hookimpl
    def prefer_model(self, metrics, best):
        self.asked.append((metrics["macro_f1"], best and best["macro_f1"]))
        return self.order(metrics, best)


def run(folder, *methods, observers=(), resume=None, training=None, **others):
    given, training = plugins(data=Tables(train=table(48), test=table(16, seed=1)), **others), training or {}
    found = config("all", *methods, **{**SETTINGS, **training})
    return triune.run(found, plugins=given, output=folder / "run", observers=observers, resume=resume)


def ended(folder):
    return json.loads((folder / "run/run.json").read_text())["ended"]


def test_a_plugin_chooses_the_model_that_the_run_ends_with(tmp_path):
    remembers, chooses = Remembers(), Chooses(lambda metrics, best: best is None)
    run(tmp_path, "remembers", "chooses", remembers=remembers, chooses=chooses)
    first = min(remembers.seen)
    assert same(weights(remembers.model), remembers.seen[first])
    assert ended(tmp_path)["best_step"] == first
    assert ended(tmp_path)["chosen_by"] == "'chooses' and then macro_f1 on the validation table"
    assert [best for _, best in chooses.asked] == [None] + [remembers.values[first]] * (len(remembers.seen) - 1)


def test_a_plugin_that_does_not_decide_leaves_it_to_the_metric(tmp_path):
    found = [Remembers(), Remembers()]
    run(tmp_path / "a", "remembers", remembers=found[0])
    run(tmp_path / "b", "remembers", "chooses", remembers=found[1], chooses=Chooses(lambda metrics, best: None))
    assert ended(tmp_path / "a")["best_step"] == ended(tmp_path / "b")["best_step"]
    assert ended(tmp_path / "b")["chosen_by"] == "macro_f1 on the validation table"
    assert same(weights(found[0].model), weights(found[1].model))


class Stopped(BaseException):
    """A run broken off on purpose."""


def test_what_the_best_model_was_is_known_after_a_resume(tmp_path):
    def stopping(event):
        if isinstance(event, Checkpointed) and event.step.index == 12:
            raise Stopped

    def worst(metrics, best):
        return best is None or metrics["macro_f1"] < best["macro_f1"]

    often = {"checkpoint_every": 12}
    whole, before, after = Chooses(worst), Chooses(worst), Chooses(worst)
    run(tmp_path / "whole", "chooses", chooses=whole, training=often)
    with pytest.raises(Stopped):
        run(tmp_path / "broken", "chooses", chooses=before, observers=(stopping,), training=often)
    run(tmp_path / "broken", "chooses", chooses=after, resume="auto", training=often)
    assert before.asked + after.asked == whole.asked
    assert ended(tmp_path / "whole")["best_step"] == ended(tmp_path / "broken")["best_step"]


def test_two_plugins_that_choose_are_refused(tmp_path):
    with pytest.raises(PlanError, match="'one', 'two' all decide 'prefer_model'"):
        run(tmp_path, "one", "two", one=Chooses(None), two=Chooses(None))


class Notes:
    """Note how many events there were."""

    def __init__(self):
        self.events = 0

    @hookimpl
    def observe(self, event):
        self.events += isinstance(event, Evaluated)

    @hookimpl
    def note_values(self):
        return {"evaluations": {"so far": float(self.events)}}


def test_values_that_a_plugin_notes_stand_in_the_history_from_the_first_step_on(tmp_path):
    told = []
    run(tmp_path, "notes", notes=Notes(), observers=(told.append,))
    lines = [json.loads(line) for line in (tmp_path / "run/history.jsonl").read_text().splitlines()]
    found = [line for line in lines if line["event"] == "values"]
    assert found[:2] == [
        {"event": "values", "step": step, "plugin": "notes", "name": "evaluations", "values": {"so far": float(count)}}
        for count, step in enumerate((0, 6))
    ]
    assert len([event for event in told if isinstance(event, Noted)]) == len(found)


class Gives:
    """Contribute a metric and a noted value."""

    def __init__(self, metric, noted):
        self.metric, self.noted = metric, noted

    @hookimpl
    def measure(self):
        return {"mine": self.metric}

    @hookimpl
    def note_values(self):
        return self.noted


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan"), torch.tensor(float("nan"))])
def test_a_figure_that_is_no_number_for_the_moment_loses_no_run(tmp_path, value):
    short = {"epochs": 1, "checkpoint_every": 1, "early_stopping": {"metric": "mine"}}
    run(tmp_path, "gives", training=short, gives=Gives(value, {"by": {"one": value, "two": 1.0}}))
    written = [json.loads(line, parse_constant=pytest.fail) for line in history(tmp_path)]
    assert [one["values"] for one in written if one["event"] == "values"] == [{"two": 1.0}] * 2
    found = json.loads((tmp_path / "run/metrics.json").read_text())
    assert found["test"]["mine"] is None


def test_numbers_of_numpy_and_torch_are_written_as_numbers(tmp_path):
    gives = Gives(np.float32(0.5), {"by": {"one": np.float32(0.25), "two": torch.tensor(2)}})
    result = run(tmp_path, "gives", training={"epochs": 1, "early_stopping": {"metric": "mine"}}, gives=gives)
    assert result.metrics["test"]["mine"] == 0.5 and ended(tmp_path)["best"] == 0.5
    assert [one["values"] for one in map(json.loads, history(tmp_path)) if one["event"] == "values"] == [
        {"one": 0.25, "two": 2.0}
    ] * 2


@pytest.mark.parametrize(
    ("metric", "noted", "said"),
    [
        (object(), {}, "plugin 'gives': its metric 'mine' is of type 'object'"),
        ({1: 0.5}, {}, "plugin 'gives': its metric 'mine' is of type 'dict'"),
        (0.5, [1], "plugin 'gives': hook 'note_values' gives a value of type 'list'"),
        (0.5, {"by": 1.0}, "plugin 'gives': hook 'note_values' gives a value of type 'dict'"),
        (0.5, {"by": {"one": "much"}}, "plugin 'gives': hook 'note_values' gives a value of type 'str'"),
    ],
)
def test_figures_that_json_cannot_hold_are_refused_before_the_first_step(tmp_path, metric, noted, said):
    with pytest.raises(PluginError, match=said):
        run(tmp_path, "gives", gives=Gives(metric, noted))
    assert not (tmp_path / "run").exists()


def test_a_best_model_that_was_deleted_is_missed_aloud(tmp_path):
    events = []

    def deleting(event):
        events.append(event)
        if isinstance(event, Checkpointed) and event.step.index == event.step.total:
            shutil.rmtree(tmp_path / "run/checkpoints/best")

    run(tmp_path, "chooses", chooses=Chooses(lambda metrics, best: best is None), observers=(deleting,))
    said = [event.message for event in events if isinstance(event, Warned)]
    assert len(said) == 1 and "the best model, of step 6, is no longer in" in said[0]


def history(folder):
    return (folder / "run/history.jsonl").read_text().splitlines()
