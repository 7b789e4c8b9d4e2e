"""The rule report: every figure against counting by hand and enumeration, before and after, resumed or not."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import triune
from tests.support import Tables, ToyTask, config, plugins, table
from triune import Label, Rule, SoftFormula, TextMatches, hookimpl
from triune.errors import DataError, PluginError
from triune.evaluation import Answers
from triune.logic import AnyOf, AtMost, EachIs, Implies, Not
from triune.logic.inference import log_odds
from triune.projection import projected, satisfaction
from triune.rule_report import rule_report
from triune.signals import Interrupted
from triune.spaces import Binaries, Categorical, Tags
from triune.token_rules import TokenRules
from triune.types import GroundedRules

ABC = ("a", "b", "c")
FORMULAS = (Label("a"), Not(Label("b")), AnyOf("a", "c"), Implies(Label("a"), Label("b")), AtMost(1, ["a", "b"]))


def grounded(rules, fires, space, **more):
    return GroundedRules(tuple(rules), {"test": np.asarray(fires, dtype=bool)}, space=space, **more)


def answers(scores, space):
    scores = torch.as_tensor(scores, dtype=torch.float32)
    half = len(scores) // 2  # in two parts, the second half first
    parts = [np.arange(half, len(scores)), np.arange(half)]
    return [Answers(rows, scores[rows], space.decide(scores[rows]), None) for rows in parts if len(rows)]


def frame(predicted, gold):
    return pd.DataFrame({"predicted": pd.Series(predicted, dtype=object), "gold": pd.Series(gold, dtype=object)})


def test_rates_are_of_the_examples_that_a_rule_fires_on_and_gold_ones_of_those_with_a_label():
    rules = grounded([Rule("r", Label("a"), hard=True)], [[1, 1, 1, 0]], Categorical(ABC))
    each, overall = rule_report(rules, "test", frame(["a", "b", "b", "b"], ["a", None, "b", "c"]))
    assert each["r"]["coverage"] == 0.75
    assert each["r"]["violation_rate"] == pytest.approx(2 / 3)
    assert each["r"]["violation_rate_on_gold"] == each["r"]["agreement_with_gold"] == 0.5
    assert overall == {
        "coverage": 0.75,
        "violation_rate": pytest.approx(2 / 3),
        "violation_rate_on_gold": 0.5,
        "hard_violations": 2,
    }


def test_an_implication_tells_being_broken_from_being_kept_because_its_premise_is_never_predicted():
    rules = grounded([Rule("r", Implies(Label("a"), Label("b")))], [[1, 1, 1, 1]], Binaries(ABC))
    each, _ = rule_report(rules, "test", frame([["a"], ["a", "b"], [], ["c"]], [None] * 4))
    assert each["r"]["violation_rate"] == 0.25
    assert each["r"]["violation_given_premise"] == 0.5
    assert each["r"]["vacuous_share"] == 0.5
    assert each["r"]["violation_rate_on_gold"] is None


def test_a_soft_formula_has_its_coverage_and_no_rate():
    rules = grounded([Rule("r", SoftFormula(lambda outputs, batch: batch))], [[1, 0]], Categorical(ABC))
    each, overall = rule_report(rules, "test", frame(["a", "b"], ["a", "b"]))
    assert each["r"]["coverage"] == 0.5
    assert each["r"]["violation_rate"] is None
    assert overall["violation_rate"] is None


def test_a_rule_about_tokens_is_judged_at_every_stretch_that_it_points_at():
    tags = Categorical(("O", "LOC"))
    tokens = TokenRules(
        rows=np.array([0, 0, 1]),
        tokens=np.array([0, 1, 2]),
        rules=np.array([0, 0, 0]),
        sets=np.array([0, 0, 0]),
        places=np.array([0, 0, 1]),
        allowed=np.array([[False, True]]),
    )
    rules = grounded([Rule("r", EachIs("LOC"))], [[1, 1, 0]], tags, tokens={"test": tokens})
    predicted = [["LOC", "O", "O"], ["O", "O", "LOC"], ["O"]]
    each, overall = rule_report(rules, "test", frame(predicted, [["LOC", "LOC", "O"], ["O", None, "O"], None]))
    assert each["r"]["violation_rate"] == overall["violation_rate"] == 0.5
    assert each["r"]["violation_rate_on_gold"] == 0.0  # the second example's labels are not whole
    scores = torch.tensor([[[0.0, 1.0], [0.0, 2.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 0.0], [1.0, 0.0]]])
    one = Answers(np.array([0, 1]), scores, scores > 0, torch.ones(2, 3, dtype=torch.bool))
    p = scores.softmax(-1)[..., 1]
    wanted = (p[0, 0] * p[0, 1] + p[1, 2]) / 2
    assert satisfaction(rules, "test", [one], tags)["r"] == pytest.approx(float(wanted), rel=1e-6)


@given(
    scores=st.lists(st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3), min_size=1, max_size=5),
    several=st.booleans(),
    data=st.data(),
)
@settings(max_examples=40, deadline=None)
def test_probability_and_projection_are_those_of_enumeration(scores, several, data):
    space = Binaries(ABC) if several else Categorical(ABC)
    worlds = [
        tuple(label for label, holds in zip(ABC, row, strict=True) if holds)
        for row in product([0, 1], repeat=3)
        if several or sum(row) == 1
    ]
    fires = data.draw(
        st.lists(st.lists(st.booleans(), min_size=len(scores), max_size=len(scores)), min_size=5, max_size=5)
    )
    confidences = (0.9, 0.7, 0.6, 0.95, 0.8)
    rules = [
        Rule(str(place), then, confidence=confidence)
        for place, (then, confidence) in enumerate(zip(FORMULAS, confidences, strict=True))
    ]
    # rules whose condition is Always fire everywhere
    rules = [triune.Rule(one.name, one.then, TextMatches(bool), one.confidence) for one in rules]
    known = grounded(rules, fires, space)
    p = space.probabilities(torch.tensor(scores)).double()
    chance = torch.stack([_chance(p, world, several=several) for world in worlds])  # (worlds, examples)
    found = satisfaction(known, "test", answers(scores, space), space)
    for rule, fired in zip(rules, torch.tensor(fires), strict=True):
        holds = torch.tensor([rule.then.holds(world) for world in worlds]).double()
        wanted = (holds @ chance)[fired]
        assert found[rule.name] == (pytest.approx(float(wanted.mean()), abs=1e-5) if len(wanted) else None)
    costs = sum(
        log_odds(rule.confidence)
        * torch.tensor([not rule.then.holds(world) for world in worlds]).double()[:, None]
        * fired[None].double()
        for rule, fired in zip(rules, torch.tensor(fires), strict=True)
    )
    q = chance * (-costs).exp()
    q = q / q.sum(0)
    for one in projected(known, "test", answers(scores, space), space):
        said = space.probabilities(one.scores).double()
        for place, label in enumerate(ABC):
            inside = torch.tensor([label in world for world in worlds]).double()
            assert torch.allclose(said[:, place], (inside @ q)[one.rows], atol=1e-4)
        for row, decided in zip(one.rows, one.decided, strict=True):
            world = tuple(label for label, holds in zip(ABC, decided.tolist(), strict=True) if holds)
            assert q[worlds.index(world), row] >= q[:, row].max() - 1e-5


def _chance(p, world, *, several):
    inside = torch.tensor([label in world for label in ABC])
    return torch.where(inside, p, 1 - p).prod(-1) if several else p[:, ABC.index(world[0])]


@pytest.mark.parametrize("confidence", [0.9, 0.2])
def test_the_projection_onto_a_rule_about_tokens_is_that_of_enumeration(confidence):
    tags = Tags(ABC)
    entries = (np.array(one) for one in ([0, 0], [0, 2], [0, 0], [0, 1], [0, 1]))
    tokens = TokenRules(*entries, allowed=np.array([[True, False, False], [True, True, False]]))
    rule = Rule("r", EachIs("a"), TextMatches(bool), confidence=confidence)
    rules = grounded([rule], [[1]], tags, tokens={"test": tokens})
    scores = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(2))
    one = Answers(np.array([0]), scores, tags.decide(scores), torch.ones(1, 3, dtype=torch.bool))
    (found,) = projected(rules, "test", [one], tags)
    p, q = scores[0].double().softmax(-1), {}
    for world in product(range(3), repeat=3):
        broken = (world[0] not in (0,)) + (world[2] not in (0, 1))
        weight = -log_odds(confidence) * broken
        q[world] = float(np.exp(weight)) * float(np.prod([p[token, tag] for token, tag in enumerate(world)]))
    total = sum(q.values())
    for token, tag in product(range(3), repeat=2):
        wanted = sum(mass for world, mass in q.items() if world[token] == tag) / total
        assert tags.probabilities(found.scores)[0, token, tag] == pytest.approx(wanted, abs=1e-5)
    assert found.decided[0].float().argmax(-1).tolist() == list(max(q, key=q.get))


class Known:
    """Rules of which the second is hard, and wrong half of the time."""

    @hookimpl
    def rules(self):
        yield Rule("warm", then=Label("warm"), when=TextMatches(lambda text: "warm" in text), confidence=0.9)
        yield Rule("red", then=Label("cold"), when=TextMatches(lambda text: "red" in text), hard=True)


def learning_only(folder, **more):
    given = plugins(ToyTask(), Tables(train=table(40), test=table(16, seed=1)), known=Known())
    return triune.run(config("all", "known", epochs=3), plugins=given, output=folder, **more)


def test_a_run_that_only_learns_reports_on_rules_too_and_what_they_would_have_changed(tmp_path):
    found = learning_only(tmp_path / "run").metrics["test"]
    assert found["rules"]["warm"]["coverage"] == 0.5
    assert found["rules"]["warm"]["violation_rate_before"] != found["rules"]["warm"]["violation_rate"]
    assert 0 < found["rules"]["warm"]["satisfaction_probability"] < 1
    assert found["projection"]["hard_violations"] == 0
    assert found["rules_overall"].keys() >= {"coverage", "violation_rate", "violation_rate_before"}
    assert "accuracy" in found["projection"]
    again = triune.evaluate(tmp_path / "run", table(16, seed=1), plugins=plugins(known=Known()))
    assert again["projection"].keys() == found["projection"].keys()
    assert again["rules"]["warm"].keys() == found["rules"]["warm"].keys() - {"violation_rate_before"}


class WarmLabels:
    """Decides labels by one rule; every example that it does not speak of is cold."""

    @hookimpl
    def label_examples(self, rules, examples, space):
        fires = rules.fires["train"][0]
        votes = np.stack([~fires, fires], axis=1).astype(float)
        return pd.DataFrame(votes, index=examples.index, columns=list(space.labels))


class TestWithoutATableAside:
    def run(self, folder, rows=40, labels=range(2), **tables):
        train = table(rows)
        train.loc[[row not in labels for row in range(rows)], "label"] = None
        given = plugins(ToyTask(), Tables(train=train, **tables), known=Known(), voted=WarmLabels())
        chosen = config("all", "known", "voted", epochs=3, validation=0.0)
        return triune.run(chosen, plugins=given, output=folder)

    def test_rules_are_reported_on_what_is_learnt_from_and_nothing_is_said_of_quality(self, tmp_path):
        done = self.run(tmp_path / "run")
        ((split, found),) = done.metrics.items()
        assert split == "train" and "no table was set aside" in found["not_measured"]
        assert found["examples"] == 40 and found["labelled"] == 2  # labels that rules decided are no labels
        warm = found["rules"]["warm"]
        assert warm["coverage"] == 0.5 and warm["violation_rate_on_gold"] == 0.0
        assert warm["violation_rate"] != warm["violation_rate_before"]
        assert found["projection"].keys() == {"violation_rate", "hard_violations"}
        assert not {"accuracy", "macro_f1"} & found.keys()
        card = (done.folder / "README.md").read_text()
        assert "rules (train)" in card and "no table was set aside" in card

    def test_agreement_is_with_labels_that_the_table_came_with(self, tmp_path):
        found = self.run(tmp_path / "run", labels=range(8)).metrics["train"]
        assert found["labelled"] == 8
        assert found["rules"]["warm"]["agreement_with_gold"] == 1.0

    def test_a_large_table_is_sampled_and_the_report_is_that_of_the_sample(self, tmp_path, monkeypatch):
        monkeypatch.setattr("triune.examiner.REPORTED", 16)
        first, second = (self.run(tmp_path / name).metrics["train"] for name in ("a", "b"))
        assert first == second and first["examples"] == 16
        assert "16 of 40 training examples" in first["not_measured"]

    def test_a_table_without_labels_still_has_its_rules_reported(self, tmp_path):
        found = self.run(tmp_path / "run", test=table(12, seed=1).drop(columns="label")).metrics["test"]
        assert found["labelled"] == 0 and "no example has a label" in found["not_measured"]
        assert 0 <= found["rules"]["warm"]["violation_rate"] <= 1
        assert found["rules"]["warm"]["violation_rate_before"] is not None
        again = triune.evaluate(tmp_path / "run", table(12, seed=1)[["text"]], plugins=self.known())
        assert again["not_measured"] == found["not_measured"] and again["rules"]["warm"]["coverage"] == 0.5

    def known(self):
        return plugins(known=Known(), voted=WarmLabels())

    def test_one_without_rules_has_nothing_to_say_of_such_a_table(self, tmp_path):
        triune.run(config("all"), plugins=plugins(), output=tmp_path / "run")
        with pytest.raises(DataError, match="nothing to measure"):
            triune.evaluate(tmp_path / "run", table(12, seed=1)[["text"]], plugins=plugins())


class Beliefs:
    """A rule that says a function of what the model believes, and one that nothing else reads."""

    @hookimpl
    def rules(self):
        warm = SoftFormula(lambda outputs, batch: outputs.space.probabilities(outputs.scores)[:, 1])
        yield Rule("believed", then=warm, when=TextMatches(lambda text: "warm" in text))
        yield Rule("said", then=Label("warm"), when=TextMatches(lambda text: "warm" in text))


def test_a_function_of_outputs_is_reported_by_its_mean_truth_and_how_often_it_is_below_one_half(tmp_path):
    given = plugins(ToyTask(), Tables(train=table(40), test=table(16, seed=1)), beliefs=Beliefs())
    done = triune.run(config("all", "beliefs", epochs=3), plugins=given, output=tmp_path / "run")
    found, said = (done.metrics["test"]["rules"][name] for name in ("believed", "said"))
    for key in ("violation_rate", "violation_rate_before"):  # one of two labels is likelier than one half
        assert found[key] == said[key]
    assert found["satisfaction_probability"] == pytest.approx(said["satisfaction_probability"], rel=1e-5)
    assert 0 < found["satisfaction_probability_before"] != found["satisfaction_probability"]
    assert found["violation_rate_on_gold"] is None  # it is no answer that it judges


def test_a_function_of_outputs_alone_leaves_the_rates_of_answers_empty():
    rules = grounded([Rule("r", SoftFormula(lambda outputs, batch: batch))], [[1, 1, 0]], Categorical(ABC))
    truths = np.array([[0.4, 0.8, np.nan]], dtype=np.float32)
    each, overall = rule_report(rules, "test", frame(["a", "b", "b"], ["a", "b", "b"]), truths)
    assert each["r"]["violation_rate"] == 0.5 and each["r"]["satisfaction_probability"] == pytest.approx(0.6)
    assert overall["violation_rate"] is None


def test_what_is_no_truth_stops_a_report_before_anything_is_learnt(tmp_path):
    class Wrong:
        @hookimpl
        def rules(self):
            yield Rule("wrong", then=SoftFormula(lambda outputs, batch: outputs.scores[:, 0] * 0 + 2))

    with pytest.raises(PluginError, match="'wrong': its function returns 2 "):
        triune.run(config("all", "wrong"), plugins=plugins(wrong=Wrong()), output=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_resumed_run_knows_how_far_rules_were_kept_before_it_learnt(tmp_path):
    whole = learning_only(tmp_path / "whole")

    def stop(event):
        if getattr(event, "step", None) and event.step.index == 7:
            raise_signal()

    with pytest.raises(Interrupted):
        learning_only(tmp_path / "stopped", observers=[stop])
    assert learning_only(tmp_path / "stopped", resume="auto").metrics == whole.metrics


def raise_signal():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGTERM)


def test_contradictory_hard_rules_leave_the_projection_out_and_say_why(tmp_path):
    class Both:
        @hookimpl
        def rules(self):
            yield Rule("always warm", then=Label("warm"), hard=True)
            yield Rule("never warm", then=~Label("warm"), hard=True)

    found = triune.run(config("all", "both"), plugins=plugins(both=Both()), output=tmp_path / "run").metrics
    assert "contradict each other" in found["test"]["projection"]["left_out"]


def test_a_validation_table_without_labels_ends_no_run_early(tmp_path):
    bare = table(12, seed=1).drop(columns="label")
    given = plugins(data=Tables(train=table(), valid=bare, test=table(16, seed=1)))
    stopping = {"metric": "accuracy", "patience": 1}
    done = triune.run(config("all", epochs=4, early_stopping=stopping), plugins=given, output=tmp_path / "run")
    assert done.facts["ended"]["step"] == done.facts["ended"]["of"]
