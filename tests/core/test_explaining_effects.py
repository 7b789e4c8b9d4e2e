"""What a rule does to an outcome equals what enumeration of all answers says, with it and without it."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triune import Label, Rule
from triune.conditions.tokens import Places
from triune.explaining.effects import Exact, statements_of
from triune.explaining.structured import left_out
from triune.explaining.weighed import Structure, weighed
from triune.logic import EachIs, EachIsNot, Implies, NeverFollows, NoneOf
from triune.logic.inference import log_odds
from triune.spaces import Binaries, Categorical, Tags
from triune.token_rules import token_rules
from triune.types import GroundedRules

LABELS = ("a", "b", "c")
FORMULAS = [Label("a"), ~Label("b"), Label("a") | Label("c"), Label("a") >> Label("b"), NoneOf("c")]


def grounded(rules, fires, space, places=None):
    tokens = {"test": token_rules(rules, places, [*map(str, space.labels)])} if places else {}
    return GroundedRules(tuple(rules), {"test": np.asarray(fires, dtype=bool)[:, None]}, space=space, tokens=tokens)


def answers(space, scores):
    """Return every answer with its probability and its indicator tensor."""
    log_p = scores.double().log_softmax(-1)
    if space.kind == "categorical":
        eye = torch.eye(len(space.labels)).bool()
        return [((label,), float(log_p[k].exp()), eye[k]) for k, label in enumerate(space.labels)]
    found = []
    if space.kind == "binaries":
        p = scores.double().sigmoid()
        for bits in product((False, True), repeat=len(space.labels)):
            held = torch.tensor(bits)
            true = tuple(label for label, bit in zip(space.labels, bits, strict=True) if bit)
            found.append((true, float(torch.where(held, p, 1 - p).prod()), held))
        return found
    for tags in product(range(len(space.labels)), repeat=len(scores)):
        held = torch.nn.functional.one_hot(torch.tensor(tags), len(space.labels)).bool()
        found.append((tuple(space.labels[tag] for tag in tags), float(log_p[held].sum().exp()), held))
    return found


def keeps(rule, statement, true):
    if statement.stretch is None:
        return rule.then.holds(true)
    return rule.then.holds([true[token] for token in statement.stretch.tokens])


def wrong(statement, true, space):
    """Return at how many tokens a statement about a stretch is broken: each of them costs."""
    tags = [list(space.labels).index(true[token]) for token in statement.stretch.tokens]
    return sum(bool(row[tag]) for row, tag in zip(statement.stretch.forbidden, tags, strict=True))


def enumerated(space, scores, rules, acting):
    """Return q over all answers: (answer, q, indicators), for statements that act."""
    weighed_answers = []
    for true, p, held in answers(space, scores):
        cost = 0.0
        for one in acting:
            rule = rules.rules[one.rule]
            if not keeps(rule, one, true):
                weight = log_odds(rule.confidence)
                cost += (
                    torch.inf if rule.hard else (max(weight, 0.0) * wrong(one, true, space) if one.stretch else weight)
                )
        weighed_answers.append((true, p * float(np.exp(-cost)), held))
    z = sum(q for _, q, _ in weighed_answers)
    return [(true, q / z, held) for true, q, held in weighed_answers]


def agrees(space, scores, rules):
    length = len(scores) if space.kind == "tags" else None
    statements = statements_of(rules, "test", 0, length)
    alone = frozenset(one.rule for one in statements)
    effects = Exact.of(rules, "test", space).effects(scores, statements, alone)
    assert effects.possible
    sets = {None: statements, **{rule: [one for one in statements if one.rule != rule] for rule in alone}}
    q = {rule: enumerated(space, scores, rules, acting) for rule, acting in sets.items()}
    for rule, outcome in [(None, effects.with_rules), *effects.without.items()]:
        marginals = sum(weight * held.double() for _, weight, held in q[rule])
        assert torch.allclose(outcome.probabilities, marginals, atol=1e-6), rule
    for one in effects.statements:
        rule = rules.rules[one.rule]
        wanted = [
            sum(weight for true, weight, _ in answers_ if keeps(rule, one, true))
            for answers_ in (enumerated(space, scores, rules, []), q[None], q[one.rule])
        ]
        assert [one.model, one.with_rules, one.without] == pytest.approx(wanted, abs=1e-6)


def scores_of(draw, *shape):
    return torch.tensor(draw(st.lists(st.floats(-3, 3), min_size=int(np.prod(shape)), max_size=int(np.prod(shape)))),
                        dtype=torch.float32).reshape(shape)  # fmt: skip


@st.composite
def cases(draw):
    space = draw(st.sampled_from([Categorical(LABELS), Binaries(LABELS)]))
    formulas = draw(st.lists(st.sampled_from(FORMULAS), min_size=1, max_size=4))
    hard = draw(st.integers(0, len(formulas)))  # at most one, so that an answer is left
    rules = [
        Rule(f"r{place}", then, confidence=draw(st.sampled_from([0.2, 0.7, 0.95, 1.0])), hard=place == hard)
        for place, then in enumerate(formulas)
    ]
    fires = [draw(st.booleans()) for _ in rules]
    return space, scores_of(draw, len(LABELS)), grounded(rules, fires, space)


@settings(max_examples=40, deadline=None)
@given(cases())
def test_with_and_without_each_rule_labels_and_statements_are_as_probable_as_enumeration_says(case):
    agrees(*case)


@st.composite
def sequences(draw):
    space = Tags(("O", "B-X", "I-X"))
    rules = [
        Rule("order", NeverFollows("O", "I-X"), hard=True),
        Rule("soft", Label("B-X"), confidence=0.8),
        Rule("here", EachIs("*-X"), confidence=draw(st.sampled_from([0.7, 0.9]))),
        Rule("not here", EachIsNot("B-X"), hard=draw(st.booleans())),
    ]
    places = {2: Places.of([(0, (1, 3)), (0, (0, 1))]), 3: Places.of([(0, (2, 3))])}
    return space, scores_of(draw, 3, 3), grounded(rules, [True, draw(st.booleans()), True, True], space, places)


@settings(max_examples=15, deadline=None)
@given(sequences())
def test_of_sequences_each_stretch_of_a_rule_about_tokens_is_told_as_enumeration_says(case):
    agrees(*case)


def test_rules_about_tokens_alone_are_told_too():
    space = Tags(("O", "B-X"))
    rules = grounded([Rule("here", EachIs("B-X"), confidence=0.9)], [True], space, {0: Places.of([(0, (1, 2))])})
    agrees(space, torch.tensor([[0.5, 0.0], [1.0, -1.0]]), rules)


def test_a_rule_that_decides_is_shown_to_decide():
    space = Categorical(LABELS)
    rules = grounded(
        [Rule("b", Label("b"), confidence=0.99), Rule("a", Label("a"), confidence=0.6)], [True, True], space
    )
    statements, scores = statements_of(rules, "test", 0, None), torch.tensor([0.8, 0.1, 0.1]).log()
    effects = Exact.of(rules, "test", space).effects(scores, statements, frozenset({0, 1}))
    assert effects.with_rules.answer == "b"
    assert {rule: one.answer for rule, one in effects.without.items()} == {0: "a", 1: "b"}
    of_a, of_b, of_c = 0.8 * 1.5, 0.1 * 99, 0.1
    assert effects.with_rules.probabilities.tolist() == pytest.approx(
        [one / (of_a + of_b + of_c) for one in (of_a, of_b, of_c)]
    )


def test_hard_rules_that_leave_no_answer_are_told_apart_from_an_outcome():
    space = Categorical(LABELS)
    rules = grounded([Rule("a", Label("a"), hard=True), Rule("b", Label("b"), hard=True)], [True, True], space)
    statements = statements_of(rules, "test", 0, None)
    found = weighed(Exact.of(rules, "test", space), torch.zeros(3), statements, frozenset({0, 1}), None)
    assert (found.possible, found.with_rules, found.moved) == (False, None, {})


def test_a_structure_that_says_something_else_than_the_engine_is_believed_and_statements_left_open():
    space = Binaries(LABELS)
    rules = grounded([Rule("then", Implies(Label("a"), Label("b")), hard=True)], [True], space)
    statements, scores = statements_of(rules, "test", 0, None), torch.tensor([2.0, -1.0, 0.0])
    exact = Exact.of(rules, "test", space)
    said = exact.effects(scores, statements, frozenset()).with_rules
    own = weighed(exact, scores, statements, frozenset({0}), Structure(frozenset({0}), said, {}))
    assert own.statements[0].with_rules == pytest.approx(1.0)
    other = type(said)(said.probabilities + 0.1, said.answer)
    strange = weighed(exact, scores, statements, frozenset({0}), Structure(frozenset({0}), other, {}))
    assert (strange.statements[0].with_rules, strange.statements[0].without) == (None, None)
    assert strange.moved[0].with_rules is other


def test_leaving_a_rule_out_renumbers_the_tokens_of_those_behind_it():
    space = Tags(("O", "B-X"))
    rules = [Rule("a", EachIs("B-X")), Rule("b", Label("O")), Rule("c", EachIs("O"))]
    every = grounded(rules, [True, False, True], space, {0: Places.of([(0, (0, 1))]), 2: Places.of([(0, (1, 3))])})
    fewer = left_out(every, 0)
    assert [rule.name for rule in fewer.rules] == ["b", "c"]
    assert fewer.fires["test"].tolist() == [[False], [True]]
    (statement,) = statements_of(fewer, "test", 0, 3)
    assert (statement.rule, statement.stretch.tokens) == (1, (1, 2))
