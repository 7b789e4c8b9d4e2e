"""How sentences of tokens become batches of a network: the bundle that the core works with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triune.examples import Examples, Ragged, weights_of
from triune.models import locate
from triune.pretrained import head_of, length_limit, save
from triune.spaces import Tags, tag_matrix
from triune.types import Bundle, Outputs
from triune_token_classification.alignment import first_pieces, of_words, read
from triune_token_classification.labels import breaks_of, check_tokens, scheme_note, sequences_of, space_of
from triune_token_classification.network import network_of, scheme_in, tokenizer_of
from triune_token_classification.schemes import NONE, OUTSIDE

if TYPE_CHECKING:
    from torch import nn

    from triune import Batch, Run
    from triune.data import Data
    from triune_token_classification import TokenClassification

WORDS = "words"
"""The input that says, of each piece, which word it begins."""


def bundle(config: TokenClassification.Config, run: Run, data: Data) -> tuple[Bundle, str]:
    """Return the model, pretrained or of a finished run, with how it is fed and saved; and the scheme of its tags."""
    check_tokens(data)
    if run.finished:
        source, space, scheme = run.finished.model, Tags(run.finished.space.labels), scheme_in(run.finished.model)
    else:
        source = locate(config.model, run.folder).path
        space, scheme = space_of(data, config.labels, config.scheme)
    tokenizer = tokenizer_of(source, config.model)
    network = network_of(source, space, scheme, config.model, config.dropout)
    limit = length_limit(run.config.training.max_length, tokenizer, network)
    outside = next((place for place, tag in enumerate(space.labels) if tag == OUTSIDE), None)
    grouped = "" if scheme == NONE else ', aggregation_strategy="first"'
    made = Bundle(
        model=network,
        space=space,
        encode=lambda tables, split: encode(tables, split, space, scheme, tokenizer, limit),
        forward=lambda model, batch: forward(model, batch, space, outside),
        save=lambda model, folder: save(model, tokenizer, folder),
        head=head_of(network),
        usage=f'transformers.pipeline("token-classification", model="model"{grouped})',
        notes=(scheme_note(scheme, config.scheme),),
    )
    return made, scheme


def encode(
    data: Data,
    split: str,
    space: Tags,
    scheme: str,
    tokenizer: Any,  # noqa: ANN401 - transformers is untyped
    limit: int,
) -> Examples:
    """Return a table as the pieces of its words, cut at `limit` pieces, and a target for each word."""
    import numpy as np

    table = data.splits[split]
    texts = table[data.roles["text"]].tolist()
    encoded = tokenizer(
        texts,
        is_split_into_words=True,
        truncation=True,
        max_length=limit,
        padding=False,
        return_attention_mask=False,
    )
    padding = {"input_ids": tokenizer.pad_token_id or 0, "token_type_ids": tokenizer.pad_token_type_id}
    begins = [first_pieces(encoded.word_ids(row)) for row in range(len(texts))]
    lengths = [len(text) for text in texts]
    index = table.index.tolist()
    targets, labelled = tag_matrix(
        sequences_of(data, split), lengths, space.labels, lambda row: data.place(split, index[row])
    )
    inputs = {name: Ragged.of(rows, padding.get(name, 0)) for name, rows in encoded.items()}
    return Examples(
        inputs={**inputs, WORDS: Ragged.of(begins, 0)},
        targets=targets,
        labelled=labelled,
        weights=weights_of(data, split),
        split=split,
        bounds=np.cumsum([0, *lengths], dtype=np.int64),
        notes=(*unread(begins, lengths, limit, data.place(split)), *breaks_of(data, split, scheme)),
    )


def forward(model: nn.Module, batch: Batch, space: Tags, outside: int | None) -> Outputs:
    """Return the scores of every word, those of its first piece."""
    assert batch.mask is not None
    inputs = {name: tensor for name, tensor in batch.inputs.items() if name != WORDS}
    scores = model(**inputs).logits  # (batch, pieces, tags)
    begins, words = batch.inputs[WORDS], batch.mask.shape[1]
    return Outputs(of_words(scores, begins, words, outside), space, mask=batch.mask, read=read(begins, words))


def unread(begins: list[list[int]], lengths: list[int], limit: int, place: str) -> list[str]:
    """Return a note on words of which no piece is read: those that were cut off, and those that have none."""
    cut, bare, rows = 0, 0, 0
    for numbers, length in zip(begins, lengths, strict=True):
        behind = length - max(numbers) if len(numbers) == limit else 0
        cut, rows = cut + behind, rows + (behind > 0)
        bare += length - behind - sum(number > 0 for number in numbers)
    notes = []
    if cut:
        notes.append(
            f"{place}: tokens behind the {limit} pieces that are read of a text: {cut:,}, in {rows:,} of them; they "
            "are not learnt from, and tagged O where that is allowed; raise training.max_length, or part the texts"
        )
    if bare:
        notes.append(
            f"{place}: tokens that leave nothing to read, such as control characters: {bare:,}; they are not learnt "
            "from, and tagged O where that is allowed"
        )
    return notes
