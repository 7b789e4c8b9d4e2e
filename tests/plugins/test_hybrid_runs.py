"""Runs of `hybrid`: bounds are met on text that was not seen, wrong rules are found out, resuming changes nothing."""

import json

import pytest

import triune
from tests.core.test_engine import final
from tests.plugins.toy_rules import Labelled, Rules
from tests.support import Tables, config, plugins, same, table
from triune import Label, Rule, SoftFormula, TextMatches
from triune.catalog import installed
from triune.cli import main
from triune.config import load_config
from triune.errors import PlanError
from triune.events import Checkpointed
from triune.prepared import prepare
from triune.processes import World
from triune_hybrid import Hybrid

WARM = Rule("warm", Label("warm"), TextMatches(lambda text: "warm" in text), confidence=0.9)
COLD = Rule("cold", Label("cold"), TextMatches(lambda text: "cold" in text), confidence=0.9)
SETTINGS = {"epochs": 100, "max_steps": 60, "batch_size": 16, "evaluate_every": 5, "early_stopping": None}


def hybrid(**settings):
    return Hybrid(Hybrid.Config.model_validate(settings))


def dual(at_most=0.05, **settings):
    return {"use": "dual", "at_most": at_most, **settings}


def tables(labelled=8, **others):
    """Return few labelled rows, many without a label, and tables to validate and test on."""
    train = table(96, seed=5)
    train.loc[train.index[labelled:], "label"] = None
    return Tables(train=train, valid=table(64, seed=3), test=table(64, seed=9), **others)


def run(folder, method, *rules, data=None, observers=(), resume=None, task=None, **training):
    given = plugins(task or Labelled(dropout=0.0), data or tables(), mine=Rules(*rules), push=method)
    found = config("all", "mine", "push", **{**SETTINGS, **training})
    return triune.run(found, plugins=given, output=folder / "run", observers=observers, resume=resume)


def history(folder):
    return [json.loads(line) for line in (folder / "run/history.jsonl").read_text().splitlines()]


def values(folder, name):
    """Return what was noted under a name, by step."""
    lines = history(folder)
    return {line["step"]: line["values"] for line in lines if line["event"] == "values" and line["name"] == name}


def test_the_bound_is_met_on_text_that_was_not_seen_where_labels_alone_break_it(tmp_path):
    alone = run(tmp_path / "alone", hybrid(balance={"use": "fixed", "weight": 0}), WARM, COLD)
    found = run(tmp_path / "dual", hybrid(balance=dual()), WARM, COLD)
    assert alone.metrics["test"]["rules_overall"]["violation_rate"] > 0.15
    for split in ("valid", "test"):
        assert found.metrics[split]["rules_overall"]["violation_rate"] <= 0.05 + 0.03  # a standard error of 64
    assert found.metrics["test"]["accuracy"] > alone.metrics["test"]["accuracy"]


def test_multipliers_violations_and_confidences_stand_in_the_history_and_follow_the_recursion(tmp_path):
    run(tmp_path, hybrid(balance=dual(rate=3.0, start=0.5), guard=0), WARM, COLD, max_steps=20)
    steps = [0, 5, 10, 15, 20]
    multipliers, running = values(tmp_path, "multipliers"), values(tmp_path, "violation")
    assert list(multipliers) == steps and list(running) == steps and running[0] == {}
    expected, smooth = 0.5, None
    lines = [line for line in history(tmp_path) if line["event"] == "evaluation" and line["split"] == "valid"]
    for step, line in zip(steps[1:], lines[:4], strict=True):
        rate = line["metrics"]["rules_overall"]["violation_rate"]
        smooth = rate if smooth is None else (smooth + rate) / 2
        expected = min(max(expected + 3.0 * (smooth - 0.05), 0), 20)
        assert running[step]["rules"] == pytest.approx(smooth)
        assert multipliers[step]["rules"] == pytest.approx(expected)
    assert values(tmp_path, "confidences")[0].keys() == {"warm", "cold"}


def test_a_rule_that_labels_break_is_pushed_no_further_than_they_do(tmp_path):
    shy = Rule("red is warm", Label("warm"), TextMatches(lambda text: "a" in text), confidence=0.9)  # half of the time
    found = run(tmp_path, hybrid(balance=dual(0.02), confidences="fixed"), shy, data=tables(96))
    bounds, multipliers = values(tmp_path, "bounds")[60], values(tmp_path, "multipliers")[60]
    assert bounds["rules"] > 0.3
    assert multipliers["rules"] < 1
    assert found.metrics["test"]["accuracy"] > 0.9


def test_flipped_rules_lose_their_weight_and_do_no_harm(tmp_path):
    flipped = (
        Rule("warm", Label("cold"), WARM.when, confidence=0.9),
        Rule("cold", Label("warm"), COLD.when, confidence=0.9),
    )
    believed = run(tmp_path / "believed", hybrid(confidences="fixed"), *flipped, data=tables(32))
    found = run(tmp_path / "found", hybrid(), *flipped, data=tables(32))
    said = found.metrics["test"]["hybrid"]["rules"]
    for name in ("warm", "cold"):
        assert said[name]["written"] == 0.9
        assert said[name]["confidence"] < 0.1 and said[name]["kept"] == 0 and said[name]["broken"] > 10
    assert believed.metrics["test"]["accuracy"] < 0.8 < found.metrics["test"]["accuracy"]


def test_a_validation_table_without_labels_is_enough_for_a_bound(tmp_path):
    data = tables()
    data.splits["valid"] = data.splits["valid"].assign(label=None)
    found = run(tmp_path, hybrid(balance=dual()), WARM, COLD, data=data)
    assert found.metrics["valid"]["rules_overall"]["violation_rate"] <= 0.05 + 0.03
    facts = json.loads((tmp_path / "run/run.json").read_text())
    assert facts["ended"]["chosen_by"] == "'push'"  # no label, and so no metric


def test_a_balance_that_decides_nothing_is_not_named_as_what_chose(tmp_path):
    for balance in (dual(0.99, accuracy_floor=0.99), "fixed"):
        run(tmp_path / str(balance)[:5], hybrid(balance=balance), WARM, COLD)
        facts = json.loads((tmp_path / str(balance)[:5] / "run/run.json").read_text())
        assert facts["ended"]["chosen_by"] == "macro_f1 on the validation table"


class Stopped(BaseException):
    """A run broken off on purpose."""


@pytest.mark.parametrize(
    ("balance", "conflicts"),
    [(dual(by="rule", rate=20.0), "project"), (dual(rate=20.0), "ignore"), ("uncertainty", "project")],
    ids=["dual, projected", "dual", "uncertainty"],
)
def test_a_run_stopped_at_any_step_and_resumed_is_the_same_to_the_bit(tmp_path, balance, conflicts):
    short = {"max_steps": 8, "evaluate_every": 2, "checkpoint_every": 1, "task": Labelled(dropout=0.1)}
    wrong = Rule("red", Label("warm"), TextMatches(lambda text: "red" in text), confidence=0.7)
    methods = {"balance": balance, "conflicts": conflicts}
    run(tmp_path / "whole", hybrid(**methods), WARM, COLD, wrong, **short)
    expected = history(tmp_path / "whole")
    for stop in range(1, 8):

        def stopping(event, stop=stop):
            if isinstance(event, Checkpointed) and event.step.index == stop:
                raise Stopped

        with pytest.raises(Stopped):
            run(tmp_path / f"{stop}", hybrid(**methods), WARM, COLD, wrong, observers=(stopping,), **short)
        run(tmp_path / f"{stop}", hybrid(**methods), WARM, COLD, wrong, resume="auto", **short)
        found = history(tmp_path / f"{stop}")
        for line in (*expected, *found):
            line.pop("examples_per_second", None)
        assert found == expected  # every loss, multiplier and prediction's metric, to the last digit
        assert same(final(tmp_path / f"{stop}"), final(tmp_path / "whole"))
    if balance != "uncertainty":
        assert len({tuple(one.values()) for one in values(tmp_path / "whole", "multipliers").values()}) > 3


def test_uncertainty_weighs_rules_by_the_running_losses(tmp_path):
    run(tmp_path, hybrid(balance="uncertainty", guard=0), WARM, COLD, max_steps=20)
    noted = values(tmp_path, "running loss")
    weight = values(tmp_path, "weight")
    for step in (5, 10, 15, 20):
        assert weight[step]["rules"] == pytest.approx(noted[step]["labels"] / noted[step]["rules"])


def test_projection_changes_what_is_learnt_where_rules_and_labels_disagree(tmp_path):
    wrong = Rule("warm", Label("cold"), WARM.when, confidence=0.9)
    losses = []
    for conflicts in ("ignore", "project"):
        method = hybrid(conflicts=conflicts, confidences="fixed", guard=0)
        run(tmp_path / conflicts, method, wrong, data=tables(96), max_steps=10)
        losses.append([line["loss"] for line in history(tmp_path / conflicts) if line["event"] == "step"])
        if conflicts == "project":
            assert max(method.counted) > 1  # gradients did pull against each other
    assert losses[0] != losses[1]


# what is refused


def plan(method, *rules, data=None, **training):
    given = plugins(Labelled(dropout=0.0), data or tables(), mine=Rules(*rules), push=method)
    return triune.plan(config("all", "mine", "push", **{**SETTINGS, **training}), plugins=given)


def test_a_bound_without_held_out_text_is_refused():
    data = Tables(train=table(32), test=table(16, seed=1))
    with pytest.raises(PlanError, match="dual asks how often rules are broken on held-out text, and there is no valid"):
        plan(hybrid(balance=dual()), WARM, data=data, validation=0.0)


def test_projection_of_gradients_that_come_in_parts_is_refused():
    with pytest.raises(PlanError, match=r"training\.accumulate parts it in 2"):
        plan(hybrid(conflicts="project"), WARM, accumulate=2)


def test_projection_of_gradients_of_several_processes_is_refused(tmp_path, monkeypatch):
    given = plugins(Labelled(dropout=0.0), tables(), mine=Rules(WARM), push=hybrid(conflicts="project"))
    loaded = load_config(config("all", "mine", "push", **SETTINGS), catalog=installed(), instances=given)
    monkeypatch.setattr(World, "exchange", lambda self, value: [value] * self.size)
    with pytest.raises(PlanError, match=r"project compares gradients of the whole batch, and 2 processes share it"):
        prepare(loaded, world=World(0, 2))


def test_soft_formulas_are_left_out_and_named_and_refused_if_nothing_else_is_there():
    soft = Rule("s", SoftFormula(lambda outputs, batch: outputs.scores.softmax(-1)[:, 0]))
    assert "without 's', which have no exact cost" in str(plan(hybrid(), soft, WARM))
    with pytest.raises(PlanError, match="rules that say a SoftFormula have no exact cost"):
        plan(hybrid(), soft)


def test_no_rule_is_refused():
    with pytest.raises(PlanError, match="no rule may act in the loss"):
        plan(hybrid())


def test_the_plan_says_which_rules_labels_contradict_and_where_the_bound_is_the_noise_floor():
    wrong = Rule("wrong", Label("cold"), WARM.when, confidence=0.9)
    said = " ".join(str(plan(hybrid(balance=dual()), WARM, wrong, data=tables(32))).split())
    assert "labels contradict 'wrong', which weigh nothing" in said
    shy = Rule("shy", Label("warm"), TextMatches(lambda text: "a" in text), confidence=0.9)
    page = str(plan(hybrid(balance=dual(), confidences="fixed"), shy, data=tables(32)))
    assert "labels break it so often; asked 0.05" in " ".join(page.split())


CONFIG = """
task: {{use: text-classification, model: nowhere}}
data: {{use: table, train: train.csv}}
methods:
  - end-to-end
  - {{use: hybrid, {settings}}}
training: {{max_steps: 2}}
"""


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            "balance: duel",
            "found the text 'duel', wanted one of fixed, scheduled, dual, uncertainty; did you mean 'dual'?",
        ),
        ("balance: {use: dual}", "methods[1].balance.at_most: missing key 'at_most'"),
        ("balance: dual", "methods[1].balance.at_most: missing key 'at_most'"),
        ("balance: {use: dual, at_most: {others: 0.1}, by: rule}", "a mapping groups rules itself, so leave by out"),
        ("balance: {use: dual, at_most: 0.1, start: 30}", "start is 30, above most, 20"),
        ("balance: {use: dual, at_most: 2}", "found 2, wanted a number below 1"),
        ("balance: {use: dual, at_most: 0.1, rat: 3}", "did you mean 'rate'"),
        ("balance: {use: fixed, weight: -1}", "wanted a number of at least 0"),
        ("balance: {use: scheduled, weight: {from: 0, to: -1}}", "a weight is never negative"),
        ("conflict: project", "did you mean 'conflicts'"),
        ("pseudo_counts: 0", "wanted a number above 0"),
    ],
)
def test_bad_settings_are_refused_by_the_command_before_anything_is_written(tmp_path, capsys, settings, said):
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG.format(settings=settings))
    assert main(["run", str(path), "--output", str(tmp_path / "out")]) != 0
    shown = capsys.readouterr().err
    assert said in shown
    assert "config.yaml:6" in shown
    assert sorted(one.name for one in tmp_path.iterdir()) == ["config.yaml"]
