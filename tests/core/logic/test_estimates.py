"""What is too much may be estimated, if that was asked for: it says so, it converges, and it refuses to guess."""

import pytest
import torch

from tests.core.logic.enumeration import SPACES, as_booleans, brute_log_z, log_p, log_q, worlds
from tests.core.logic.test_costs import clauses, labels
from triune.logic import AtMost, Exactly, Implies, Label, Matches, NeverFollows, Occurs
from triune.logic.costs import Budget, RuleCostError, UnansweredError
from triune.logic.inference import RuleSet, Weighted
from triune.logic.variables import Tags
from triune.spaces import Binaries

MANY = Budget(edges=1, samples=20_000)


def estimated(rules, space, budget=MANY):
    compiled = RuleSet(rules).compiled(space, budget)
    assert compiled.cost.form.endswith(f"estimate from {budget.samples:,} draws")
    return compiled


def rules_of(space):
    a, b, *_, z = space.labels
    return (
        Weighted("soft", Implies(Label(a), Label(z)), 1.3),
        Weighted("hard", ~(Label(b) & Label(z)) & ~Exactly(3, space.labels), hard=True),
        Weighted("kept", AtMost(len(space.labels) - 1, space.labels), hard=True, always=True),
    )


@pytest.mark.parametrize("kind", ["yes or no", "mixed"])
def test_an_estimate_from_many_draws_is_near_the_exact_answer(kind):
    space, budget = SPACES[kind], Budget(edges=12 if kind == "mixed" else 8, samples=20_000)
    rules, generator = rules_of(space), torch.Generator().manual_seed(0)
    scores = torch.randn(2, len(space.labels), generator=generator, dtype=torch.float64).requires_grad_()
    fires = torch.tensor([[True, False], [True, True], [False, False]])
    compiled, exact = estimated_alone(rules, space, budget), RuleSet(rules).compiled(space)
    weights = torch.tensor([1.3, 0.0, 0.0], dtype=torch.float64).requires_grad_()
    value = compiled.log_z(scores, fires, weights=weights, generator=generator)
    torch.testing.assert_close(value, brute_log_z(space, rules, scores, fires, 1.0), atol=0.05, rtol=0)
    ours = torch.autograd.grad(value.sum(), (scores, weights))
    theirs = torch.autograd.grad(exact.log_z(scores, fires, weights=weights).sum(), (scores, weights))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=0.03, rtol=0)
    for ask in ("marginals", "expected_violations"):
        found = getattr(compiled, ask)(scores, fires, generator=generator)
        torch.testing.assert_close(found, getattr(exact, ask)(scores, fires), atol=0.03, rtol=0)
    torch.testing.assert_close(compiled.satisfaction(scores), exact.satisfaction(scores), atol=0.03, rtol=0)
    assert torch.equal(compiled.most_likely(scores, fires), exact.most_likely(scores, fires))
    drawn = compiled.samples(4_000, scores, fires, generator=generator).double().mean(0)
    torch.testing.assert_close(drawn, exact.marginals(scores, fires), atol=0.05, rtol=0)
    q = log_q(space, rules, scores.detach(), fires, 1.0).softmax(-1)
    torch.testing.assert_close(exact.marginals(scores, fires), q @ as_booleans(space, worlds(space)).double())
    assert log_p(space, scores).shape == q.shape


def estimated_alone(rules, space, budget):
    """Return rules whose engine is one estimate of them all."""
    from dataclasses import replace

    from triune.logic.engines import engine_of
    from triune.logic.estimates import Estimate

    free = engine_of((), (), space, Budget())
    formulas, always = tuple(rule.then for rule in rules[:2]), (rules[2].then,)
    compiled = RuleSet(rules).compiled(space)
    return replace(compiled, engine=Estimate((*formulas, *always), 2, budget.samples, free, space))


def test_sequences_are_estimated_with_masks_and_token_costs():
    space = Tags(("O", "B", "I"))
    rules = (
        Weighted("order", NeverFollows("O", "I"), 0.9),
        Weighted("some", Occurs("B") & Matches(". .*"), hard=True, always=True),
        Weighted("no I", ~Label("I"), 0.4),
    )
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 3, 3, generator=generator, dtype=torch.float64)
    given = {
        "mask": torch.tensor([[True, True, True], [True, False, True]]),
        "tokens": torch.rand(2, 3, 3, generator=generator, dtype=torch.float64),
    }
    exact = RuleSet(rules).compiled(space)
    compiled = estimated((rules[1],), space)
    assert compiled.cost.edges
    for some in ((rules[1],), rules):
        ours, theirs = RuleSet(some).compiled(space, MANY), RuleSet(some).compiled(space)
        value = ours.log_z(scores, generator=generator, **given)
        torch.testing.assert_close(value, theirs.log_z(scores, **given), atol=0.05, rtol=0)
        found = ours.marginals(scores, generator=generator, **given)
        torch.testing.assert_close(found, theirs.marginals(scores, **given), atol=0.03, rtol=0)
    best = exact.most_likely(scores, **given)
    assert torch.equal(RuleSet(rules).compiled(space, MANY).most_likely(scores, **given), best)


def test_the_same_generator_gives_the_same_estimate_and_another_another():
    compiled = estimated((Weighted("many", clauses(64, 128)),), Binaries(labels(64)), Budget(samples=50))
    scores = torch.zeros(2, 64)
    one, same, other = (compiled.marginals(scores, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_an_estimate_is_not_made_unless_it_is_asked_for_and_the_refusal_says_how():
    with pytest.raises(RuleCostError, match=r"let it be estimated: Budget\(samples=1000\)"):
        RuleSet((Weighted("many", clauses(64, 128)),)).compiled(Binaries(labels(64)))


@pytest.mark.parametrize("always", [True, False])
def test_where_no_draw_satisfies_what_is_hard_the_estimate_refuses_and_names_the_rules(always):
    rules = (Weighted("impossible clauses", clauses(64, 250), hard=True, always=always), Weighted("soft", Label("v1")))
    compiled = RuleSet(rules).compiled(Binaries(labels(64)), Budget(samples=100))
    for ask in (compiled.log_z, compiled.marginals, compiled.most_likely):
        with pytest.raises(UnansweredError, match=r"rules 'impossible clauses': none of 100 draws .* 2 of the batch"):
            ask(torch.zeros(2, 64))
