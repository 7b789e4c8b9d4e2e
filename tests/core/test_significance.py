"""What a difference is worth: every test against the exact thing, gone through by hand."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from triune.comparing import significance
from triune.comparing.answers import WHOLE, statistic
from triune.comparing.significance import holm, interval, permutation_p, sign_p, standard_error

LABELS = ["a", "b", "c"]
cells = st.sampled_from(LABELS)


def measure(metric, gold, said):
    if metric == "accuracy":
        return float(np.mean([one == other for one, other in zip(gold, said, strict=True)]))
    labels = sorted({*gold, *said})
    return f1_score(gold, said, labels=labels, average=metric.removesuffix("_f1"), zero_division=0)


def by_hand(metric, gold, first, second):
    """Return the share of all 2^n exchanges of examples whose difference is at least as large as the one seen."""

    def difference(one, other):
        return np.mean([measure(metric, gold, said) for said in one]) - np.mean(
            [measure(metric, gold, said) for said in other]
        )

    seen = abs(difference(first, second))
    beyond = []
    for exchange in product([False, True], repeat=len(gold)):
        one = [
            [b if x else a for a, b, x in zip(*pair, exchange, strict=True)] for pair in zip(first, second, strict=True)
        ]
        other = [
            [a if x else b for a, b, x in zip(*pair, exchange, strict=True)] for pair in zip(first, second, strict=True)
        ]
        beyond.append(abs(difference(one, other)) >= seen - 1e-12)
    return np.mean(beyond)


def parts_of(metric, gold, *arms):
    found = statistic(metric, gold, [said for arm in arms for said in arm])
    return found.value, *(np.stack([found.parts(said) for said in arm]) for arm in arms)


@st.composite
def two_arms(draw, examples=6, seeds=2):
    gold = draw(st.lists(cells, min_size=examples, max_size=examples))
    arms = [[draw(st.lists(cells, min_size=examples, max_size=examples)) for _ in range(seeds)] for _ in range(2)]
    return gold, *arms


@settings(max_examples=8, deadline=None)
@given(two_arms(), st.sampled_from(["accuracy", "macro_f1", "micro_f1"]))
def test_the_permutation_test_is_that_of_all_exchanges(arms, metric):
    gold, first, second = arms
    value, one, other = parts_of(metric, gold, first, second)
    p = permutation_p(one, other, value, np.random.default_rng(0))
    # examples that both answer alike change nothing, and every exchange of the others is there equally often
    assert p == pytest.approx(by_hand(metric, gold, first, second))


def test_random_exchanges_come_near_the_exact_p(monkeypatch):
    generator = np.random.default_rng(3)
    gold = list(generator.choice(LABELS, 40))
    first = [[one if generator.random() < 0.8 else "a" for one in gold]]
    second = [[one if generator.random() < 0.6 else "b" for one in gold]]
    value, one, other = parts_of("macro_f1", gold, first, second)
    monkeypatch.setattr(significance, "DRAWS", 2**40)
    differing = int((np.abs(other - one).sum((0, 2)) > 0).sum())
    assert differing <= 20
    exact = permutation_p(one, other, value, generator)
    monkeypatch.setattr(significance, "DRAWS", 20_000)
    assert permutation_p(one, other, value, generator) == pytest.approx(exact, abs=0.015) or 2**differing <= 20_000
    monkeypatch.setattr(significance, "DRAWS", min(2**differing - 1, 20_000))
    assert permutation_p(one, other, value, generator) == pytest.approx(exact, abs=0.015)


def test_arms_that_are_alike_differ_by_chance_less_than_one_time_in_twenty():
    generator = np.random.default_rng(5)
    found = []
    for _ in range(100):
        gold = list(generator.choice(LABELS, 60))
        arms = [[[one if generator.random() < 0.7 else "c" for one in gold]] for _ in range(2)]
        value, one, other = parts_of("accuracy", gold, *arms)
        found.append(permutation_p(one, other, value, generator))
    assert np.mean(np.asarray(found) <= 0.05) <= 0.12  # 0.05 and three standard errors


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60))
def test_the_sign_test_is_the_exact_binomial_one(pairs):
    first, second = (np.asarray(side, dtype=float) for side in zip(*pairs, strict=True))
    better, worse = int((first > second).sum()), int((first < second).sum())
    expected = binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert sign_p(first, second) == pytest.approx(expected)


def test_holm_multiplies_the_smallest_p_the_most_and_keeps_the_order():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@settings(max_examples=15, deadline=None)
@given(two_arms(examples=9, seeds=1), st.sampled_from(["accuracy", "macro_f1", "micro_f1"]))
def test_a_statistic_is_the_metric(arms, metric):
    gold, (said,), _ = arms
    value, parts = parts_of(metric, gold, [said])
    assert float(value(parts[0].sum(0))) == pytest.approx(measure(metric, gold, said))


def test_several_labels_count_one_by_one_and_a_whole_answer_only_as_a_whole():
    gold, said = [["a", "b"], ["c"], []], [["a"], ["c"], []]
    value, parts = parts_of("micro_f1", gold, [said])
    assert float(value(parts[0].sum(0))) == pytest.approx(2 * 2 / (2 + 3))
    value, parts = parts_of(WHOLE, gold, [said])
    assert float(value(parts[0].sum(0))) == pytest.approx(2 / 3)


def test_tags_are_right_in_their_places_and_a_tag_that_nobody_knows_does_not_count():
    value, parts = parts_of(WHOLE, [["B", "O"], ["B", None]], [[["O", "B"], ["B", "O"]]])
    assert parts[0][:, 0].tolist() == [0.0, 1.0]
    assert float(value(parts[0].sum(0))) == 0.5


def test_a_metric_that_nobody_knows_is_no_statistic():
    assert statistic("auroc", ["a"], [["a"]]) is None


def test_the_interval_covers_the_difference_and_its_width_shrinks_with_the_examples():
    generator = np.random.default_rng(1)
    widths = []
    for count in (30, 480):
        gold = list(generator.choice(LABELS, count))
        arms = [[[one if generator.random() < right else "a" for one in gold]] for right in (0.9, 0.5)]
        value, one, other = parts_of("accuracy", gold, *arms)
        low, high = interval(one, other, value, generator)
        assert low <= float(value(one.sum(1)).mean() - value(other.sum(1)).mean()) <= high
        widths.append(high - low)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.35)


def test_the_interval_holds_the_spread_of_seeds_too():
    gold = ["a"] * 50
    steady = [["a"] * 50, ["a"] * 50]
    moody = [["a"] * 50, ["b"] * 50]  # examples alone say nothing of this: each seed answers all alike
    value, one, other = parts_of("accuracy", gold, steady, moody)
    assert interval(one, other, value, np.random.default_rng(0)) == (0.0, 1.0)


def test_the_standard_error_over_examples_is_that_of_a_share():
    gold = ["a"] * 100
    value, one = parts_of("accuracy", gold, [["a"] * 80 + ["b"] * 20])
    assert standard_error(one, value, np.random.default_rng(0)) == pytest.approx(0.04, rel=0.12)
