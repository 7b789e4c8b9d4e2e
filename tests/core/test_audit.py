"""What an audit says of rules is so, on tables small enough to count by hand."""

from __future__ import annotations

from itertools import chain, combinations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triune import Data, Label, Rule
from triune.audit import Contradiction, audit
from triune.audit.answers import OneLabel, SeveralLabels
from triune.audit.figures import laplace, wilson
from triune.audit.satisfying import plain, satisfiable
from triune.conditions import Contains, Regex, Token
from triune.data import Source
from triune.logic import And, AtLeast, AtMost, Exactly, Iff, Implies, NeverFollows, NoneOf, Not, Or, Span, bio

TEXTS = {"red warm": "warm", "red cold": "cold", "blue sea": "cold", "blue red": "cold", "grey": "warm"}


def table(labels=None):
    frame = pd.DataFrame({"text": list(TEXTS), "label": list(labels or TEXTS.values())}, dtype=object)
    frame.index = pd.RangeIndex(2, 2 + len(frame), name="line")
    source = Source("train.csv", "line", "", len(frame))
    return Data({"train": frame}, {"text": "text", "label": "label"}, {"train": source})


def has(word, then, **settings):
    return Rule(settings.pop("name", f"{word}-{then}"), Label(then), Contains(word), **settings)


def test_a_rule_is_counted_as_one_would_by_hand():
    found = audit([has("red", "warm"), has("blue", "cold")], table())
    red, blue = found.rules
    assert (red.fires, red.coverage, red.labelled, red.right, red.accuracy) == (3, 0.6, 3, 1, 1 / 3)
    assert (red.overlaps, red.conflicts) == (1 / 3, 1 / 3)
    assert (blue.overlaps, blue.conflicts) == (1 / 2, 1 / 2)
    assert [(one.place, one.labels) for one in red.wrong] == [("train.csv:3", ("cold",)), ("train.csv:5", ("cold",))]
    assert red.suggested == laplace(1, 3) == 0.4
    assert found.covered == 4


def test_rules_that_agree_overlap_without_conflict():
    found = audit([has("red", "warm"), Rule("wide", NoneOf("cold"), Contains("red"))], table())
    assert [one.overlaps for one in found.rules] == [1, 1]
    assert [one.conflicts for one in found.rules] == [0, 0]


def test_the_interval_is_wilsons():
    # the formula's roots by hand: |p - 8/10| = z sqrt(p(1-p)/10)
    low, high = wilson(8, 10)
    for root in (low, high):
        assert (root - 0.8) ** 2 == pytest.approx(1.959963984540054**2 * root * (1 - root) / 10)
    assert wilson(0, 10)[0] == 0
    assert 0 < wilson(0, 10)[1] < 0.3
    assert wilson(0, 0) is None


def test_rules_that_never_fire_are_named():
    assert audit([has("red", "warm"), has("green", "cold")], table()).never == ("green-cold",)


def test_rules_that_say_the_same_of_the_same_examples_are_duplicates_however_they_are_written():
    rules = [has("blue", "cold"), Rule("same", Not(Label("warm")), Regex("blu+e")), has("red", "cold")]
    assert audit(rules, table()).duplicates == (("blue-cold", "same"),)


def test_a_rule_that_another_says_already_is_implied_by_it():
    rules = [has("red", "warm"), Rule("narrow", Or(Label("warm"), Label("cold")), Contains("red warm")),
             Rule("narrower", Label("warm"), Contains("red warm"))]  # fmt: skip
    found = {one.rule: one.by for one in audit(rules, table()).implied}
    assert found == {"narrow": (), "narrower": ("red-warm",)}


def test_a_hard_rule_is_not_implied_by_a_soft_one():
    rules = [has("red", "warm"), Rule("hard", Label("warm"), Contains("red warm"), hard=True)]
    assert audit(rules, table()).implied == ()


def test_hard_rules_that_leave_an_example_no_answer_are_named_with_the_example():
    rules = [has("red", "warm", hard=True), has("blue", "cold", hard=True), has("grey", "warm", hard=True)]
    found = audit(rules, table())
    assert found.contradictions == (Contradiction(("red-warm", "blue-cold"), False, 1, ("train.csv:5",)),)
    assert not found.sound


def test_soft_rules_may_disagree():
    assert audit([has("red", "warm"), has("blue", "cold")], table()).sound


def test_a_contradiction_needs_no_table_where_the_conditions_are_the_same():
    rules = [has("red", "warm", hard=True), has("red", "cold", hard=True), has("blue", "cold", hard=True)]
    (one,) = audit(rules).contradictions
    assert (one.rules, one.always, one.examples) == (("red-warm", "red-cold"), True, 0)


def test_the_contradiction_named_is_as_small_as_can_be():
    rules = [
        Rule("a", Not(Label("x")), hard=True),
        Rule("b", Not(Label("y")), hard=True),
        Rule("c", Or(Label("x"), Label("y")), hard=True),
        Rule("d", Label("z"), hard=True),
        Rule("e", Not(Label("z")), hard=True),
    ]
    found = audit(rules, number="several")
    assert {one.rules for one in found.contradictions} >= {("d", "e")}


def test_without_labels_there_may_be_one_that_no_rule_speaks_of():
    assert audit([Rule("neither", NoneOf("a", "b"), hard=True)]).sound
    assert not audit([Rule("neither", NoneOf("cold", "warm"), hard=True)], table()).sound


def test_lists_of_labels_make_a_table_of_several_labels():
    labels = [["warm", "red"], ["cold"], ["cold"], ["cold", "red"], []]
    rules = [Rule("red", Implies(Label("red"), Label("warm")), Contains("red"), hard=True), has("grey", "warm")]
    found = audit(rules, table(labels))
    assert found.several
    assert [(one.labelled, one.right) for one in found.rules] == [(3, 2), (1, 0)]
    assert found.votes is None
    assert found.sound


def test_a_label_that_the_table_does_not_have_is_told_with_the_nearest():
    (problem,) = audit([has("red", "wram", place="rules.yaml:3:5")], table()).problems
    assert problem.startswith("rules.yaml:3:5: rule 'red-wram': 'wram' is not a label of this table")
    assert problem.endswith("did you mean 'warm'?")


def test_the_majority_vote_counts_ties_by_their_chance_and_hard_rules_take_votes_away():
    rules = [has("red", "warm"), has("blue", "cold")]
    found = audit(rules, table()).votes
    assert (found.covered, found.labelled, found.ties) == (4, 4, 1)
    assert found.accuracy == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    hard = Rule("never warm", NoneOf("warm"), Contains("red cold", "blue red"), hard=True)
    decided = audit([*rules, hard], table()).votes
    assert decided.ties == 0
    assert decided.accuracy == 1


def test_numbers_as_labels_are_the_same_as_their_text():
    data = table(["1", "0", "0", "0", "1"])
    found = audit([Rule("one", Label(1), Contains("warm"))], data)
    assert found.rules[0].right == 1
    assert found.sound


def test_rules_about_tags_are_counted_where_they_fire_and_no_more():
    found = audit([Rule("tags", NeverFollows("O", "I-*"), Contains("red"))], table())
    assert (found.rules[0].fires, found.rules[0].accuracy, found.rules[0].conflicts) == (3, None, None)


NAMES = ("a", "b", "c", "d")


def formulas():
    def larger(inner):
        lists = st.lists(inner, min_size=1, max_size=3)
        counts = st.builds(
            lambda kind, k, of: kind(k, of), st.sampled_from([AtLeast, AtMost, Exactly]), st.integers(0, 3), lists
        )
        pairs = st.builds(lambda kind, one, other: kind(one, other), st.sampled_from([Implies, Iff]), inner, inner)
        return st.one_of(
            counts, pairs, st.builds(Not, inner), lists.map(lambda of: And(*of)), lists.map(lambda of: Or(*of))
        )

    return st.recursive(st.sampled_from(NAMES).map(Label), larger, max_leaves=6)


def sets():
    return chain.from_iterable(combinations(NAMES, size) for size in range(len(NAMES) + 1))


@settings(max_examples=60, deadline=None)
@given(st.lists(formulas(), min_size=1, max_size=4))
def test_the_search_says_what_trying_every_set_of_labels_says(drawn):
    plains = [plain(one) for one in drawn]
    expected = any(all(one.holds(true) for one in drawn) for true in sets())
    assert satisfiable(plains) == expected
    assert SeveralLabels(NAMES).possible(plains) == expected


@settings(max_examples=60, deadline=None)
@given(st.lists(formulas(), min_size=1, max_size=4), formulas())
def test_one_label_is_enumerated(premises, conclusion):
    answers = OneLabel(NAMES)
    left = [name for name in NAMES if all(one.holds((name,)) for one in premises)]
    assert answers.possible([plain(one) for one in premises]) == bool(left)
    follows = all(conclusion.holds((name,)) for name in left)
    assert answers.entails([plain(one) for one in premises], plain(conclusion)) == follows


def test_a_search_that_is_too_large_is_counted_not_awaited(monkeypatch):
    monkeypatch.setattr("triune.audit.satisfying.DEAD_ENDS", 20)
    # pigeons: 11 into 10 holes, a proof by cases of exponential length
    pigeons = [Rule(f"p{p}", Or(*(Label(f"{p}in{h}") for h in range(10))), hard=True) for p in range(11)]
    holes = [Rule(f"h{h}", AtMost(1, [f"{p}in{h}" for p in range(11)]), hard=True) for h in range(10)]
    assert audit([*pigeons, *holes], number="several").undecided


def test_thousands_of_labels_in_a_hierarchy_are_decided():
    rules = [Rule(f"r{n}", Implies(Label(f"l{n}"), Label(f"l{n // 2}")), hard=True) for n in range(1, 500)]
    found = audit([*rules, Rule("leaf", Label("l400"), hard=True)], number="several")
    assert not found.undecided
    assert found.sound


def test_rules_about_tokens_and_sequences_are_judged_by_the_tags_where_they_speak():
    tokens = [["bob", "in", "oslo"], ["oslo", "is", "far"], ["new", "york"], ["oslo", "bob"]]
    tags = [["B-PER", "O", "B-LOC"], ["B-LOC", "O", "O"], ["B-LOC", "I-LOC"], ["O", "B-PER"]]
    data = Data(
        {"train": pd.DataFrame({"text": pd.Series(tokens, dtype=object), "label": pd.Series(tags, dtype=object)})},
        {"text": "text", "label": "label"},
    )
    city, order = audit(
        [Rule("city", Span("LOC"), Token("oslo", "new york")), Rule("order", bio("LOC", "PER"))], data
    ).rules
    assert (city.fires, city.labelled, city.right) == (4, 4, 3)
    assert city.wrong[0].labels == ("O",)
    assert (order.labelled, order.right) == (4, 4)
