"""The plugin `table`: what is read stays what was written, and what cannot be read is told with its line."""

import csv
import gzip
import json
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from triune.context import FinishedRun, Run
from triune.data import fingerprint
from triune.errors import DataError
from triune.spaces import Categorical
from triune_table import Table


@pytest.fixture
def load(tmp_path):
    """Write files, then load the tables that the settings name."""

    def loading(files=None, finished=None, **config):
        for name, content in (files or {}).items():
            written = content if isinstance(content, bytes) else content.encode()
            (tmp_path / name).write_bytes(written)
        settings = Table.Config.model_validate(config, context={"folder": tmp_path})
        return Table(settings).load_data(Run(config=None, folder=tmp_path, finished=finished))

    return loading


def of_frames(frames, finished=None, **config):
    table = Table(Table.Config.model_validate(config))
    table.use_frames(frames)
    return table.load_data(Run(config=None, folder=None, finished=finished))


def jsonl(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


CSV = "text,label\ngood,+\nbad,-\n"


def test_labels_that_look_missing_or_numeric_are_ordinary_text(load):
    labels = ["NA", "null", "None", "nan", "01", "1.0", "True", " x "]
    data = load({"t.csv": "text,label\n" + "".join(f"t{label},{label}\n" for label in labels)}, train="t.csv")
    assert data.labels("train").tolist() == labels


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(str.strip)


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(cells, cells | st.sampled_from(["NA", "null", '"', "a\nb", "a,b"])), min_size=1))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("t")
    with (folder / "t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    config = Table.Config.model_validate({"train": "t.csv"}, context={"folder": folder})
    train = Table(config).load_data(Run(config=None, folder=folder)).train
    assert list(zip(train["text"], train["label"], strict=True)) == rows


def test_lines_are_those_of_the_file_with_blank_lines_and_breaks_inside_cells(load):
    data = load({"t.csv": 'text,label\n\na,1\n"b\nb\nb",2\n  \nc,3\n'}, train="t.csv")
    assert data.train.index.tolist() == [3, 4, 8]
    assert data.train.index.name == "line"
    assert data.train["text"].tolist() == ["a", "b\nb\nb", "c"]
    assert data.place("train", 8) == "t.csv:8"


def test_byte_order_mark_windows_lines_and_spaced_header_are_accepted(load):
    data = load({"t.csv": b"\xef\xbb\xbf" + b"text, label\r\ngood,+\r\n"}, train="t.csv")
    assert data.labels("train").tolist() == ["+"]


def test_tsv_and_gzip_and_format_by_name(load):
    data = load(
        {"a.tsv": "text\tlabel\na, b\t1\n", "b.csv.gz": gzip.compress(CSV.encode())}, train="a.tsv", test="b.csv.gz"
    )
    assert data.train["text"].tolist() == ["a, b"]
    assert data.labels("test").tolist() == ["+", "-"]


def test_format_can_be_named_for_a_file_without_suffix(load):
    assert len(load({"table": CSV}, train="table", format="csv").train) == 2


def test_quotes_can_be_plain_characters(load):
    data = load({"t.tsv": 'text\tlabel\n"so what\t1\n6" nails\t2\n'}, train="t.tsv", quote=None)
    assert data.train["text"].tolist() == ['"so what', '6" nails']


def test_a_text_longer_than_the_csv_modules_limit_is_read(load):
    assert len(load({"t.csv": f"text,label\n{'x' * 200_000},+\n"}, train="t.csv").train["text"].iloc[0]) == 200_000


def test_other_encodings_are_read_when_named(load):
    text = "text,label\ncafé,+\n"
    for encoding in ("cp1252", "utf-16"):
        data = load({"t.csv": text.encode(encoding)}, train="t.csv", encoding=encoding)
        assert data.train["text"].tolist() == ["café"]


def test_jsonl_labels_keep_their_type(load):
    rows = [
        {"text": f"t{n}", "label": label}
        for n, label in enumerate(["a", 3, 4.0, True, None, "", ["x", "y", "x"], [1, 2.0], []])
    ]
    data = load({"t.jsonl": "\n" + jsonl(*rows)}, train="t.jsonl")
    expected = ["a", 3, 4, "True", None, None, ["x", "y"], [1, 2], []]
    assert data.labels("train").tolist() == expected
    assert [type(one) for one in data.labels("train")] == [type(one) for one in expected]
    assert data.train.index.tolist() == list(range(2, 11))


def test_jsonl_rows_may_lack_keys_and_hold_unicode_line_separators(load):
    data = load({"t.json": '{"text": "a\u2028b", "label": 1}\n{"text": 5, "note": "x"}\n'}, train="t.json")
    assert data.train["text"].tolist() == ["a\u2028b", "5"]
    assert data.labels("train").tolist() == [1, None]


def test_parquet_keeps_whole_numbers_beside_missing_ones(load, tmp_path):
    frame = pd.DataFrame({"text": ["a", "b", "c"], "label": pd.array([1, None, 2], dtype="Int64")})
    frame.to_parquet(tmp_path / "t.parquet")
    data = load(train="t.parquet")
    assert data.labels("train").tolist() == [1, None, 2]
    assert data.train.index.name == "row"
    assert data.place("train", 2) == "t.parquet: row 2"


def test_separator_makes_several_labels_and_an_empty_cell_none_of_them(load):
    data = load({"t.csv": "text,label\na,joy; love;joy\nb,\n"}, train="t.csv", label_separator=";")
    assert data.labels("train").tolist() == [["joy", "love"], []]


def test_an_empty_single_label_is_no_label(load):
    assert load({"t.csv": "text,label\na,\nb,x\n"}, train="t.csv").labels("train").tolist() == [None, "x"]


def test_indicator_columns_become_lists_of_their_names(load):
    files = {"t.csv": "text,joy,love\na,1,0\nb,1,1\nc,0,0\nd,,\n", "p.csv": "text\nz\n"}
    data = load(files, train="t.csv", test="p.csv", label=["joy", "love"])
    assert data.labels("train").tolist() == [["joy"], ["joy", "love"], [], None]
    assert data.train["joy"].tolist() == ["1", "1", "0", ""]
    assert data.labels("test") is None


def test_a_column_called_label_that_is_an_indicator_is_not_overwritten(load):
    data = load({"t.csv": "text,label,b\na,1,0\n"}, train="t.csv", label=["label", "b"])
    assert data.train["label"].tolist() == ["1"]
    assert data.labels("train").tolist() == [["label"]]


def test_roles_weights_pairs_and_other_columns(load):
    data = load({"t.csv": "q,a,w,label,note\nx,y,0.5,1,NA\n"}, train="t.csv", text="q", text_pair="a", weight="w")
    assert data.roles == {"text": "q", "text_pair": "a", "weight": "w", "label": "label"}
    assert data.train.iloc[0].tolist() == ["x", "y", 0.5, "1", "NA"]


def test_the_prompt_is_the_text_where_only_it_is_named(load):
    data = load({"t.jsonl": jsonl({"p": "a", "c": "b"})}, train="t.jsonl", prompt="p", completion="c")
    assert data.roles == {"text": "p", "prompt": "p", "completion": "c"}


def test_labels_of_the_unlabelled_table_are_not_read(load):
    data = load({"t.csv": CSV, "u.csv": "text,label\nc,9\n"}, train="t.csv", unlabelled="u.csv")
    assert data.labels("unlabelled").tolist() == [None]
    assert any("u.csv" in note and "not read" in note for note in data.notes)


def test_training_without_labels_is_fine_when_none_were_demanded(load):
    data = load({"t.csv": "text\na\n", "e.csv": "text,label\nb,x\n"}, train="t.csv", test="e.csv")
    assert data.labels("train").tolist() == [None]
    assert data.labels("test").tolist() == ["x"]


def test_sources_fingerprint_the_bytes_of_the_file(load):
    source = load({"t.csv": CSV}, train="t.csv").sources["train"]
    assert (source.place, source.unit, source.rows) == ("t.csv", "line", 2)
    assert source.sha256 == sha256(CSV.encode()).hexdigest()


def test_repeated_and_contradictory_texts_are_noted(load):
    files = {"t.csv": "text,label\na,1\nb,1\na,2\n", "e.csv": "text,label\nnew,1\na,1\n"}
    notes = "\n".join(load(files, train="t.csv", test="e.csv").notes)
    assert "1 of the 2 texts of e.csv" in notes
    assert "e.csv:3 is t.csv:" in notes
    assert "1 training texts carry different labels" in notes
    assert "t.csv:2 and t.csv:4" in notes


def test_the_same_first_text_of_different_pairs_is_no_repetition(load):
    files = {"t.csv": "text,b,label\na,x,1\na,y,2\n", "e.csv": "text,b,label\na,z,1\n"}
    assert load(files, train="t.csv", test="e.csv", text_pair="b").notes == ()


def test_a_missing_label_column_in_the_test_table_is_noted(load):
    data = load({"t.csv": "text,y\na,1\n", "e.csv": "text\nb\n"}, train="t.csv", test="e.csv", label="y")
    assert data.notes == ("e.csv: no column 'y', so it cannot be evaluated",)


WRONG = {
    "too many cells": ({"t.csv": "text,label\na,b,1\nc,2\n"}, {}, ["t.csv:2: 3 cells, and the header has 2", '"']),
    "too few cells": ({"t.csv": "text,label\na\n"}, {}, ["t.csv:2: 1 cell, and the header has 2"]),
    "open quote": ({"t.csv": 'text,label\na,1\n"b,2\nc,3\n'}, {}, ["t.csv:3: a quoted cell", "data.quote"]),
    "text after quote": ({"t.csv": 'text,label\n"b"c,2\n'}, {}, ["t.csv:2: a quoted cell"]),
    "NUL": ({"t.csv": "text,label\na,1\nb\0,2\n"}, {}, ["t.csv:3: a NUL character"]),
    "Latin-1": ({"t.csv": "text,label\na,1\ncafé,2\n".encode("latin-1")}, {}, ["t.csv:3: byte 0xE9", "data.encoding"]),
    "UTF-16": ({"t.csv": CSV.encode("utf-16")}, {}, ["t.csv:1:", "utf-16"]),
    "empty file": ({"t.csv": ""}, {}, ["t.csv: the file is empty"]),
    "only blanks": ({"t.csv": "\n \n"}, {}, ["t.csv: the file holds nothing but blanks"]),
    "only a header": ({"t.csv": "text,label\n"}, {}, ["t.csv: a header and no examples; columns: text, label"]),
    "column twice": ({"t.csv": "text,label,label\na,1,2\n"}, {}, ["t.csv: column 'label' stands there twice"]),
    "column without name": ({"t.csv": ",text,label\n0,a,1\n"}, {}, ["t.csv: column 1 has no name", "index=False"]),
    "semicolons": ({"t.csv": "text;label\na;1\n"}, {}, ["t.csv:1:", "semicolons"]),
    "tabs": ({"t.csv": "text\tlabel\na\t1\n"}, {}, ["t.csv:1:", "data.format"]),
    "missing text": ({"t.csv": "texts,label\na,1\n"}, {}, ["no column 'text'", "did you mean 'texts'?", "data.text"]),
    "missing label": ({"t.csv": CSV}, {"label": "labels"}, ["no column 'labels'", "did you mean 'label'?"]),
    "missing indicator": ({"t.csv": CSV}, {"label": ["label", "x"]}, ["no column 'x'"]),
    "indicator of 2": ({"t.csv": "text,x\na,2\n"}, {"label": ["x"]}, ["t.csv:2", "neither 0 nor 1", "'2'"]),
    "indicators half empty": ({"t.csv": "text,x,y\na,1,\n"}, {"label": ["x", "y"]}, ["t.csv:2: some label columns"]),
    "empty text": ({"t.csv": "text,label\n ,1\nb,1\n,1\n,2\n,2\n"}, {}, ["t.csv:2, t.csv:4, t.csv:5", "4 in all"]),
    "weight": ({"t.csv": "text,w\na,-1\n"}, {"weight": "w"}, ["t.csv:2: weight 'w'", "'-1'"]),
    "huge weight": ({"t.csv": "text,w\na,1e999\n"}, {"weight": "w"}, ["t.csv:2: weight 'w'"]),
    "no JSON": ({"t.jsonl": '{"text": "a"}\n{"text": \n'}, {}, ["t.jsonl:2: no JSON"]),
    "JSON list": ({"t.jsonl": "[1, 2]\n"}, {}, ["t.jsonl:1: found a list, wanted an object a line"]),
    "JSON key twice": ({"t.jsonl": '{"text": "a", "text": "b"}\n'}, {}, ["t.jsonl:1: key 'text' stands there twice"]),
    "JSON too deep": ({"t.jsonl": "[" * 200_000 + "\n"}, {}, ["t.jsonl:1:"]),
    "regression": ({"t.jsonl": jsonl({"text": "a", "label": 0.37})}, {}, ["t.jsonl:1", "0.37", "regression target"]),
    "label is an object": ({"t.jsonl": jsonl({"text": "a", "label": {"b": 1}})}, {}, ["t.jsonl:1", "is no label"]),
    "label in a list": ({"t.jsonl": jsonl({"text": "a", "label": ["b", None]})}, {}, ["t.jsonl:1", "is no label"]),
    "text is a list": ({"t.jsonl": jsonl({"text": "a"}, {"text": ["a"]})}, {}, ["t.jsonl:2", "is no text"]),
    "text among lists": ({"t.jsonl": jsonl({"text": ["a"]}, {"text": "a"})}, {}, ["t.jsonl:2", "no list of tokens"]),
    "no token": ({"t.jsonl": jsonl({"text": ["a"]}, {"text": []})}, {}, ["t.jsonl:2", "holds no token"]),
    "empty token": ({"t.jsonl": jsonl({"text": ["a", ""]})}, {}, ["t.jsonl:1", "a token that is empty"]),
    "token is null": ({"t.jsonl": jsonl({"text": ["a", None]})}, {}, ["t.jsonl:1", "a token that is empty or no text"]),
    "fewer tags": (
        {"t.jsonl": jsonl({"text": ["a", "b"], "label": ["O", "O"]}, {"text": ["a", "b"], "label": ["O"]})},
        {},
        ["t.jsonl:2: 2 tokens and 1 tag; write one tag for each token"],
    ),
    "one tag for all": ({"t.jsonl": jsonl({"text": ["a"], "label": "O"})}, {}, ["t.jsonl:1", "no list of tags"]),
    "no separator": ({"t.csv": "text,label\na b,O O O\n"}, {"token_separator": " "}, ["t.csv:2: 2 tokens and 3 tags"]),
    "text is null": ({"t.jsonl": jsonl({"text": None})}, {}, ["t.jsonl:1", "is empty"]),
    "half a character": ({"t.jsonl": '{"text": "\\ud800"}\n'}, {}, ["t.jsonl:1", "half a character"]),
    "half a label": ({"t.jsonl": '{"text": "a", "label": "\\ud800"}\n'}, {}, ["t.jsonl:1", "half a character"]),
    "3 and '3'": ({"t.jsonl": jsonl({"text": "a", "label": 3}, {"text": "b", "label": "3"})}, {}, ["label 3 stands"]),
    "no Parquet": ({"t.parquet": CSV}, {}, ["t.parquet: no Parquet file"]),
    "damaged gzip": ({"t.csv.gz": gzip.compress(CSV.encode())[:-9]}, {}, ["t.csv.gz: the gzip file is damaged"]),
    "unknown format": ({"t.xlsx": "PK"}, {}, ["t.xlsx: '.xlsx' does not say", "data.format"]),
}


@pytest.mark.parametrize(("files", "config", "parts"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told(load, files, config, parts):
    with pytest.raises(DataError) as error:
        load(files, train=next(iter(files)), **config)
    for part in parts:
        assert part in str(error.value)
    assert "Traceback" not in str(error.value)


def test_many_problems_are_told_at_once_and_cut_short(load):
    with pytest.raises(DataError) as error:
        load({"t.csv": "text,label\n" + "a\n" * 9, "e.csv": ""}, train="t.csv", test="e.csv")
    lines = str(error.value).split("\n")
    assert lines[0].startswith("t.csv:2:")
    assert lines[5:] == ["… and 4 more", "e.csv: the file is empty; give it a header and examples"]


def test_problems_of_several_columns_come_together(load):
    with pytest.raises(DataError) as error:
        load({"t.csv": "text,w\n,x\n"}, train="t.csv", weight="w", label="l")
    assert len(str(error.value).split("\n")) == 3


def test_a_missing_file_names_the_nearest_one(load):
    with pytest.raises(DataError, match=r"trian\.csv: no such file; did you mean 'train\.csv'\?"):
        load({"train.csv": CSV}, train="trian.csv")
    with pytest.raises(DataError, match=r"no folder"):
        load(train="nowhere/train.csv")


def test_a_folder_is_no_file(load, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.csv").write_text(CSV)
    with pytest.raises(DataError, match=r"d: a folder, and a file is needed; files in it: train\.csv"):
        load(train="d")


def test_without_file_or_frame_there_is_nothing_to_learn_from(load):
    with pytest.raises(DataError, match=r"data\.train: no training table"):
        load()


@pytest.mark.parametrize("config", [{"encoding": "utf-99"}, {"encoding": "base64"}, {"quote": "ab"}, {"label": []}])
def test_settings_that_mean_nothing_are_refused(config):
    with pytest.raises(ValidationError):
        Table.Config.model_validate(config)


def test_separator_and_indicators_exclude_one_another():
    with pytest.raises(ValidationError, match="label_separator"):
        Table.Config.model_validate({"label": ["a"], "label_separator": ";"})


def test_frames_become_python_values_and_rows_are_numbered():
    frame = pd.DataFrame({"text": list("abcd"), "label": np.array([1, 0, 2, 1])}, index=[7, 7, 8, 9])
    data = of_frames({"train": frame})
    assert data.labels("train").tolist() == [1, 0, 2, 1]
    assert {type(one) for one in data.labels("train")} == {int}
    assert data.train.index.tolist() == [0, 1, 2, 3]
    assert data.place("train", 3) == "the frame given as train: row 3"
    assert data.sources["train"].sha256 == fingerprint(frame)
    assert frame.index.tolist() == [7, 7, 8, 9]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (pd.Series([1.0, np.nan]), [1, None]),
        (pd.Series([True, False]), ["True", "False"]),
        (pd.Series([True, pd.NA], dtype="boolean"), ["True", None]),
        (pd.Series(["x", None]), ["x", None]),
        (pd.Series(["x", "y"], dtype="category"), ["x", "y"]),
        (pd.Series([np.array([1, 2]), ["a"]]), [[1, 2], ["a"]]),
        (pd.Series([np.str_("x"), np.int64(3)], dtype=object), ["x", 3]),
    ],
)
def test_label_cells_of_frames(labels, expected):
    found = of_frames({"train": pd.DataFrame({"text": ["a", "b"], "label": labels})}).labels("train").tolist()
    assert found == expected
    assert [type(one) for one in found] == [type(one) for one in expected]


def test_a_frame_stands_in_for_the_file_of_its_split(load, tmp_path):
    (tmp_path / "t.csv").write_text(CSV)
    config = Table.Config.model_validate({"train": "absent.csv", "test": "t.csv"}, context={"folder": tmp_path})
    table = Table(config)
    table.use_frames({"train": pd.DataFrame({"text": ["x"], "label": ["+"]})})
    data = table.load_data(Run(config=None, folder=tmp_path))
    assert (len(data.train), data.sources["test"].place) == (1, "t.csv")


def test_a_finished_run_needs_no_training_table_and_reads_frames_alone(load, tmp_path):
    finished = FinishedRun(tmp_path, Categorical(("+", "-")), {"text": "text"}, {})
    assert set(load({"n.csv": "text\nx\n"}, finished, test="n.csv").splits) == {"test"}
    frame = pd.DataFrame({"text": ["x"]})
    assert set(of_frames({"test": frame}, finished, train="gone.csv").splits) == {"test"}


def test_another_file_or_frame_is_read_as_the_run_reads_its_own(tmp_path):
    table = Table(Table.Config.model_validate({"train": "gone.csv", "text": "q", "label_separator": ";"}))
    (tmp_path / "n.csv").write_text("q,label\na,x;y\n")
    run = Run(config=None, folder=tmp_path, finished=FinishedRun(tmp_path, Categorical(("x", "y")), {"text": "q"}, {}))
    for source in (tmp_path / "n.csv", str(tmp_path / "n.csv"), pd.DataFrame({"q": ["a"], "label": ["x;y"]})):
        data = table.reading(source).load_data(run)
        assert set(data.splits) == {"test"}
        assert data.labels("test").tolist() == [["x", "y"]]


@pytest.mark.parametrize(
    ("frames", "part"),
    [
        ({"trian": pd.DataFrame()}, "did you mean 'train'"),
        ({"train": [1]}, "found list, wanted a pandas DataFrame"),
        ({"train": pd.DataFrame({"text": [], "label": []})}, "no examples"),
        ({"train": pd.DataFrame([["a", "b"]], columns=["text", "text"])}, "stands there twice"),
        ({"train": pd.DataFrame({"text": ["a", None]})}, "the frame given as train: row 1"),
    ],
)
def test_frames_that_cannot_be_used_are_refused(frames, part):
    with pytest.raises(DataError) as error:
        of_frames(frames)
    assert part in str(error.value)


def test_loading_the_class_imports_nothing_heavy():
    heavy = "{'torch', 'pandas', 'numpy', 'sklearn', 'datasets', 'imblearn', 'pyarrow'}"
    script = f"import sys, triune_table, triune_hub, triune_balance; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout.strip() == "[]"


def test_another_file_is_read_by_its_own_name_whatever_the_format_of_the_run(tmp_path):
    (tmp_path / "new.jsonl").write_text('{"text": "a", "label": "x"}\n')
    (tmp_path / "new.data").write_text("text,label\nb,y\n")
    plugin = Table(Table.Config.model_validate({"format": "csv"}))
    run = Run(None, tmp_path, finished=object())
    for name, text in (("new.jsonl", "a"), ("new.data", "b")):
        assert plugin.reading(tmp_path / name).load_data(run).splits["test"]["text"].tolist() == [text]


TAGGED = [(["to", "Oslo", "Oslo"], ["O", "B-LOC", "B-LOC"]), (["so"], [None]), (["to", "go"], None)]


def test_lists_of_tokens_keep_their_tags_in_order_and_number(load):
    data = load({"t.jsonl": jsonl(*({"text": tokens, "label": tags} for tokens, tags in TAGGED))}, train="t.jsonl")
    assert data.tokenised
    assert list(zip(data.train["text"], data.train["label"], strict=True)) == TAGGED


def test_frames_may_hold_arrays_of_tokens():
    tokens, tags = np.array(["to", "Oslo"], dtype=object), np.array(["O", "B-LOC"], dtype=object)
    data = of_frames({"train": pd.DataFrame({"text": pd.Series([tokens]), "label": pd.Series([tags])})})
    assert data.train["text"].tolist() == [["to", "Oslo"]] and data.train["label"].tolist() == [["O", "B-LOC"]]


@pytest.mark.parametrize(
    ("separator", "text", "label"), [(" ", "to  Oslo Oslo", "O B-LOC B-LOC"), ("|", "to|Oslo|Oslo", "O|B-LOC|B-LOC")]
)
def test_a_separator_parts_tokens_and_tags_of_text_cells(load, separator, text, label):
    data = load({"t.csv": f"text,label\n{text},{label}\n"}, train="t.csv", token_separator=separator)
    assert (data.train["text"].iloc[0], data.train["label"].iloc[0]) == TAGGED[0]


def test_tags_in_another_order_contradict_one_another(load):
    rows = [{"text": ["a", "b"], "label": ["X", "O"]}, {"text": ["a", "b"], "label": ["O", "X"]}]
    assert any("carry different labels" in note for note in load({"t.jsonl": jsonl(*rows)}, train="t.jsonl").notes)
    rows = [rows[0], rows[0]]
    assert not load({"t.jsonl": jsonl(*rows)}, train="t.jsonl").notes


def test_unlabelled_tokens_need_no_tags(load):
    files = {"t.jsonl": jsonl({"text": ["a"], "label": ["O"]}), "u.jsonl": jsonl({"text": ["b", "c"]})}
    data = load(files, train="t.jsonl", unlabelled="u.jsonl")
    assert data.splits["unlabelled"]["text"].tolist() == [["b", "c"]]
