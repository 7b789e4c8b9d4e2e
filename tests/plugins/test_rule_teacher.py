"""The method `rule-teacher`: its teacher is the closed form, and the student moves towards it as π says."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import triune
from tests.plugins.policies import (
    LABELS,
    SPACES,
    STEP,
    batch_of,
    cost,
    every_answer,
    grounded,
    log_p,
    outputs_of,
    rules_of,
)
from tests.support import Tables, ToyTask, config, plugins, table
from triune import Label, Rule, Schedule, Seat, SoftFormula, TextMatches, hookimpl
from triune.answers import certainly, truth_of
from triune.errors import PlanError, PluginError
from triune.logic import EachIs, FormulaError
from triune.logic.inference import log_odds
from triune.seats import seated
from triune.testing import check_plugin, toy_run
from triune.token_rules import TokenRules
from triune.types import Step
from triune_end_to_end import EndToEnd
from triune_rule_teacher import RuleTeacher
from triune_rule_teacher.imitation import Approach, Rest
from triune_rule_teacher.projection import imitated, teacher_of
from triune_top_layers import TopLayers
from triune_weak_labels import WeakLabels

KINDS = list(SPACES)


def made(kind, rules, fires, strength=1.0):
    found = grounded(kind, rules, fires)
    return teacher_of(seated(found, Seat.POLICY), SPACES[kind], strength)


def closed_form(outputs, rules, fires, strength, extra=lambda example, answer: 0.0):
    """Return the marginals of q(y) ∝ p(y) exp(−C · cost of y), by enumeration."""
    found = []
    for example in range(len(outputs.scores)):
        answers = every_answer(outputs, example)
        costs = torch.tensor(
            [strength * (cost(rules, fires[:, example], said) + extra(example, answer)) for answer, said in answers],
            dtype=torch.float64,
        )
        own = torch.stack([log_p(outputs, example, answer) for answer, _ in answers]).detach().double()
        q = (own - costs).softmax(-1)
        found.append(sum(share * answer.double() for share, (answer, _) in zip(q, answers, strict=True)))
    return torch.stack(found).float()


def counted(outputs, values):
    """Return values at the tokens that count."""
    return values if outputs.mask is None else values[outputs.mask]


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(0, 1000),
    st.sampled_from([0.3, 1.0, 4.0]),
    st.sampled_from([(), (1,)]),
    st.tuples(*[st.sampled_from([0.3, 0.6, 0.95, 1.0])] * 3),
)
def test_the_teacher_is_the_closed_form(kind, seed, strength, hard, confidences):
    rules = rules_of(kind, confidences, hard)
    fires = np.random.default_rng(seed).random((3, 4)) < 0.7
    outputs = outputs_of(kind, 4, seed)
    q = made(kind, rules, fires, strength)(batch_of(4), outputs)
    expected = closed_form(outputs, rules, fires, strength)
    torch.testing.assert_close(counted(outputs, q), counted(outputs, expected), atol=2e-5, rtol=1e-4)
    assert not q.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_imitating_has_the_gradient_of_minus_log_z(kind):
    rules, fires = rules_of(kind, hard=(1,)), np.ones((3, 5), dtype=bool)
    outputs, batch = outputs_of(kind, 5), batch_of(5)
    teacher = made(kind, rules, fires)
    found = imitated(teacher)(STEP, batch, outputs)
    scale = len(LABELS) if kind == "any of three" else 1  # the mean over labels
    values = found.values if outputs.mask is None else found.values * outputs.mask
    (imitation,) = torch.autograd.grad(scale * values.sum(), outputs.scores)
    log_z = teacher.compiled.log_z(outputs.scores, teacher.seated.fires(batch), mask=outputs.mask)
    (pushing,) = torch.autograd.grad(-log_z.sum(), outputs.scores)
    torch.testing.assert_close(imitation, pushing, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("confidence", [0.9, 0.2])
def test_rules_about_tokens_are_part_of_the_closed_form(confidence):
    pointed_at = Rule("pointed", EachIs("a"), confidence=confidence)
    rules, odds = (*rules_of("tags"), pointed_at, Rule("firm", EachIs("c"), hard=True)), log_odds(confidence)
    fires = np.ones((5, 2), dtype=bool)
    tokens = TokenRules(
        *(np.asarray(one) for one in ([0, 0, 1], [0, 1, 1], [3, 4, 3], [0, 1, 0], [0, 1, 2])),
        allowed=np.asarray([[True, False, False], [False, False, True]]),
    )
    found = replace(grounded("tags", rules, fires), tokens={"train": tokens})
    outputs = outputs_of("tags", 2)

    def pointed(example, answer):
        broken = {0: [(0, 0, odds), (1, 2, 1e30)], 1: [(1, 0, odds)]}[example]
        return sum(nats for token, tag, nats in broken if not answer[token, tag])

    expected = closed_form(outputs, rules[:3], fires[:3], 1.0, pointed)
    q = teacher_of(seated(found, Seat.POLICY), SPACES["tags"], 1.0)(batch_of(2), outputs)
    torch.testing.assert_close(counted(outputs, q), counted(outputs, expected), atol=1e-5, rtol=1e-4)
    alone = replace(grounded("tags", rules[3:], fires[3:]), tokens={"train": replace(tokens, rules=tokens.rules - 3)})
    q = teacher_of(seated(alone, Seat.POLICY), SPACES["tags"], 1.0)(batch_of(2), outputs)
    expected = closed_form(outputs, (), fires[:0], 1.0, pointed)
    torch.testing.assert_close(counted(outputs, q), counted(outputs, expected), atol=1e-5, rtol=1e-4)


def half_b(outputs, batch):
    """A truth of one half for b, one for a, none for c, as a function of what the outputs say."""
    return outputs.space.probabilities(outputs.scores) @ torch.tensor([1.0, 0.5, 0.0])


@pytest.mark.parametrize("confidence", [0.9, 0.2])
def test_a_rule_that_is_a_function_is_asked_of_every_label(confidence):
    rule = Rule("soft", SoftFormula(half_b), confidence=confidence)
    fires = np.asarray([[True, False, True]])
    outputs = outputs_of("one of three", 3)
    q = made("one of three", [rule], fires)(batch_of(3), outputs)
    costs = log_odds(confidence) * torch.tensor([0.0, 0.5, 1.0])
    expected = (outputs.scores.log_softmax(-1) - torch.tensor(fires[0])[:, None] * costs).softmax(-1)
    torch.testing.assert_close(q, expected.detach())


def test_a_function_of_outputs_with_too_many_answers_is_refused():
    with pytest.raises(PlanError, match="rule 'soft' says a SoftFormula, which the teacher asks of every answer"):
        made("any of three", [Rule("soft", SoftFormula(half_b))], [[True]])


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (torch.ones(2, 2), r"returns \(2, 2\)"),
        ("ab", "returns str"),
        ([0.5], "returns list"),
        (torch.tensor([0.5, 1.5]), "returns 1.5 for example 1 of the train table"),
        (torch.tensor([math.nan, 0.5]), "returns nan for example 0"),
    ],
)
def test_what_is_no_truth_is_refused_with_the_rule(said, sentence):
    outputs, batch = outputs_of("one of three", 2), batch_of(2)
    rule = Rule("soft", SoftFormula(lambda outputs, batch: said), place="mine.py:3")
    with pytest.raises(PluginError, match=f"mine.py:3: rule 'soft': its function {sentence}"):
        truth_of(rule, outputs, batch, torch.ones(2, dtype=torch.bool))
    with pytest.raises(FormulaError, match="ask the exact engine"):
        truth_of(Rule("plain", Label("a")), outputs, batch, torch.ones(2, dtype=torch.bool))


def test_a_truth_may_come_from_plain_python():
    outputs, batch = outputs_of("one of three", 2), batch_of(2)
    rule = Rule("plain", SoftFormula(lambda outputs, batch: [True, False]))
    fires = torch.ones(2, dtype=torch.bool)
    assert truth_of(rule, outputs, batch, fires).tolist() == [1, 0]
    assert truth_of(rule, outputs, batch, ~fires).tolist() == [1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_that_give_an_answer_are_sure_of_it(kind):
    outputs = outputs_of(kind, 1)
    for answer, _ in every_answer(outputs, 0):
        sure = certainly(outputs, answer[None])
        assert torch.equal(outputs.space.probabilities(sure.scores), answer[None].float())


# π, and what it leaves to the labels


def test_pi_grows_as_in_the_paper_and_leaves_the_rest():
    share = Approach(0.9, 0.5, per_epoch=4)
    found = [share.at(Step(index, 100)) for index in (0, 4, 8, 2, 99)]
    assert found == pytest.approx([0, 0.5, 0.75, 1 - 0.5**0.5, 0.9])
    assert Rest(share).at(Step(4, 100)) == 0.5
    assert (str(share), str(Rest(share))) == ("min(0.9, 1 − 0.5^epochs)", "1 − min(0.9, 1 − 0.5^epochs)")


class Rules:
    def __init__(self, *rules):
        self.given = rules

    @hookimpl
    def rules(self):
        return self.given


RED = Rule("red is warm", Label("warm"), TextMatches(lambda text: "red" in text), confidence=0.9)
BLUE = Rule("blue is cold", Label("cold"), TextMatches(lambda text: "blue" in text), confidence=0.9)


def teacher(**settings):
    return RuleTeacher(RuleTeacher.Config(**settings))


def unlabelled(rows=48, labelled=0):
    found = table(rows)
    found.loc[labelled:, "label"] = None
    return found


def test_a_step_learns_one_minus_pi_from_labels_and_pi_from_the_teacher(tmp_path):
    steps = {}
    for name, share in (("off", 0.0), ("half", 0.5), ("on", 1.0)):
        events = []
        triune.run(
            config("all", "t", "r", max_steps=1, accumulate=2),
            plugins=plugins(t=teacher(imitation=Schedule.constant(share), guard=0), r=Rules(RED, BLUE)),
            output=tmp_path / name,
            observers=[events.append],
        )
        steps[name] = next(one.terms for one in events if type(one).__name__ == "Stepped")
    assert steps["off"]["teacher"] == 0 == steps["on"]["task"]
    assert steps["half"]["task"] == pytest.approx(steps["off"]["task"] / 2, rel=1e-5)
    assert steps["half"]["teacher"] == pytest.approx(steps["on"]["teacher"] / 2, rel=1e-5)


def test_without_a_label_all_is_learnt_from_the_teacher():
    data = Tables(train=unlabelled(), test=table(8))
    found = triune.plan(
        config("all", "t", "r", early_stopping=None),
        plugins=plugins(ToyLabels(), data, t=teacher(), r=Rules(RED, BLUE)),
    )
    assert str(found.terms["teacher"][1].weight) == "1"
    labelled = triune.plan(config("all", "t", "r"), plugins=plugins(t=teacher(), r=Rules(RED, BLUE)))
    assert "1 × (1 − min(0.9, 1 − 0.5^epochs))" in str(labelled)


class ToyLabels(ToyTask):
    """The toy task where no row has a label."""

    @hookimpl
    def build_model(self, run, data):
        given = data.with_split("train", data.train.assign(label=["warm", "cold"] * (len(data.train) // 2)))
        return super().build_model(run, given) if run.finished is None else super().build_model(run, data)


def test_rules_alone_are_kept_on_text_that_was_not_learnt_from(tmp_path):
    data = Tables(train=unlabelled(96), test=table(60, seed=1))
    done = triune.run(
        config("all", "t", "r", epochs=12, early_stopping=None, keep_best=False),
        plugins=plugins(ToyLabels(), data, t=teacher(), r=Rules(RED, BLUE)),
        output=tmp_path / "run",
    )
    fresh = triune.run(
        config("all", "t", "r", epochs=1, learning_rate=1e-9, early_stopping=None, keep_best=False),
        plugins=plugins(ToyLabels(), data, t=teacher(), r=Rules(RED, BLUE)),
        output=tmp_path / "fresh",
    )
    violations = [sum(one["violation_rate"] for one in run.metrics["test"]["rules"].values()) for run in (fresh, done)]
    assert violations[1] < violations[0] / 2


@pytest.mark.parametrize(
    ("settings", "company"),
    [
        ({}, {}),
        ({"imitation": 0.5, "strength": 3.0, "guard": 0}, {}),
        ({"pi0": 0.5, "alpha": 0.0}, {"toy": lambda: ToyTask(multi_label=True)}),
    ],
    ids=str,
)
def test_it_conforms(settings, company):
    check_plugin(RuleTeacher, config=settings, company=company)


@pytest.mark.parametrize("others", [(TopLayers,), (EndToEnd, WeakLabels)], ids=str)
def test_it_goes_with_other_methods(tmp_path, others):
    done = toy_run(tmp_path / "run", teacher(), *(cls(cls.Config()) for cls in others), epochs=1)
    assert done.metrics["test"]["labelled"]


def test_hard_rules_without_an_answer_are_refused_with_names_and_examples():
    always = TextMatches(lambda text: True)
    rules = Rules(replace(RED, when=always, hard=True), replace(BLUE, when=always, hard=True))
    with pytest.raises(PlanError, match=r"'red is warm', 'blue is cold' contradict .*; they leave no answer on"):
        triune.plan(config("all", "t", "r"), plugins=plugins(t=teacher(), r=rules))


@pytest.mark.parametrize("name", ["rule-teacher", "rule-reward"])
def test_rules_that_never_fire_are_refused(name):
    never = Rules(replace(RED, when=TextMatches(lambda text: "zebra" in text)))
    with pytest.raises(PlanError, match=f"{name}: no rule fires on any training example"):
        triune.plan(config("all", name, "r"), plugins=plugins(r=never))


def test_without_a_rule_for_it_the_plan_is_refused():
    only_loss = replace(RED, seats=frozenset({Seat.LABELS, Seat.POLICY}))
    with pytest.raises(PlanError, match="no rule may act as its policy"):
        triune.plan(config("all", "t"), plugins=plugins(t=teacher()))
    assert triune.plan(config("all", "t", "r"), plugins=plugins(t=teacher(), r=Rules(only_loss)))
