"""The order of examples: every example once, by length, and the same for the same question."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triune.batching import Batches, Mix, by_length, parts_of

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=500).map(np.asarray)


@settings(deadline=None)
@given(lengths, st.integers(1, 40), st.integers(0, 3), st.integers(0, 5))
def test_an_epoch_has_every_example_once(found, size, seed, epoch):
    batches = Batches(found, size, seed)
    order = batches.of_epoch(epoch)
    assert sorted(np.concatenate(order).tolist()) == list(range(len(found)))
    assert len(order) == batches.per_epoch
    assert max(map(len, order)) <= size


@settings(deadline=None)
@given(lengths, st.integers(1, 40))
def test_the_order_depends_on_seed_and_epoch_alone(found, size):
    order = [rows.tolist() for rows in Batches(found, size, 1).of_epoch(2)]
    assert order == [rows.tolist() for rows in Batches(found, size, 1).of_epoch(2)]


def test_epochs_and_seeds_have_orders_of_their_own():
    found = np.arange(1, 200)
    orders = {
        str([rows.tolist() for rows in Batches(found, 8, seed).of_epoch(epoch)]) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


def test_batches_pad_little_and_come_in_no_order_of_length():
    found = np.random.default_rng(0).lognormal(3, 0.8, 3200).clip(4, 256).astype(int)
    order = Batches(found, 32, 0).of_epoch(0)
    padded = sum(len(rows) * found[rows].max() for rows in order) / found.sum()
    random = np.random.default_rng(1).permutation(3200).reshape(-1, 32)
    assert padded < 1.15 < sum(32 * found[rows].max() for rows in random) / found.sum()
    widths = [found[rows].max() for rows in order]
    assert abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.3


@given(st.integers(1, 50), st.integers(1, 60))
def test_parts_are_the_whole_and_none_is_empty(size, count):
    parts = parts_of(np.arange(size), count)
    assert np.concatenate(parts).tolist() == list(range(size))
    assert len(parts) == min(size, count)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_evaluation_goes_from_long_to_short():
    assert [rows.tolist() for rows in by_length(np.array([3, 9, 1, 9, 5]), 2)] == [[1, 3], [4, 0], [2]]


@pytest.mark.parametrize("size", [1, 3, 8])
def test_an_epoch_of_one_example_is_one_batch(size):
    assert [rows.tolist() for rows in Batches(np.array([7]), size, 0).of_epoch(0)] == [[0]]


@given(
    st.integers(1, 40),
    st.integers(1, 200),
    st.floats(0.05, 0.95),
    st.integers(1, 33),
    st.integers(0, 3),
)
def test_a_batch_has_its_share_of_labels_and_an_epoch_every_example(some, others, share, size, epoch):
    labelled = np.arange(some + others) < some
    mix = Mix(labelled, share)
    found = Batches(np.arange(some + others) % 17 + 1, size, 0, mix)
    batches = found.of_epoch(epoch)
    assert len(batches) == found.per_epoch
    assert sum(map(len, batches)) == sum(mix.counts)
    assert set(np.concatenate(batches).tolist()) == set(range(some + others))
    counted = [(int(labelled[rows].sum()), int((~labelled[rows]).sum())) for rows in batches]
    for kind in zip(*counted, strict=True):
        assert max(kind) - min(kind) <= 1
    assert max(map(len, batches)) <= size


@given(st.integers(1, 40), st.integers(1, 200), st.floats(0.05, 0.95))
def test_only_the_kind_that_is_short_of_its_share_is_repeated(some, others, share):
    counts = Mix(np.arange(some + others) < some, share).counts
    assert counts[0] == some or counts[1] == others
    assert counts[0] >= some
    assert counts[1] >= others
    assert abs(counts[0] - share * sum(counts)) <= 1
