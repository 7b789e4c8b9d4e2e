"""The learning methods keep the contract that we ask of others."""

import pytest

from triune.testing import check_plugin
from triune_anchor import Anchor
from triune_bitfit import BitFit
from triune_head_only import HeadOnly
from triune_layer_by_layer import LayerByLayer
from triune_layerwise_decay import LayerwiseDecay
from triune_top_layers import TopLayers


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        (HeadOnly, None),
        (TopLayers, {"blocks": 3}),
        (BitFit, {"learning_rate": 0.01}),
        (LayerwiseDecay, {"decay": 0.5}),
        (LayerByLayer, None),
        (LayerByLayer, {"phase_steps": 2, "blocks_per_phase": 2, "lr_divisor": 1.0}),
        (LayerByLayer, {"phase_fractions": [0.25, 0.25, 0.25, 0.25], "embeddings": False}),
        (LayerByLayer, {"phase_epochs": 0.4, "thaw": "one-at-a-time"}),
        (Anchor, None),
        (Anchor, {"weight": {"from": 10, "to": 0, "over": 0.5}, "head_weight": 0.0}),
    ],
    ids=str,
)
def test_it_conforms(method, settings):
    check_plugin(method, config=settings)
