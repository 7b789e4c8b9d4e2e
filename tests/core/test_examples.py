"""Examples: flat arrays become the batches that lists would have become."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triune.examples import Examples, Ragged, joined

rows = st.lists(st.lists(st.integers(1, 30_000), max_size=12), min_size=1, max_size=12)


def examples(found):
    count = len(found)
    return Examples(
        {"input_ids": Ragged.of(found, 7)},
        np.eye(2, dtype=np.float32)[np.arange(count) % 2],
        np.ones(count, dtype=np.float32),
        np.arange(count, dtype=np.float32),
    )


@settings(deadline=None)
@given(rows, st.data())
def test_a_batch_is_its_rows_padded_on_the_right(found, data):
    chosen = np.asarray(data.draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=6)))
    batch = examples(found).batch(chosen)
    width = max(max(len(found[row]) for row in chosen), 1)
    assert batch.inputs["input_ids"].tolist() == [found[row] + [7] * (width - len(found[row])) for row in chosen]
    assert batch.inputs["attention_mask"].sum(1).tolist() == [len(found[row]) for row in chosen]
    assert batch.weights.tolist() == chosen.tolist()
    assert batch.inputs["input_ids"].dtype == torch.int64


@settings(deadline=None)
@given(rows, rows)
def test_joined_examples_are_those_of_both(first, second):
    both = joined(examples(first), examples(second))
    order = np.arange(len(both))
    expected = examples([*first, *second])
    assert both.batch(order).inputs["input_ids"].tolist() == expected.batch(order).inputs["input_ids"].tolist()


@settings(deadline=None)
@given(rows)
def test_examples_at_some_rows_are_those_rows(found):
    chosen = np.arange(len(found))[::2]
    part = examples(found).at(chosen)
    assert part.lengths.tolist() == [len(found[row]) for row in chosen]
    assert part.weights.tolist() == chosen.tolist()


def sequences(found):
    """Return examples whose targets are one row a token; the value tells the token."""
    tokens = np.concatenate([np.asarray(row, dtype=np.float32) for row in found])
    count = len(found)
    return Examples(
        {"input_ids": Ragged.of(found, 0)},
        np.stack([tokens, -tokens], axis=1),
        np.ones(count, dtype=np.float32),
        np.ones(count, dtype=np.float32),
        bounds=np.cumsum([0, *map(len, found)]),
    )


tagged = st.lists(st.lists(st.integers(1, 99), min_size=1, max_size=9), min_size=1, max_size=9)


@settings(deadline=None)
@given(tagged, tagged, st.data())
def test_targets_of_tokens_stay_with_their_example(first, second, data):
    found = [*first, *second]
    together = joined(sequences(first), sequences(second))
    chosen = np.asarray(data.draw(st.lists(st.integers(0, len(found) - 1), min_size=1, max_size=6)))
    for batch in (together.batch(chosen), together.at(chosen).batch(np.arange(len(chosen)))):
        for row, targets, mask in zip(chosen, batch.targets, batch.mask, strict=True):
            assert targets[mask].tolist() == [[token, -token] for token in found[row]]
            assert not targets[~mask].any() and mask.sum() == len(found[row])
    assert together.label_totals()[1] == sum(map(len, found))
