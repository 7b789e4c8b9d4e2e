"""Confidences estimated from labels: the closed form, whose labels count, and what is above chance."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune import Data, Label, Rule, SoftFormula
from triune.confidences import PRIOR, SURE, Evidence, estimated, evidence_of, lift
from triune.logic import EachIs, Implies
from triune.spaces import Categorical, Tags
from triune.token_rules import TokenRules
from triune.types import GroundedRules

A, B = Label("a"), Label("b")


def data_of(texts, cells):
    table = pd.DataFrame({"text": pd.Series(texts, dtype=object), "label": pd.Series(cells, dtype=object)})
    return Data({"train": table}, {"text": "text", "label": "label"})


def grounded(rules, fires, data, space=None, **others):
    space = space or Categorical(("a", "b"))
    return GroundedRules(tuple(rules), {"train": np.asarray(fires, dtype=bool)}, space=space, data=data, **others)


def test_rows_that_differ_and_have_a_label_are_evidence_where_a_rule_fires():
    data = data_of(["x", "x", "y", "z", "w"], ["a", "a", "b", None, "a"])
    rules = (Rule("r", A), Rule("s", A | B), Rule("t", Implies(B, A)), Rule("f", SoftFormula(len)))
    fires = [[1, 1, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1], [0, 0, 1, 0, 0, 0], [1] * 6]  # unlabelled text below
    found = evidence_of(grounded(rules, fires, data), "train")
    assert (found.kept.tolist(), found.broken.tolist(), found.examples) == ([1, 3, 0, 0], [1, 0, 1, 0], 3)
    both = found + evidence_of(grounded(rules, fires, data), "valid")  # where there is no such table
    assert (both.kept.tolist(), both.examples) == (found.kept.tolist(), 3)


def test_rows_of_one_text_that_differ_in_another_column_are_two():
    data = data_of(["x", "x"], ["a", "a"])
    table = data.train.assign(other=["p", "q"])
    data = Data({"train": table}, {**data.roles, "text_pair": "other"})
    assert evidence_of(grounded([Rule("r", A)], [[1, 1]], data), "train").judged.tolist() == [2]


def test_rules_about_tokens_are_judged_at_every_stretch():
    columns = ([0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0], [0, 1, 2])
    table = TokenRules(*map(np.asarray, columns), allowed=np.asarray([[True, False]]))
    data = data_of([["u", "v"], ["v", "w"]], [["a", "b"], ["a", "b"]])
    rules = grounded([Rule("r", EachIs("a"))], [[1, 1]], data, Tags(("a", "b")), tokens={"train": table})
    found = evidence_of(rules, "train")
    assert (found.kept.tolist(), found.judged.tolist()) == ([1], [3])


@given(st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=5))
def test_the_estimate_is_the_mean_of_a_beta_posterior_whose_prior_all_rules_moved(cases):
    rules = [Rule(f"r{number}", A, confidence=p) for number, (p, _, _) in enumerate(cases)]
    kept, judged = (np.asarray(one, dtype=float) for one in zip(*((k, k + b) for _, k, b in cases), strict=True))
    found = estimated(rules, Evidence(kept, judged, 9))
    upright = [(p, k, b) if p >= 0.5 else (1 - p, b, k) for p, k, b in cases]
    right, said = (
        1 + sum(k / (k + b + 4) for _, k, b in upright),
        1 + sum(p * (k + b) / (k + b + 4) for p, k, b in upright),
    )
    for (written, _, _), (p, k, b), one in zip(cases, upright, found, strict=True):
        prior = PRIOR * min(max(p * right / said, 1 - SURE), SURE)
        mean = (prior + k) / (PRIOR + k + b)
        assert one == pytest.approx(mean if written >= 0.5 else 1 - mean)


@given(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20))
def test_a_rule_that_says_the_opposite_is_estimated_as_the_opposite(kept, broken, sibling):
    said = [Rule("r", A, confidence=0.8), Rule("s", A, confidence=0.9)]
    opposite = [Rule("r", ~A, confidence=0.2), Rule("s", A, confidence=0.9)]
    judged = np.asarray([kept + broken, 20.0])
    one = estimated(said, Evidence(np.asarray([kept, sibling]), judged, 40))
    other = estimated(opposite, Evidence(np.asarray([broken, sibling]), judged, 40))
    np.testing.assert_allclose(other, [1 - one[0], one[1]])


def test_a_rule_that_fires_on_most_labels_is_still_one_rule_of_several():
    rules = [Rule(name, A, confidence=0.9) for name in ("broad", "u", "v", "w", "unseen")]
    found = estimated(rules, Evidence(np.asarray([0.0, 18, 18, 18, 0]), np.asarray([500.0, 20, 20, 20, 0]), 560))
    assert found[-1] > 0.6  # pooled, labels would bear out a ninth of what was written


def test_without_evidence_what_is_written_holds_and_hard_rules_and_functions_are_left_alone():
    rules = [Rule("r", A, confidence=0.8), Rule("h", A, hard=True), Rule("f", SoftFormula(len), confidence=0.6)]
    assert estimated(rules, Evidence(np.zeros(3), np.zeros(3), 0)).tolist() == [0.8, 1.0, 0.6]
    wrong = estimated(rules, Evidence(np.zeros(3), np.full(3, 50.0), 50))
    assert wrong[0] < 0.1
    assert wrong[1:].tolist() == [1.0, 0.6]


@pytest.mark.parametrize(("wrong", "least", "most"), [(0, 0.89, 0.91), (1, 0.5, 0.6), (3, 0.2, 0.35)])
def test_wrong_rules_lower_the_confidence_of_one_that_no_label_judged(wrong, least, most):
    rules = [Rule(f"{number}", A, confidence=0.9) for number in range(wrong + 1)]
    judged = np.asarray([20.0] * wrong + [0])
    assert least < estimated(rules, Evidence(judged * 0.05, judged, 20))[-1] < most


def test_a_rule_at_chance_costs_nothing_and_one_above_makes_an_ignorant_model_believe_it():
    assert lift(0.2, 0.3) == lift(0.3, 0.3) == 0
    odds = 0.25 / 0.75 * math.exp(lift(0.9, 0.25))
    assert odds / (1 + odds) == pytest.approx(0.9)
