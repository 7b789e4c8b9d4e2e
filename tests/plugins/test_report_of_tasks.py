"""The report over real runs of every task: one label, several, pairs of texts, tags."""

import json
import random

import pandas as pd
import pytest

import triune
from tests.core.report_pages import page_of, section, tables
from triune.report.records import read_records
from triune.report.scoring import calibration

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs

TRAINING = {"epochs": 2, "batch_size": 16, "learning_rate": 3e-3, "threads": 1, "device": "cpu", "baselines": False}
WORDS = {"delivery": "where is the parcel", "refund": "money back please", "technical": "the app does not work"}
RULES = """
rules:
  - {name: parcels, when: {contains: [parcel]}, then: delivery, confidence: 0.8}
  - {name: wrong, when: {contains: [money]}, then: technical}
"""
TAG_RULES = """
rules:
  - {name: town, when: {token: [oslo]}, then: {span: LOC}}
  - {name: wrong, when: {token: [thanks]}, then: {span: LOC}}
"""


def texts(rows, seed=0, several=False, pair=False):
    draw = random.Random(seed)
    found = []
    for _ in range(rows):
        names = draw.sample(sorted(WORDS), draw.randint(0, 2) if several else 1)
        row = {"text": " and ".join(WORDS[name] for name in names) or "thanks", "label": names if several else names[0]}
        found.append(row | ({"other": "hello"} if pair else {}))
    return pd.DataFrame(found)


def sentences(rows, seed=0):
    draw = random.Random(seed)
    words = [draw.choices([("oslo", "B-LOC"), ("where", "O"), ("is", "O"), ("thanks", "O")], k=5) for _ in range(rows)]
    return pd.DataFrame(
        {"text": [[w for w, _ in row] for row in words], "label": [[t for _, t in row] for row in words]}
    )


def run(folder, model, task, make, rules, data=None, **training):
    (folder / "rules.yaml").write_text(rules)
    config = {
        "task": {"use": task, "model": str(model)},
        "data": {"use": "table", **(data or {})},
        "methods": ["end-to-end", "semantic-loss"],
        "rules": [{"use": "rule-file", "path": str(folder / "rules.yaml")}],
        "training": {**TRAINING, **training},
    }
    frames = {"train": make(48), "test": make(24, seed=1)}
    done = triune.run(config, data=frames, output=folder / "run")
    return done, page_of(done.report.read_text())


def test_one_label_of_several(tiny_model, tmp_path):
    done, root = run(tmp_path, tiny_model, "text-classification", texts, RULES)
    captions = tables(root)
    assert [row[0] for row in captions["Each label, test table"][1:]] == ["delivery", "refund", "technical"]
    matrix = captions["Confusions, test table: a row for each label, a column for each prediction"]
    assert [[int(one) for one in row[1:]] for row in matrix[1:]] == done.metrics["test"]["confusion"][
        "rows_gold_columns_predicted"
    ]
    records = [one for one in read_records(done.folder / "predictions.jsonl") if one.split == "test"]
    assert calibration(records, 3).error == pytest.approx(done.metrics["test"]["calibration_error"], abs=1e-5)
    assert {"task", "semantic-loss", "loss"} & set(
        json.loads((done.folder / "history.jsonl").read_text().split("\n")[0])["terms"]
    )


def test_several_labels_at_once(tiny_model, tmp_path):
    done, root = run(
        tmp_path, tiny_model, "text-classification", lambda rows, seed=0: texts(rows, seed, several=True), RULES
    )
    assert not [caption for caption in tables(root) if caption.startswith("Confusions")]
    assert "over labels of examples" in section(root, "labels")
    records = [one for one in read_records(done.folder / "predictions.jsonl") if one.split == "test"]
    assert calibration(records, 3).error == pytest.approx(done.metrics["test"]["calibration_error"], abs=1e-5)


def test_pairs_of_texts_show_both(tiny_model, tmp_path):
    _, root = run(
        tmp_path,
        tiny_model,
        "text-classification",
        lambda rows, seed=0: texts(rows, seed, pair=True),
        RULES,
        {"text_pair": "other"},
    )
    assert "¶ hello" in section(root, "disagreements")


def test_tags(tiny_model, tmp_path):
    done, root = run(tmp_path, tiny_model, "token-classification", sentences, TAG_RULES)
    assert "over tokens" in section(root, "labels") and "wrong" in section(root, "disagreements")
    assert list(root.iter("ruby"))
    records = [one for one in read_records(done.folder / "predictions.jsonl") if one.split == "test"]
    tokens = [pair for one in records for pair in zip(one.gold, one.predicted, strict=True)]
    right = sum(str(gold) == str(said) for gold, said in tokens) / len(tokens)
    assert right == pytest.approx(done.metrics["test"]["token_accuracy"])
    wrong = [one for one in records if "wrong" in one.fired]
    assert wrong and all("wrong" in one.broken_by_label for one in wrong)
