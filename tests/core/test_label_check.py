"""Training labels to be looked at again: who is asked, what is believed, and what a page shows of it."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.report_pages import page_of, section
from tests.support import Tables, ToyTask, config, plugins, table
from triune import Label, Rule, TextMatches, hookimpl, label_check, runs
from triune.doubts import as_pairs, contradicted, of_given
from triune.linear_heads import head, unseen
from triune.report.disagreements import MOST
from triune.report.records import Record, read_records
from triune.report.training_labels import BELIEFS, BOTH, RULES, belief, doubt_of, in_doubt


class Rules:
    """A rule that is right."""

    seats = ("loss",)

    @hookimpl
    def rules(self):
        yield Rule("red is warm", Label("warm"), TextMatches(lambda text: "red" in text.split()), confidence=0.9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_a_label_is_contradicted_as_the_confident_joint_says(seed, labels):
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.ones(labels), 12)
    gold = generator.integers(0, labels, 12)
    found = contradicted(p, np.eye(labels)[gold])
    for row in range(12):
        expected = False
        for other in set(gold.tolist()) - {int(gold[row])}:
            usual = np.mean([p[one, other] for one in range(12) if gold[one] == other])
            expected |= p[row, other] >= usual and p[row, other] > p[row, gold[row]]
        assert found[row] == expected


def test_a_row_without_a_label_is_not_contradicted():
    assert not contradicted(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[0.0, 0.0], [0.0, 1.0]])).any()


def test_several_labels_are_decisions_of_their_own():
    p, targets = np.array([[0.9, 0.2]]), np.array([[1.0, 1.0]])
    assert of_given(as_pairs(p), as_pairs(targets)) == pytest.approx(np.array([[0.9, 0.2]]))


def test_a_head_has_not_seen_what_it_judges():
    generator = np.random.default_rng(0)
    x, labels = generator.normal(size=(40, 60)), generator.integers(0, 2, 40)
    targets = np.eye(2)[labels]
    seen = head(x, targets, np.ones(40), x)[np.arange(40), labels]
    held = unseen(x, targets, np.random.default_rng(1))[np.arange(40), labels]
    assert seen.mean() > 0.95 > 0.7 > held.mean()  # of labels by chance nothing can be known


def record(confidence, against=(), **others):
    return Record("train", "t:1", "a", "a", {}, ("r",), (), against, confidence=confidence, **others)


def test_rules_and_beliefs_say_which_kind_of_doubt_it_is():
    assert doubt_of(record(0.1, ("r",), doubted=True)) is BOTH
    assert doubt_of(record(0.1, doubted=True)) is BELIEFS
    assert doubt_of(record(0.9, ("r",))) is RULES
    assert doubt_of(record(0.9)) is None


def test_the_least_believed_come_first_and_the_page_is_bounded():
    records = [record(n / 100, ("r",), unseen=0.5) for n in reversed(range(60))]
    shown = dict(in_doubt(records))[RULES]
    assert (shown.of, len(shown.records)) == (60, MOST)
    assert [one.confidence for one in shown.records[:3]] == [0.0, 0.01, 0.02]


def wrong(rows=96, flipped=4):
    """Return a table that is easy to learn, but for the labels of a few rows, which are wrong, and which they are."""
    label = ["warm", "cold"] * (rows // 2)
    word = {"warm": "red warm", "cold": "blue cold"}
    texts = [f"{word[one]} {('tall', 'slow', 'loud')[n % 3]}" for n, one in enumerate(label)]
    found = pd.DataFrame({"text": texts, "label": label})
    found["label"] = found["label"].astype(object)
    places = list(range(10, 10 + 2 * flipped, 2))
    found.loc[places, "label"] = "cold"
    return found, places


def done(folder, data, *methods, task=None, **training):
    known = {"knowledge": Rules()} if "knowledge" in methods else {}
    settings = {"report": "full", "validation": 0, "epochs": 2, **training}
    return runs.run(
        config("all", *methods, **settings), plugins=plugins(task=task, data=Tables(train=data), **known), output=folder
    )


def test_wrong_labels_are_found_by_rule_and_models_and_shown_with_their_texts(tmp_path):
    data, places = wrong()
    run = done(tmp_path / "run", data, "knowledge")
    records = [one for one in read_records(run.folder / "predictions.jsonl") if one.split == "train"]
    assert run.facts["label_check"] == {"examples": 96, "of": 96, "unseen": True, "why": ""} and len(records) == 96
    flipped = {f"train: row {row}" for row in places}
    assert {one.place for one in records if doubt_of(one)} == flipped
    assert [one for one in records if doubt_of(one) is BOTH]
    assert {one.place for one in sorted(records, key=belief)[: len(places)]} == flipped
    assert all((one.text is None) == (doubt_of(one) is None) for one in records)
    said = section(page_of(run.report.read_text()), "training-labels")
    assert "96 of 96 labelled training examples" in said and "label believed:" in said
    assert "red is warm" in said and "(against the label)" in said


def test_a_run_without_rules_asks_models_alone(tmp_path):
    said = section(page_of(done(tmp_path / "run", wrong()[0]).report.read_text()), "training-labels")
    assert "No such labels A rule and what models believe" in said


def test_several_labels_at_once_are_looked_at(tmp_path):
    data = table(48)
    data["label"] = [[one] if n % 3 else [] for n, one in enumerate(data["label"])]
    run = done(tmp_path / "run", data, task=ToyTask(multi_label=True))
    records = read_records(run.folder / "predictions.jsonl")
    assert run.facts["label_check"]["unseen"] and all(0 <= one.unseen <= 1 for one in records)
    assert page_of(run.report.read_text())


def test_of_many_a_sample_is_looked_at_and_those_against_a_rule_come_first(tmp_path, monkeypatch):
    monkeypatch.setattr(label_check, "FEWEST", 20)
    monkeypatch.setattr(label_check, "MOST", 20)
    data, places = wrong(200, 12)
    run = done(tmp_path / "run", data, "knowledge")
    records = read_records(run.folder / "predictions.jsonl")
    assert len(records) == 20 and run.facts["label_check"]["of"] == 200
    assert sum("red is warm" in one.broken_by_label for one in records) >= min(len(places), 10)
    assert "a sample, those first" in section(page_of(run.report.read_text()), "training-labels")


def test_an_example_that_stands_twice_is_looked_at_once(tmp_path):
    class Twice:
        @hookimpl
        def prepare_data(self, data):
            return data.with_split("train", data.train.iloc[[*range(len(data.train)), 0, 0, 1]])

    given = plugins(data=Tables(train=table(32)), twice=Twice())
    run = runs.run(config("all", "twice", report="full", validation=0), plugins=given, output=tmp_path / "run")
    assert run.facts["label_check"]["examples"] == 32


def test_without_labels_nothing_is_said(tmp_path):
    data = table(32)
    data["label"] = None
    given = plugins(data=Tables(train=data, test=table(16)), knowledge=Rules())
    run = runs.run(config("all", "knowledge", report="full"), plugins=given, output=tmp_path / "run")
    assert section(page_of(run.report.read_text()), "training-labels") is None and run.facts["label_check"] is None


def test_looking_at_labels_changes_nothing_that_is_learnt(tmp_path):
    looked = done(tmp_path / "a", wrong()[0], "knowledge")
    not_looked = done(tmp_path / "b", wrong()[0], "knowledge", report="off")
    losses = []
    for run in (looked, not_looked):
        lines = map(json.loads, (run.folder / "history.jsonl").read_text().splitlines())
        losses.append([one["terms"] for one in lines if one["event"] == "step"])
    assert losses[0] == losses[1]


def test_a_fault_in_it_costs_no_run_and_is_told(tmp_path, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("no eyes")

    monkeypatch.setattr("triune.finishing.sample_of", fail)
    run = done(tmp_path / "run", table(32))
    assert "no eyes" in section(page_of(run.report.read_text()), "run")
