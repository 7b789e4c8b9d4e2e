"""Rules in a run: what the task cannot have is refused with its line, what abstains is told in the plan."""

import pytest

import triune
from tests.support import config, plugins
from triune import Label, Rule, TextMatches, hookimpl
from triune.conditions import Column, Contains
from triune.errors import PlanError, RuleError


class Rules:
    def __init__(self, *rules):
        self.given = rules

    @hookimpl
    def rules(self):
        return self.given

    @hookimpl
    def constrain_outputs(self, outputs):
        return outputs


def plan(*rules):
    return triune.plan(config("all", "mine"), plugins=plugins(mine=Rules(*rules)))


def test_an_unknown_label_is_refused_with_the_line_of_the_rule_and_the_nearest_label():
    with pytest.raises(PlanError) as caught:
        plan(Rule("a", Label("wram"), place="rules.yaml:14:5"), Rule("b", Label("warm"), place="rules.yaml:19:5"))
    (problem,) = caught.value.problems
    assert problem.startswith("rules.yaml:14:5: rule 'a': 'wram' is not a label of this task; labels: ")
    assert problem.endswith("; did you mean 'warm'?")


def test_two_rules_of_one_name_are_refused_with_both_places():
    with pytest.raises(PlanError, match=r"b\.yaml:2:5: two rules are called 'a' \(the other is at a\.yaml:2:5\)"):
        plan(Rule("a", Label("warm"), place="a.yaml:2:5"), Rule("a", Label("cold"), place="b.yaml:2:5"))


def test_an_unknown_column_is_refused_with_rule_line_and_table():
    with pytest.raises(RuleError) as caught:
        plan(Rule("a", Label("warm"), Column("stars", "above", 3), place="rules.yaml:14:5"))
    assert str(caught.value).startswith("rules.yaml:14:5: rule 'a': no column 'stars'; columns: text")


def test_what_abstains_is_told_in_the_plan_with_table_and_reason():
    def second_word_is_red(text):
        return text.split()[99] == "red"

    found = plan(
        Rule("a", Label("warm"), TextMatches(second_word_is_red), place="mine.py:3"),
        Rule("b", Label("cold"), Contains("x")),
    )
    (note,) = [note for note in found.notes if "abstains" in note]
    assert note.startswith("mine.py:3: rule 'a' abstains on examples (")
    assert "of train" in note
    assert note.endswith("IndexError: list index out of range")
