"""The method `rule-reward`: rewards are what rules say, the gradient is unbiased, draws belong to their examples."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import triune
from tests.plugins.policies import (
    SOMETIMES,
    SPACES,
    STEP,
    batch_of,
    every_answer,
    grounded,
    log_p,
    outputs_of,
    rules_of,
)
from tests.plugins.test_rule_teacher import BLUE, RED, Rules, ToyLabels, half_b, teacher, unlabelled
from tests.support import Tables, ToyTask, config, encode, plugins, table
from triune import Data, Label, Outputs, Rule, Seat, SoftFormula, hookimpl
from triune.errors import ConfigError, PlanError
from triune.logic import EachIs
from triune.logic.inference import log_odds
from triune.seats import seated
from triune.spaces import Categorical
from triune.testing import check_plugin, toy_run
from triune.token_rules import TokenRules
from triune.types import Step
from triune_rule_reward import RuleReward
from triune_rule_reward.draws import Draws
from triune_rule_reward.gradient import advantages, log_likelihood, lost, rewarded
from triune_rule_reward.rewards import rewards_of
from triune_rule_reward.start import distance, start_of
from triune_top_layers import TopLayers
from triune_weak_labels import WeakLabels

KINDS = list(SPACES)


def made(kind, rules, fires, weigh="odds", hard=2.0):
    return rewards_of(seated(grounded(kind, rules, fires), Seat.POLICY), weigh, hard)


def worth(rule, weigh="odds", hard=2.0):
    if rule.hard:
        return hard * (6.0 if weigh == "odds" else 1.0)
    return log_odds(rule.confidence) if weigh == "odds" else rule.confidence


def reward(rules, fires, said, weigh="odds"):
    """Return the share of worth that an answer keeps, by asking every rule."""
    at_stake = kept = 0.0
    for rule, fired in zip(rules, fires, strict=True):
        w = worth(rule, weigh) * fired
        at_stake += abs(w)
        kept += abs(w) * (rule.then.holds(said) == (w > 0))
    return kept / at_stake if at_stake else 1.0


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.integers(0, 1000),
    st.sampled_from(["odds", "confidence"]),
    st.sampled_from([(), (1,)]),
    st.tuples(*[st.sampled_from([0.3, 0.6, 0.95, 1.0])] * 3),
)
def test_an_answer_is_worth_the_share_of_rules_that_it_keeps(kind, seed, weigh, hard, confidences):
    rules = rules_of(kind, confidences, hard)
    fires = np.random.default_rng(seed).random((3, 2)) < 0.7
    outputs, batch = outputs_of(kind, 2, seed), batch_of(2)
    rewards = made(kind, rules, fires, weigh)
    for example in range(2):
        answers = every_answer(outputs, example)
        asked = torch.stack([answer for answer, _ in answers])[:, None].expand(-1, 2, *answers[0][0].shape)
        found = rewards(asked, batch, outputs)[:, example]
        expected = [reward(rules, fires[:, example], said, weigh) for _, said in answers]
        np.testing.assert_allclose(found, expected, atol=1e-4)
    counts = torch.from_numpy(fires.any(0)) * batch.weights
    torch.testing.assert_close(rewards.mask(batch, outputs), counts)


def test_functions_and_rules_about_tokens_are_rewarded():
    outputs, batch = outputs_of("one of three", 2), batch_of(2)
    rules = [Rule("soft", SoftFormula(half_b), SOMETIMES, 0.9), *rules_of("one of three")]
    rewards = made("one of three", rules, np.asarray([[True, True], [True, False], [False] * 2, [False] * 2]))
    answers = torch.eye(3, dtype=torch.bool)[:, None].expand(3, 2, 3)
    a, soft = log_odds(0.7), log_odds(0.9)
    expected = [[1, 1], [1 - (a + soft / 2) / (a + soft), 0.5], [0, 0]]
    np.testing.assert_allclose(rewards(answers, batch, outputs), expected, atol=1e-5)

    pointed = Rule("pointed", EachIs("a"), SOMETIMES, 0.9)
    tokens = TokenRules(
        *(np.asarray(one) for one in ([0, 0], [0, 1], [0, 0], [0, 0], [0, 0])), np.asarray([[1, 0, 0]], bool)
    )
    found = replace(grounded("tags", [pointed], [[True, False]]), tokens={"train": tokens})
    outputs = outputs_of("tags", 2)
    rewards = rewards_of(seated(found, Seat.POLICY), "odds", 2.0)
    tags = torch.tensor([[[0, 0, 1], [1, 1, 1]], [[0, 2, 0], [0, 0, 0]]])
    np.testing.assert_allclose(rewards(torch.nn.functional.one_hot(tags, 3).bool(), batch, outputs), [[1, 1], [0.5, 1]])
    assert rewards.mask(batch, outputs).tolist() == [1, 0]
    unlikely = replace(found, rules=(replace(pointed, confidence=0.2),))  # its opposite is what is worth something
    rewards = rewards_of(seated(unlikely, Seat.POLICY), "odds", 2.0)
    np.testing.assert_allclose(rewards(torch.nn.functional.one_hot(tags, 3).bool(), batch, outputs), [[0, 1], [0.5, 1]])


# the gradient


def test_the_advantage_of_a_draw_is_over_the_mean_of_the_others():
    rewards = torch.rand(5, 3)
    expected = [rewards[i] - torch.cat([rewards[:i], rewards[i + 1 :]]).mean(0) for i in range(5)]
    torch.testing.assert_close(advantages(rewards), torch.stack(expected))


@pytest.mark.parametrize("draws", [2, 3])
def test_over_every_set_of_draws_the_gradient_is_that_of_the_expected_reward(draws):
    scores = torch.randn(3, generator=torch.Generator().manual_seed(4)).requires_grad_()
    worths = torch.tensor([1.0, 0.3, 0.0])
    log_ps = scores.log_softmax(-1)
    (exact,) = torch.autograd.grad(1 - (log_ps.exp() * worths).sum(), scores, retain_graph=True)
    total = torch.zeros(3)
    for drawn in map(list, product(range(3), repeat=draws)):
        value = lost(worths[drawn][:, None], log_ps[drawn][:, None])
        assert value.item() == pytest.approx(1 - float(worths[drawn].mean()))
        (gradient,) = torch.autograd.grad(value.sum(), scores, retain_graph=True)
        total += log_ps[drawn].sum().exp().detach() * gradient
    torch.testing.assert_close(total, exact, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_of_many_gradients_is_the_exact_one_within_its_standard_error(kind):
    rules, fires, many = rules_of(kind, hard=(1,)), np.ones((3, 2), dtype=bool), 600
    outputs, batch = outputs_of(kind, 2, size=0.7), batch_of(2)
    compute = rewarded(Draws(7, 4), made(kind, rules, fires))
    found = []
    for index in range(many):
        values = compute(Step(index, many), batch, outputs).values
        found.append(torch.autograd.grad(values.sum(), outputs.scores)[0])
    gradients = torch.stack(found)
    expected = sum(
        log_p(outputs, example, answer).exp() * (1 - reward(rules, fires[:, example], said))
        for example in range(2)
        for answer, said in every_answer(outputs, example)
    )
    (exact,) = torch.autograd.grad(expected, outputs.scores)
    error = gradients.std(0) / many**0.5
    assert ((gradients.mean(0) - exact).abs() <= 4 * error + 1e-6).all()
    assert error.max() < 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_the_log_likelihood_of_an_answer_is_that_of_all_its_parts(kind):
    outputs = outputs_of(kind, 2)
    answers = every_answer(outputs, 1)
    asked = torch.stack([answer for answer, _ in answers])[:, None].expand(-1, 2, *answers[0][0].shape)
    expected = torch.stack([log_p(outputs, 1, answer) for answer, _ in answers])
    torch.testing.assert_close(log_likelihood(asked, outputs)[:, 1], expected)
    torch.testing.assert_close(expected.exp().sum(), torch.tensor(1.0))


# draws


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_drawn_as_often_as_the_model_says(kind):
    outputs, batch = outputs_of(kind, 2), batch_of(2)
    drawn = Draws(3, 4000)(STEP, batch, outputs)
    p = outputs.space.probabilities(outputs.scores).detach()
    error = (p * (1 - p) / 4000).sqrt()
    assert ((drawn.float().mean(0) - p).abs() <= 4.5 * error).all()
    if kind != "any of three":
        assert (drawn.sum(-1) == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_draws_are_the_examples_own_whatever_the_batch_and_how_wide_it_is(kind):
    outputs, draws = outputs_of(kind, 6), Draws(3, 5)
    whole = draws(STEP, batch_of(6), outputs)
    part = Outputs(outputs.scores[[4, 1]], outputs.space, mask=None)
    assert torch.equal(draws(STEP, batch_of(6, [4, 1]), part), whole[:, [4, 1]])
    if kind == "tags":
        narrow = replace(part, scores=part.scores[:, :2])
        assert torch.equal(draws(STEP, batch_of(6, [4, 1]), narrow), whole[:, [4, 1], :2])
    assert not torch.equal(draws(Step(1, 10), batch_of(6), outputs), whole)
    alike = replace(outputs, scores=outputs.scores[:1].expand_as(outputs.scores))
    own = draws(STEP, batch_of(6), alike)
    assert not torch.equal(own[:, 0], own[:, 1])


# the start


def toy_examples(rows=10):
    return encode(
        Data({"train": table(rows)}, {"text": "text", "label": "label"}), "train", Categorical(("warm", "cold"))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_start_is_found_again_for_any_rows(kind):
    examples = toy_examples()
    all_of_them = outputs_of(kind, 10)

    def forward(batch):
        mask = None if all_of_them.mask is None else all_of_them.mask[batch.rows]
        return Outputs(all_of_them.scores[batch.rows].detach(), all_of_them.space, mask=mask)

    start = start_of(forward, examples)
    rows = torch.tensor([7, 0, 9])
    found = start.at(rows, all_of_them.scores[rows])
    expected = all_of_them.scores[rows].detach()
    if all_of_them.mask is not None:
        expected = expected * all_of_them.mask[rows][..., None]
    assert torch.equal(found, expected)
    outputs = forward(batch_of(10, [7, 0, 9]))
    values = distance(start, batch_of(10, [7, 0, 9]), outputs)
    assert (values.values * values.mask).abs().max() < 1e-6
    moved = distance(start, batch_of(10, [7, 0, 9]), replace(outputs, scores=-outputs.scores))
    assert (moved.values[moved.mask > 0] > 0).all()


def test_the_distance_from_the_start_is_the_kullback_leibler_divergence():
    outputs = outputs_of("any of three", 1)
    before = outputs_of("any of three", 1, seed=5)
    start = start_of(lambda batch: replace(before, scores=before.scores.detach()), toy_examples(1))
    expected = sum(
        log_p(outputs, 0, answer).exp() * (log_p(outputs, 0, answer) - log_p(before, 0, answer))
        for answer, _ in every_answer(outputs, 0)
    )
    torch.testing.assert_close(3 * distance(start, batch_of(1), outputs).values[0], expected)


# runs


def method(**settings):
    return RuleReward(RuleReward.Config(**settings))


def run(folder, **settings):
    """Return a run of rules alone, and what its plugin noted."""
    plugin = method(**settings)
    data = Tables(train=unlabelled(96), test=table(60, seed=1))
    events = []
    done = triune.run(
        config("all", "m", "r", epochs=12, early_stopping=None, keep_best=False),
        plugins=plugins(ToyLabels(), data, m=plugin, r=Rules(RED, BLUE)),
        output=folder,
        observers=[events.append],
    )
    steps = [one.terms for one in events if type(one).__name__ == "Stepped"]
    broken = sum(one["violation_rate"] for one in done.metrics["test"]["rules"].values())
    return steps, broken


def test_rules_are_broken_less_on_other_text_and_the_start_holds_back(tmp_path):
    free, broken = run(tmp_path / "free", kl=0.001)
    held, _ = run(tmp_path / "held", kl=3.0)
    first, last = (np.mean([one["reward"] for one in part]) for part in (free[:12], free[-12:]))
    assert last < first / 1.5
    assert broken < 0.6  # of two rules; some texts have both words
    distances = [free[-1]["reward-start"] / 0.001, held[-1]["reward-start"] / 3.0]
    assert distances[0] > 10 * free[0]["reward-start"] / 0.001  # which is that of dropout
    assert distances[1] < distances[0] / 4


def test_without_a_weight_the_start_costs_nothing_and_is_not_kept(tmp_path):
    plugin = method(kl=0, guard=0)
    made = plugins(m=plugin, r=Rules(RED))
    assert set(triune.plan(config("all", "m", "r"), plugins=made).terms) == {"task", "reward"}
    triune.run(config("all", "m", "r", max_steps=1), plugins=made, output=tmp_path / "run")
    assert plugin.state_dict() == {"guard": {}, "start": {}}


@pytest.mark.parametrize(
    ("settings", "company"),
    [
        ({}, {}),
        ({"samples": 2, "kl": 0, "weigh": "confidence", "guard": 0}, {}),
        ({"kl": 1.0, "hard": 1.0}, {"toy": lambda: ToyTask(multi_label=True)}),
    ],
    ids=str,
)
def test_it_conforms(settings, company):
    check_plugin(RuleReward, config=settings, company=company)


class Forgets(RuleReward):
    """Does not keep what the model said at the start."""

    def state_dict(self):
        return {**super().state_dict(), "start": {}}


def test_forgetting_the_start_would_be_noticed():
    """The negative control: a resumed run that does not know where the first one began ends elsewhere."""
    with pytest.raises(AssertionError, match="exact resume: a run stopped"):
        check_plugin(Forgets, config={"kl": 1.0}, name="forgets")


class Warm:
    @hookimpl
    def measure(self, predictions):
        return {"warm": float((predictions["predicted"] == "warm").mean())}


@pytest.mark.parametrize("make", [teacher, method])
def test_the_guard_keeps_a_rule_for_one_class_from_making_all_of_it(tmp_path, make):
    shares = {}
    for guard in (0.0, 3.0):
        done = triune.run(
            config("all", "m", "r", "warm", epochs=12, early_stopping=None, keep_best=False),
            plugins=plugins(
                ToyLabels(),
                Tables(train=unlabelled(96), test=table(60, seed=1)),
                m=make(guard=guard, prior={"warm": 0.5, "cold": 0.5}),
                r=Rules(RED),
                warm=Warm(),
            ),
            output=tmp_path / str(guard),
        )
        shares[guard] = done.metrics["test"]["warm"]
    assert shares[0.0] > 0.9 > 0.75 > shares[3.0]


@pytest.mark.parametrize("others", [(TopLayers,), (WeakLabels,)], ids=str)
def test_it_goes_with_other_methods(tmp_path, others):
    done = toy_run(tmp_path / "run", method(), *(cls(cls.Config()) for cls in others), epochs=1)
    assert done.metrics["test"]["labelled"]


def test_hard_rules_that_leave_no_answer_are_refused():
    both = [replace(RED, hard=True), Rule("never", ~Label("warm"), RED.when, hard=True)]
    with pytest.raises(PlanError, match=r"rule-reward: .*contradict each other.*leave no answer on"):
        triune.plan(config("all", "m", "r"), plugins=plugins(m=method(), r=Rules(*both)))


def test_without_a_rule_for_it_the_plan_is_refused():
    with pytest.raises(PlanError, match="no rule may act as its policy"):
        triune.plan(config("all", "m"), plugins=plugins(m=method()))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"use": "rule-reward", "samples": 1}, r"methods\[1\]\.samples"),
        ({"use": "rule-reward", "weigh": "confidenc"}, r"methods\[1\]\.weigh"),
        ({"use": "rule-teacher", "strength": 0}, r"methods\[1\]\.strength"),
        ({"use": "rule-teacher", "alpha": 1.0}, r"methods\[1\]\.alpha"),
        ({"use": "rule-teacher", "imitation": {"from": 0, "too": 1}}, r"methods\[1\]\.imitation"),
        ({"use": "rule-teacher", "imitation": 1.5}, "imitation"),
    ],
    ids=str,
)
def test_bad_settings_are_refused_in_their_place(settings, sentence):
    with pytest.raises((ConfigError, PlanError), match=sentence):
        triune.plan(config("all", settings, "r"), plugins=plugins(r=Rules(RED)))
