"""The network reads [P; E(text)], where the vectors P learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch  # noqa: TID253 - this module is torch
from torch import Tensor, nn  # noqa: TID253

from triune.adapters import original_of, prompt, task_type_of
from triune.adapters.prompts import positions_of, refuse_overlong
from triune.errors import PlanError

if TYPE_CHECKING:
    from triune.adapters import Prompted
    from triune_prompt_tuning import PromptTuning


class Prompt(nn.Module):
    """Vectors in front of the text, which begin as those of words drawn at random."""

    def __init__(self, words: nn.Embedding, tokens: int, positions: int | None) -> None:
        super().__init__()
        self.embedding = nn.Embedding(tokens, words.embedding_dim)
        self.positions = positions
        drawn = torch.randint(words.num_embeddings, (tokens,))
        with torch.no_grad():
            self.embedding.weight.copy_(words.weight[drawn])

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> object:
        """Return what the network says of texts with the prompt in front, of type 0."""
        network: Any = original_of(self)
        batch, tokens = len(input_ids), self.embedding.num_embeddings
        refuse_overlong("prompt-tuning", input_ids.shape[1], tokens, self.positions)
        words = network.get_input_embeddings()(input_ids)  # (batch, tokens, width)
        read = torch.cat([self.embedding.weight.to(words.dtype).expand(batch, -1, -1), words], dim=1)
        mask = torch.cat([attention_mask.new_ones(batch, tokens), attention_mask], dim=1)
        if token_type_ids is None:
            return network(inputs_embeds=read, attention_mask=mask)
        types = torch.cat([token_type_ids.new_zeros(batch, tokens), token_type_ids], dim=1)
        return network(inputs_embeds=read, attention_mask=mask, token_type_ids=types)


def prompted(model: Any, settings: PromptTuning.Config) -> Prompted:  # noqa: ANN401 - transformers is untyped
    """Put a prompt in front of what the network reads.

    Raises:
        PlanError: the network does not classify texts, or does not work with a prompt.
    """
    from peft import PromptTuningConfig

    if task_type_of(model) != "SEQ_CLS" or not hasattr(model, "get_input_embeddings"):
        raise PlanError(
            [f"prompt-tuning: {type(model).__name__} is no transformer that classifies texts: use another method"]
        )
    words = model.get_input_embeddings()
    config = PromptTuningConfig(
        num_virtual_tokens=settings.tokens,
        token_dim=words.embedding_dim,
        num_layers=model.config.num_hidden_layers,
        num_attention_heads=model.config.num_attention_heads,
        num_transformer_submodules=1,
    )
    vectors = Prompt(words, settings.tokens, positions_of(model))
    return prompt(model, "", vectors, config, "prompt-tuning", settings.adapter_name)
