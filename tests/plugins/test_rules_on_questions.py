"""Methods that push rules, on real questions with published rules: violations fall, and accuracy does not."""

import gzip
import json
from pathlib import Path

import pandas as pd
import pytest

import triune
from tests.plugins.toy_rules import Rules
from triune import Label, Rule
from triune.conditions import Regex
from triune.models import locate

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "trec_question"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
LABELS = ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]


def rows(split, first, last):
    with gzip.open(DATA / f"{split}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return pd.DataFrame([json.loads(line) for line in lines])[["text", "label"]].iloc[first:last]


def published():
    return [
        Rule(one["id"], Label(one["label"]), Regex(one["pattern"]), confidence=0.8)
        for one in json.loads((DATA / "rules.json").read_text(encoding="utf-8"))["rules"]
        if one["kind"] == "regex_search"
    ]


def report(folder, *methods):
    """Return accuracy on held-out questions, and the share of fired rules that predictions break there."""
    times = 5 if methods else 1  # labelled examples are as frequent as others
    result = triune.run(
        {
            "task": {"use": "text-classification", "model": MODEL, "labels": LABELS},
            "data": {"use": "table", "text": "text", "label": "label"},
            "methods": [{"use": "top-layers", "blocks": 1}, *methods],
            "rules": "published",
            "training": {
                **{"epochs": 50, "max_steps": 40, "batch_size": 32, "learning_rate": 1e-3, "max_length": 24},
                **{"validation": 0.0, "early_stopping": None, "keep_best": False, "threads": 1, "seed": 1},
                "baselines": False,
            },
            "output": str(folder),
        },
        data={
            "train": pd.concat([rows("train", 0, 48)] * times),
            "unlabelled": rows("train", 48, 300)[["text"]],
            "test": rows("test", 0, 200),
        },
        plugins={"published": Rules(*published())},
    )
    found = result.metrics["test"]
    fired = [(one["coverage"], one["violation_rate"]) for one in found["rules"].values() if one["coverage"]]
    return found["accuracy"], sum(share * broken for share, broken in fired) / sum(share for share, _ in fired)


@pytest.mark.slow
def test_on_questions_rules_are_kept_more_often_and_accuracy_does_not_collapse(tmp_path):
    if not DATA.exists():
        pytest.skip("the questions are not on this machine")
    if not locate(MODEL, Path()):
        pytest.skip("the model is not on this machine")
    accuracy, broken = report(tmp_path / "labels alone")
    for name in ("semantic-loss", "rule-regulariser"):
        pushed, less = report(tmp_path / name, name)
        assert less < broken - 0.03
        assert pushed > accuracy - 0.03
