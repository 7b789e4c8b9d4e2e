"""Teacher and reward on questions with their published rules: rules are kept more, and no class takes over."""

import gzip
import json
import os
from pathlib import Path

import pandas as pd
import pytest

import triune
from triune import Label, Rule, hookimpl
from triune.conditions import Column

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "trec_question"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the public data sets are not at ../shared/data"),
]


def rows(split, number, labels):
    with gzip.open(DATA / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        read = [json.loads(line) for line in lines][:number]
    votes = pd.DataFrame([one["weak_labels"] for one in read])
    fires = {f"{rule}:{labels[label]}": (votes[rule] == label).astype(int) for rule in votes for label in range(6)}
    table = {"text": [one["text"] for one in read], "label": [one["label"] for one in read]}
    return pd.DataFrame({**table, **fires}).astype(dict.fromkeys(fires, str))


class Published:
    def __init__(self, columns):
        self.columns = columns

    @hookimpl
    def rules(self):
        for name in self.columns:
            yield Rule(name, Label(name.partition(":")[2]), Column(name, "equals", 1), confidence=0.9)


@pytest.fixture(scope="module")
def questions():
    labels = json.loads((DATA / "rules.json").read_text())["labels"]
    train, test = rows("train", 500, labels), rows("test", 250, labels)
    train.loc[60:, "label"] = None
    columns = [name for name in train.columns[2:] if (train[name] == "1").any()]
    return labels, train, test, columns


def measured(folder, questions, *methods):
    labels, train, test, columns = questions
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    done = triune.run(
        {
            "task": {"use": "text-classification", "model": MODEL, "labels": labels},
            "data": {"use": "table", "text": "text", "label": "label"},
            "methods": [{"use": "top-layers", "blocks": 1}, *methods],
            "rules": ["published"],
            "training": {
                **{"epochs": 4, "batch_size": 32, "learning_rate": 1e-3, "max_length": 32, "threads": 1, "seed": 0},
                **{"validation": 0.0, "early_stopping": None, "keep_best": False},
            },
        },
        data={"train": train, "test": test},
        plugins={"published": Published(columns)},
        output=folder,
    )
    found = done.metrics["test"]
    fired = [one for one in found["rules"].values() if one["violation_rate"] is not None]
    broken = sum(one["violation_rate"] * one["coverage"] for one in fired) / sum(one["coverage"] for one in fired)
    return found["accuracy"], broken, found["largest_predicted_share"]


@pytest.fixture(scope="module")
def learning(questions, tmp_path_factory):
    return measured(tmp_path_factory.mktemp("learning") / "run", questions)


# the labelled questions are a fair sample, so that their shares are no guess
METHODS = [{"use": "rule-teacher", "guard_floor": 1.0}, {"use": "rule-reward", "kl": 0.01, "guard_floor": 1.0}]


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_rules_are_kept_more_and_no_class_takes_over(tmp_path, questions, learning, method):
    accuracy, broken, largest = measured(tmp_path / "run", questions, method)
    assert broken < learning[1] - 0.02
    assert accuracy > learning[0] - 0.05
    assert largest < 0.6
