"""Every block attends to [P_k; K(text)] and [P_v; V(text)], where P_k and P_v learn."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - this module is torch
from torch import Tensor, nn  # noqa: TID253

from triune.adapters import original_of, prompt
from triune.adapters.prompts import positions_of, refuse_overlong
from triune.errors import PlanError

if TYPE_CHECKING:
    from triune.adapters import Prompted
    from triune_prefix_tuning import PrefixTuning

SPREAD = 0.02


class Prefix(nn.Module):
    """Keys and values of every block, in the order in which `peft` keeps them."""

    def __init__(self, tokens: int, blocks: int, heads: int, width: int, positions: int | None) -> None:
        super().__init__()
        self.positions = positions
        self.shape = (tokens, 2 * blocks, heads, width)
        self.embedding = nn.Embedding(tokens, 2 * blocks * heads * width)
        nn.init.normal_(self.embedding.weight, std=SPREAD)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **others: object,  # of the network's own, whatever it is
    ) -> object:
        """Return what the network makes of texts, its blocks attending to the prefix too."""
        assert input_ids is not None and attention_mask is not None
        batch, tokens = len(input_ids), self.embedding.num_embeddings
        refuse_overlong("prefix-tuning", input_ids.shape[1], tokens, self.positions)
        mask = torch.cat([attention_mask.new_ones(batch, tokens), attention_mask], dim=1)
        network: Any = original_of(self)
        return network(input_ids, attention_mask=mask, **{**others, "past_key_values": self.cache(batch)})

    def cache(self, batch: int) -> object:
        """Return keys and values of each block, (batch, heads, tokens, width), as transformers takes them."""
        from transformers import DynamicCache

        both = self.embedding.weight.view(self.shape).permute(1, 2, 0, 3)  # (2 · blocks, heads, tokens, width)
        cache = DynamicCache()
        for block in range(len(both) // 2):
            keys, values = (one.expand(batch, -1, -1, -1) for one in both[2 * block : 2 * block + 2])
            cache.update(keys, values, block)
        return cache


def prompted(model: Any, settings: PrefixTuning.Config) -> Prompted:  # noqa: ANN401 - transformers is untyped
    """Put a prefix beside the encoder or decoder of a network.

    Raises:
        PlanError: the network takes no keys and values from outside.
    """
    from peft import PrefixTuningConfig

    place = getattr(model, "base_model_prefix", "")
    encoder = getattr(model, place, None) if place else None
    takes = encoder is not None and "past_key_values" in signature(encoder.forward).parameters
    if not takes or model.config.is_encoder_decoder:
        raise PlanError(
            [
                f"prefix-tuning: {type(model).__name__} takes no keys and values from outside (BERT, RoBERTa, GPT-2, "
                "Llama and Qwen do): use another method"
            ]
        )
    shape = model.config
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    width = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    config = PrefixTuningConfig(
        num_virtual_tokens=settings.tokens,
        token_dim=heads * width,
        num_layers=shape.num_hidden_layers,
        num_attention_heads=heads,
        num_transformer_submodules=1,
        encoder_hidden_size=heads * width,
    )
    vectors = Prefix(settings.tokens, shape.num_hidden_layers, heads, width, positions_of(model))
    return prompt(model, place, vectors, config, "prefix-tuning", settings.adapter_name)
