"""The layout: whose each parameter is, and which block it belongs to."""

import pytest
import torch
from torch import nn

from tests.support import Blocks
from triune.errors import PluginError
from triune.layout import Ownership, block_depths, layout_of


def test_blocks_are_counted_from_the_input():
    depths = block_depths(Blocks(2, blocks=3))
    assert depths == {"blocks.0.": 0, "blocks.1.": 1, "blocks.2.": 2}


def test_a_decoder_lies_on_top_of_its_encoder():
    model = nn.Module()
    model.encoder = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
    model.decoder = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
    assert list(block_depths(model)) == ["encoder.0.", "encoder.1.", "decoder.0.", "decoder.1."]


def test_lists_inside_of_blocks_are_no_blocks():
    model = nn.Module()
    model.layers = nn.ModuleList(
        nn.ModuleDict({"experts": nn.ModuleList(nn.Linear(2, 2) for _ in range(9))}) for _ in range(3)
    )
    assert list(block_depths(model)) == ["layers.0.", "layers.1.", "layers.2."]


def test_the_layout_knows_head_depth_size_and_decay():
    model = Blocks(2)
    layout = layout_of(model, Ownership(model, "toy").owners, ("head.*",))
    found = {one.name: one for one in layout.parameters}
    assert layout.blocks == 3
    assert (found["head.weight"].head, found["head.weight"].depth, found["head.weight"].elements) == (True, None, 16)
    assert (found["blocks.2.0.weight"].depth, found["blocks.2.0.weight"].decays) == (2, True)
    assert not found["blocks.2.0.bias"].decays and not found["blocks.2.1.weight"].decays


def test_new_parameters_belong_to_who_brought_them():
    model = Blocks(2)
    ownership = Ownership(model, "toy")
    model.head.register_parameter("extra", nn.Parameter(torch.zeros(2)))
    ownership.note(model, "adapter")
    assert ownership.owners["head.extra"] == "adapter" and ownership.owners["head.weight"] == "toy"


def test_a_plugin_that_renames_parameters_is_refused():
    model = Blocks(2)
    ownership = Ownership(model, "toy")
    model.head = nn.Sequential(model.head)
    with pytest.raises(PluginError, match="plugin 'wraps' removed or renamed parameters of the model: head"):
        ownership.note(model, "wraps")


@pytest.mark.parametrize("kind", ["bert", "distilbert", "gpt2", "t5", "bart", "deberta-v2", "modernbert"])
def test_the_blocks_of_usual_architectures_are_found(kind):
    import transformers as t

    small = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    ffn = {"encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = {
        "bert": lambda: t.BertConfig(**small, num_hidden_layers=3),
        "distilbert": lambda: t.DistilBertConfig(dim=8, hidden_dim=8, n_heads=2, n_layers=3),
        "gpt2": lambda: t.GPT2Config(n_embd=8, n_layer=3, n_head=2),
        "t5": lambda: t.T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=3, num_heads=2),
        "bart": lambda: t.BartConfig(d_model=8, encoder_layers=3, decoder_layers=3, **ffn),
        "deberta-v2": lambda: t.DebertaV2Config(**small, num_hidden_layers=3),
        "modernbert": lambda: t.ModernBertConfig(**small, num_hidden_layers=3, pad_token_id=0, vocab_size=50),
    }[kind]()
    with torch.device("meta"):
        model = t.AutoModel.from_config(config)
    layout = layout_of(model, Ownership(model, "task").owners, ())
    assert layout.blocks == (6 if kind in ("t5", "bart") else 3)
    inside = [one for one in layout.parameters if one.depth is not None]
    assert {one.depth for one in inside} == set(range(layout.blocks))
