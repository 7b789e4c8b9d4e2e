"""Tables: roles, places, and a validation table that is set aside fairly."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triune.data import Data, Source, label_set, set_aside_validation
from triune.errors import DataError

ROLES = {"text": "text", "label": "label"}


def data_of(labels):
    labels = pd.Series(labels, dtype=object)
    table = pd.DataFrame({"text": [f"t{n}" for n in range(len(labels))], "label": labels})
    return Data({"train": table}, ROLES, {"train": Source("train.csv", "line", "", len(labels))})


@settings(deadline=None)
@given(st.lists(st.sampled_from("aabbbcde"), min_size=1, max_size=80), st.floats(0.05, 0.5))
def test_every_class_keeps_an_example_on_both_sides_if_it_can(labels, share):
    found = set_aside_validation(data_of(labels), share, np.random.default_rng(0))
    train = Counter(found.splits["train"]["label"])
    valid = Counter(found.splits["valid"]["label"]) if "valid" in found.splits else Counter()
    assert train + valid == Counter(labels)
    for label, count in Counter(labels).items():
        assert train[label] >= 1
        assert (valid[label] >= 1) == (count >= 2)
        assert valid[label] <= max(round(count * share), 1)


def test_classes_too_small_are_named():
    found = set_aside_validation(data_of(["a"] * 10 + ["rare"]), 0.2, np.random.default_rng(0))
    assert "too small to be validated, so all in training: 'rare'" in found.notes
    assert "2 of 11 training examples set aside" in found.notes[0]


def test_lists_of_labels_count_for_their_rarest():
    labels = [["a"]] * 20 + [["a", "b"]] * 4
    found = set_aside_validation(data_of(labels), 0.25, np.random.default_rng(0))
    assert Counter(map(tuple, found.splits["valid"]["label"])) == {("a",): 5, ("a", "b"): 1}


def test_a_missing_column_is_told_with_the_nearest_name():
    table = pd.DataFrame({"txt": ["a"], "label": ["x"]})
    with pytest.raises(
        DataError, match="train: no column 'text' for the text; columns: txt, label; did you mean 'txt'"
    ):
        Data({"train": table}, ROLES)


def test_a_table_that_is_no_split_is_refused():
    with pytest.raises(DataError, match="'validation' is not a split"):
        Data({"validation": pd.DataFrame({"text": []})}, {"text": "text"})


def test_a_place_names_file_and_line():
    data = data_of(["a", "b"])
    assert data.place("train", 17) == "train.csv:17"
    assert data.place("train") == "train.csv"


@pytest.mark.parametrize(("cell", "labels"), [(None, None), ("a", ("a",)), (3, (3,)), (["a", 1], ("a", 1)), ([], ())])
def test_a_label_cell_is_a_set_of_labels(cell, labels):
    assert label_set(cell) == labels


def test_without_labels_nothing_is_set_aside_for_validation():
    found = set_aside_validation(data_of([None] * 10), 0.2, np.random.default_rng(0))
    assert set(found.splits) == {"train"}
    assert "no training example has a label, so none is set aside for validation" in found.notes
