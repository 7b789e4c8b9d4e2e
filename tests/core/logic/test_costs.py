"""Cost is known before it is paid: the cheapest form is taken, too much is refused, contradictions are named."""

import random
import time
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.core.logic.enumeration import brute_log_z, rule_lists
from triune.logic import (
    And,
    AtLeast,
    AtMost,
    Exactly,
    FormulaError,
    Implies,
    Label,
    NoneOf,
    Occurs,
    Or,
    SoftFormula,
    hierarchy,
)
from triune.logic.costs import Budget, RuleCostError
from triune.logic.inference import ContradictionError, RuleSet, Weighted, log_odds
from triune.logic.networks import network
from triune.logic.patterns import ByPattern
from triune.logic.variables import Heads, Tags
from triune.spaces import Binaries, Categorical
from triune.types import Rule


def labels(n):
    return tuple(f"v{place}" for place in range(n))


def clauses(n, many, seed=0):
    generator = random.Random(seed)
    literals = [[(place, generator.random() < 0.5) for place in generator.sample(range(n), 3)] for _ in range(many)]
    return And(*(Or(*(Label(f"v{one}") if yes else ~Label(f"v{one}") for one, yes in of)) for of in literals))


def hard(formula, name="rule"):
    return Weighted(name, formula, hard=True, always=True)


@pytest.mark.parametrize(
    ("formula", "space", "form"),
    [
        (clauses(4, 3), Categorical(labels(4)), "table"),
        (Exactly(1, labels(64)), Binaries(labels(64)), "closed form"),
        (Exactly(2, labels(64)), Binaries(labels(64)), "count tree"),
        (AtMost(3, labels(64)) & AtLeast(1, labels(64)), Binaries(labels(64)), "count tree"),
        (NoneOf(*labels(8)), Binaries(labels(64)), "count tree"),
        (clauses(12, 24), Binaries(labels(12)), "circuit"),
        (Occurs("v0", 1, 2), Tags(labels(4)), "automaton"),
    ],
)
def test_the_cheapest_form_is_taken(formula, space, form):
    assert RuleSet((hard(formula),)).compiled(space).cost.form == form


def test_a_count_never_counts_further_than_it_must():
    few, many = (
        RuleSet((hard(formula),)).compiled(Binaries(labels(128))).cost.edges
        for formula in (AtMost(3, labels(128)), AtLeast(125, labels(128)))
    )
    assert few == many < 2_500


def test_a_count_of_many_labels_is_one_step_a_halving_in_plain_numbers():
    engine = RuleSet((hard(AtMost(16, labels(64))),)).compiled(Binaries(labels(64))).engine
    circuit, _ = engine._on(torch.device("cpu"))
    assert len(circuit.plain) == 6 < len(circuit.steps)


def test_the_predicted_edges_of_a_count_are_no_less_than_its_edges():
    for k in (2, 5, 16):
        with pytest.raises(RuleCostError) as refused:
            RuleSet((hard(AtMost(k, labels(64))),)).compiled(Binaries(labels(64)), Budget(edges=10))
        predicted = int(str(refused.value).split("least about ")[1].split(" ")[0])
        assert 0 < RuleSet((hard(AtMost(k, labels(64))),)).compiled(Binaries(labels(64))).cost.edges <= predicted


@pytest.mark.parametrize("n", [64, 128, 400])
def test_what_is_too_much_is_refused_before_it_is_compiled_with_its_cost_and_a_way_out(n):
    started = time.monotonic()
    with pytest.raises(RuleCostError, match=r"about .* edges \(circuit, width \d+\), and the budget is 200,000"):
        RuleSet((hard(clauses(n, 2 * n)),)).compiled(Binaries(labels(n)))
    assert time.monotonic() - started < 60  # far beyond what it takes: that it ends, not how fast


def test_compiling_stops_at_the_budget():
    with pytest.raises(RuleCostError, match="stopped at"):
        RuleSet((hard(clauses(20, 40)),)).compiled(Binaries(labels(20)), Budget(edges=1_000))
    with pytest.raises(RuleCostError, match="stopped at"):
        RuleSet((hard(clauses(20, 40)),)).compiled(Binaries(labels(20)), Budget(seconds=0.0))


def test_an_automaton_that_is_too_large_is_refused():
    tags = labels(9)
    formula = And(*(Occurs(tag, 0, 9) for tag in tags))
    with pytest.raises(RuleCostError, match="automaton"):
        RuleSet((hard(formula),)).compiled(Tags(tags))


def test_chains_longer_than_pythons_stack_compile():
    n = 3_000
    chain = And(*(Implies(Label(f"v{one}"), Label(f"v{one + 1}")) for one in range(n - 1)))
    compiled = RuleSet((hard(chain),)).compiled(Binaries(labels(n)))
    assert compiled.log_z(torch.full((1, n), -9.0)).item() < 0


@pytest.mark.parametrize("always", [True, False])
def test_labels_that_exclude_each_other_pair_by_pair_are_counted(always):
    n = 40
    pairs = And(*(~(Label(f"v{one}") & Label(f"v{other}")) for one in range(n) for other in range(one)))
    space, scores = Binaries(labels(n)), torch.randn(3, n)
    by_pairs = RuleSet((Weighted("pairs", pairs, hard=True, always=always),)).compiled(space)
    by_count = RuleSet((Weighted("count", AtMost(1, labels(n)), hard=True, always=always),)).compiled(space)
    assert by_pairs.cost == by_count.cost and by_pairs.cost.form == "closed form"
    torch.testing.assert_close(by_pairs.log_z(scores), by_count.log_z(scores))


def test_a_hierarchy_costs_about_as_many_edges_as_it_has_labels():
    small, large = (
        RuleSet((hard(hierarchy({f"v{one}": [f"v{2 * one + 1}", f"v{2 * one + 2}"] for one in range(n // 2)})),))
        .compiled(Binaries(labels(n + 1)))
        .cost.edges
        for n in (100, 1_000)
    )
    assert large < 20 * small


@pytest.mark.parametrize(
    ("space", "first", "second", "third"),
    [
        (Categorical(labels(3)), Label("v0"), Label("v1") | Label("v2"), Label("v0") | Label("v1")),
        (Binaries(labels(3)), Label("v0"), Implies(Label("v0"), Label("v1")), NoneOf("v1", "v2")),
        (Tags(labels(3)), Occurs("v0", 2), Occurs("v0", 0, 1), Occurs("v1", 0, 4)),
    ],
)
def test_a_smallest_contradiction_is_named(space, first, second, third):
    rules = tuple(
        hard(formula, name) for name, formula in zip(("one", "two", "three"), (first, second, third), strict=True)
    )
    named = {"categorical": ("one", "two"), "binaries": ("one", "two", "three"), "tags": ("one", "two")}[space.kind]
    with pytest.raises(ContradictionError) as refused:
        RuleSet(rules).compiled(space)
    assert [name for name in ("one", "two", "three") if f"'{name}'" in str(refused.value)] == list(named)


def test_a_rule_that_can_never_hold_is_named_alone():
    with pytest.raises(ContradictionError, match="'never' can never hold"):
        RuleSet((hard(Label("v0") & ~Label("v0"), "never"),)).compiled(Binaries(labels(2)))


def test_an_unknown_label_is_named_with_the_nearest():
    with pytest.raises(FormulaError, match=r"'anger' is not a label .* did you mean 'angry'"):
        RuleSet((hard(Label("anger")),)).compiled(Binaries(("angry", "sad")))


def test_labels_that_read_the_same_are_refused():
    with pytest.raises(FormulaError, match="twice"):
        RuleSet(()).compiled(Heads((("a", "b"), ("b",))))


def test_numbers_and_their_texts_are_one_label():
    scores = torch.randn(2, 3)
    one, other = (RuleSet((hard(Label(name)),)).compiled(Categorical((1, 2, 3))).log_z(scores) for name in (2, "2"))
    assert torch.equal(one, other)


def test_rules_of_one_formula_share_its_evaluation():
    rules = tuple(Weighted(f"r{place}", Exactly(1, labels(32)), 0.5) for place in range(20))
    many, one = RuleSet(rules).compiled(Binaries(labels(32))), RuleSet(rules[:1]).compiled(Binaries(labels(32)))
    assert many.cost == one.cost
    scores = torch.randn(4, 32)
    torch.testing.assert_close(many.log_z(scores), one.log_z(scores, strength=20.0))


def test_the_weight_of_a_confidence_is_its_log_odds_within_bounds():
    assert log_odds(0.5) == 0 and log_odds(1.0) == 6 and log_odds(0.0) == -6
    assert -log_odds(0.2) == pytest.approx(log_odds(0.8)) == pytest.approx(1.3862943611198906)


def test_the_rules_of_a_run_are_weighted_by_their_confidence():
    rules = [Rule("one", Label("v0"), confidence=0.8), Rule("two", Label("v1"), hard=True)]
    assert RuleSet.of(rules, always={"two"}).rules == (
        Weighted("one", Label("v0"), log_odds(0.8)),
        Weighted("two", Label("v1"), 6.0, hard=True, always=True),
    )
    with pytest.raises(FormulaError, match="'soft' says a SoftFormula"):
        RuleSet.of([Rule("soft", SoftFormula(lambda outputs, batch: outputs))])


@given(rules=rule_lists("abcde", most=4).filter(bool), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_an_engine_for_each_firing_pattern_is_as_exact(rules, seed):
    space = Binaries(tuple("abcde"))
    torch.manual_seed(seed)
    scores, fires = torch.randn(6, 5, dtype=torch.float64), torch.rand(len(rules), 6) < 0.5
    try:
        compiled = RuleSet(rules).compiled(space)
    except ContradictionError:
        return
    assume(compiled.formulas)
    apart = by_pattern(compiled, rules, space)
    ours, theirs = scores.clone().requires_grad_(), scores.clone().requires_grad_()
    value, expected = apart.log_z(ours, fires, 1.5), brute_log_z(space, rules, theirs, fires, 1.5)
    possible = expected > -1e29
    torch.testing.assert_close(value[possible], expected[possible], atol=1e-9, rtol=1e-9)
    assert (value[~possible] < -1e29).all()
    value.sum().backward()
    expected[possible].sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-9, rtol=1e-9)
    best, usual = apart.most_likely(scores, fires, 1.5), compiled.most_likely(scores, fires, 1.5)
    assert torch.equal(best[possible], usual[possible])


def by_pattern(compiled, rules, space):
    """Return the rules in an engine for each firing pattern, whatever they cost."""
    soft = {which: rules[place] for which, place in zip(compiled.weighing.which, compiled.weighing.places, strict=True)}
    formulas = tuple(
        ~soft[one].then if soft[one].weight < 0 and not soft[one].hard else soft[one].then
        for one in range(compiled.formulas)
    )
    always = tuple(rule.then for rule in rules if rule.always and rule.hard)
    make = partial(network, space=space, budget=Budget())
    return replace(compiled, engine=ByPattern(formulas, always, make))


def test_rules_that_are_too_much_together_are_compiled_by_pattern_and_prepared_ahead():
    rules = tuple(Weighted(f"r{seed}", clauses(24, 8, seed)) for seed in range(6))
    budget = Budget(edges=2_000)
    compiled = RuleSet(rules).compiled(Binaries(labels(24)), budget)
    assert isinstance(compiled.engine, ByPattern) and "firing pattern" in compiled.cost.form
    torch.manual_seed(0)
    scores, fires = torch.randn(6, 24), torch.eye(6).bool()
    compiled.prepare(fires)
    known = len(compiled.engine.engines)
    together = RuleSet(rules[2:3]).compiled(Binaries(labels(24)))
    torch.testing.assert_close(compiled.log_z(scores, fires)[2:3], together.log_z(scores[2:3]))
    assert len(compiled.engine.engines) == known
    with pytest.raises(RuleCostError):
        compiled.prepare(torch.ones(6, 1).bool())
