"""Conditions on tokens point at the right ones, and what rules say of them becomes costs of tags."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triune import Rule
from triune.conditions import Contains, SpanRegex, Token, TokenRegex, TokensWhere, ground_all
from triune.conditions.view import View
from triune.logic import EachIs, EachIsNot, FormulaError, Span
from triune.token_rules import one_below_the_other, token_rules

ROLES = {"text": "text"}
BIO = ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
BIOES = ("O", "B-LOC", "I-LOC", "E-LOC", "S-LOC")


def places(condition, *rows):
    found = View(pd.DataFrame({"text": list(rows)}, dtype=object), ROLES, [condition]).places(condition)
    return list(zip(found.rows.tolist(), found.starts.tolist(), found.stops.tolist(), strict=True))


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        (Token("Paris"), [(0, 2, 3), (1, 0, 1)]),
        (Token("Paris", case=True), [(0, 2, 3)]),
        (Token("new york", "york", "new"), [(0, 4, 6)]),
        (TokenRegex(r"\d+"), [(1, 1, 2)]),
        (TokenRegex("pari"), []),
        (SpanRegex(r"paris or new"), [(0, 2, 5)]),
        (SpanRegex(r"aris or"), [(0, 3, 4)]),
        (TokensWhere(Token("paris"), Contains("75001")), [(1, 0, 1)]),
    ],
)
def test_a_condition_points_at_its_tokens_in_lists_and_in_texts(condition, found):
    assert places(condition, "live in Paris or New York", "paris 75001 , xx") == found
    assert places(condition, ["live", "in", "Paris", "or", "New", "York"], ["paris", "75001", ",", "xx"]) == found


def test_a_pattern_that_runs_away_abstains_on_that_example_and_is_counted():
    frame = pd.DataFrame({"text": ["a" * 60 + "!", "aaa"]})
    found = ground_all([Rule("slow", EachIs("O"), SpanRegex("^(a|aa)+$"))], frame, ROLES)
    assert found.fires[0].tolist() == [False, True]
    assert found.abstained.tolist() == [1]


@pytest.mark.parametrize(
    ("formula", "tags", "length", "first", "rest"),
    [
        (Span("LOC"), BIO, 1, {"B-LOC"}, {"I-LOC"}),
        (Span("LOC"), BIOES, 1, {"S-LOC"}, {"I-LOC", "E-LOC"}),
        (Span("LOC"), BIOES, 3, {"B-LOC"}, {"I-LOC", "E-LOC"}),
        (Span("LOC"), ("O", "I-LOC"), 2, {"I-LOC"}, {"I-LOC"}),
        (EachIs("*-LOC"), BIO, 2, {"B-LOC", "I-LOC"}, {"B-LOC", "I-LOC"}),
        (EachIsNot("O"), BIO, 2, set(BIO[1:]), set(BIO[1:])),
    ],
)
def test_a_formula_allows_these_tags(formula, tags, length, first, rest):
    found = formula.allowed(tags, length)
    assert [{tags[one] for one in part} for part in found] == [first, rest]


def test_a_stretch_alone_can_be_asked():
    assert Span("LOC").holds(["B-LOC", "I-LOC"]) and not Span("LOC").holds(["I-LOC"])
    assert EachIs("B-LOC", "I-LOC").holds(["B-LOC"]) and not EachIsNot("O").holds(["B-LOC", "O"])


@pytest.mark.parametrize("formula", [EachIs("B-LCO"), Span("LCO")])
def test_an_unknown_tag_or_kind_is_named_with_the_nearest(formula):
    with pytest.raises(FormulaError, match=r"did you mean '(B-)?LOC'"):
        formula.allowed(BIO, 1)


WORDS = st.lists(st.sampled_from(["paris", "new", "york", "7"]), min_size=1, max_size=6)
RULES = [
    Rule("city", Span("LOC"), Token("paris", "new york")),
    Rule("number", EachIs("O"), TokenRegex(r"\d")),
    Rule("named", EachIsNot("O"), SpanRegex("new york 7")),
]
NATS = (2.0, 0.5, 1.25)


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=4), st.data())
def test_costs_and_what_is_broken_are_those_of_asking_every_stretch(rows, data):
    frame = pd.DataFrame({"text": pd.Series(rows, dtype=object)})
    where = ground_all(RULES, frame, ROLES).places
    table = token_rules(RULES, where, BIO)
    picked = np.asarray(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=3)))
    sequences = [data.draw(st.lists(st.integers(0, 4), min_size=len(row), max_size=len(row))) for row in rows]
    costs = table.penalties(picked, 4, NATS)
    broken = {}
    for rule, found in where.items():
        for row, start, stop in zip(found.rows, found.starts, found.stops, strict=True):
            tags = [BIO[tag] for tag in sequences[row][start:stop]]
            broken.setdefault((rule, int(row)), []).append(not RULES[rule].then.holds(tags))
    told = {}
    for rule, row, wrong in table.broken(sequences):
        told.setdefault((rule, row), []).append(wrong)
    assert {key: sorted(value) for key, value in told.items()} == {key: sorted(value) for key, value in broken.items()}
    for number, row in enumerate(picked):
        for token in range(min(4, len(rows[row]))):
            wanted = [_cost(where, row, token, tag) for tag in range(len(BIO))]
            assert np.allclose(np.zeros(5) if costs is None else costs[number, token].numpy(), wanted)


def _cost(where, row, token, tag):
    total = 0.0
    for rule, found in where.items():
        for one, start, stop in zip(found.rows, found.starts, found.stops, strict=True):
            if one == row and start <= token < stop:
                first, rest = RULES[rule].then.allowed(BIO, stop - start)
                total += NATS[rule] * (tag not in (first if token == start else rest))
    return total


def test_two_tables_one_below_the_other_are_as_one():
    first, second = [["paris", "7"], ["new", "york"]], [["7"], ["paris"]]
    whole, one, other = (
        token_rules(RULES, ground_all(RULES, pd.DataFrame({"text": pd.Series(rows, dtype=object)}), ROLES).places, BIO)
        for rows in (first + second, first, second)
    )
    joined = one_below_the_other(one, other, 2)
    rows = np.arange(4)
    assert np.array_equal(joined.penalties(rows, 2, NATS), whole.penalties(rows, 2, NATS))
    tags = [[0, 1], [1, 2], [1], [0]]
    assert sorted(joined.broken(tags)) == sorted(whole.broken(tags))
