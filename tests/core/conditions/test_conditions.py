"""Every condition says what it is meant to, abstains where it cannot be asked, and shares its work."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune import ALWAYS, Label, Rule, rule
from triune.conditions import (
    AllTrue,
    AnyTrue,
    Column,
    Contains,
    ContainsAll,
    EndsWith,
    Length,
    NotTrue,
    Python,
    Regex,
    Script,
    StartsWith,
    TextMatches,
    ground_all,
)
from triune.conditions.automaton import Automaton
from triune.conditions.texts import runs_away
from triune.errors import RuleError

ROLES = {"text": "text"}
SLOW = r"^(a|aa)+$"
SLOW_TEXT = "a" * 60 + "!"


def frame(*texts, **columns):
    return pd.DataFrame({"text": list(texts), **columns}, dtype=object)


def holds(condition, *texts, **columns):
    return condition.ground(frame(*texts, **columns), ROLES).tolist()


def grounded(condition, *texts, **columns):
    found = ground_all([Rule("r", Label("a"), condition)], frame(*texts, **columns), ROLES)
    return found.fires[0].tolist(), int(found.abstained[0]), found.reasons.get("r", "")


@pytest.mark.parametrize(
    ("condition", "text", "expected"),
    [
        (Regex(r"\bwhere\b"), "Where is it", True),
        (Regex(r"\bwhere\b", case=True), "Where is it", False),
        (Regex(r"\bwhere\b"), "nowhere", False),
        (Contains("cost"), "What does it COST?", True),
        (Contains("cost"), "costs", False),
        (Contains("cost", inside=True), "costs", True),
        (Contains("US", case=True), "tell us", False),
        (Contains("how much"), "how  much is it", True),
        (Contains("how much"), "how very much", False),
        (Contains("don't"), "I don’t know", True),
        (Contains("c++"), "I like C++!", True),
        (Contains("café"), "the cafe\u0301 there", True),
        (Contains("हिन्दी"), "मैं हिन्दी बोलता", True),
        (Contains("हिन"), "मैं हिन्दी बोलता", False),
        (Contains("a", "zebra"), "b c", False),
        (Contains("x y", inside=True), "ax  yb", True),
        (ContainsAll("not", "arrived"), "it has not arrived", True),
        (ContainsAll("not", "arrived"), "it has arrived", False),
        (StartsWith("dear"), "  Dear all", True),
        (StartsWith("dear", case=True), "Dear all", False),
        (StartsWith("dear", "hello"), "hello", True),
        (EndsWith("?"), "really? ", True),
        (EndsWith("?"), "really?!", False),
        (Length(at_most=2), "two words", True),
        (Length(at_least=3), "two words", False),
        (Length(at_least=9, unit="characters"), "two words", True),
        (Script("Cyrillic"), "привет you", True),
        (Script("Cyrillic"), "hello you да", False),
        (Script("Cyrillic", share=0.2), "hello you да", True),
        (Script("Latin"), "123", False),
        (Script("Han"), "漢字", True),
        (AllTrue(Contains("a"), Contains("b")), "a b", True),
        (AllTrue(Contains("a"), Contains("b")), "a c", False),
        (AnyTrue(Contains("a"), Contains("b")), "b c", True),
        (NotTrue(Contains("a")), "b", True),
        (TextMatches(lambda text: re.search("b+", text)), "abb", True),
        (TextMatches(lambda text: None), "abb", False),
        (Python("builtins:bool"), "abb", True),
    ],
    ids=str,
)
def test_a_condition_holds_where_it_should(condition, text, expected):
    assert holds(condition, text) == [expected]


@pytest.mark.parametrize(
    ("how", "value", "cell", "expected"),
    [
        ("at_least", 4, "4", True),
        ("at_least", 4, 3.5, False),
        ("above", 4, "4.0", False),
        ("below", 4, -1, True),
        ("at_most", 4, "4", True),
        ("equals", 4, "4.0", True),
        ("equals", "DE", "DE", True),
        ("equals", True, "true", True),
        ("differs_from", "DE", "FR", True),
        ("in", ("DE", "FR"), "FR", True),
        ("in", (1, 2), "3", False),
        ("before", "2024-02-01", "2024-01-31", True),
        ("after", "2024-02-01", "2024-02-01T00:00:01", True),
        ("after", "2024-02-01", "2024-02-01T00:30:00+01:00", False),
        ("before", "2024-02-01", pd.Timestamp("2024-01-01"), True),
        ("missing", True, None, True),
        ("missing", False, "x", True),
    ],
)
def test_a_column_compares(how, value, cell, expected):
    assert holds(Column("c", how, value), "text", c=[cell]) == [expected]


def test_an_empty_cell_fires_neither_a_comparison_nor_its_negation_and_is_counted():
    comparison = Column("stars", "at_least", 4)
    stars = ["5", "", None, "1", "many"]
    assert grounded(comparison, *"abcde", stars=stars)[:2] == ([True, False, False, False, False], 3)
    assert grounded(NotTrue(comparison), *"abcde", stars=stars)[:2] == ([False, False, False, True, False], 3)


def test_a_text_condition_may_read_another_column():
    assert holds(Contains("urgent", column="subject"), "urgent", "b", subject=["no", "URGENT!"]) == [False, True]
    assert holds(Regex("^u", column="subject"), "urgent", "b", subject=[None, "u"]) == [False, True]


def test_a_pattern_that_takes_too_long_abstains_on_that_text_and_its_negation_too():
    fires, abstained, reason = grounded(Regex(SLOW), "aaa", SLOW_TEXT, "b")
    assert (fires, abstained) == ([True, False, False], 1)
    assert "TimeoutError" in reason
    assert grounded(NotTrue(Regex(SLOW)), "aaa", SLOW_TEXT, "b")[:2] == ([False, False, True], 1)


def test_a_pattern_that_takes_too_long_again_and_again_is_given_up(monkeypatch):
    monkeypatch.setattr("triune.conditions.texts.PATIENCE", 2)
    fires, abstained, reason = grounded(Regex(SLOW), *[SLOW_TEXT] * 50, "aaa")
    assert (any(fires), abstained) == (False, 51)
    assert "after 2 of these, not asked any more" in reason


def test_what_is_certain_is_not_lost_to_what_abstains():
    slow, sure = Regex(SLOW), Contains("sure")
    assert grounded(AnyTrue(slow, NotTrue(sure)), SLOW_TEXT)[:2] == ([True], 0)
    assert grounded(AllTrue(slow, sure), SLOW_TEXT)[:2] == ([False], 0)
    assert grounded(AnyTrue(slow, sure), SLOW_TEXT)[:2] == ([False], 1)


def test_catastrophic_patterns_are_found_out_and_sound_ones_are_not():
    assert runs_away(SLOW)
    assert runs_away(r"^(\w|\w\w)*[0-9]$")
    assert not any(runs_away(one) for one in (r"\bwhere\b", r"(\w+)@(\w+)\.com", r"^\s*(hi|hello)[,!. ]"))


def test_a_function_that_raises_abstains_and_is_counted():
    fires, abstained, reason = grounded(TextMatches(lambda text: text[2] == "c"), "abc", "a", "")
    assert (fires, abstained) == ([True, False, False], 2)
    assert reason.startswith("IndexError")


@pytest.mark.parametrize("answer", ["spam", 1, 0.5, ["x"], np.array([True, False])])
def test_a_function_that_returns_nonsense_is_refused_with_its_place(answer):
    spam = rule(then="spam")(lambda text: answer)
    with pytest.raises(RuleError, match=r"test_conditions\.py:\d+.*wanted true or false"):
        ground_all([spam], frame("a"), ROLES)


def test_a_column_that_is_not_there_is_named_with_its_rule_and_the_nearest():
    rules = [
        Rule("good", Label("a"), Contains("a")),
        Rule("stars", Label("a"), NotTrue(Column("strs", "above", 3)), place="rules.yaml:7:5"),
        Rule("subject", Label("a"), Contains("x", column="sub"), place="rules.yaml:9:5"),
    ]
    with pytest.raises(RuleError) as caught:
        ground_all(rules, frame("a", stars=[1], subject=["x"]), ROLES)
    first, second = caught.value.problems
    assert first == (
        "rules.yaml:7:5: rule 'stars': no column 'strs'; columns: text, stars, subject; did you mean 'stars'?"
    )
    assert second.startswith("rules.yaml:9:5: rule 'subject': no column 'sub'")


def test_a_condition_may_not_read_the_labels():
    with pytest.raises(RuleError, match="holds the labels"):
        Contains("x", column="intent").ground(frame("a", intent=["x"]), {"text": "text", "label": "intent"})


def test_a_comparison_that_no_cell_allows_is_refused():
    with pytest.raises(RuleError, match="no cell of column 'c' can be compared with 3: 'x'"):
        holds(Column("c", "above", 3), "a", "b", c=["x", None])


def test_a_strangers_condition_is_asked_and_checked():
    class Even:
        def ground(self, examples, roles):
            return np.arange(len(examples)) % 2 == 0

    class Wrong:
        def ground(self, examples, roles):
            return [1, 2]

    assert grounded(NotTrue(Even()), "a", "b")[0] == [False, True]
    with pytest.raises(RuleError, match="return true or false for each of 2 examples"):
        grounded(Wrong(), "a", "b")


def test_equal_conditions_are_grounded_once_and_phrases_found_in_one_pass(monkeypatch):
    asked, passes = [], []
    spy = TextMatches(lambda text: bool(asked.append(text)))
    build = Automaton.__init__
    monkeypatch.setattr(Automaton, "__init__", lambda self, *given: (passes.append(1), build(self, *given))[1])
    rules = [Rule(str(n), Label("a"), Contains(f"word{n}", "other")) for n in range(20)]
    nested = Rule("nested", Label("a"), NotTrue(AllTrue(Contains("word3"), ContainsAll("word4", "x"))))
    found = ground_all(
        [Rule("a", Label("a"), spy), Rule("b", Label("a"), spy), *rules, nested], frame("word3", "b"), ROLES
    )
    assert asked == ["word3", "b"]
    assert len(passes) == 1
    assert found.fires[2:, 0].nonzero()[0].tolist() == [3, 20]


def test_rules_without_a_condition_fire_everywhere():
    found = ground_all([Rule("r", Label("a"))], frame("a", "b"), ROLES)
    assert found.fires.all()
    assert ALWAYS.ground(frame("a"), ROLES).tolist() == [True]


VALUES = [
    Regex("a+", case=True), Contains("a", "b", inside=True, column="c"), ContainsAll("a"), StartsWith("a", case=True),
    EndsWith("a", column="c"), Length(1, 3, "characters"), Script("Greek", 0.3), Column("c", "in", (1, "x")),
    Python("os:getcwd"), NotTrue(AllTrue(Contains("a"), AnyTrue(Regex("b")))),
]  # fmt: skip


@pytest.mark.parametrize("condition", VALUES, ids=str)
def test_a_condition_prints_as_it_is_written_and_is_a_value(condition):
    again = eval(repr(condition))
    assert again == condition
    assert hash(again) == hash(condition)


@given(st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=8), st.text("abc", max_size=30))
def test_the_automaton_finds_what_searching_one_by_one_finds(sequences, text):
    expected = {number for number, one in enumerate(sequences) if one in text}
    assert Automaton(sequences).occurring(text) == expected


PHRASES = st.lists(st.sampled_from(["ab", "a b", "b", "a-b", "'b"]), min_size=1, max_size=4, unique=True)


@given(PHRASES, st.text("ab -'", max_size=20))
def test_whole_phrases_are_sequences_of_words_and_signs(phrases, text):
    def split(one):
        return re.findall(r"\w+|[^\w\s]", one)

    words = split(text)
    wanted = [split(one) for one in phrases]
    expected = any(words[at : at + len(one)] == one for one in wanted for at in range(len(words)))
    assert holds(Contains(*phrases), text) == [expected]
