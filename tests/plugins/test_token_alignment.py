"""Words and pieces: every word has the score of its first piece, whatever tokenizer and network."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import triune
from tests.plugins.test_token_classification import in_plain_transformers, sentences, trained
from triune_token_classification.alignment import UNREAD, first_pieces, of_words, read
from triune_token_classification.network import tokenizer_of

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs

TEXTS = [" ".join(text) for text in sentences(60)["text"]]
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 80,
}  # fmt: skip
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def bytes_tokenizer():
    """Return a byte-level tokenizer in which a blank belongs to the word after it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=360, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return tokenizer


def roberta(folder):
    from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast

    pieces = json.loads(bytes_tokenizer().to_str())["model"]
    RobertaTokenizerFast(vocab=pieces["vocab"], merges=[tuple(one) for one in pieces["merges"]]).save_pretrained(folder)
    RobertaModel(RobertaConfig(vocab_size=400, pad_token_id=1, type_vocab_size=1, **SMALL)).save_pretrained(folder)


def modernbert(folder):
    from transformers import ModernBertConfig, ModernBertModel, PreTrainedTokenizerFast

    roles = ("cls_token", "pad_token", "sep_token", "unk_token", "mask_token")
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytes_tokenizer(),
        model_input_names=["input_ids", "attention_mask"],
        **dict(zip(roles, SPECIAL, strict=True)),
    )
    tokenizer.save_pretrained(folder)
    ids = {"pad_token_id": 1, "bos_token_id": 0, "cls_token_id": 0, "eos_token_id": 2, "sep_token_id": 2}
    ModernBertModel(ModernBertConfig(vocab_size=400, local_attention=16, **ids, **SMALL)).save_pretrained(folder)


def deberta(folder):
    from transformers import DebertaV2Config, DebertaV2Model, DebertaV2TokenizerFast

    letters = sorted({letter for text in TEXTS for letter in text if letter != " "})
    pieces = [(one, 0.0) for one in ("[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]")]
    pieces += [("▁", -2.0), *((one, -3.0) for one in letters), ("▁oslo", -1.0), ("▁where", -1.0)]
    DebertaV2TokenizerFast(vocab=pieces).save_pretrained(folder)
    DebertaV2Model(DebertaV2Config(vocab_size=64, type_vocab_size=0, **SMALL)).save_pretrained(folder)


def distilbert(folder, words):
    from transformers import DistilBertConfig, DistilBertModel, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(words, model_input_names=["input_ids", "attention_mask"])
    tokenizer.save_pretrained(folder)
    config = DistilBertConfig(
        vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=64
    )
    DistilBertModel(config).save_pretrained(folder)


@pytest.fixture(scope="module", params=["bert", "roberta", "modernbert", "deberta", "distilbert"])
def model(request, tiny_model, tmp_path_factory):
    if request.param == "bert":
        return tiny_model
    folder = tmp_path_factory.mktemp(request.param)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if request.param == "distilbert":
            distilbert(folder, tiny_model)
        else:
            {"roberta": roberta, "modernbert": modernbert, "deberta": deberta}[request.param](folder)
    return folder


def test_every_encoder_gives_what_its_export_gives(model, tmp_path):
    run = trained(model, tmp_path / "run", sentences(24), max_steps=2, max_length=None)
    texts = sentences(12, seed=3)["text"]
    ours = triune.predict(run.folder, pd.DataFrame({"text": texts}))
    assert ours["predicted"].tolist() == list(in_plain_transformers(run.model, texts))


def test_words_given_one_by_one_are_read_as_in_running_text(model):
    tokenizer = tokenizer_of(model, "model")
    text = "where is the parcel"
    apart = tokenizer(text.split(), is_split_into_words=True)["input_ids"]
    assert apart == tokenizer(text)["input_ids"]


numbers = st.lists(st.integers(0, 3), min_size=1, max_size=8)


@given(numbers)
def test_the_first_piece_of_each_word_begins_it(pieces):
    words = [word for word, count in enumerate(pieces) for _ in range(count)]
    begins = first_pieces([None, *words, None])
    assert [one for one in begins if one] == [word + 1 for word, count in enumerate(pieces) if count]
    assert all(([None, *words])[place] == number - 1 for place, number in enumerate(begins) if number)


@settings(deadline=None)
@given(st.lists(numbers, min_size=1, max_size=4), st.sampled_from([None, 1]))
def test_words_have_the_scores_of_their_first_pieces(found, outside):
    rows = [first_pieces([None, *(word for word, count in enumerate(one) for _ in range(count))]) for one in found]
    width, words = max(map(len, rows)), max(map(len, found))
    begins = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    scores = torch.randn(len(rows), width, 3, requires_grad=True)
    got = of_words(scores, begins, words, outside)
    unread = [0.0, 0.0, 0.0] if outside is None else [-UNREAD, 0.0, -UNREAD]
    for row, begun in enumerate(rows):
        for word in range(words):
            known = begun.index(word + 1) if word + 1 in begun else None
            expected = unread if known is None else scores[row, known].tolist()
            assert got[row, word].tolist() == expected
            assert bool(read(begins, words)[row, word]) == (known is not None)
    got.sum().backward()
    assert np.array_equal(scores.grad[..., 0].numpy(), (begins > 0).numpy())
