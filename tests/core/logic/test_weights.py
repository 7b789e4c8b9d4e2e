"""Weights given as tensors, what rules are broken and hold in expectation: as enumeration says, gradients included."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.core.logic.enumeration import SPACES, log_p, log_q, problems, satisfiable, worlds
from triune.logic import AtMost, Exactly, FormulaError, Label
from triune.logic.inference import RuleSet, Weighted
from triune.logic.patterns import ByPattern
from triune.spaces import Binaries, Categorical

NEVER = -1e30
KINDS = sorted(SPACES)


def broken_by(space, rule):
    return torch.tensor([not rule.then.holds(world) for world in worlds(space)])


def acting(rules, fires):
    return torch.stack([row | rule.always for rule, row in zip(rules, fires, strict=True)]) if rules else fires


def brute(space, rules, scores, fires, weights):
    """Return (batch, worlds) unnormalised, and differentiable in the weights."""
    total = log_p(space, scores)
    for rule, row, weight in zip(rules, acting(rules, fires), weights, strict=True):
        cost = torch.tensor(-NEVER, dtype=torch.float64) if rule.hard else weight
        total = total - torch.where(row[:, None] & broken_by(space, rule), cost, 0.0)
    return total.clamp(min=NEVER)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), seed=st.integers(0, 99), zero=st.booleans())
@settings(max_examples=25, deadline=None)
def test_log_z_answers_and_slopes_for_given_weights_are_those_of_enumeration(kind, data, seed, zero):
    space, rules, scores, fires = data.draw(problems(kind))
    assume(rules and satisfiable(space, rules))
    torch.manual_seed(seed)
    weights = torch.rand(len(rules), dtype=torch.float64) * 3 * (not zero)
    compiled = RuleSet(rules).compiled(space)
    ours, theirs = (weights.clone().requires_grad_() for _ in range(2))
    value, expected = compiled.log_z(scores, fires, weights=ours), brute(space, rules, scores, fires, theirs)
    expected = expected + 0 * theirs.sum()
    possible = expected.amax(-1) > NEVER / 2
    torch.testing.assert_close(value[possible], expected.logsumexp(-1)[possible], atol=1e-9, rtol=1e-9)
    if value.requires_grad:
        value[possible].sum().backward()
        expected[possible].logsumexp(-1).sum().backward()
        soft = torch.tensor([not rule.hard for rule in rules])
        torch.testing.assert_close(ours.grad[soft], theirs.grad[soft], atol=1e-9, rtol=1e-9)
    q = torch.where(possible[:, None], expected.detach(), log_p(space, scores)).softmax(-1)
    broken = torch.stack([q @ broken_by(space, rule).double() for rule in rules]) * acting(rules, fires)
    found = compiled.expected_violations(scores, fires, weights=weights)
    torch.testing.assert_close(found, broken, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), strength=st.sampled_from([0.0, 1.0, 6.0, math.inf]))
@settings(max_examples=25, deadline=None)
def test_expected_violations_and_satisfaction_are_those_of_enumeration(kind, data, strength):
    space, rules, scores, fires = data.draw(problems(kind))
    assume(rules and satisfiable(space, rules))
    weights = log_q(space, rules, scores, fires, strength)
    possible = weights.amax(-1, keepdim=True) > NEVER / 2
    q = torch.where(possible, weights, log_p(space, scores)).softmax(-1)
    broken = torch.stack([q @ broken_by(space, rule).double() for rule in rules]) * acting(rules, fires)
    compiled = RuleSet(rules).compiled(space)
    torch.testing.assert_close(compiled.expected_violations(scores, fires, strength), broken, atol=1e-9, rtol=0)
    p = log_p(space, scores).exp()
    held = torch.stack([p @ (~broken_by(space, rule)).double() for rule in rules])
    torch.testing.assert_close(compiled.satisfaction(scores), held, atol=1e-9, rtol=0)


def test_the_slope_of_a_rule_that_costs_nothing_is_found_in_every_form():
    rules = (Weighted("one", Label("a") | Label("b"), 0.0), Weighted("other", ~Label("c"), 0.0))
    space = Binaries(tuple("abc"))
    together = RuleSet(rules).compiled(space)
    apart = replace(together, engine=by_pattern(rules, space))
    for dtype in (torch.float32, torch.float64):
        scores, weights = torch.randn(4, 3, dtype=dtype), torch.zeros(2, dtype=dtype)
        expected = 1 - together.satisfaction(scores)
        for compiled in (together, apart):
            leaf = weights.clone().requires_grad_()
            compiled.log_z(scores, weights=leaf).sum().backward()
            torch.testing.assert_close(-leaf.grad, expected.sum(1))
            torch.testing.assert_close(compiled.expected_violations(scores), expected)


def by_pattern(rules, space):
    from functools import partial

    from triune.logic.costs import Budget
    from triune.logic.networks import network

    return ByPattern(tuple(rule.then for rule in rules), (), partial(network, space=space, budget=Budget()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(data=st.data(), strength=st.sampled_from([0.0, 1.0, math.inf]), spread=st.sampled_from([30.0, 1e3, 1e4]))
@settings(max_examples=15, deadline=None)
def test_extreme_scores_of_mixed_outputs_give_finite_answers_of_every_kind(dtype, data, strength, spread):
    space, rules, scores, fires = data.draw(problems("mixed", spread=spread))
    assume(satisfiable(space, rules))
    scores, compiled = scores.to(dtype).requires_grad_(), RuleSet(rules).compiled(space)
    weights = torch.rand(len(rules), dtype=dtype).requires_grad_()
    compiled.log_z(scores, fires, weights=weights).sum().backward()
    for found in (
        scores.grad,
        torch.zeros(1) if weights.grad is None else weights.grad,
        compiled.log_z(scores, fires, strength),
        compiled.marginals(scores, fires, strength),
        compiled.expected_violations(scores, fires, strength),
        compiled.satisfaction(scores),
    ):
        assert torch.isfinite(found).all()


def test_the_gradient_of_one_answer_can_be_asked_twice_and_of_the_penalties_alone():
    names = tuple(f"v{place}" for place in range(9))
    compiled = RuleSet((Weighted("few", AtMost(3, names), 0.7), Weighted("not", ~Label("v0"), 1.1))).compiled(
        Binaries(names)
    )
    scores, weights = torch.randn(4, 9).requires_grad_(), torch.tensor([0.7, 1.1]).requires_grad_()
    value = compiled.log_z(scores, weights=weights)
    first, again = (torch.autograd.grad(value.sum(), (scores, weights), retain_graph=True) for _ in range(2))
    (alone,) = torch.autograd.grad(compiled.log_z(scores.detach(), weights=weights).sum(), weights)
    assert all(map(torch.equal, first, again)) and torch.equal(alone, first[1])


@given(seed=st.integers(0, 99), scale=st.sampled_from([1.0, 40.0, 300.0]))
@settings(max_examples=15, deadline=None)
def test_plain_numbers_and_logarithms_agree_where_they_meet(seed, scale):
    torch.manual_seed(seed)
    names = tuple(f"v{place}" for place in range(12))
    compiled = RuleSet((Weighted("some", Exactly(3, names), hard=True), Weighted("soft", ~Label("v0"), 1.1))).compiled(
        Binaries(names)
    )
    from triune.logic.values import LogValue, log_value

    scores = torch.randn(5, 12, dtype=torch.float64) * scale
    penalties = compiled.weighing.penalties(scores, None, 1.0, None, 0.0)
    found = []
    for function in (log_value, LogValue.apply):
        leaves = scores.clone().requires_grad_(), penalties.clone().requires_grad_()
        value = function(*leaves, *compiled.engine._on(scores.device))
        found.append((value.detach(), *torch.autograd.grad(value.sum(), leaves)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=1e-9)


def test_only_tags_cost_something_at_a_token():
    with pytest.raises(FormulaError, match="categorical"):
        RuleSet(()).compiled(Categorical(("a", "b"))).log_z(torch.zeros(1, 2), tokens=torch.zeros(1, 1, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_examples_has_an_answer_without_examples(kind):
    space = SPACES[kind]
    rules = (Weighted("one", Exactly(2, space.labels)), Weighted("hard", ~Label("a") | ~Label("b"), hard=True))
    compiled = RuleSet(rules).compiled(space)
    scores = torch.zeros(0, len(space.labels)).requires_grad_()
    value = compiled.log_z(scores)
    value.sum().backward()
    assert value.shape == (0,) and scores.grad.shape == scores.shape
    assert compiled.marginals(scores).shape == scores.shape
    assert compiled.expected_violations(scores).shape == (2, 0)
