"""Spaces: likelihoods equal torch's, decisions and labels survive."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from triune.errors import DataError
from triune.spaces import (
    Binaries,
    Categorical,
    Tags,
    described,
    labels_in_order,
    restored,
    tag_matrix,
    target_matrix,
)

LABELS = ("a", "b", "c")


def test_a_categorical_likelihood_is_the_cross_entropy_hard_and_soft():
    scores = torch.randn(6, 3)
    hard = torch.tensor([0, 1, 2, 0, 1, 2])
    soft = torch.rand(6, 3).softmax(-1)
    space = Categorical(LABELS)
    one_hot = functional.one_hot(hard, 3).float()
    torch.testing.assert_close(
        -space.log_likelihood(scores, one_hot), functional.cross_entropy(scores, hard, reduction="none")
    )
    torch.testing.assert_close(
        -space.log_likelihood(scores, soft), functional.cross_entropy(scores, soft, reduction="none")
    )


def test_a_binary_likelihood_is_the_binary_cross_entropy():
    scores, targets = torch.randn(6, 3) * 30, torch.rand(6, 3).round()
    expected = functional.binary_cross_entropy_with_logits(scores, targets, reduction="none")
    torch.testing.assert_close(-Binaries(LABELS).log_likelihood(scores, targets), expected)


@pytest.mark.parametrize("space", [Categorical(LABELS), Binaries(LABELS)])
def test_extreme_scores_give_finite_likelihoods_and_gradients(space):
    scores = torch.tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, 1e4]], requires_grad=True)
    value = space.log_likelihood(scores, torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).sum()
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(scores.grad).all()


def test_half_precision_scores_are_reduced_in_full():
    scores = torch.randn(4, 3).bfloat16()
    assert Categorical(LABELS).log_likelihood(scores, torch.eye(3)[[0, 1, 2, 0]]).dtype == torch.float32


def test_decisions_become_cells():
    scores = torch.tensor([[0.1, 2.0, -1.0], [-0.1, -2.0, -1.0]])
    assert Categorical(LABELS).cells(Categorical(LABELS).decide(scores)) == ["b", "a"]
    assert Binaries(LABELS).cells(Binaries(LABELS).decide(scores)) == [["a", "b"], []]


@given(st.lists(st.one_of(st.integers(-50, 50), st.text(min_size=1, max_size=3)), min_size=1, unique_by=str))
def test_labels_are_kept_as_written_and_each_is_found_again(labels):
    ordered = labels_in_order(labels)
    assert set(ordered) == set(labels)
    assert sorted(map(type, ordered), key=str) == sorted(map(type, labels), key=str)
    targets, labelled = target_matrix(labels, ordered, str)
    assert labelled.all() and targets.sum() == len(labels)
    assert [ordered[row.argmax()] for row in targets] == labels


def test_numbers_come_in_their_order_and_before_words():
    assert labels_in_order(["10", "9", "b", "a", "-1"]) == ("-1", "9", "10", "a", "b")


def test_a_number_read_as_text_is_the_number():
    targets, _ = target_matrix(["3"], (1, 3), str)
    assert targets.tolist() == [[0.0, 1.0]]


def test_unknown_labels_are_told_with_their_place_and_the_nearest_name():
    with pytest.raises(DataError) as caught:
        target_matrix(["spam", "hma", None, "x", "y", "z"], ("ham", "spam"), lambda row: f"test.csv:{row + 2}")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(
        "test.csv:3: label 'hma' is not a label of this task; labels: ham, spam; did you mean 'ham'?"
    )
    assert lines[-1] == "… and 1 more"


@pytest.mark.parametrize("space", [Categorical(("a", "b")), Binaries((1, 2))])
def test_a_space_survives_json(space):
    assert restored(described(space)) == space


def test_the_likelihood_of_tags_is_the_cross_entropy_of_each_token_that_has_one():
    scores, tags = torch.randn(2, 4, 3), torch.tensor([[0, 1, 2, 0], [1, 1, -100, 2]])
    targets = functional.one_hot(tags.clamp(min=0), 3).float() * (tags >= 0)[..., None]
    expected = functional.cross_entropy(scores.transpose(1, 2), tags, reduction="none")
    torch.testing.assert_close(-Tags(LABELS).log_likelihood(scores, targets), expected)


def test_tags_become_a_list_for_each_example_as_long_as_its_tokens():
    scores = torch.eye(3)[torch.tensor([[0, 1, 2], [2, 2, 0]])]
    mask, space = torch.tensor([[True, True, True], [True, False, False]]), Tags(LABELS)
    assert space.cells(space.decide(scores), mask) == [["a", "b", "c"], ["c"]]
    assert [len(row) for row in space.figures(scores, space.decide(scores), mask)["probability"]] == [3, 1]
    assert space.cells(torch.zeros(1, 2, 3, dtype=torch.bool)) == [[None, None]]
    assert restored(described(space)) == space


def test_targets_of_tags_say_where_an_unknown_one_stands():
    targets, labelled = tag_matrix([["a", None], None, ["b"]], [2, 3, 1], LABELS, str)
    assert targets.argmax(1).tolist() == [0, 0, 0, 0, 0, 1] and targets.any(1).tolist() == [1, 0, 0, 0, 0, 1]
    assert labelled.tolist() == [1, 0, 1]
    with pytest.raises(DataError, match=r"t\.jsonl:7, token 2: label 'd' is not a label"):
        tag_matrix([["a", "d"]], [2], LABELS, lambda row: f"t.jsonl:{row + 7}")
