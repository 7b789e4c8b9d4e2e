"""A function under the decorator `rule` is a rule."""

import pytest

from triune import Label, Rule, Seat, rule
from triune.errors import RuleError
from triune.logic import NoneOf


def test_a_decorated_function_is_a_rule_that_knows_where_it_stands():
    @rule(then="spam", confidence=0.9, seats=[Seat.LABELS], tags=["links"])
    def has_link(text: str) -> bool:
        """Nobody else sends links."""
        return "http" in text

    assert isinstance(has_link, Rule)
    assert (has_link.name, has_link.then, has_link.confidence) == ("has-link", Label("spam"), 0.9)
    assert (has_link.note, has_link.tags) == ("Nobody else sends links.", {"links"})
    assert has_link.where.endswith("test_functions.py:11: rule 'has-link'")
    assert has_link.when.fn("http://x")


def test_it_takes_a_formula():
    assert rule(then=NoneOf("a", "b"), hard=True, name="n")(lambda text: True).then == NoneOf("a", "b")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"then": ""}, "then is ''"),
        ({"then": True}, "then is True"),
        ({"then": ["a"]}, r"then is \['a'\]"),
        ({"then": "a", "confidence": 0}, "confidence is 0"),
        ({"then": "a", "confidence": 2}, "confidence is 2"),
        ({"then": "a", "confidence": 0.9, "hard": True}, "a hard rule has no confidence"),
    ],
)
def test_what_makes_no_rule_is_refused_with_the_place_of_the_function(settings, message):
    with pytest.raises(RuleError, match=rf"test_functions\.py:\d+: .*{message}"):
        rule(**settings)(lambda text: True)


def test_what_is_no_function_is_refused():
    with pytest.raises(RuleError, match="above a function of the text"):
        rule(then="a")("text")
