"""Features are what the last block puts out, whatever the batch an example came in."""

import numpy as np
import pytest
import torch

from triune.data import Data
from triune.errors import PluginError
from triune.representations import features
from triune.testing.toys import ToyTask, encode, table
from triune.types import Bundle


def bundle_and_examples(rows=70):
    data = Data({"train": table(rows)}, {"text": "text", "label": "label"})
    run = type("Run", (), {"finished": None})()
    torch.manual_seed(0)
    bundle = ToyTask().build_model(run, data)
    return bundle, encode(data, "train", bundle.space)


def test_features_stand_in_the_order_of_the_table_and_have_length_one():
    bundle, examples = bundle_and_examples()
    found = features(bundle, examples)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(70), abs=1e-5)
    alone = features(bundle, examples.at(np.array([5])))
    assert alone[0] == pytest.approx(found[5], abs=1e-5)


def test_a_hook_is_gone_afterwards():
    bundle, examples = bundle_and_examples()
    features(bundle, examples)
    assert not any(module._forward_hooks for module in bundle.model.modules())


def test_a_model_without_blocks_is_refused():
    bundle, examples = bundle_and_examples(2)
    bare = Bundle(torch.nn.Linear(2, 2), bundle.space, bundle.encode, bundle.forward, bundle.save)
    with pytest.raises(PluginError, match="no stack of blocks"):
        features(bare, examples)
