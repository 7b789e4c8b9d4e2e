"""Exact inference agrees with going through every answer, for any rules over any outputs (invariant 7)."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.core.logic.enumeration import (
    NEVER,
    SPACES,
    as_booleans,
    as_likely,
    brute_log_z,
    compiled,
    log_p,
    log_q,
    problems,
    satisfiable,
    worlds,
)
from triune.logic import AtMost, Exactly, Implies, Label
from triune.logic.inference import RuleSet, Weighted
from triune.spaces import Binaries

KINDS = sorted(SPACES)
STRENGTHS = st.sampled_from([0.0, 0.5, 1.0, 6.0, math.inf])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), strength=STRENGTHS)
@settings(max_examples=120, deadline=None)
def test_log_z_and_its_gradient_are_those_of_enumeration(kind, data, strength):
    space, rules, scores, fires = data.draw(problems(kind))
    assume(satisfiable(space, rules))
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    value, expected = (
        compiled(space, rules).log_z(ours, fires, strength),
        brute_log_z(space, rules, theirs, fires, strength),
    )
    possible = expected > NEVER / 2
    torch.testing.assert_close(value[possible], expected[possible], atol=1e-9, rtol=1e-9)
    assert (value[~possible] <= NEVER / 2).all() and torch.isfinite(value).all()
    value.sum().backward()
    expected[possible].sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), strength=STRENGTHS)
@settings(max_examples=80, deadline=None)
def test_marginals_are_those_of_enumeration_and_the_models_own_where_nothing_is_allowed(kind, data, strength):
    space, rules, scores, fires = data.draw(problems(kind))
    assume(satisfiable(space, rules))
    weights = log_q(space, rules, scores, fires, strength)
    possible = weights.amax(-1, keepdim=True) > NEVER / 2
    q = torch.where(possible, weights, log_p(space, scores)).softmax(-1)
    expected = q @ as_booleans(space, worlds(space)).double()
    torch.testing.assert_close(compiled(space, rules).marginals(scores, fires, strength), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), strength=STRENGTHS)
@settings(max_examples=80, deadline=None)
def test_the_most_likely_answer_is_an_answer_and_no_other_is_likelier(kind, data, strength):
    space, rules, scores, fires = data.draw(problems(kind))
    assume(satisfiable(space, rules))
    weights = log_q(space, rules, scores, fires, strength)
    best = compiled(space, rules).most_likely(scores, fires, strength)
    for row, answer in enumerate(best):
        place = (as_booleans(space, worlds(space)) == answer).all(-1).nonzero()
        assert len(place) == 1
        if weights[row].max() > NEVER / 2:
            torch.testing.assert_close(weights[row, place.item()], weights[row].max(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(4))
def test_draws_come_as_often_as_they_are_likely(kind, seed):
    space = SPACES[kind]
    a, b, *_, z = space.labels
    rules = (
        Weighted("soft", Implies(Label(a), Label(z)), 1.3),
        Weighted("hard", ~(Label(b) & Label(z)) & ~Exactly(3, space.labels), hard=True),
        Weighted("kept", AtMost(len(space.labels) - 1, space.labels), 0.4, always=True),
    )
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(2, len(space.labels), generator=generator, dtype=torch.float64)
    fires = torch.tensor([[True, False], [True, True], [False, False]])
    drawn = compiled(space, rules).samples(20_000, scores, fires, 1.0, generator=generator)
    q = log_q(space, rules, scores, fires, 1.0).softmax(-1)
    answers = as_booleans(space, worlds(space))
    for row in range(2):
        counts = (drawn[:, row, None] == answers).all(-1).sum(0)
        assert counts.sum() == 20_000
        assert as_likely(counts, 20_000 * q[row])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_pushing_log_z_is_distilling_the_detached_teacher(kind, data):
    space, rules, scores, fires = data.draw(problems(kind))
    assume(satisfiable(space, rules))
    rule_set = compiled(space, rules)
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    teacher = log_q(space, rules, scores, fires, 2.0)
    possible = teacher.amax(-1) > NEVER / 2
    (-rule_set.log_z(ours, fires, 2.0)[possible]).sum().backward()
    (-(teacher.softmax(-1) * log_p(space, theirs)).sum(-1)[possible]).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(data=st.data(), strength=STRENGTHS)
@settings(max_examples=60, deadline=None)
def test_extreme_scores_give_finite_values_and_gradients(kind, dtype, data, strength):
    space, rules, scores, fires = data.draw(problems(kind))
    assume(satisfiable(space, rules))
    scores = (scores.sign() * 1e4).to(dtype).requires_grad_()
    rule_set = compiled(space, rules)
    value = rule_set.log_z(scores, fires, strength)
    value.sum().backward()
    assert torch.isfinite(value).all() and torch.isfinite(scores.grad).all() and (scores.grad.abs() <= 1 + 1e-6).all()
    expected = brute_log_z(space, rules, scores.detach().double(), fires, strength)
    torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-4)
    marginals = rule_set.marginals(scores, fires, strength)
    assert torch.isfinite(marginals).all()


def test_half_precision_scores_are_summed_in_full():
    rule_set = RuleSet((Weighted("one", Exactly(1, list("abcde"))),)).compiled(Binaries(tuple("abcde")))
    assert rule_set.log_z(torch.zeros(2, 5, dtype=torch.bfloat16)).dtype == torch.float32
