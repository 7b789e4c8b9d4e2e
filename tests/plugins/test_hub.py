"""The plugin `hub`: data sets of the `datasets` library, offline."""

import json

import pytest

from triune.context import Run
from triune.errors import DataError, EnvironmentProblem

datasets = pytest.importorskip("datasets", reason="the extra 'hub' is not installed")
from triune_hub import Hub  # noqa: E402


@pytest.fixture(autouse=True)
def offline_with_its_own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def load(tmp_path):
    def loading(**config):
        return Hub(Hub.Config.model_validate(config)).load_data(Run(config=None, folder=tmp_path))

    return loading


def split(labels, several=None):
    names = datasets.ClassLabel(names=["ham", "spam"])
    features = {"text": datasets.Value("string"), "label": names, "several": datasets.Sequence(names)}
    rows = {
        "text": [f"t{n}" for n in range(len(labels))],
        "label": labels,
        "several": several or [[]] * len(labels),
    }
    return datasets.Dataset.from_dict(rows, features=datasets.Features(features))


def test_class_numbers_become_names_and_hidden_labels_none(load, tmp_path):
    found = datasets.DatasetDict(train=split([1, 0, None]), validation=split([0]), test=split([-1, -1]))
    found.save_to_disk(tmp_path / "d")
    data = load(path="d")
    assert data.labels("train").tolist() == ["spam", "ham", None]
    assert data.labels("valid").tolist() == ["ham"]
    assert data.labels("test").tolist() == [None, None]
    assert data.place("train", 2) == "d train: row 2"


def test_lists_of_class_numbers_become_lists_of_names(load, tmp_path):
    datasets.DatasetDict(train=split([0, 0], [[0, 1], []])).save_to_disk(tmp_path / "d")
    assert load(path="d", label="several").labels("train").tolist() == [["ham", "spam"], []]


def test_a_data_set_without_splits_is_the_training_table(load, tmp_path):
    split([0, 1]).save_to_disk(tmp_path / "d")
    assert set(load(path="d").splits) == {"train"}


def test_rows_come_in_the_order_of_a_selection(load, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.load_from_disk", lambda _: split([0, 1, 1]).select([2, 0]))
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "dataset_info.json").write_text("{}")
    assert load(path="d").train["text"].tolist() == ["t2", "t0"]


def test_named_splits_are_taken_once(load, tmp_path):
    datasets.DatasetDict(a=split([0]), validation=split([0, 1])).save_to_disk(tmp_path / "d")
    data = load(path="d", splits={"train": "validation", "test": "a"})
    assert {name: len(table) for name, table in data.splits.items()} == {"train": 2, "test": 1}


def test_a_folder_of_data_files_keeps_na_as_text(load, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.csv").write_text("text,label\na,NA\nb,null\n")
    assert load(path="d").labels("train").tolist() == ["NA", "null"]


def test_a_folder_of_json_lines_keeps_whole_numbers(load, tmp_path):
    (tmp_path / "d").mkdir()
    rows = [{"text": "a", "label": 1}, {"text": "b", "label": None}]
    (tmp_path / "d" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert load(path="d").labels("train").tolist() == [1, None]


def test_the_fingerprint_follows_the_content(load, tmp_path):
    for name, labels in (("a", [0, 1]), ("b", [0, 1]), ("c", [1, 1])):
        split(labels).save_to_disk(tmp_path / name)
    prints = [load(path=name).sources["train"].sha256 for name in "abc"]
    assert prints[0] == prints[1] != prints[2]


def test_out_of_reach_is_a_problem_of_the_environment(load):
    with pytest.raises(EnvironmentProblem, match="neither the local cache of 'datasets' nor the hub has it"):
        load(path="nobody/nothing")


def test_what_is_not_there_is_told_with_the_nearest_name(load, tmp_path):
    datasets.DatasetDict(train=split([0]), tests=split([0])).save_to_disk(tmp_path / "d")
    with pytest.raises(DataError) as error:
        load(path="d", splits={"train": "trian", "test": "test"})
    assert "data.splits.train: 'd' has no split 'trian'; splits: train, tests; did you mean 'train'?" in str(
        error.value
    )
    assert "did you mean 'tests'?" in str(error.value)
    with pytest.raises(DataError, match=r"no column 'txt' for the text.*did you mean 'text'"):
        load(path="d", text="txt")


def test_a_wrong_subset_is_told_with_those_there_are(load, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.csv").write_text("text,label\na,b\n")
    with pytest.raises(DataError, match=r"data\.subset 'x' is none of them .*Available: \['default'\]"):
        load(path="d", subset="x")


def test_an_empty_folder_and_a_file_are_no_data_sets(load, tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "f.csv").write_text("text\n")
    with pytest.raises(DataError, match="the folder cannot be read as a data set"):
        load(path="d")
    with pytest.raises(DataError, match="use: table"):
        load(path="f.csv")
