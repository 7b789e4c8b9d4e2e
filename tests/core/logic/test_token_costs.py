"""What single tokens cost acts exactly together with what formulas say of the sequence."""

import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.core.logic.enumeration import NEVER, as_likely
from tests.core.logic.test_sequences import SPACE, TAGS, live_tokens, named, problems, satisfiable, sequences
from triune.logic import NeverFollows, bio
from triune.logic.costs import Budget
from triune.logic.inference import RuleSet, Weighted


def brute(rules, scores, fires, weights, tokens, row, live):
    """Return (sequences of the live tokens,) unnormalised."""
    log_p, each = scores[row, live].log_softmax(-1), []
    for sequence in sequences(len(live)):
        value = 0 * scores.sum()
        for place, tag in enumerate(sequence):
            value = value + log_p[place, tag] - tokens[row, live[place], tag]
        for rule, fired, weight in zip(rules, fires[:, row], weights, strict=True):
            if (rule.always or fired) and not rule.then.holds(named(sequence)):
                value = value - (-NEVER if rule.hard else weight)
        each.append(value.clamp(min=NEVER))
    return torch.stack(each)


@given(problem=problems(), seed=st.integers(0, 99), hard=st.booleans())
@settings(max_examples=15, deadline=None)
def test_every_answer_with_weights_and_token_costs_is_that_of_enumeration(problem, seed, hard):
    rules, scores, fires, mask = problem
    assume(satisfiable(rules))
    torch.manual_seed(seed)
    weights = torch.rand(len(rules), dtype=torch.float64) * 2
    tokens = torch.rand(scores.shape, dtype=torch.float64) * 3
    if hard:
        tokens = torch.where(torch.rand(scores.shape) < 0.3, 1e30, tokens)
    compiled = RuleSet(rules).compiled(SPACE, Budget(edges=10**9))
    given_, theirs = {"weights": weights, "tokens": tokens}, scores.clone().requires_grad_()
    ours = scores.clone().requires_grad_()
    value = compiled.log_z(ours, fires, mask=mask, **given_)
    value.sum().backward()
    marginals, best, broken = (
        ask(scores, fires, mask=mask, **given_)
        for ask in (compiled.marginals, compiled.most_likely, compiled.expected_violations)
    )
    own = scores.softmax(-1)
    for row in range(2):
        live = live_tokens(mask, row)
        expected = brute(rules, theirs, fires, weights, tokens, row, live)
        if expected.max() <= NEVER / 2:
            assert value[row] <= NEVER / 2
            torch.testing.assert_close(marginals[row], own[row])
            continue
        torch.testing.assert_close(value[row], expected.logsumexp(0), atol=1e-9, rtol=1e-9)
        expected.logsumexp(0).backward()
        q = expected.detach().softmax(0)
        for place, token in enumerate(live):
            for tag in range(len(TAGS)):
                has = torch.tensor([sequence[place] == tag for sequence in sequences(len(live))])
                torch.testing.assert_close(marginals[row, token, tag], q[has].sum(), atol=1e-9, rtol=0)
        for number, rule in enumerate(rules):
            breaks = torch.tensor([not rule.then.holds(named(one)) for one in sequences(len(live))])
            acts = rule.always or bool(fires[number, row])
            torch.testing.assert_close(broken[number, row], q[breaks].sum() * acts, atol=1e-9, rtol=0)
        picked = tuple(best[row, token].long().argmax().item() for token in live)
        place = sequences(len(live)).index(picked)
        torch.testing.assert_close(expected[place], expected.max(), atol=1e-9, rtol=0)
    torch.testing.assert_close(ours.grad, torch.zeros_like(scores) if theirs.grad is None else theirs.grad)


@given(seed=st.integers(0, 99))
@settings(max_examples=10, deadline=None)
def test_extreme_scores_and_costs_of_sequences_give_finite_answers(seed):
    torch.manual_seed(seed)
    rules = (Weighted("bio", bio("X"), hard=True, always=True), Weighted("soft", NeverFollows("O", "B-*")))
    compiled = RuleSet(rules).compiled(SPACE)
    for dtype in (torch.float32, torch.float64):
        scores = (torch.randn(3, 4, len(TAGS), dtype=dtype).sign() * 1e4).requires_grad_()
        tokens = torch.where(torch.rand(3, 4, len(TAGS)) < 0.3, 1e30, 1e4).to(dtype)
        weights = torch.tensor([0.0, 1e4], dtype=dtype).requires_grad_()
        value = compiled.log_z(scores, weights=weights, tokens=tokens)
        value.sum().backward()
        for found in (
            value,
            scores.grad,
            weights.grad,
            compiled.marginals(scores, tokens=tokens),
            compiled.expected_violations(scores, weights=weights, tokens=tokens),
            compiled.satisfaction(scores),
        ):
            assert torch.isfinite(found).all()


def test_draws_with_token_costs_come_as_often_as_they_are_likely():
    generator = torch.Generator().manual_seed(3)
    rules = (Weighted("bio", bio("X"), hard=True, always=True), Weighted("soft", NeverFollows("O", "B-*"), 0.7))
    scores = torch.randn(1, 3, len(TAGS), generator=generator, dtype=torch.float64)
    tokens = torch.rand(scores.shape, generator=generator, dtype=torch.float64) * 2
    tokens[0, 1, 0] = 1e30
    fires = torch.ones(2, 1, dtype=torch.bool)
    drawn = RuleSet(rules).compiled(SPACE).samples(20_000, scores, generator=generator, tokens=tokens)
    q = brute(rules, scores, fires, torch.tensor([0.0, 0.7]), tokens, 0, [0, 1, 2]).softmax(0)
    numbers = drawn[:, 0].long().argmax(-1) @ torch.tensor([16, 4, 1])
    assert as_likely(torch.bincount(numbers, minlength=64), 20_000 * q)


def test_token_costs_alone_need_no_formula():
    scores, tokens = torch.randn(2, 3, 4), torch.rand(2, 3, 4)
    value = RuleSet(()).compiled(SPACE).log_z(scores, tokens=tokens)
    torch.testing.assert_close(value, (scores.log_softmax(-1) - tokens).logsumexp(-1).sum(-1))
