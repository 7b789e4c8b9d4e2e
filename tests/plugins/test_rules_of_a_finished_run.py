"""What a finished run asks of a table that it predicts, and whose labels a prior is taken from."""

import pandas as pd
import pytest

import triune
from tests.support import Tables, config, plugins, table
from triune import Label, Rule, TextMatches, hookimpl
from triune.conditions import Column
from triune.errors import PlanError, RuleError
from triune_semantic_loss import SemanticLoss
from triune_weak_labels import WeakLabels


class Says:
    def __init__(self, *rules):
        self.given = rules

    @hookimpl
    def rules(self):
        return self.given


def test_predicting_asks_for_no_column_that_only_rules_of_training_read(tmp_path):
    data = table().assign(stars="5")
    says = Says(Rule("stars", Label("warm"), Column("stars", "above", 3), confidence=0.8))
    given = plugins(data=Tables(train=data), says=says, loss=SemanticLoss(SemanticLoss.Config()))
    run = triune.run(config("all", "loss", "says"), plugins=given, output=tmp_path / "run")
    assert len(triune.predict(run.folder, table(4)[["text"]], plugins=given)) == 4
    with pytest.raises(RuleError, match="no column 'stars'"):
        triune.evaluate(run.folder, table(4), plugins=given)


def test_a_prior_is_that_of_the_labels_and_not_of_the_votes_of_rules(tmp_path):
    data = table(24)
    data.loc[8:, "label"] = None
    counts = data["label"].value_counts()
    says = Says(Rule("all cold", Label("cold"), TextMatches(lambda text: True), confidence=0.8))
    methods = {"votes": WeakLabels(WeakLabels.Config(model="majority")), "loss": SemanticLoss(SemanticLoss.Config())}
    plan = triune.plan(
        config("all", *methods, "says", validation=0.0), plugins=plugins(data=Tables(train=data), says=says, **methods)
    )
    share = (counts["cold"] + 1) / (counts.sum() + 2)
    note = plan.terms["rules-prior"][1].note
    assert f"prior of {counts.sum()} labels" in note and f"cold {share:.2f}" in note


def test_unlabelled_means_without_a_label_of_the_table_also_where_rules_gave_one(tmp_path):
    data = table(24)
    data.loc[8:, "label"] = None
    says = Says(Rule("all cold", Label("cold"), TextMatches(lambda text: True), confidence=0.8))
    methods = {
        "votes": WeakLabels(WeakLabels.Config(model="majority")),
        "loss": SemanticLoss(SemanticLoss.Config(on="unlabelled")),
    }
    done = triune.run(
        config("all", *methods, "says"),
        plugins=plugins(data=Tables(train=data), says=says, **methods),
        output=tmp_path / "run",
    )
    history = pd.read_json(done.folder / "history.jsonl", lines=True)
    assert any(terms["rules"] > 0 for terms in history["terms"].dropna())


def test_rules_that_changed_do_not_keep_a_run_from_predicting_where_they_take_no_part(tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{name: red, when: {contains: [red]}, then: warm, confidence: 0.8}]")
    chosen = {**config("all", "loss"), "rules": [{"use": "rule-file", "path": str(path)}]}
    given = plugins(loss=SemanticLoss(SemanticLoss.Config()))
    run = triune.run(chosen, plugins=given, output=tmp_path / "run")
    before = triune.predict(run.folder, table(4)[["text"]], plugins=given)
    path.write_text("rules: [{name: red, when: {contains: [blue]}, then: warm, confidence: 0.8}]")
    pd.testing.assert_frame_equal(triune.predict(run.folder, table(4)[["text"]], plugins=given), before)
    with pytest.raises(RuleError, match="have changed since"):  # which would report on other rules
        triune.evaluate(run.folder, table(4), plugins=given)


def test_labels_by_rules_that_leave_one_label_are_watched_too(tmp_path):
    data = table(24).assign(label=None)
    data.loc[:1, "label"] = table(2)["label"]
    always = Says(Rule("all cold", Label("cold"), TextMatches(lambda text: True), confidence=0.8))
    votes = WeakLabels(WeakLabels.Config(model="majority"))
    done = triune.run(
        config("all", "votes", "says", validation=0.0, epochs=8, learning_rate=0.05, early_stopping=None),
        plugins=plugins(data=Tables(train=data, test=table(16, seed=1)), says=always, votes=votes),
        output=tmp_path / "run",
    )
    assert "'cold'" in done.facts["ended"]["collapsed"]
    assert "rules may have given most examples that one" in done.facts["ended"]["collapsed"]


def test_a_prior_that_is_none_is_refused_with_the_name_of_its_plugin(tmp_path):
    says = Says(Rule("red", Label("cold"), TextMatches(lambda text: "red" in text), confidence=0.8))
    loss = SemanticLoss(SemanticLoss.Config(prior={"warm": 0.5, "cld": 0.5}))
    with pytest.raises(PlanError, match=r"^loss: prior: 'cld' is not a label.*did you mean 'cold'"):
        triune.plan(config("all", "loss", "says"), plugins=plugins(says=says, loss=loss))
