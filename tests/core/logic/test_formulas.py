"""Formulas print as they are written, mean what their sentences say, and are refused where they mean nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.logic.enumeration import formulas
from tests.core.logic.test_sequences import FORMULAS as OF_SEQUENCES
from triune import logic
from triune.logic import (
    And,
    AnyOf,
    AtLeast,
    AtMost,
    EveryFollowedBy,
    Exactly,
    FormulaError,
    Iff,
    Implies,
    Label,
    NeverFollows,
    NoneOf,
    Not,
    Occurs,
    Or,
    bio,
    hierarchy,
)

LABELS = ("a", "b", 3, "it's")
NAMES = {name: getattr(logic, name) for name in logic.__all__}


@given(formulas(LABELS))
def test_a_formula_is_what_its_printed_form_builds(formula):
    again = eval(repr(formula), NAMES)
    assert again == formula and hash(again) == hash(formula) and repr(again) == repr(formula)


@given(OF_SEQUENCES)
def test_a_formula_of_sequences_is_what_its_printed_form_builds(formula):
    assert eval(repr(formula), NAMES) == formula


@pytest.mark.parametrize(
    ("formula", "code"),
    [
        (Label("spam") & ~Label("ham"), "(Label('spam') & ~Label('ham'))"),
        (Label("dog") >> (Label("animal") | Label(3)), "(Label('dog') >> (Label('animal') | Label(3)))"),
        (AtMost(2, ["a", ~Label("b")]), "AtMost(2, ['a', ~Label('b')])"),
        (AnyOf("a", "b"), "AnyOf('a', 'b')"),
        (EveryFollowedBy("B-X", "I-X", "E-X"), "EveryFollowedBy('B-X', 'I-X', 'E-X')"),
        (NeverFollows("O", "I-*"), "NeverFollows(first='O', then='I-*')"),
    ],
)
def test_the_printed_form_is_what_one_would_write(formula, code):
    assert repr(formula) == code


@pytest.mark.parametrize(
    ("formula", "sentence"),
    [
        (Implies(Label("dog"), Label("animal")), "(if dog then animal)"),
        (Exactly(1, ["a", "b"]), "exactly 1 of a, b"),
        (NoneOf("a", "b"), "none of a, b"),
        (NeverFollows("O", "I-*"), "I-* never follows O"),
        (Occurs("B-*", 0, 3), "at least 0 and at most 3 times B-*"),
    ],
)
def test_a_formula_reads_as_a_sentence(formula, sentence):
    assert str(formula) == sentence


@given(st.sets(st.sampled_from("abc")))
def test_connectives_hold_when_their_parts_do(true):
    a, b, c = (name in true for name in "abc")
    one, other, third = map(Label, "abc")
    assert And(one, other, third).holds(true) == (a and b and c)
    assert Or(one, other, third).holds(true) == (a or b or c)
    assert Not(one).holds(true) == (not a)
    assert Implies(one, other).holds(true) == (not a or b)
    assert Iff(one, other).holds(true) == (a == b)
    assert AnyOf("a", "b").holds(true) == (a or b) and NoneOf("a", "b").holds(true) == (not (a or b))
    assert AtLeast(2, ["a", "b", "c"]).holds(true) == (a + b + c >= 2)
    assert AtMost(1, ["a", "b", "c"]).holds(true) == (a + b + c <= 1)
    assert Exactly(2, ["a", "b", "c"]).holds(true) == (a + b + c == 2)


def test_conjunctions_of_conjunctions_are_one():
    one, other, third = map(Label, "abc")
    assert (one & other) & third == one & (other & third) == And(one, other, third)


def test_nothing_to_satisfy_holds_and_nothing_to_choose_from_does_not():
    assert And().holds(()) and not Or().holds(()) and AtMost(0, []).holds(())


def test_a_hierarchy_says_that_children_imply_parents_at_any_depth():
    tree = hierarchy({"animal": {"dog": ["poodle"], "cat": None}, "plant": "moss"})
    assert set(tree.inner) == {
        Implies(Label("dog"), Label("animal")),
        Implies(Label("cat"), Label("animal")),
        Implies(Label("poodle"), Label("dog")),
        Implies(Label("moss"), Label("plant")),
    }


def test_labels_are_those_named_and_globs_name_none():
    assert (Label("a") >> AtMost(1, ["b", "c"])).labels == {"a", "b", "c"}
    assert bio("X").labels == {"I-X", "B-X"} and NeverFollows("O", "I-*").labels == {"O"}


@pytest.mark.parametrize("kind", [AtLeast, AtMost, Exactly])
def test_a_text_in_place_of_a_list_of_labels_is_refused(kind):
    with pytest.raises(FormulaError, match="needs a list"):
        kind(1, "spam")


def test_formulas_are_values():
    assert len({AnyOf("a"), AnyOf("a"), NoneOf("a")}) == 2
    with pytest.raises(AttributeError):
        AnyOf("a").of = ()
