"""Advice: what is measured, what is forecast, what is recommended, and the command."""

import json

import numpy as np
import pandas as pd
import pytest

from triune.advising import advise
from triune.advising.choosing import chosen, measured
from triune.advising.findings import above_chance
from triune.advising.forecast import fitted, forecasts, more_rules
from triune.advising.heads import Ground, by_labels, head, normalised
from triune.advising.probing import Trial, parts_of, tried, weights_of
from triune.advising.voting import Voting
from triune.advising.ways import PROBES
from triune.cli import main
from triune.errors import TriuneError
from triune.testing import table

RULES = """
rules:
  - {name: warm-word, when: {contains: [warm]}, then: warm}
  - {name: cold-word, when: {contains: [cold]}, then: cold}
"""
WRONG = RULES.replace("then: warm", "then: COLD").replace("then: cold", "then: warm").replace("COLD", "cold")


def ground(rows=40, texts=200, right=0.95, noise=1.0, seed=0):
    """Return two classes of features that noise blurs, and a rule a class that is right so often."""
    generator = np.random.default_rng(seed)
    true = np.arange(rows + texts) % 2
    x = generator.normal(size=(len(true), 8)) * noise
    x[:, 0] += 2 * true - 1
    said = np.where(generator.random(len(true)) < right, true, 1 - true)
    fires = (said[:, None] == np.arange(2)) & (generator.random(len(true)) < 0.8)[:, None]
    gold = np.where(np.arange(len(true)) < rows, true, -1)
    return Ground(x, gold, 2, Voting(("a", "b"), fires, np.eye(2, dtype=bool), np.array([0.9, 0.9])))


def judged(made, a_class=20):
    parts = parts_of(made.gold, made.labelled, 0)
    weights = weights_of(made.gold, made.labelled, np.array([0.5, 0.5]))
    trials = tried({name: probe.make for name, probe in PROBES.items()}, made, parts, weights)
    return chosen(measured(trials, parts, set(PROBES)), trials, parts, a_class, 0.8, above_chance(made))


def test_rules_that_are_right_make_hybrid_the_advice():
    assert judged(ground(rows=40, noise=1.5)).family == "hybrid"


def test_rules_that_are_wrong_are_not_recommended():
    found = judged(ground(rows=60, right=0.1, noise=0.4))
    assert found.family == "labels"
    assert "rules" not in found.ties


def test_a_head_is_the_logistic_regression_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    made = ground()
    rows = made.labelled
    p = by_labels(made, rows, np.arange(len(made.x)))
    # with two classes scikit-learn has one vector of weights and ours two, which halves the penalty
    theirs = LogisticRegression(C=20.0, tol=1e-8, max_iter=1000).fit(made.x[rows], made.gold[rows])
    assert np.abs(p - theirs.predict_proba(made.x)).max() < 0.02


def test_a_soft_target_counts_as_so_many_labels():
    x = np.array([[1.0], [-1.0], [0.5]])
    soft = head(x, np.array([[1, 0], [0, 1], [0.75, 0.25]]), np.array([1.0, 1.0, 1.0]), x)
    doubled = head(
        np.array([[1.0], [-1.0], [0.5], [0.5]]),
        np.array([[1, 0], [0, 1], [1, 0], [0, 1]]),
        np.array([1, 1, 0.75, 0.25]) * 3 / 4,
        x,
    )
    assert soft == pytest.approx(doubled, abs=0.05)


def test_a_projection_multiplies_probabilities_by_what_rules_cost():
    q = normalised(np.array([[0.5, 0.5]]), np.array([[0.0, np.log(9)]]))
    assert q == pytest.approx(np.array([[0.9, 0.1]]), abs=1e-6)


def test_votes_costs_and_estimates_are_those_of_the_definition():
    fires = np.array([[True, False], [True, True], [False, False]])
    one = Voting(("a", "b"), fires, np.array([[True, False, False], [False, True, False]]), np.array([0.8, 0.5]))
    assert one.shares().tolist() == [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 0]]
    assert one.costs(np.array([2.0, 3.0])).tolist() == [[0, 2, 2], [3, 2, 5], [0, 0, 0]]
    gold = np.array([0, 1, 2])
    assert one.estimated(gold, np.arange(3)) == pytest.approx([(4 * 0.8 + 1) / 6, (4 * 0.5 + 1) / 5])


def test_every_label_is_held_out_once_a_repeat_and_classes_are_spread_evenly():
    gold = np.repeat([0, 1, 2], [30, 10, 5])
    parts = parts_of(gold, np.arange(45), 0)
    held = np.concatenate([part.held for part in parts])
    assert (np.bincount(held) == len(parts) // 5).all()
    assert all(2 <= (gold[part.held] == 1).sum() <= 2 for part in parts)
    assert all(not set(part.held) & set(part.train) for part in parts)


def test_labels_weigh_as_often_as_they_occur():
    weights = weights_of(np.array([0, 0, 0, 1, -1]), np.arange(4), np.array([0.5, 0.5]))
    assert weights[:3].sum() == pytest.approx(weights[3])
    assert weights[4] == 0


@pytest.mark.parametrize(("a", "b", "c"), [(0.05, 1.0, 0.5), (0.1, 2.0, 0.8), (0.0, 0.9, 0.3)])
def test_a_power_law_is_found_and_forecast(a, b, c):
    counts = np.array([16, 32, 64])
    errors = np.tile(a + b * counts**-c, (10, 1))
    curve = fitted(counts.tolist(), errors[0], np.zeros(3))
    assert (curve.a, curve.c) == (pytest.approx(a, abs=0.03), pytest.approx(c, abs=0.1))
    found = forecasts(counts.tolist(), errors, [256], 0)[0]
    assert found.score == pytest.approx(1 - a - b * 256**-c, abs=0.01)


def test_a_forecast_is_as_sure_as_what_it_rests_on():
    generator = np.random.default_rng(0)
    counts = np.array([16, 32, 64])
    errors = 0.1 + counts**-0.5
    narrow, wide = (
        forecasts(counts.tolist(), errors + generator.normal(size=(10, 3)) * by, [256], 0)[0] for by in (0.005, 0.1)
    )
    assert narrow.low <= narrow.score <= narrow.high
    assert wide.high - wide.low > narrow.high - narrow.low


def test_twice_the_rules_cover_what_halves_leave():
    found = more_rules(10, covered_half=0.5, covered=0.75, gain=0.1, error=0.02)
    assert found.covered_twice == pytest.approx(1 - 0.25 * 0.25)
    assert found.expected == pytest.approx(0.1 * (found.covered_twice - 0.75) / 0.25)


# The whole of it, with a model of a few thousand parameters.


@pytest.fixture
def project(tmp_path, monkeypatch, tiny_model):
    """Return a folder with a table, texts without labels and rules."""
    monkeypatch.chdir(tmp_path)
    table(40).to_csv("data.csv", index=False)
    table(60, seed=1).drop(columns="label").to_csv("pool.csv", index=False)
    (tmp_path / "rules.yaml").write_text(RULES)
    return tmp_path, str(tiny_model)


def asked(project, *more, code=0):
    _, model = project
    assert main(["advise", "data.csv", "--model", model, *more]) == code


def test_the_configuration_that_is_written_runs(project, capsys):
    import triune

    asked(project, "--rules", "rules.yaml", "--unlabelled", "pool.csv", "--output", "advised/config.yaml")
    assert "Recommended: hybrid" in capsys.readouterr().out
    settings = ["training.max_steps=2", "training.threads=1", "training.report=off", "training.baselines=false"]
    result = triune.run("advised/config.yaml", overrides=settings)
    assert result.facts["ended"]["step"] == 2
    asked(project, "--output", "advised/config.yaml", code=2)
    assert "--overwrite" in capsys.readouterr().err


def test_the_same_seed_gives_the_same_advice(project):
    _, model = project
    first, second = (advise("data.csv", rules="rules.yaml", unlabelled="pool.csv", model=model) for _ in range(2))
    assert json.dumps(first.facts) == json.dumps(second.facts)
    assert first.yaml == second.yaml


def test_advice_has_frames(project):
    _, model = project
    found = advise(pd.read_csv("data.csv"), rules="rules.yaml", unlabelled="pool.csv", model=model)
    assert set(found.ways["way"]) == set(PROBES)
    assert found.classes["labels"].tolist() == [20, 20]
    assert set(found.more_labels["kind"]) == {"measured", "forecast"}
    assert found.rules["right"].tolist() == [20, 20]
    assert "train" not in found.config["data"]


def test_frames_of_which_there_is_nothing_to_say_have_their_columns(project):
    _, model = project
    found = advise("data.csv", rules="rules.yaml", model=model)
    with_labels = advise("data.csv", model=model)
    with_rules = advise(table(40).drop(columns="label"), rules="rules.yaml", model=model)
    for bare, frame in ((with_rules, "ways"), (with_rules, "more_labels"), (with_labels, "rules")):
        assert getattr(bare, frame).empty
        assert [*getattr(bare, frame).columns] == [*found.facts[frame][0]]
    assert with_rules.suspicious["label"].empty


def test_a_metric_that_advice_does_not_know_is_refused(project):
    with pytest.raises(TriuneError, match="metric is 'f1'"):
        advise("data.csv", model=project[1], metric="f1")


def test_a_family_that_is_below_another_within_chance_is_said_to_be_below():
    parts = parts_of(np.arange(40) % 2, np.arange(40), 1)
    scores = {"labels": 0.6, "votes": 0.7, "labels and votes": 0.65}
    spread = np.where(np.arange(len(parts)) % 2, 0.2, -0.2)
    trials = {
        name: Trial(score + (spread if name == "votes" else 0 * spread), np.zeros((40, 2)))
        for name, score in scores.items()
    }
    reasons = chosen(measured(trials, parts, set(scores)), trials, parts, 8, 0.5, 1.0).reasons
    assert any("rules measures alike: hybrid is 5.0 ±" in one and "below it" in one for one in reasons)


def test_without_rules_labels_are_the_advice_and_what_to_label_next_is_said(project, capsys):
    asked(project)
    said = capsys.readouterr().out
    assert "Recommended: labels" in said
    assert "label these next" in said


def test_without_labels_rules_are_the_advice_and_how_many_labels_would_tell_is_said(project, capsys):
    table(40).drop(columns="label").to_csv("data.csv", index=False)
    asked(project, "--rules", "rules.yaml")
    said = capsys.readouterr().out
    assert "Recommended: rules" in said
    assert "8 labels a class (16 in all)" in said


def test_rules_that_labels_contradict_are_shown_and_so_are_labels_that_rules_contradict(project):
    _, model = project
    (project[0] / "wrong.yaml").write_text(WRONG)
    found = advise("data.csv", rules="wrong.yaml", model=model)
    assert found.rules["likely_wrong"].all()
    assert found.family == "labels"


def test_json_holds_all_that_was_measured(project, capsys):
    asked(project, "--rules", "rules.yaml", "--json")
    found = json.loads(capsys.readouterr().out)
    assert found["recommended"]["family"] in ("rules", "labels", "hybrid")
    assert "methods:" in found["config"]


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ("text,tag\na,b\n", ["--label", "lable"], "no column 'lable' for the label"),
        ("text\na\nb\n", [], "no example has a label and no rule is given"),
        ("text,label\na,x\nb,x\n", [], "every label is 'x'"),
        ("text,label\n", [], "no example"),
        ("text,label\nwarm,hot\ncold,cold\n", ["--rules", "rules.yaml"], "'warm' is not a label of this table"),
        ("text,label\nwarm,hot\ncold,cold\n", ["--labels", "cold,warm"], "the label 'hot' is none of those given"),
    ],
    ids=["no such column", "no label and no rule", "one class", "empty", "unknown in rules", "unknown in the table"],
)
def test_what_cannot_be_advised_on_is_refused(project, capsys, content, options, says):
    (project[0] / "data.csv").write_text(content)
    asked(project, *options, code=2)
    assert says in capsys.readouterr().err


def test_tables_of_tokens_are_refused_early(project, capsys):
    (project[0] / "tokens.jsonl").write_text('{"text": ["a", "b"], "label": ["O", "B-x"]}\n')
    assert main(["advise", "tokens.jsonl", "--model", "nowhere"]) == 2
    assert "labels of whole texts alone" in capsys.readouterr().err
