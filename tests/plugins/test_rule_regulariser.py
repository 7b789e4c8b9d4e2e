"""The plugin `rule-regulariser`: KL to the projection, exact; rules end where they say and not beyond."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import triune
from tests.core.logic.enumeration import formulas
from tests.plugins.toy_rules import SPACES, Rules, batch_of, grounded, learnt, outputs_of, worlds
from tests.support import Tables, config, plugins, table
from triune import Label, Rule, Seat, SoftFormula, Step, TextMatches
from triune.conditions import Contains
from triune.errors import PlanError
from triune.logic import NeverFollows, Occurs, StartsWith
from triune.seats import seated
from triune_rule_regulariser import RuleRegulariser
from triune_rule_regulariser.multipliers import FIRM, MOST, Multipliers
from triune_rule_regulariser.projection import Projection, acting
from triune_semantic_loss import SemanticLoss

KINDS = ("categorical", "binaries", "tags")
NEVER = 1e30
EVERY = TextMatches(lambda text: True)


def method(**settings):
    return RuleRegulariser(RuleRegulariser.Config.model_validate({"guard": 0, **settings}))


def projection(rules, fires, space, λ=None, on="all"):
    mine = seated(grounded(rules, fires, space), Seat.REGULARISER)
    multipliers = Multipliers([1 - rule.confidence for rule in rules], 1.0, len(fires[0]))
    if λ is not None:
        multipliers.values = torch.tensor(λ)
    return Projection(mine, mine.compiled(acting), multipliers, on)


# the projection


def says(kind):
    if kind != "tags":
        return formulas(SPACES[kind].labels)
    return st.one_of(st.sampled_from([NeverFollows("a", "b"), StartsWith("b"), Occurs("a", 1, 1)]), formulas("ab"))


@st.composite
def problems(draw, kind):
    given = draw(st.lists(st.tuples(says(kind), st.booleans()), min_size=1, max_size=3))
    rules = [Rule(f"{n}", then, Contains("x"), 1.0 if hard else 0.8, hard) for n, (then, hard) in enumerate(given)]
    row = st.lists(st.booleans(), min_size=3, max_size=3)
    fires = draw(st.lists(row, min_size=len(rules), max_size=len(rules)))
    λ = draw(st.lists(st.sampled_from([0.0, 0.4, 2.0, 9.0]), min_size=len(rules), max_size=len(rules)))
    return rules, fires, λ, outputs_of(kind, seed=draw(st.integers(0, 99)))


def enumerated(rules, fires, λ, outputs, example):
    """Return KL(q ‖ p) and E_q[broken] of each soft rule, by enumeration; None where hard rules leave no answer."""
    acts = [place for place in range(len(rules)) if fires[place][example]]
    log_p, broken = [], []
    for true, log in worlds(outputs, example):
        log_p.append(log)
        broken.append([float(place in acts and not rule.then.holds(true)) for place, rule in enumerate(rules)])
    log_p, broken = torch.stack(log_p), torch.tensor(broken, dtype=torch.float64)
    costs = torch.tensor([NEVER if rule.hard else one for rule, one in zip(rules, λ, strict=True)], dtype=torch.float64)
    log_q = (log_p - broken @ costs).clamp(min=-NEVER)
    if log_q.max() < -NEVER / 2:
        return None
    q = log_q.softmax(0).detach()
    kept = q > 0
    return (q * (q.log() - log_p))[kept].sum(), q @ broken


@pytest.mark.parametrize("kind", KINDS)
def test_divergence_gradient_and_expectations_are_those_of_enumeration(kind):
    @settings(max_examples=30, deadline=None)
    @given(problems(kind))
    def check(problem):
        rules, fires, λ, outputs = problem
        kl, broken, _ = projection(rules, fires, outputs.space, λ).divergence(batch_of(3), outputs)
        (slope,) = torch.autograd.grad(kl.sum(), outputs.scores)
        for example in range(3):
            expected = enumerated(rules, fires, λ, outputs, example)
            if expected is None:
                assert not kl[example].any() and not slope[example].any()
                continue
            torch.testing.assert_close(kl[example], expected[0], rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(broken[:, example], expected[1], rtol=1e-4, atol=1e-4)
            (right,) = torch.autograd.grad(expected[0], outputs.scores)
            torch.testing.assert_close(slope[example], right[example], rtol=1e-5, atol=1e-5)

    check()


def test_nothing_is_pushed_while_rules_are_kept_as_often_as_they_say():
    outputs = outputs_of("categorical")
    kl, _, _ = projection([Rule("r", Label("a"), confidence=0.8)], np.ones((1, 3)), outputs.space).divergence(
        batch_of(3), outputs
    )
    assert torch.allclose(kl, torch.zeros_like(kl), atol=1e-12)
    assert torch.autograd.grad(kl.sum(), outputs.scores)[0].abs().max() < 1e-12


# multipliers


@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.95, 1.0])
@pytest.mark.parametrize("examples", [4, 64])
def test_multipliers_find_the_projection_of_outputs_that_hold_still(confidence, examples):
    outputs = outputs_of("categorical", examples, spread=1.5, dtype=torch.float32)
    rules = [Rule("a", Label("a"), confidence=confidence), Rule("not d", ~Label("d"), confidence=0.5)]
    whole = projection(rules, np.ones((2, examples)), outputs.space)
    for _ in range(300):
        values = whole.features(Step(0, 1), batch_of(examples), outputs).values
        whole.mean(Step(0, 1), values.mean(0))
        whole.multipliers.commit()
    expected, bounds, λ = whole.multipliers.expected, whole.multipliers.bounds, whole.multipliers.values
    assert expected[0].item() == pytest.approx(max(1 - confidence, FIRM), abs=2e-3)  # active: met exactly
    assert λ[0] > 0.1
    assert expected[1] < bounds[1] and λ[1] == 0  # kept anyway: costs nothing


def test_a_multiplier_falls_as_well_as_it_rises_and_stays_in_its_range():
    one = Multipliers([0.2], 1.0, 32)
    for rate, grows in ((0.9, True), (0.9, True), (0.05, False), (0.0, False)):
        before = one.values.clone()
        one.see(torch.tensor([rate]), torch.tensor([1.0]))
        assert torch.equal(one.values, before)  # a step that is not done changes nothing
        one.commit()
        assert (one.values > before).item() == grows
    for _ in range(100):
        one.see(torch.tensor([1.0]), torch.tensor([1.0]))
        one.commit()
    assert one.values.item() == MOST


def test_a_rule_that_does_not_fire_in_a_step_keeps_its_multiplier():
    one = Multipliers([0.2, 0.2], 1.0, 32)
    one.see(torch.tensor([0.5, 0.0]), torch.tensor([0.5, 0.0]))
    one.commit()
    assert one.values[0] > 0 and one.values[1] == 0 and one.expected[1].isnan()


# the term


@pytest.mark.parametrize(("on", "counts"), [("all", [2, 3]), ("unlabelled", [0, 3]), ("labelled", [2, 0])])
def test_the_mean_is_over_examples_on_which_a_rule_fires_by_their_weight(on, counts):
    outputs = outputs_of("categorical")
    whole = projection([Rule("r", Label("a"), Contains("x"))], [[1, 1, 0]], outputs.space, [2.0], on)
    batch = batch_of(3, labelled=[1, 0, 1], weights=[2, 3, 5])
    kl, _, _ = whole.divergence(batch, outputs)
    mean = whole.mean(Step(0, 1), whole.features(Step(0, 1), batch, outputs).values.mean(0))
    expected = sum(count * one for count, one in zip(counts, kl, strict=False)) / sum(counts)
    torch.testing.assert_close(mean, expected)


def run(tmp_path, regulariser, **training):
    rules = Rule("w", Label("cold"), TextMatches(lambda text: "warm" in text), confidence=0.7)
    return learnt(tmp_path, regulariser, rules, steps=3, learning_rate=1e-6, **training)


def test_multipliers_are_the_same_however_a_batch_is_split(tmp_path):
    found = [method(rate=0.05), method(rate=0.05)]
    for parts, one in zip((1, 4), found, strict=True):
        run(tmp_path / str(parts), one, accumulate=parts)
    assert found[0].multipliers.values.item() > 0
    torch.testing.assert_close(found[0].multipliers.values, found[1].multipliers.values, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[0].multipliers.expected, found[1].multipliers.expected, rtol=1e-4, atol=1e-5)


def test_multipliers_are_among_the_metrics_and_those_of_hard_rules_are_not(tmp_path):
    hard = Rule("h", ~(Label("warm") & Label("cold")), hard=True)
    soft = Rule("w", Label("warm"), confidence=0.7)
    regulariser = method(slack=0.05)
    result, _ = learnt(tmp_path, regulariser, soft, hard, steps=3)
    (found,) = result.metrics["test"]["multipliers"].items()
    assert found[0] == "w"
    assert found[1]["bound"] == pytest.approx(0.35)
    assert found[1]["multiplier"] == regulariser.multipliers.values[0].item()
    assert 0 <= found[1]["expected_violation"] <= 1


def plan(*rules):
    given = plugins(data=Tables(train=table(12)), mine=Rules(*rules), push=method())
    return triune.plan(config("all", "mine", "push", early_stopping=None, validation=0.0), plugins=given)


def test_what_has_no_projection_is_left_out_and_named_and_refused_if_nothing_else_is_there():
    soft = Rule("s", SoftFormula(lambda outputs, batch: outputs.scores.softmax(-1)[:, 0]))
    assert "without 's', which have no projection" in str(plan(soft, Rule("r", Label("warm"))))
    with pytest.raises(PlanError, match="a rule that says a SoftFormula or speaks of single tokens has no projection"):
        plan(soft)


def test_hard_rules_that_contradict_each_other_are_refused_with_the_examples():
    with pytest.raises(PlanError, match=r"'w', 'c' contradict each other .* no answer on 12 examples: train: row 0,"):
        plan(Rule("w", Label("warm"), EVERY, hard=True), Rule("c", Label("cold"), EVERY, hard=True))


def test_no_rule_is_refused():
    with pytest.raises(PlanError, match="no rule may act as a regulariser"):
        plan()


# learning


@pytest.mark.parametrize(("confidence", "steps"), [(0.7, 80), (0.7, 130), (0.9, 110)])
def test_on_held_out_text_a_rule_becomes_as_likely_as_it_says_and_stays_so(confidence, steps, tmp_path):
    rule = Rule("r", Label("cold"), confidence=confidence)
    result, terms = learnt(tmp_path, method(), rule, steps=steps, learning_rate=0.0015)
    assert max(one["regulariser"] for one in terms[2:6]) > 0.3  # it was far from there
    assert terms[-1]["regulariser"] < 0.01
    assert result.metrics["test"]["rules"]["r"]["satisfaction_probability"] == pytest.approx(confidence, abs=0.06)


def test_the_semantic_loss_goes_beyond(tmp_path):
    rule = Rule("r", Label("cold"), confidence=0.7)
    pushing = SemanticLoss(SemanticLoss.Config(guard=0))
    result, _ = learnt(tmp_path, pushing, rule, steps=120, learning_rate=0.0015)
    assert result.metrics["test"]["rules"]["r"]["satisfaction_probability"] > 0.85


def test_rules_teach_what_they_say_also_on_text_that_was_not_seen(tmp_path):
    rules = (
        Rule("w", Label("warm"), TextMatches(lambda text: "warm" in text), confidence=0.95),
        Rule("c", Label("cold"), TextMatches(lambda text: "cold" in text), confidence=0.95),
    )
    result, _ = learnt(tmp_path, method(guard=1.0), *rules, steps=60)
    assert result.metrics["test"]["accuracy"] > 0.85


def test_the_guard_keeps_a_bad_rule_from_making_all_answers_one(tmp_path):
    few, many = table(16, seed=3), {"unlabelled": table(96, seed=4).drop(columns="label")}
    bad = Rule("all is warm", Label("warm"), confidence=0.97)
    shares = {}
    for guard in (0, 8):
        pushing = method(guard=guard, weight=2.0, prior={"warm": 0.5, "cold": 0.5})
        result, _ = learnt(tmp_path / str(guard), pushing, bad, train=few, tables=many, steps=80)
        shares[guard] = 1 - result.metrics["test"]["rules"]["all is warm"]["violation_rate"]
    assert shares[0] > 0.9
    assert shares[8] < 0.75
