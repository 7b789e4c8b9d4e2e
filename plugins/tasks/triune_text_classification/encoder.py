"""How the task's examples become batches of a network: the bundle that the core works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triune.examples import Examples, Ragged, weights_of
from triune.models import locate
from triune.pretrained import head_of, length_limit, save, tokenizer_of
from triune.spaces import Binaries, Categorical, OutputSpace, target_matrix
from triune.types import Bundle, Outputs
from triune_text_classification.labels import check_texts, shares_of, space_of
from triune_text_classification.network import network_of, start_at

if TYPE_CHECKING:
    from triune import Run
    from triune.data import Data
    from triune_text_classification import TextClassification


def bundle(config: TextClassification.Config, run: Run, data: Data) -> Bundle:
    """Return the model, pretrained or of a finished run, and how it is fed and saved."""
    check_texts(data)
    space = run.finished.space if run.finished else space_of(data, config.multi_label, config.labels)
    source = run.finished.model if run.finished else locate(config.model, run.folder).path
    tokenizer = tokenizer_of(source, config.model)
    network = network_of(source, space, config.model, config.dropout)
    if config.prior_bias and isinstance(space, Binaries) and not run.finished:
        start_at(network, shares_of(data, space))
    limit = length_limit(run.config.training.max_length, tokenizer, network)
    options = "" if isinstance(space, Categorical) else ", top_k=None"
    return Bundle(
        model=network,
        space=space,
        encode=lambda tables, split: encode(tables, split, space, tokenizer, limit),
        forward=lambda model, batch: Outputs(model(**batch.inputs).logits, space),
        save=lambda model, folder: save(model, tokenizer, folder),
        head=head_of(network),
        usage=f'transformers.pipeline("text-classification", model="model"{options})',
    )


def encode(data: Data, split: str, space: OutputSpace, tokenizer: Any, limit: int) -> Examples:  # noqa: ANN401
    """Return a table as token ids, cut at `limit` tokens, and targets."""
    table = data.splits[split]
    texts = [table[data.roles[role]].tolist() for role in ("text", "text_pair") if role in data.roles]
    encoded = tokenizer(*texts, truncation=True, max_length=limit, padding=False, return_attention_mask=False)
    padding = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
    cells = data.labels(split)
    index = table.index.tolist()
    targets, labelled = target_matrix(
        [None] * len(table) if cells is None else cells.tolist(),
        space.labels,
        lambda row: data.place(split, index[row]),
    )
    return Examples(
        inputs={name: Ragged.of(rows, padding.get(name, 0)) for name, rows in encoded.items()},
        targets=targets,
        labelled=labelled,
        weights=weights_of(data, split),
        split=split,
    )
