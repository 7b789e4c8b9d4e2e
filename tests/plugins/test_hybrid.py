"""The plugin `hybrid`: what rules cost, how multipliers move, what labels say of rules, and how gradients give way."""

from math import log, nan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.logic.enumeration import formulas
from tests.plugins.toy_rules import SPACES, batch_of, grounded, outputs_of, worlds
from triune import Label, Rule, Seat, Step
from triune.conditions import Contains
from triune.confidences import Evidence
from triune.errors import PlanError
from triune.logic import NeverFollows, Occurs, StartsWith
from triune.seats import seated
from triune_hybrid.balances import Bounded
from triune_hybrid.confidences import Confidences
from triune_hybrid.conflicts import inner_products, projected
from triune_hybrid.dual import Held, Multipliers, error
from triune_hybrid.groups import grouped, members_of, total_cost
from triune_hybrid.settings import Dual
from triune_hybrid.uncertainty import RunningLosses

NEVER = 1e30


# what rules cost


def says(kind):
    if kind != "tags":
        return formulas(SPACES[kind].labels)
    return st.one_of(st.sampled_from([NeverFollows("a", "b"), StartsWith("b"), Occurs("a", 1, 1)]), formulas("ab"))


@st.composite
def problems(draw, kind):
    stated = st.sampled_from([0.2, 0.6, 0.9, 1.0])
    told = draw(st.lists(st.tuples(says(kind), stated, st.booleans()), min_size=1, max_size=3))
    rules = [Rule(f"{n}", then, Contains("x"), p, hard and p == 1) for n, (then, p, hard) in enumerate(told)]
    row = st.lists(st.booleans(), min_size=3, max_size=3)
    fires = draw(st.lists(row, min_size=len(rules), max_size=len(rules)))
    nats = draw(st.lists(st.sampled_from([0.0, 0.4, 2.0, 6.0]), min_size=len(rules), max_size=len(rules)))
    return rules, fires, nats, outputs_of(kind, seed=draw(st.integers(0, 99)))


def enumerated(rules, fires, nats, outputs, example):
    """Return −log E exp(−Σ nats [the rule fires and costs]); None where hard rules leave no answer."""
    log_p = []
    for true, log_probability in worlds(outputs, example):
        cost = 0.0
        for place, rule in enumerate(rules):
            costs = rule.then.holds(true) if rule.confidence < 0.5 else not rule.then.holds(true)
            cost += fires[place][example] * costs * (NEVER if rule.hard else nats[place])
        log_p.append(log_probability - min(cost, NEVER))
    log_z = torch.stack(log_p).logsumexp(0)
    return None if log_z < -NEVER / 2 else -log_z


@pytest.mark.parametrize("kind", ("categorical", "binaries", "tags"))
def test_cost_and_gradient_are_those_of_enumeration_whatever_each_rule_weighs_by_now(kind):
    @settings(max_examples=20, deadline=None)
    @given(problems(kind))
    def check(problem):
        rules, fires, nats, outputs = problem
        mine = seated(grounded(rules, fires, outputs.space), Seat.LOSS)
        groups = grouped(mine, {"rules": [rule.name for rule in rules]})
        weights = {rule.name: one for rule, one in zip(rules, nats, strict=True)}
        cost = total_cost([(groups[0], 1.0)], batch_of(3), outputs, weights)
        (slope,) = torch.autograd.grad(cost.sum(), outputs.scores)
        for example in range(3):
            expected = enumerated(rules, fires, nats, outputs, example)
            if expected is None:
                assert not cost[example].any() and not slope[example].any()
                continue
            torch.testing.assert_close(cost[example], expected, rtol=1e-5, atol=1e-5)
            (right,) = torch.autograd.grad(expected, outputs.scores)
            torch.testing.assert_close(slope[example], right[example], rtol=1e-5, atol=1e-5)

    check()


def test_groups_cost_their_weight_each_and_one_that_weighs_nothing_is_not_asked():
    outputs = outputs_of("categorical")
    rules = [Rule("r", Label("a"), confidence=0.8), Rule("s", Label("b"), confidence=0.9)]
    mine = seated(grounded(rules, np.ones((2, 3)), outputs.space), Seat.LOSS)
    groups = grouped(mine, {"r": ["r"], "s": ["s"]})
    nats = {"r": 1.0, "s": 2.0}
    each = [group.cost(batch_of(3), outputs, nats) for group in groups]
    total = total_cost(zip(groups, (0.5, 3.0), strict=True), batch_of(3), outputs, nats)
    torch.testing.assert_close(total, 0.5 * each[0] + 3 * each[1])
    nothing = total_cost([(None, 0.0)], batch_of(3), outputs, nats)
    assert not nothing.any() and not torch.autograd.grad(nothing.sum(), outputs.scores)[0].any()


RULES = (
    Rule("r", Label("a"), tags=frozenset({"x"})),
    Rule("s", Label("b"), tags=frozenset({"x", "y"})),
    Rule("t", Label("c")),
)


def test_rules_are_grouped_as_bounds_name_them():
    assert members_of(RULES, 0.1, "all") == {"rules": ["r", "s", "t"]}
    assert members_of(RULES, 0.1, "rule") == {"r": ["r"], "s": ["s"], "t": ["t"]}
    assert members_of(RULES, {"x": 0.1, "others": 0.2}, "all") == {"x": ["r", "s"], "others": ["t"]}
    assert members_of(RULES, {"x": 0.1, "s": 0.3, "t": 0.2}, "all") == {"x": ["r"], "s": ["s"], "t": ["t"]}


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"x": 0.1}, "rule 't' has no bound: name it or a tag of it in at_most, or state one for 'others'"),
        ({"xx": 0.1, "others": 0.1}, "at_most names 'xx', neither a rule nor a tag of one; known: r, s, t, x, y; did"),
        ({"x": 0.1, "y": 0.1, "t": 0.1}, "rule 's' has bounds by its tags 'x', 'y': state its own"),
    ],
)
def test_bounds_that_name_no_rule_and_rules_without_one_are_refused(bounds, said):
    with pytest.raises(PlanError) as refused:
        members_of(RULES, bounds, "all")
    assert said in str(refused.value)


# dual ascent


def held(violation, bound=0.1, metric=0.9, fired=400.0, labelled=400):
    violation = violation if isinstance(violation, tuple) else (violation,)
    return Held(violation, (bound,) * len(violation), (fired,) * len(violation), metric, labelled)


def dual(**given):
    return Dual.model_validate({"use": "dual", "at_most": 0.1, **given})


rates = st.one_of(st.none(), st.floats(0, 1))


@settings(deadline=None)
@given(
    st.lists(st.tuples(rates, rates, st.floats(0, 1)), max_size=12),
    st.floats(0.1, 50),
    st.floats(0.05, 1),
    st.floats(0, 0.3),
)
def test_multipliers_follow_the_recursion_by_hand(evaluations, rate, newest, floor):
    found = Multipliers(dual(rate=rate, newest=newest, start=2.0, most=6.0, accuracy_floor=floor), 2)
    values, running, best = [2.0, 2.0], [None, None], 0.0
    for step, (first, second, metric) in enumerate(evaluations, 1):
        found.move(held((first, second), metric=metric), step)
        best = max(best, metric)
        low = metric < best - floor - (best * (1 - best) / 400) ** 0.5
        for place, new in enumerate((first, second)):
            old = running[place]
            if new is not None:
                running[place] = new if old is None else newest * new + (1 - newest) * old
            if low:
                values[place] = values[place] / 2
            elif new is not None:
                values[place] = min(max(values[place] + rate * (running[place] - 0.1), 0), 6)
    assert found.values == pytest.approx(values, abs=1e-9)


def test_a_multiplier_falls_once_its_bound_is_met():
    found = Multipliers(dual(start=0.0, rate=5.0), 1)
    found.move(held(0.3), 1)
    risen = found.values[0]
    for step in range(2, 6):
        found.move(held(0.0), step)
    assert risen > 0.9
    assert found.values[0] < risen / 2


def test_an_evaluation_moves_multipliers_once_and_not_before_rules_are_pushed():
    found = Multipliers(dual(), 1)
    found.move(held(0.3, metric=0.8), 5, pushing=False)
    assert found.values == [1.0] and found.best == 0.8
    found.move(held(0.3), 10)
    moved = list(found.values)
    found.move(held(0.9), 10)  # an evaluation that was broken off is done again
    assert found.values == moved != [1.0]


def test_where_the_metric_falls_below_its_floor_multipliers_fall_though_the_bound_is_broken():
    found = Multipliers(dual(accuracy_floor=0.02), 1)
    found.move(held(0.3, metric=0.9), 1)
    risen = found.values[0]
    found.move(held(0.3, metric=0.87), 2)  # within the floor and its standard error of 0.015
    assert found.values[0] > risen
    risen = found.values[0]
    found.move(held(0.3, metric=0.86), 3)
    assert found.values[0] == risen / 2


@pytest.mark.parametrize(
    ("new", "best", "answer"),
    [
        (held(0.5), None, True),
        (held(0.05), held(0.08), None),  # both meet it: the metric decides
        (held(0.11), held(0.09), None),  # within a standard error
        (held(0.2), held(0.09), False),
        (held(0.09, metric=0.89), held(0.2), True),  # within the floor, so the bound goes first
        (held(0.09, metric=0.5), held(0.2), False),
        (held(0.2), held(0.09, metric=0.5), True),  # an early model that kept rules by chance gives way
        (held(0.2), held(0.3), True),
        (held(None), held(0.3), True),
        (held(0.3, metric=None), held(0.2, metric=None), False),
    ],
)
def test_the_model_that_is_kept_meets_the_bound_unless_that_costs_the_metric(new, best, answer):
    assert Multipliers(dual(), 1).prefers(new, best) is answer


def test_the_floor_is_below_the_best_value_seen_of_any_model():
    found = Multipliers(dual(), 1)
    found.move(held(0.9, metric=0.99), 1)
    assert found.prefers(held(0.0, metric=0.9), held(0.9, metric=0.99)) is False


def told(*counts):
    """Return evidence of rules, each kept and broken so often."""
    kept, broken = (np.asarray(one, dtype=float) for one in zip(*counts, strict=True))
    return Evidence(kept, kept + broken, int(max(kept + broken)))


def bounded(at_most, rules, counts, pseudo=0.0, **given):
    outputs = outputs_of("categorical")
    mine = seated(grounded(rules, np.ones((len(rules), 3)), outputs.space), Seat.LOSS)
    settings = dual(at_most=at_most, **given)
    groups = grouped(mine, members_of(rules, at_most, settings.by))
    evidence, nothing = told(*counts), told(*[(0, 0)] * len(rules))
    return Bounded(settings, groups, Confidences(rules, evidence, nothing, pseudo), evidence, "macro_f1")


def test_no_bound_is_below_what_the_labels_themselves_break():
    rules = (Rule("r", Label("a"), confidence=0.9), Rule("s", Label("b"), confidence=0.9))
    counts = [(6, 4), (10, 0)]
    one = bounded(0.02, rules, counts)
    assert one.bound(one.groups[0]) == 4 / 20
    each = bounded(0.02, rules, counts, by="rule")
    assert [each.bound(group) for group in each.groups] == [0.4, 0.02]
    assert "r 0.4 (labels break it so often; asked 0.02), s 0.02" in each.note()


def test_a_rule_that_labels_contradict_is_neither_pushed_nor_bounded():
    rules = (Rule("r", Label("a"), confidence=0.9), Rule("wrong", Label("b"), confidence=0.9))
    found = bounded(0.02, rules, [(10, 0), (0, 10)], pseudo=2.0)
    report = {
        "r": {"violation_rate": 0.1, "coverage": 0.5},
        "wrong": {"violation_rate": 0.9, "coverage": 0.5},
    }
    said = found.held({"rules": report, "examples": 40, "labelled": 40, "macro_f1": 0.7})
    assert (said.violation, said.bounds, said.fired, said.metric) == ((0.1,), (0.02,), (20.0,), 0.7)


def test_violations_are_pooled_by_how_often_rules_fire():
    rules = (Rule("r", Label("a"), confidence=0.9), Rule("s", Label("b"), confidence=0.9), Rule("t", Label("c")))
    report = {
        "r": {"violation_rate": 0.5, "coverage": 0.1},
        "s": {"violation_rate": 0.1, "coverage": 0.3},
        "t": {"violation_rate": None, "coverage": 0.0},
    }
    said = bounded(0.02, rules, [(0, 0)] * 3).held({"rules": report, "examples": 100, "labelled": 0})
    assert said.violation[0] == pytest.approx((0.05 + 0.03) / 0.4)
    assert said.fired[0] == pytest.approx(40)
    assert said.metric is None


def test_rules_wait_while_labels_teach_alone():
    found = bounded(0.02, (Rule("r", Label("a"), confidence=0.9),), [(0, 0)], after=0.3)
    assert [list(found.shares(Step(index, 10))) for index in (2, 3)] == [[0.0], [1.0]]


# uncertainty


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 5), st.floats(0.01, 5)), min_size=1, max_size=20), st.floats(0.05, 1))
def test_weights_are_the_closed_form_of_the_uncertainties_that_minimise_the_loss(steps, newest):
    found = RunningLosses(newest)
    assert found.at(Step(0, 1)) == 1
    for labels, rules in steps:
        found.see(labels, rules)
    powers = [newest * (1 - newest) ** (len(steps) - 1 - place) for place in range(len(steps))]
    means = [sum(p * one[side] for p, one in zip(powers, steps, strict=True)) / sum(powers) for side in (0, 1)]
    variances = torch.tensor(means, dtype=torch.float64).requires_grad_()  # where Σ L / σ² + log σ² is least
    loss = (torch.tensor(means, dtype=torch.float64) / variances + variances.log()).sum()
    assert torch.autograd.grad(loss, variances)[0].abs().max() < 1e-9
    assert found.at(Step(0, 1)) == pytest.approx(min(max(means[0] / means[1], 0.01), 100))


def test_a_step_without_labels_says_nothing_of_the_loss_of_labels():
    found = RunningLosses(0.5)
    found.see(2.0, 1.0)
    found.see(0.0, 1.0)
    assert found.running == (2.0, 1.0)


# gradients


def explicit(gradients, orders):
    """Return the sum of gradients of which each gave up, in turn, what pulls against another (Yu et al. 2020)."""
    total = torch.zeros_like(gradients[0])
    for mine, others in enumerate(orders):
        kept = gradients[mine].clone()
        for other in others:
            along = kept @ gradients[other]
            if along < 0:
                kept -= along / gradients[other].square().sum() * gradients[other]
        total += kept
    return total


@settings(deadline=None)
@given(st.integers(2, 4), st.integers(0, 999), st.booleans())
def test_projected_losses_have_the_gradient_of_explicit_projection(losses, seed, silent):
    generator = torch.Generator().manual_seed(seed)
    gradients = torch.randn(losses, 5, generator=generator, dtype=torch.float64)
    gradients[0] *= not silent  # a loss without a gradient is left alone
    orders = [torch.randperm(losses, generator=generator).tolist() for _ in range(losses)]
    orders = [[other for other in order if other != mine] for mine, order in enumerate(orders)]
    weights = [torch.zeros(2, dtype=torch.float64, requires_grad=True), torch.zeros(3, dtype=torch.float64)]
    weights[1].requires_grad_()
    values = [one[:2] @ weights[0] + one[2:] @ weights[1] for one in gradients]
    counted = projected(inner_products(values, weights), orders)
    sum(by * value for by, value in zip(counted, values, strict=True)).backward()
    found = torch.cat([weight.grad for weight in weights])
    torch.testing.assert_close(found, explicit(list(gradients), orders))


def test_gradients_that_agree_are_left_alone():
    assert projected(torch.tensor([[1.0, 0.5], [0.5, 2.0]]), [[1], [0]]) == [1.0, 1.0]


# confidences


def confidences(rules, *counts, held_out=None, pseudo=2.0):
    return Confidences(rules, told(*counts), told(*held_out or [(0, 0)] * len(rules)), pseudo)


def test_a_rule_that_labels_contradict_weighs_nothing_and_one_that_they_bear_out_weighs_more():
    rules = [Rule("right", Label("a"), confidence=0.8), Rule("flipped", Label("b"), confidence=0.8)]
    found = confidences(rules, (20, 0), (1, 19))
    assert found.nats()["flipped"] == 0
    assert found.nats()["right"] > log(0.8 / 0.2)


def test_a_rule_without_evidence_is_trusted_as_its_siblings_turned_out():
    rules = [Rule(f"{n}", Label("a"), confidence=0.9) for n in range(4)]
    for wrong, trusted in ((0, 0.9), (1, 0.68), (2, 0.47)):
        counts = [(0, 40)] * wrong + [(36, 4)] * (3 - wrong) + [(0, 0)]
        assert confidences(rules, *counts).values[-1] == pytest.approx(trusted, abs=0.02)


def test_a_rule_that_is_written_to_be_wrong_costs_where_it_holds_and_less_if_labels_keep_it():
    rule = Rule("r", Label("a"), confidence=0.1)
    none, some, all_kept = (confidences([rule], (kept, 0)).nats()["r"] for kept in (0, 2, 20))
    assert none == pytest.approx(log(0.9 / 0.1))
    assert none > some >= all_kept == 0


def test_held_out_labels_count_from_the_first_evaluation_on_and_after_a_resume():
    rules = [Rule("r", Label("a"), confidence=0.9)]
    first, second = (confidences(rules, (3, 0), held_out=[(0, 7)]) for _ in range(2))
    before = first.values
    first.update()
    assert first.values[0] < 0.5 < before[0]
    second.load_state_dict(first.state_dict())
    assert second.values == first.values
    assert (second.evidence.kept.tolist(), second.evidence.broken.tolist()) == ([3], [7])


def test_written_confidences_stay_where_nothing_else_is_asked_for():
    rules = [Rule("r", Label("a"), confidence=0.9), Rule("h", Label("b"), hard=True)]
    fixed = confidences(rules, (0, 9), (0, 9), pseudo=0.0)
    assert fixed.values == (0.9, 1.0)
    assert confidences(rules, (0, 9), (0, 9)).nats()["h"] == NEVER


def test_the_standard_error_of_a_share():
    assert error(0.5, 100) == pytest.approx(0.05)
    assert error(0.02, 0) == pytest.approx((0.02 * 0.98) ** 0.5)
    assert Held((nan,), (0.1,), (0.0,), None, 0).metric is None
