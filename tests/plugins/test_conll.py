"""CoNLL files: what is read is what is written, and what is wrong is told with its line."""

import gzip
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from triune.context import Run
from triune.errors import DataError
from triune.testing import check_plugin
from triune_conll import Conll

BIO = "EU B-ORG\nrejects O\n\nPeter B-PER\nBlackburn I-PER\n"
FULL = """-DOCSTART- -X- O O

# sent_id = 1
U.N. NNP I-NP I-ORG
official NN I-NP O
#1 CD I-NP O

-DOCSTART- -X- O O

Oslo NNP I-NP I-LOC
"""
UNIVERSAL = """# text = dámelo ya
1-2\tdámelo\t_\t_
1\tda\tdar\tVERB
2\tmelo\tlo\tPRON
2.1\t_\t_\t_
3\tya\tya\tADV
"""


def load(folder, text, **config):
    (folder / "train.conll").write_bytes(text if isinstance(text, bytes) else text.encode())
    settings = Conll.Config.model_validate({"train": "train.conll", **config}, context={"folder": folder})
    return Conll(settings).load_data(Run(config=None, folder=folder))


def rows(data, *columns):
    return list(zip(*(data.train[column].tolist() for column in columns), strict=True))


def test_sentences_become_lists_of_tokens_and_tags(tmp_path):
    data = load(tmp_path, BIO)
    assert rows(data, "tokens", "tags") == [
        (["EU", "rejects"], ["B-ORG", "O"]),
        (["Peter", "Blackburn"], ["B-PER", "I-PER"]),
    ]
    assert data.tokenised and data.roles == {"text": "tokens", "label": "tags"}
    assert data.place("train", data.train.index[1]) == "train.conll:4"


def test_documents_and_comments_are_no_sentences_and_a_hashtag_is_a_token(tmp_path):
    data = load(tmp_path, FULL)
    assert rows(data, "tokens", "tags") == [
        (["U.N.", "official", "#1"], ["I-ORG", "O", "O"]),
        (["Oslo"], ["I-LOC"]),
    ]
    assert data.train["column 1"].iloc[0] == ["NNP", "NN", "CD"]
    assert data.train.index.tolist() == [4, 10]


def test_columns_have_names_and_conll_u_is_read(tmp_path):
    data = load(tmp_path, UNIVERSAL, columns=["id", "form", "lemma", "upos"], tokens="form", tags="upos")
    assert rows(data, "form", "upos", "lemma") == [(["da", "melo", "ya"], ["VERB", "PRON", "ADV"], ["dar", "lo", "ya"])]
    assert rows(load(tmp_path, UNIVERSAL, tokens=1, tags=3), "tokens", "tags")[0][1] == ["VERB", "PRON", "ADV"]


OTHERWISE = {
    "ends of lines": BIO.replace("\n", "\r\n"),
    "tabs": BIO.replace(" ", "\t"),
    "many blanks": BIO.replace(" ", "   "),
    "blank lines before": "\n\n" + BIO,
    "no last line": BIO.rstrip(),
    "a byte-order mark": "\ufeff" + BIO,
}


@pytest.mark.parametrize("written", OTHERWISE.values(), ids=OTHERWISE)
def test_how_lines_end_and_what_parts_columns_makes_no_difference(tmp_path, written):
    assert rows(load(tmp_path, written), "tokens", "tags") == rows(load(tmp_path, BIO), "tokens", "tags")


def test_compressed_files_are_seen_by_themselves(tmp_path):
    assert len(load(tmp_path, gzip.compress(BIO.encode())).train) == 2


def test_a_space_that_does_not_break_stays_in_its_token(tmp_path):
    assert rows(load(tmp_path, "10\u00a0km O\n"), "tokens") == [(["10\u00a0km"],)]


tokens = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=6)
words = st.lists(st.tuples(tokens, st.sampled_from(["O", "B-X", "I-X"])), min_size=1, max_size=6)


@settings(deadline=None, max_examples=60)
@given(st.lists(words, min_size=1, max_size=5))
def test_what_is_written_is_read_again(tmp_path_factory, found):
    text = "\n\n".join("\n".join("\t".join(token) for token in one) for one in found) + "\n"
    data = load(tmp_path_factory.mktemp("round"), text, comment=None)
    assert rows(data, "tokens", "tags") == [tuple(map(list, zip(*one, strict=True))) for one in found]


WRONG = {
    "too few columns": ("a O\n\nb\n", {}, ["train.conll:3: 1 column, and the first token has 2"]),
    "too many columns": ("a O\nb c O\n", {}, ["train.conll:2: 3 columns, and the first token has 2"]),
    "no column of tags": ("a\nb\n", {}, ["train.conll: no column -1 for the tags; tokens have 1 column"]),
    "no such column": ("a O\n", {"tags": 3}, ["no column 3 for the tags; tokens have 2 columns"]),
    "no such tokens": ("a O\n", {"tokens": 5}, ["no column 5 for the tokens"]),
    "fewer names": ("a x O\n", {"columns": ["a", "b"]}, ["data.columns names 2 columns, and tokens have 3"]),
    "nothing but comments": ("# a\n# b\n", {}, ["no sentence"]),
    "empty": ("", {}, ["the file is empty"]),
    "blank": ("\n \n", {}, ["nothing but blanks"]),
    "an empty token": ("a\tO\n\tO\n", {}, ["train.conll:1", "a token that is empty"]),
    "another encoding": ("é O\n".encode("latin-1"), {}, ["train.conll:1: byte 0xE9"]),
}


@pytest.mark.parametrize(("text", "config", "parts"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(tmp_path, text, config, parts):
    with pytest.raises(DataError) as error:
        load(tmp_path, text, **config)
    assert all(part in str(error.value) for part in parts), str(error.value)


def test_all_files_that_cannot_be_read_are_told_at_once(tmp_path):
    with pytest.raises(DataError) as error:
        load(tmp_path, "a O\nb\n", test=str(tmp_path / "absent.conll"))
    assert "train.conll:2" in str(error.value) and "absent.conll: no such file" in str(error.value)


@pytest.mark.parametrize(
    "config",
    [{"tokens": "form"}, {"columns": ["a", "a"]}, {"columns": ["form"], "tags": "from"}, {"encoding": "utf-9"}],
)
def test_settings_that_cannot_be_meant_are_refused(config):
    with pytest.raises(ValidationError):
        Conll.Config.model_validate(config)


def test_other_tables_need_no_tags(tmp_path):
    (tmp_path / "bare.conll").write_text("to\nOslo\n")
    bare = str(tmp_path / "bare.conll")
    data = load(tmp_path, BIO, unlabelled=bare, test=bare)
    assert data.splits["unlabelled"]["tokens"].tolist() == [["to", "Oslo"]]
    assert data.labels("test") is None


def test_one_more_file_or_frame_is_read_as_the_runs_own(tmp_path):
    (tmp_path / "more.conll").write_text("a\tNN\tO\n")
    plugin = Conll(Conll.Config(tags=2))
    run = Run(config=None, folder=tmp_path, finished=object())
    assert plugin.reading(tmp_path / "more.conll").load_data(run).splits["test"]["tags"].tolist() == [["O"]]
    frame = pd.DataFrame({"tokens": [["a", "b"]]})
    assert plugin.reading(frame).load_data(run).splits["test"]["tokens"].tolist() == [["a", "b"]]


def test_it_conforms(tmp_path: Path, tiny_model):
    from triune_token_classification import TokenClassification

    (tmp_path / "train.conll").write_text((BIO + "\n") * 16)
    company = {"tokens": lambda: TokenClassification(TokenClassification.Config(model=str(tiny_model)))}
    check_plugin(Conll, config={"train": str(tmp_path / "train.conll")}, company=company)
