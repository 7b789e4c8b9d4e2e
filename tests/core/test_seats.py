"""The rules of one seat: which act, on which examples, and whether hard ones leave an answer."""

import numpy as np
import pytest
import torch

import triune
from tests.support import Tables, config, plugins, table
from triune import Label, Rule, Seat, SoftFormula, hookimpl
from triune.conditions import Contains
from triune.seats import counting, seated
from triune.spaces import Categorical
from triune.testing.toys import Reader
from triune.types import Batch, GroundedRules

SPACE = Categorical(("a", "b", "c"))


def grounded(rules, fires):
    return GroundedRules(tuple(rules), {"train": np.asarray(fires, dtype=bool)}, space=SPACE)


def hard(name, then):
    return Rule(name, then, Contains("x"), hard=True)


def batch(examples):
    ones = torch.ones(examples)
    return Batch(torch.arange(examples), {}, torch.zeros(examples, 3), ones, ones)


def test_only_rules_of_the_seat_act_and_a_soft_formula_fires_as_well():
    truth = SoftFormula(lambda outputs, batch: outputs.scores[:, 0])
    rules = Rule("a", Label("a")), Rule("s", truth), Rule("b", Label("b"), seats=frozenset({Seat.LABELS}))
    mine = seated(grounded(rules, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]), Seat.LOSS)
    assert [rule.name for rule in mine.rules] == ["a"] and mine.formulas == (Label("a"),)
    assert mine.fires(batch(3)).tolist() == [[True, False, False]]
    assert mine.fired(batch(3)).tolist() == [True, True, False]


def test_no_rule_of_the_seat_is_none():
    assert seated(grounded([Rule("b", Label("b"), seats=frozenset({Seat.LABELS}))], [[1]]), Seat.LOSS) is None


def test_contradictions_name_the_smallest_set_of_rules_and_the_examples():
    rules = [
        hard("a", Label("a")),
        hard("not c", ~Label("c")),
        hard("b", Label("b")),
        Rule("soft", Label("c"), Contains("x")),
    ]
    fires = [[1, 1, 0, 1], [1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]]
    (problem,) = seated(grounded(rules, fires), Seat.LOSS).contradictions()
    assert "'a', 'b' contradict each other" in problem and "'not c'" not in problem
    assert problem.endswith("they leave no answer on train: row 0, train: row 3")


def test_rules_that_leave_an_answer_are_no_contradiction():
    rules = [hard("a or b", Label("a") | Label("b")), hard("b or c", Label("b") | Label("c"))]
    assert seated(grounded(rules, np.ones((2, 4))), Seat.LOSS).contradictions() == []


@pytest.mark.parametrize(("on", "counts"), [("all", [1, 1]), ("unlabelled", [0, 1]), ("labelled", [1, 0])])
def test_examples_learn_from_rules_by_whether_they_have_a_label(on, counts):
    assert counting(on, torch.tensor([1.0, 0.0])).tolist() == counts


def test_an_example_knows_where_it_was_written_also_in_the_unlabelled_table():
    places = []

    class Asking(Reader):
        @hookimpl
        def loss_terms(self, rules, train):
            places.extend(rules.place("train", example) for example in range(len(train)))
            return ()

    class Mine:
        @hookimpl
        def rules(self):
            return [Rule("r", Label("warm"))]

    unlabelled = table(2, seed=2).drop(columns="label")
    unlabelled.index += 10
    given = plugins(data=Tables(train=table(3), unlabelled=unlabelled), ask=Asking(), mine=Mine())
    triune.plan(config("all", "ask", "mine", early_stopping=None, validation=0.0), plugins=given)
    assert places == ["train: row 0", "train: row 1", "train: row 2", "unlabelled: row 10", "unlabelled: row 11"]
