"""Confidences estimated from labels: the closed form, whose labels count, and what is above chance."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from triune import Label, Rule, SoftFormula
from triune.confidences import PRIOR, SURE, TRUST, Evidence, estimated, evidence_of, lift
from triune.examples import Examples, Ragged
from triune.logic import EachIs
from triune.spaces import Categorical, Tags
from triune.token_rules import TokenRules
from triune.types import GroundedRules

A, B = Label("a"), Label("b")


def examples(cells, texts=None, **others):
    targets = np.asarray([[cell == "a", cell == "b"] for cell in cells], dtype=np.float32)
    ids = Ragged.of([[number] for number in texts or range(len(cells))], 0)
    labelled = np.asarray([cell is not None for cell in cells], dtype=np.float32)
    return Examples({"input_ids": ids}, targets, labelled, np.ones(len(cells), dtype=np.float32), **others)


def grounded(rules, fires, space=None, **others):
    space = space or Categorical(("a", "b"))
    return GroundedRules(tuple(rules), {"train": np.asarray(fires, dtype=bool)}, space=space, **others)


def test_only_distinct_examples_with_a_label_of_their_own_are_evidence():
    train = examples(["a", "a", "b", None, "b"], texts=[1, 1, 2, 3, 4])
    train = train.with_targets(train.targets, np.ones(5, dtype=np.float32), decided=np.asarray([0, 0, 0, 1, 0], bool))
    train.targets[3] = (1, 0)  # what rules decided
    found = evidence_of(grounded([Rule("r", A), Rule("s", B)], [[1, 1, 1, 1, 0], [0, 0, 0, 0, 1]]), train)
    assert (found.kept.tolist(), found.judged.tolist(), found.examples) == ([1, 1], [2, 1], 3)


def test_rules_about_tokens_are_judged_at_every_stretch():
    tags = np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    ids = Ragged.of([[7, 8], [8, 9]], 0)
    train = Examples(
        {"input_ids": ids}, tags, np.ones(2, np.float32), np.ones(2, np.float32), bounds=np.arange(0, 5, 2)
    )
    columns = ([0, 0, 1], [0, 1, 1], [0, 0, 0], [0, 0, 0], [0, 1, 2])
    table = TokenRules(*map(np.asarray, columns), allowed=np.asarray([[True, False]]))
    rules = grounded([Rule("r", EachIs("a"))], [[1, 1]], Tags(("a", "b")), tokens={"train": table})
    found = evidence_of(rules, train)
    assert (found.kept.tolist(), found.judged.tolist()) == ([1], [3])


@given(st.lists(st.tuples(st.floats(0.3, 0.99), st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=5))
def test_the_estimate_is_the_mean_of_a_beta_posterior_whose_prior_all_rules_moved(cases):
    rules = [Rule(f"r{number}", A, confidence=p) for number, (p, _, _) in enumerate(cases)]
    kept, judged = (np.asarray(one, dtype=float) for one in zip(*((k, k + b) for _, k, b in cases), strict=True))
    found = estimated(rules, Evidence(kept, judged, 9))
    trust = (TRUST + sum(k for _, k, _ in cases)) / (TRUST + sum(p * (k + b) for p, k, b in cases))
    for (p, k, b), one in zip(cases, found, strict=True):
        prior = PRIOR * min(max(p * trust, 1 - SURE), SURE)
        assert one == pytest.approx((prior + k) / (PRIOR + k + b))


def test_without_evidence_what_is_written_holds_and_hard_rules_and_functions_are_left_alone():
    rules = [Rule("r", A, confidence=0.8), Rule("h", A, hard=True), Rule("f", SoftFormula(len), confidence=0.6)]
    assert estimated(rules, Evidence(np.zeros(3), np.zeros(3), 0)).tolist() == [0.8, 1.0, 0.6]
    wrong = estimated(rules, Evidence(np.zeros(3), np.full(3, 50.0), 50))
    assert wrong[0] < 0.1
    assert wrong[1:].tolist() == [1.0, 0.6]


def test_wrong_rules_lower_the_confidence_of_one_that_no_label_judged():
    rules = [Rule("seen", A, confidence=0.9), Rule("unseen", A, confidence=0.9)]
    assert estimated(rules, Evidence(np.asarray([1.0, 0]), np.asarray([20.0, 0]), 20))[1] < 0.5


def test_a_rule_at_chance_costs_nothing_and_one_above_makes_an_ignorant_model_believe_it():
    assert lift(0.2, 0.3) == lift(0.3, 0.3) == 0
    odds = 0.25 / 0.75 * math.exp(lift(0.9, 0.25))
    assert odds / (1 + odds) == pytest.approx(0.9)
