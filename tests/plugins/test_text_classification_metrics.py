"""Metrics of text classification equal scikit-learn's, on any predictions."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from triune_text_classification.metrics import calibration_error, metrics_of

LABELS = ["a", "b", "c"]


def table(gold, predicted, probabilities):
    return pd.DataFrame(
        {
            "gold": pd.Series(gold, dtype=object),
            "predicted": pd.Series(predicted, dtype=object),
            **{f"probability of {label}": probabilities[:, place] for place, label in enumerate(LABELS)},
        }
    )


@st.composite
def single(draw):
    size = draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**31))
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(3), size)
    gold = draw(st.lists(st.sampled_from(LABELS), min_size=size, max_size=size))
    return gold, [LABELS[place] for place in probabilities.argmax(1)], probabilities


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=60)
@given(single())
def test_one_label_equals_the_reference(case):
    gold, predicted, probabilities = case
    found = metrics_of(table(gold, predicted, probabilities))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(gold, predicted))
    for average in ("macro", "micro"):
        expected = reference.precision_recall_fscore_support(gold, predicted, average=average, zero_division=0)
        assert [found[f"{average}_{name}"] for name in ("precision", "recall", "f1")] == pytest.approx(expected[:3])
    assert (
        found["confusion"]["rows_gold_columns_predicted"]
        == reference.confusion_matrix(gold, predicted, labels=LABELS).tolist()
    )
    for label in LABELS:
        one = reference.precision_recall_fscore_support(gold, predicted, labels=[label], zero_division=0)
        row = found["per_class"][label]
        assert [row[name] for name in ("precision", "recall", "f1", "support")] == pytest.approx(
            [float(x[0]) for x in one]
        )
    areas = [
        reference.roc_auc_score([g == label for g in gold], probabilities[:, place])
        for place, label in enumerate(LABELS)
        if 0 < gold.count(label) < len(gold)
    ]
    assert found["auroc"] == (pytest.approx(np.mean(areas)) if areas else None)


@st.composite
def several(draw):
    size = draw(st.integers(1, 30))
    generator = np.random.default_rng(draw(st.integers(0, 2**31)))
    return generator.random((size, 3)) < 0.4, generator.random((size, 3))


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=60)
@given(several())
def test_several_labels_equal_the_reference(case):
    gold, probabilities = case
    predicted = probabilities > 0.5
    cells = [[[LABELS[k] for k in range(3) if row[k]] for row in matrix] for matrix in (gold, predicted)]
    found = metrics_of(table(*cells, probabilities))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(gold, predicted))
    assert found["micro_f1"] == pytest.approx(reference.f1_score(gold, predicted, average="micro", zero_division=0))
    occurring = [k for k in range(3) if gold[:, k].any() or predicted[:, k].any()]
    expected = [reference.f1_score(gold[:, k], predicted[:, k], zero_division=0) for k in occurring]
    assert found["macro_f1"] == pytest.approx(np.mean(expected) if expected else 0.0)
    assert "confusion" not in found


def test_calibration_error_of_a_case_by_hand():
    """Four predictions of 0.9 of which three are right, one of 0.6 that is wrong: (4·|0.75 − 0.9| + 0.6) / 5."""
    probabilities = np.array([[0.9, 0.1]] * 4 + [[0.6, 0.4]])
    gold = np.array([[1, 0]] * 3 + [[0, 1]] * 2)
    predicted = np.array([[1, 0]] * 5)
    assert calibration_error(gold, predicted, probabilities, several=False) == pytest.approx((0.6 + 0.6) / 5)


def test_two_labels_have_the_area_of_the_second():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    cells = pd.DataFrame(
        {"gold": ["x", "y", "y", "y"], "predicted": ["x", "y", "x", "y"]}
        | {f"probability of {label}": probabilities[:, place] for place, label in enumerate(("x", "y"))}
    )
    assert metrics_of(cells)["auroc"] == reference.roc_auc_score([0, 1, 1, 1], probabilities[:, 1])


def test_a_model_that_always_says_one_thing_is_seen():
    cells = table(["a", "b", "c"], ["a", "a", "a"], np.tile([0.5, 0.3, 0.2], (3, 1)))
    assert metrics_of(cells)["largest_predicted_share"] == 1.0
