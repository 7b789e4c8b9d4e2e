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


SMALL = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "num_hidden_layers": 3}
DECODER = {**SMALL, "num_key_value_heads": 2, "vocab_size": 50}
FFN = {"encoder_ffn_dim": 8, "decoder_ffn_dim": 8, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
ARCHITECTURES = {  # settings, blocks, the head's modules in a text classifier
    "Bert": (SMALL, 3, {"classifier", "bert.pooler"}),
    "Roberta": (SMALL, 3, {"classifier"}),
    "DistilBert": ({"dim": 8, "hidden_dim": 8, "n_heads": 2, "n_layers": 3}, 3, {"pre_classifier", "classifier"}),
    "DebertaV2": (SMALL, 3, {"pooler", "classifier"}),
    "ModernBert": ({**SMALL, "pad_token_id": 0, "vocab_size": 50}, 3, {"head", "classifier"}),
    "Albert": ({**SMALL, "embedding_size": 8}, 0, {"classifier", "albert.pooler"}),
    "GPT2": ({"n_embd": 8, "n_layer": 3, "n_head": 2}, 3, {"score"}),
    "Llama": (DECODER, 3, {"score"}),
    "Qwen2": (DECODER, 3, {"score"}),
    "T5": ({"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 3, "num_decoder_layers": 2, "num_heads": 2}, 5,
           {"classification_head"}),
    "Bart": ({"d_model": 8, "encoder_layers": 3, "decoder_layers": 2, **FFN}, 5, {"classification_head"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_blocks_and_heads_of_usual_architectures_are_found(kind):
    import transformers

    from triune.pretrained import head_of

    settings, blocks, head = ARCHITECTURES[kind]
    with torch.device("meta"):
        config = getattr(transformers, f"{kind}Config")(**settings)
        model = transformers.AutoModelForSequenceClassification.from_config(config)
    layout = layout_of(model, Ownership(model, "task").owners, head_of(model))
    assert layout.blocks == blocks
    assert {one.depth for one in layout.parameters if one.depth is not None} == set(range(blocks))
    found = [one for one in layout.parameters if one.head]
    assert all(one.depth is None for one in found)
    assert {next((name for name in head if one.name.startswith(f"{name}.")), one.name) for one in found} == head


@pytest.mark.parametrize("kind", ["T5", "Bart"])
def test_the_shorter_decoder_of_an_encoder_lies_on_top_of_it(kind):
    import transformers

    with torch.device("meta"):
        model = transformers.AutoModel.from_config(getattr(transformers, f"{kind}Config")(**ARCHITECTURES[kind][0]))
    sides = [name.split(".")[0] for name in block_depths(model)]
    assert sides == ["encoder"] * 3 + ["decoder"] * 2
