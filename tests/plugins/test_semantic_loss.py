"""The plugin `semantic-loss`: −log of what rules leave, exact; fuzzy penalties as they are; nothing infinite."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import triune
from tests.core.logic.enumeration import formulas
from tests.plugins.toy_rules import SPACES, batch_of, grounded, learnt, outputs_of, worlds
from tests.support import Tables, config, plugins, table
from triune import Label, Outputs, Rule, Seat, SoftFormula, Step, TextMatches
from triune.conditions import Contains
from triune.errors import PlanError, PluginError
from triune.logic import And, AnyOf, AtLeast, Exactly, NeverFollows, Occurs, StartsWith
from triune.logic.inference import CERTAIN_ODDS, log_odds
from triune.seats import seated
from triune.spaces import Binaries
from triune_semantic_loss import SemanticLoss
from triune_semantic_loss.exact import exact
from triune_semantic_loss.soft import SoftTruths
from triune_semantic_loss.tnorms import Lukasiewicz, Product, fuzzy

KINDS = ("categorical", "binaries", "tags")
NEVER = 1e30


def loss(rules, fires, space):
    return exact(seated(grounded(rules, fires, space), Seat.LOSS))


def method(**settings):
    return SemanticLoss(SemanticLoss.Config.model_validate(settings))


# exact


def enumerated(rules, fires, outputs):
    """Return (batch,) −log E exp(−costs) by enumeration, certain rules firm where that leaves an answer."""

    def log_z(example, cost):
        each = []
        for true, log_p in worlds(outputs, example):
            costs = sum(
                (cost(rule) if not rule.then.holds(true) else 0.0) if log_odds(rule.confidence) >= 0 or rule.hard
                else (-cost(rule) if rule.then.holds(true) else 0.0)
                for place, rule in enumerate(rules)
                if fires[place][example]
            )  # fmt: skip
            each.append((log_p - costs).clamp(min=-NEVER))
        return torch.stack(each).logsumexp(0)

    found = []
    for example in range(len(outputs.scores)):
        firm = log_z(example, lambda rule: NEVER if rule.hard or rule.confidence == 1 else log_odds(rule.confidence))
        loose = log_z(example, lambda rule: NEVER if rule.hard else log_odds(rule.confidence))
        found.append(-firm if firm > -NEVER / 2 else -loose if loose > -NEVER / 2 else 0 * loose)
    return torch.stack(found)


def says(kind):
    if kind != "tags":
        return formulas(SPACES[kind].labels)
    order = [NeverFollows("a", "b"), StartsWith("b"), Occurs("a", 1, 1), Occurs("b", 3)]
    return st.one_of(st.sampled_from(order), formulas(SPACES["tags"].labels))


@st.composite
def problems(draw, kind):
    rule = st.tuples(says(kind), st.sampled_from([0.3, 0.8, 0.95, 1.0, 1.0]), st.booleans())
    given = draw(st.lists(rule, min_size=1, max_size=4))
    rules = [
        Rule(f"{n}", then, Contains("x"), confidence=1.0 if hard else p, hard=hard)
        for n, (then, p, hard) in enumerate(given)
    ]
    fires = draw(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=len(rules), max_size=len(rules)))
    return rules, fires, outputs_of(kind, seed=draw(st.integers(0, 99)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_value_and_its_gradient_are_those_of_enumeration(kind):
    @settings(max_examples=40, deadline=None)
    @given(problems(kind))
    def check(problem):
        rules, fires, outputs = problem
        found = loss(rules, fires, outputs.space)(batch_of(3), outputs)
        expected = enumerated(rules, fires, outputs)
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        slopes = [torch.autograd.grad(one.sum(), outputs.scores, allow_unused=True)[0] for one in (found, expected)]
        slopes = [torch.zeros_like(outputs.scores) if one is None else one for one in slopes]
        torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-6)

    check()


def test_rules_that_say_the_same_cost_once():
    outputs = outputs_of("categorical")
    twice = [Rule("a", Label("a") | Label("b")), Rule("b", Label("a") | Label("b"))]
    found = loss(twice, np.ones((2, 3)), outputs.space)(batch_of(3), outputs)
    torch.testing.assert_close(found, -outputs.scores.softmax(-1)[:, :2].sum(-1).log())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0.0, 1e2, 1e4])
def test_no_value_is_infinite_and_no_gradient_nan(kind, scale):
    outputs = outputs_of(kind, spread=scale, dtype=torch.float32)
    rules = [Rule("a", Label("a")), Rule("not a", ~Label("a")), Rule("mostly b", Label("b"), confidence=0.9)]
    for form in (loss(rules, np.ones((3, 3)), outputs.space), *_fuzzy(rules, np.ones((3, 3)), outputs.space)):
        value = form(batch_of(3), outputs)
        assert value.isfinite().all() and (value >= -1e-4).all() and value.max() < 1e6
        (slope,) = torch.autograd.grad(value.sum(), outputs.scores)
        assert slope.isfinite().all()


def test_certain_rules_that_contradict_each_other_cost_finite_odds_on_that_example_alone():
    outputs = outputs_of("categorical")
    rules = [Rule("a", Label("a")), Rule("b", Label("b"))]
    found = loss(rules, [[1, 1, 0], [0, 1, 1]], outputs.space)(batch_of(3), outputs)
    p = outputs.scores.softmax(-1)
    odds = np.exp(-CERTAIN_ODDS)
    both = p[1, :2].sum() * odds + p[1, 2:].sum() * odds**2
    torch.testing.assert_close(found, -torch.stack((p[0, 0], both, p[2, 1])).log())


def test_a_sequence_too_short_for_a_hard_rule_teaches_nothing():
    outputs = outputs_of("tags")
    found = loss([Rule("three", Occurs("a", 3), Contains("x"), hard=True)], np.ones((1, 3)), outputs.space)
    value = found(batch_of(3), outputs)
    assert value[[0, 2]].tolist() == [0.0, 0.0] and value[1] > 0
    (slope,) = torch.autograd.grad(value.sum(), outputs.scores)
    assert not slope[[0, 2]].any() and slope[1].any()


# tokens


@pytest.mark.parametrize("confidence", [0.9, 0.2])
def test_rules_about_single_tokens_act_exactly_together_with_those_about_the_sequence(confidence):
    from dataclasses import replace

    from triune.logic import EachIs
    from triune.token_rules import TokenRules

    outputs = outputs_of("tags", examples=2)
    about = Rule("that one is a", EachIs("a"), Contains("x"), confidence=confidence)
    order = Rule("order", NeverFollows("a", "b"), Contains("x"))
    entries = np.asarray([0, 1]), np.asarray([1, 2]), np.zeros(2, int), np.zeros(2, int), np.asarray([0, 1])
    tokens = {"train": TokenRules(*entries, np.asarray([[True, False]]))}
    rules = replace(grounded([about, order], np.ones((2, 2)), outputs.space), tokens=tokens)
    found = exact(seated(rules, Seat.LOSS))(batch_of(2), outputs)
    for example, token in enumerate((1, 2)):
        kept = [
            log_p - (0 if (true[token] == "a") == (confidence > 0.5) else abs(log_odds(confidence)))
            for true, log_p in worlds(outputs, example)
            if order.then.holds(true)
        ]
        torch.testing.assert_close(found[example], -torch.stack(kept).logsumexp(0))


# fuzzy


def _fuzzy(rules, fires, space, trusting=False):
    mine = seated(grounded(rules, fires, space), Seat.LOSS)
    return [fuzzy(mine, kind, trusting) for kind in ("product", "lukasiewicz")]


@settings(max_examples=60, deadline=None)
@given(formulas("abcd"), st.lists(st.booleans(), min_size=4, max_size=4))
def test_fuzzy_truth_is_plain_truth_where_the_model_is_certain(formula, bits):
    true = {label for label, bit in zip("abcd", bits, strict=True) if bit}
    outputs = Outputs(torch.tensor([[40.0 if bit else -40.0 for bit in bits]]), SPACES["binaries"])
    rules = [Rule("r", formula)]
    product, sums = (one(batch_of(1), outputs) for one in _fuzzy(rules, [[1]], outputs.space))
    assert (product < 1e-3).item() == formula.holds(true)
    assert sums.item() == pytest.approx(0.0 if formula.holds(true) else 1.0, abs=1e-5)


@pytest.mark.parametrize(
    "formula",
    [
        Label("a") & ~Label("b") & Label("c"),
        Label("a") >> (Label("b") | Label("c")),
        AtLeast(2, list("abcd")),
    ],
    ids=str,
)
def test_the_product_is_exact_where_each_label_occurs_once(formula):
    outputs = outputs_of("binaries", dtype=torch.float32)
    rules = [Rule("r", formula)]
    product, _ = _fuzzy(rules, np.ones((1, 3)), outputs.space)
    whole = loss(rules, np.ones((1, 3)), outputs.space)
    torch.testing.assert_close(product(batch_of(3), outputs), whole(batch_of(3), outputs), rtol=1e-4, atol=1e-5)


def test_fuzzy_rules_add_up_by_confidence_where_they_fire():
    outputs = outputs_of("categorical", dtype=torch.float32)
    rules = [Rule("a", Label("a"), confidence=0.5), Rule("b", ~Label("b"), confidence=0.8)]
    _, sums = _fuzzy(rules, [[1, 1, 0], [0, 1, 0]], outputs.space)
    p = outputs.scores.softmax(-1)
    expected = torch.stack((0.5 * (1 - p[0, 0]), 0.5 * (1 - p[1, 0]) + 0.8 * p[1, 1], torch.zeros(())))
    torch.testing.assert_close(sums(batch_of(3), outputs), expected)


def test_in_a_sequence_a_label_means_that_some_token_has_it():
    outputs = outputs_of("tags", dtype=torch.float32)
    rules = [Rule("a", Label("a"))]
    product, _ = _fuzzy(rules, np.ones((1, 3)), outputs.space)
    whole = loss(rules, np.ones((1, 3)), outputs.space)
    torch.testing.assert_close(product(batch_of(3), outputs), whole(batch_of(3), outputs), rtol=1e-4, atol=1e-5)


def test_a_trusted_premise_is_not_made_false():
    outputs = outputs_of("binaries", dtype=torch.float32)
    rules = [Rule("r", Label("a") >> Label("b"))]
    for trusting in (False, True):
        for form in _fuzzy(rules, np.ones((1, 3)), outputs.space, trusting):
            (slope,) = torch.autograd.grad(form(batch_of(3), outputs).sum(), outputs.scores)
            assert slope[:, 1].any()
            assert slope[:, 0].any() != trusting


def test_the_readme_is_right_about_how_fuzzy_penalties_fail():
    names = tuple(map(str, range(20)))
    even = Outputs(torch.full((1, 20), -0.1, requires_grad=True), Binaries(names))
    pairs = And(AnyOf(*names), *(~(Label(one) & Label(other)) for one, other in combinations(names, 2)))
    p = 1 / (1 + np.exp(0.1))
    for formula, said in ((Exactly(1, names), 1.0), (pairs, 0.0)):  # as counted all false, as pairs all true
        rules = [Rule("one", formula)]
        value = _fuzzy(rules, [[1]], even.space)[1](batch_of(1), even)
        assert value.item() == pytest.approx(said, abs=1e-6)
        assert not torch.autograd.grad(value.sum(), even.scores)[0].any()
        whole = loss(rules, [[1]], even.space)(batch_of(1), even)
        assert whole.item() == pytest.approx(-np.log(20 * p * (1 - p) ** 19), rel=1e-4)
    one = torch.tensor([-1.0]), torch.tensor([-0.5])
    once, twice = (Product().at_least(n, [one] * n, one) for n in (1, 2))
    assert twice[0] < once[0]  # a & a is less true than a
    half = [torch.tensor([0.5])] * 3
    assert Lukasiewicz().at_least(3, half, half[0]).item() == 0


def test_what_has_no_fuzzy_truth_is_refused_with_its_line():
    rules = [Rule("order", NeverFollows("a", "b"), place="rules.yaml:3:5")]
    with pytest.raises(PlanError, match=r"rules\.yaml:3:5: rule 'order': it speaks of the order of tags"):
        _fuzzy(rules, np.ones((1, 3)), SPACES["tags"])


# soft formulas


def test_a_soft_formula_costs_the_logarithm_of_its_truth_by_confidence_where_it_fires():
    outputs = outputs_of("categorical")
    rule = Rule("s", SoftFormula(lambda outputs, batch: outputs.scores.softmax(-1)[:, 0]), confidence=0.5)
    found = SoftTruths(seated(grounded([rule], [[1, 0, 1]], outputs.space), Seat.LOSS))(batch_of(3), outputs)
    p = outputs.scores.softmax(-1)[:, 0]
    torch.testing.assert_close(
        found, torch.stack((-0.5 * p[0].log(), 0 * p[1], -0.5 * p[2].log())), rtol=1e-4, atol=1e-6
    )


def test_a_truth_of_zero_is_finite_and_keeps_its_slope():
    scores = torch.full((1, 4), -50.0, dtype=torch.float64, requires_grad=True)
    rule = Rule(
        "s", SoftFormula(lambda outputs, batch: outputs.scores[:, 0].sigmoid() * 0 + (outputs.scores[:, 0] + 50))
    )
    outputs = Outputs(scores, SPACES["categorical"])
    value = SoftTruths(seated(grounded([rule], [[1]], outputs.space), Seat.LOSS))(batch_of(1), outputs)
    assert value.isfinite() and torch.autograd.grad(value.sum(), scores)[0][0, 0] < 0


@pytest.mark.parametrize(
    ("fn", "sentence"),
    [
        (lambda outputs, batch: 0.5, "returns float: return a tensor"),
        (lambda outputs, batch: outputs.scores, r"returns \(3, 4\): return a tensor \(3,\)"),
        (lambda outputs, batch: outputs.scores[:, 0] * 0 + 2, "returns 2 for example 0 of the train table"),
        (lambda outputs, batch: outputs.scores[:, 0] * float("nan"), "returns nan for example 0"),
        (lambda outputs, batch: torch.full((3,), 0.5), "loses the gradient"),
    ],
)
def test_nonsense_of_a_soft_formula_is_refused_with_its_line(fn, sentence):
    outputs = outputs_of("categorical")
    rule = Rule("s", SoftFormula(fn), place="mine.py:7")
    with pytest.raises(PluginError, match=rf"mine\.py:7: rule 's': its function {sentence}"):
        SoftTruths(seated(grounded([rule], [[1, 1, 1]], outputs.space), Seat.LOSS))(batch_of(3), outputs)


# the term


def test_the_term_counts_examples_on_which_a_rule_fires_by_their_weight():
    rules = grounded([Rule("a", Label("a"), Contains("x"))], [[1, 1, 0]], SPACES["categorical"])
    batch, outputs = batch_of(3, labelled=[1, 0, 1], weights=[2, 3, 5]), outputs_of("categorical")
    for on, mask in (("all", [2, 3, 0]), ("unlabelled", [0, 3, 0]), ("labelled", [2, 0, 0])):
        (term,) = method(on=on, guard=0).loss_terms(rules, _train(SPACES["categorical"], [1, 0, 1]))
        assert term.compute(Step(0, 1), batch, outputs).mask.tolist() == mask
        assert term.counts(batch) == sum(mask)


def _train(space, labelled):
    from triune.examples import Examples, Ragged

    count = len(labelled)
    targets = np.zeros((count, len(space.labels)), dtype=np.float32)
    ids = {"input_ids": Ragged.of([[1]] * count, 0)}
    return Examples(ids, targets, np.asarray(labelled, dtype=np.float32), np.ones(count, dtype=np.float32))


def plan(*rules, train=None, **settings):
    from tests.plugins.toy_rules import Rules

    given = plugins(
        data=Tables(train=table(12) if train is None else train), mine=Rules(*rules), push=method(**settings)
    )
    return triune.plan(config("all", "mine", "push", early_stopping=None, validation=0.0), plugins=given)


def test_hard_rules_that_contradict_each_other_are_refused_with_rules_and_examples():
    data = table(12)
    data.loc[[4, 7], "text"] += " both"
    with pytest.raises(PlanError) as caught:
        plan(
            Rule("is warm", Label("warm"), Contains("both"), hard=True),
            Rule("is cold", Label("cold"), Contains("both"), hard=True),
            Rule("mostly cold", Label("cold"), confidence=0.8),
            train=data,
        )
    (problem,) = caught.value.problems
    assert "rules 'is warm', 'is cold' contradict each other and are hard" in problem
    assert problem.endswith("they leave no answer on train: row 4, train: row 7")


def test_the_plan_counts_examples_on_which_certain_rules_contradict_each_other():
    data = table(12)
    data.loc[[4, 7, 8], "text"] += " both"
    found = plan(Rule("w", Label("warm"), Contains("both")), Rule("c", Label("cold"), Contains("both")), train=data)
    assert "on 3 examples rules of confidence 1 contradict each other" in str(found)


@pytest.mark.parametrize(
    ("rules", "settings", "sentence"),
    [
        ([], {}, "no rule may act in the loss"),
        ([Rule("r", Label("warm"), Contains("nowhere"))], {}, "fire on no training example"),
        ([Rule("r", Label("warm"))], {"on": "unlabelled"}, "fire on no unlabelled training example"),
    ],
)
def test_what_would_do_nothing_is_refused(rules, settings, sentence):
    with pytest.raises(PlanError, match=sentence):
        plan(*rules, **settings)


def test_a_trusted_premise_needs_a_fuzzy_kind():
    with pytest.raises(ValueError, match="detach_premise needs kind: product"):
        method(detach_premise=True)


# learning

WARM = TextMatches(lambda text: "warm" in text)
COLD = TextMatches(lambda text: "cold" in text)


@pytest.mark.parametrize("kind", ["exact", "product", "lukasiewicz"])
def test_rules_alone_teach_what_they_say_also_on_text_that_was_not_seen(kind, tmp_path):
    rules = Rule("w", Label("warm"), WARM, confidence=0.95), Rule("c", Label("cold"), COLD)
    result, terms = learnt(tmp_path, method(kind=kind), *rules)
    early, late = (np.mean([one["rules"] for one in some]) for some in (terms[:5], terms[-5:]))
    assert late < early / 2
    assert result.metrics["test"]["accuracy"] > 0.85
    assert all(one["violation_rate"] < 0.2 for one in result.metrics["test"]["rules"].values())


def test_the_guard_keeps_a_bad_rule_from_making_all_answers_one(tmp_path):
    few, many = table(16, seed=3), {"unlabelled": table(96, seed=4).drop(columns="label")}
    bad = Rule("all is warm", Label("warm"), confidence=0.9)
    shares, right = {}, {}
    for guard in (0, 4):
        pushing = method(guard=guard, weight=2.0, prior={"warm": 0.5, "cold": 0.5})
        result, _ = learnt(tmp_path / str(guard), pushing, bad, train=few, tables=many, steps=120)
        found = result.metrics["test"]
        shares[guard], right[guard] = 1 - found["rules"]["all is warm"]["violation_rate"], found["accuracy"]
    assert shares[0] > 0.9
    assert shares[4] < 0.75 and right[4] > right[0] + 0.1


def test_several_labels_may_hold(tmp_path):
    from tests.plugins.toy_rules import Rules
    from triune.testing import ToyTask, toy_run

    class Several(ToyTask):
        def __init__(self):
            super().__init__(dropout=0.0, multi_label=True)

    rules = Rules(
        Rule("not both", ~(Label("warm") & Label("cold")), hard=True), Rule("one", Label("warm") | Label("cold"))
    )
    result = toy_run(tmp_path / "run", Several(), rules, method(), epochs=10, early_stopping=None, keep_best=False)
    assert result.metrics["test"]["rules"]["not both"]["violation_rate"] == 0


def test_tags_learn_their_order_from_the_rules_of_the_scheme(tiny_model, tmp_path):
    from tests.plugins.test_token_classification import sentences, trained

    data, held = {"train": sentences(24), "test": sentences(16, seed=1)}, {}
    plain = {"baselines": False, "validation": 0.0, "early_stopping": None, "keep_best": False}
    for name in ("", "semantic-loss", "rule-regulariser"):
        methods = ["end-to-end", *([name] if name else [])]
        result = trained(tiny_model, tmp_path / f"run {name}", data, methods=methods, epochs=8, **plain)
        held[name] = min(one["satisfaction_probability"] for one in result.metrics["test"]["rules"].values())
    assert held["semantic-loss"] > held[""] + 0.1
    assert held["rule-regulariser"] > held[""] + 0.1


@pytest.mark.parametrize("kind", ["exact", "product", "lukasiewicz", "function"])
def test_a_rule_that_is_more_often_broken_than_kept_is_pushed_away_from_in_every_form(kind):
    from triune.spaces import Categorical
    from triune.types import Batch, GroundedRules

    space = Categorical(("a", "b", "c"))
    then = SoftFormula(lambda outputs, batch: outputs.scores.softmax(-1)[:, 0]) if kind == "function" else Label("a")
    rule = Rule("rarely", then=then, confidence=0.2)
    mine = seated(GroundedRules((rule,), {"train": np.ones((1, 2), dtype=bool)}, space=space), Seat.LOSS)
    value = {"exact": exact, "function": SoftTruths}.get(kind, lambda one: fuzzy(one, kind, False))(mine)
    scores = torch.zeros(2, 3, requires_grad=True)
    batch = Batch(torch.arange(2), {}, torch.zeros(2, 3), torch.zeros(2), torch.ones(2))
    value(batch, Outputs(scores, space)).sum().backward()
    assert (scores.grad[:, 0] > 0).all()
