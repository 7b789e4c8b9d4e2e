"""The baselines beside a run in which rules act: what they are runs of, what they cost, and that none is done twice."""

import json
import os
import signal

import pandas as pd
import pytest

import triune
from tests.support import Tables, ToyTask, config, plugins, table
from triune import Label, Rule, TextMatches, hookimpl
from triune.events import Beside, Planned, Stepped
from triune.signals import Interrupted

TRAIN, VALID, TEST = table(32), table(16, seed=4), table(16, seed=1)


class Words:
    """Rules about words."""

    @hookimpl
    def rules(self):
        yield Rule("warm", then=Label("warm"), when=TextMatches(lambda text: "warm" in text))
        yield Rule("cold", then=Label("cold"), when=TextMatches(lambda text: "cold" in text))


class Labels(Words):
    """Label what contains a word."""

    @hookimpl
    def label_examples(self, rules, examples):
        votes = {rule.then.name: rules.fires["train"][place] for place, rule in enumerate(rules.rules)}
        found = pd.DataFrame(votes, index=examples.index).astype(float)
        return found.where(found.sum(axis=1) == 1)


class Reports:
    """Rules that nothing reads."""

    @hookimpl
    def rules(self):
        yield Rule("warm", then=Label("warm"), when=TextMatches(lambda text: "warm" in text))


def run(folder, *, data=None, methods=("all", "labels"), resume=None, observers=(), **training):
    data = data or Tables(train=TRAIN, valid=VALID, test=TEST, unlabelled=table(24, seed=6).drop(columns="label"))
    settings = config(*methods, **{"baselines": True, **training})
    own = {"labels": Labels(), "reports": Reports()}
    given = plugins(data=data, **{name: one for name, one in own.items() if name in methods})
    return triune.run(settings, plugins=given, output=folder, resume=resume, observers=list(observers))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    events = []
    result = run(tmp_path_factory.mktemp("baselines") / "run", observers=[events.append])
    return result, events


def facts_of(result, name):
    return json.loads((result.folder / "baselines" / name / "run.json").read_text())


def test_both_baselines_stand_beside_the_metrics_of_a_run_in_which_rules_act(done):
    result = done[0]
    found = result.metrics["baselines"]
    assert list(found) == ["without_rules", "projection_only", "with_validation_labels"]
    for name in found:
        assert {"accuracy", "violation_rate"} <= found[name]["test"].keys()
    assert json.loads((result.folder / "metrics.json").read_text())["baselines"] == found


def test_projection_only_is_the_same_run_without_the_rule_methods(done):
    result = done[0]
    facts = facts_of(result, "projection-only")
    assert [row["name"] for row in facts["plugins"]] == ["toy", "tables", "all", "rules of methods left out"]
    assert facts["ended"]["of"] == result.facts["ended"]["of"]  # as many steps, though there is less to learn from


def test_its_figures_are_those_of_a_run_of_as_many_steps_that_only_learns(done, tmp_path):
    per_epoch = -(-(len(TRAIN) + 24) // 8)
    given = plugins(data=Tables(train=TRAIN, valid=VALID, test=TEST), reports=Words())
    settings = config(
        "all", "reports", epochs=99.0, max_steps=2 * per_epoch, evaluate_every=per_epoch, checkpoint_every=per_epoch
    )
    alone = triune.run(settings, plugins=given, output=tmp_path / "alone").metrics["test"]
    found = done[0].metrics["baselines"]
    assert found["without_rules"]["test"]["accuracy"] == alone["accuracy"]
    assert found["projection_only"]["test"] == alone["projection"]


def test_the_other_baseline_learns_from_the_validation_table_too(done):
    steps = [event.event for event in done[1] if isinstance(event, Beside) and event.name == "with-validation-labels"]
    (planned,) = [event for event in steps if isinstance(event, Planned)]
    assert planned.plan.tables["train"].rows == len(TRAIN) + len(VALID)
    assert planned.plan.tables["train"].labelled == len(TRAIN) + len(VALID)
    assert "valid" not in planned.plan.tables


def test_the_plan_says_what_baselines_cost(done):
    (plan,) = [event.plan for event in done[1] if isinstance(event, Planned)]
    (note,) = [note for note in plan.notes if "baselines follow" in note]
    assert f"each of at most {plan.steps.total} steps, so about 3 times the time in all" in note
    assert plan.writes[-1].name == "baselines"


def test_steps_of_baselines_are_told_apart_from_those_of_the_run(done):
    steps = [event for event in done[1] if isinstance(event, Stepped)]
    assert len(steps) == done[0].facts["ended"]["of"]
    assert len(done[0].history.query("event == 'step'")) == len(steps)


def test_false_leaves_them_out(tmp_path):
    result = run(tmp_path / "run", baselines=False)
    assert "baselines" not in result.metrics
    assert not (result.folder / "baselines").exists()


def test_a_run_whose_rules_act_nowhere_has_none(tmp_path):
    assert "baselines" not in run(tmp_path / "run", methods=("all", "reports")).metrics


def test_without_labels_both_are_left_out_and_the_plan_says_why(tmp_path):
    data = Tables(train=TRAIN.assign(label=None), test=TEST)

    class Task(ToyTask):
        @hookimpl
        def build_model(self, run, data):
            return super().build_model(run, data.with_split("train", TRAIN))

    settings = config("all", "labels", baselines=True)
    given = plugins(Task(), data, labels=Labels())
    result = triune.run(settings, plugins=given, output=tmp_path / "run")
    found = result.metrics["baselines"]
    assert "nothing to learn from without the rules" in found["projection_only"]["left_out"]
    assert found["with_validation_labels"]["left_out"] == "no validation example has a label"
    assert sum("is left out" in note for note in result.facts["notes"]) == 2


def stop_at(name, index):
    def stop(event):
        inner = event.event if isinstance(event, Beside) and event.name == name else None
        if isinstance(inner, Stepped) and inner.step.index == index:
            os.kill(os.getpid(), signal.SIGTERM)

    return stop


def test_interrupted_in_a_baseline_a_run_goes_on_there_and_ends_alike(done, tmp_path):
    events = []
    with pytest.raises(Interrupted):
        run(tmp_path / "run", observers=[stop_at("with-validation-labels", 3)])
    again = run(tmp_path / "run", resume="auto", observers=[events.append])
    assert again.metrics == done[0].metrics
    assert not [event for event in events if isinstance(event, Stepped)]  # the run itself was done
    beside = [event for event in events if isinstance(event, Beside) and isinstance(event.event, Stepped)]
    assert {event.name for event in beside} == {"with-validation-labels"}  # and so was the other baseline
    assert beside[0].event.step.index == 4


def test_a_baseline_that_cannot_be_is_left_out_with_its_reason_and_the_run_is_whole(tmp_path):
    class Both(Labels):
        """Decide labels, and say what trains."""

        @hookimpl
        def claim_parameters(self):
            from triune import ParameterClaim
            from triune.select import Name

            yield ParameterClaim(Name("*"), trainable=True, default=True)

    given = {**plugins(data=Tables(train=TRAIN, valid=VALID, test=TEST), no_all=True, both=Both())}
    given.pop("no_all")
    result = triune.run(config("both", baselines=True), plugins=given, output=tmp_path / "run")
    assert "no method says which parameters train" in result.metrics["baselines"]["projection_only"]["left_out"]
    assert "accuracy" in result.metrics["test"]


def test_the_model_of_a_baseline_can_be_used_and_its_checkpoints_are_gone(done):
    folder = done[0].folder / "baselines" / "with-validation-labels"
    assert not (folder / "checkpoints").exists()
    assert len(triune.predict(folder, TEST[["text"]], plugins=plugins())) == len(TEST)


class Remembers:
    """Keep what the last training told it, as one does who wants to ask the model afterwards."""

    @hookimpl
    def before_training(self, train):
        self.labelled = int(train.labelled.sum())


def test_what_a_plugin_from_python_remembers_is_of_the_run_and_not_of_a_baseline(tmp_path):
    remembers = Remembers()
    tables = Tables(train=TRAIN, valid=VALID, test=TEST)
    given = plugins(data=tables, labels=Labels(), remembers=remembers)
    triune.run(config("all", "labels", "remembers", baselines=True), plugins=given, output=tmp_path / "run")
    assert remembers.labelled == len(TRAIN)  # with the validation labels there are more
