"""Networks of usual architectures, untrained and so small that a run takes a second."""

import torch

from tests.conftest import word_pieces

TEXTS = ["where is my parcel", "give me my money back please now", "hello there you", "my parcel is late"]
SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,  # so that texts differ in what is said of them
}
CONFIGS = {
    "Bert": SIZE,
    "Roberta": SIZE,
    "DistilBert": {
        "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64,
        "initializer_range": 0.3,
    },
    "DebertaV2": SIZE,
    "ModernBert": {**SIZE, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
    "GPT2": {
        "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 64, "bos_token_id": 2, "eos_token_id": 3,
        "initializer_range": 0.3,
    },
    "Llama": {**SIZE, "num_key_value_heads": 1},
    "T5": {
        "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2, "eos_token_id": 3,
        "decoder_start_token_id": 0,
    },
}  # fmt: skip


def model_folder(kind, folder):
    """Write a network of an architecture and a tokenizer; return their folder."""
    import transformers

    tokenizer = word_pieces(TEXTS)
    if kind not in ("Bert", "Roberta", "DebertaV2"):
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    settings = {"vocab_size": len(tokenizer), "pad_token_id": 0, **CONFIGS[kind]}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.AutoModel.from_config(getattr(transformers, f"{kind}Config")(**settings)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
