"""Token classification on tiny encoders: what comes out is what plain transformers gives."""

import io
import json
import random

import pandas as pd
import pytest
import torch

import triune
from triune.cli import main
from triune.errors import DataError, PlanError
from triune.testing import check_plugin
from triune.testing.toys import Tables
from triune_token_classification import TokenClassification

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs

TRAINING = {"epochs": 1, "batch_size": 8, "learning_rate": 3e-3, "threads": 1, "device": "cpu", "max_length": 32}
TRAINING |= {"validation": 0.1}
PLACES, PEOPLE, REST = ("oslo", "new york"), ("anna lee", "bob"), ("where is", "the parcel of", "money back", "thanks")


def sentences(count, seed=0, scheme="bio"):
    """Return tokens and tags of sentences in which two kinds of span stand."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        tokens, tags = [], []
        for kind in draw.choices(("", "LOC", "PER"), (4, 1, 1), k=4):
            words = draw.choice({"": REST, "LOC": PLACES, "PER": PEOPLE}[kind]).split()
            tokens += words
            tags += marked(kind, len(words), scheme)
        rows.append({"text": tokens, "label": tags})
    return pd.DataFrame(rows)


def marked(kind, length, scheme):
    if not kind or scheme == "none":
        return [kind or "O"] * length
    if scheme == "bio" or length > 1:
        return [
            f"B-{kind}",
            *[f"I-{kind}"] * (length - 2),
            *[f"{'E' if scheme == 'bioes' else 'I'}-{kind}"] * (length > 1),
        ]
    return [f"S-{kind}"]


def trained(model, output, data, task=None, table=None, methods=("end-to-end",), **training):
    config = {
        "task": {"use": "token-classification", "model": str(model), **(task or {})},
        "data": {"use": "table", **(table or {})},
        "methods": list(methods),
        "training": {**TRAINING, **training},
    }
    return triune.run(config, data=data, output=output)


@pytest.fixture(scope="module")
def run(tiny_model, tmp_path_factory):
    data = {"train": sentences(120), "test": sentences(40, seed=1), "unlabelled": sentences(4, seed=2)[["text"]]}
    return trained(tiny_model, tmp_path_factory.mktemp("tokens") / "run", data, epochs=6)


def in_plain_transformers(folder, texts):
    """Return what an exported model says of each word, read off the first of its pieces."""
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForTokenClassification.from_pretrained(folder)
    for text in texts:
        encoded = tokenizer(text, is_split_into_words=True, truncation=True, max_length=64, return_tensors="pt")
        with torch.inference_mode():
            scores = model(**encoded).logits[0]
        words = encoded.word_ids(0)
        yield [model.config.id2label[int(scores[words.index(word)].argmax())] for word in range(len(text))]


def test_it_learns_spans_and_measures_them(run):
    measured = run.metrics["test"]
    assert measured["micro_f1"] > 0.9 and measured["macro_f1"] > 0.9 and measured["token_accuracy"] > 0.95
    assert measured["per_class"].keys() == {"LOC", "PER"}
    assert run.metrics["valid"]["macro_f1"] == run.facts["ended"]["best"]


def test_the_exported_model_predicts_the_same_in_plain_transformers(run):
    texts = sentences(30, seed=3)["text"]
    ours = triune.predict(run.folder, pd.DataFrame({"text": texts}))
    assert ours["predicted"].tolist() == list(in_plain_transformers(run.model, texts))


def test_the_line_of_the_model_card_loads_a_pipeline_that_finds_the_same_spans(run):
    import transformers

    line = run.facts["usage"]
    assert line in (run.folder / "README.md").read_text()
    found = eval(line.replace('"model"', repr(str(run.model))), {"transformers": transformers})
    texts = list(sentences(20, seed=4)["text"])
    ours = triune.predict(run.folder, pd.DataFrame({"text": texts}))["predicted"]
    for tags, spans in zip(ours, found([" ".join(text) for text in texts]), strict=True):
        kinds = [tag[2:] for tag in tags if tag.startswith("B-")]
        assert [span["entity_group"] for span in spans] == kinds


def test_predictions_have_a_tag_and_a_probability_for_each_token(run):
    table = sentences(9, seed=5)
    ours = triune.predict(run.folder, table)
    for tokens, tags, chances in zip(table["text"], ours["predicted"], ours["probability"], strict=True):
        assert len(tokens) == len(tags) == len(chances)
        assert all(0 < chance <= 1 for chance in chances)


def test_evaluating_a_finished_run_gives_what_the_run_measured(run):
    again, measured = triune.evaluate(run.folder, sentences(40, seed=1)), run.metrics["test"]
    assert {name: again[name] for name in measured if "rules" not in name} == {
        name: value for name, value in measured.items() if "rules" not in name
    }


def test_the_scheme_and_its_order_are_known_to_a_finished_run(run):
    assert json.loads((run.model / "config.json").read_text())["tag_scheme"] == "bio"
    assert any("scheme BIO (recognised)" in note for note in run.facts["notes"])
    assert run.metrics["test"]["rules"]["bio-transitions"]["violation_rate_on_gold"] == 0
    assert triune.evaluate(run.folder, sentences(5))["rules"]["bio-transitions"]["coverage"] == 1


def test_transitions_can_be_left_out(tiny_model, tmp_path):
    run = trained(tiny_model, tmp_path / "run", sentences(16), {"transitions": False}, max_steps=1)
    assert "rules" not in run.metrics["valid"]


def test_tags_without_spans_are_measured_token_by_token(tiny_model, tmp_path):
    data = {"train": sentences(60, scheme="none"), "test": sentences(20, seed=1, scheme="none")}
    run = trained(tiny_model, tmp_path / "run", data, epochs=4)
    measured = run.metrics["test"]
    assert measured["micro_f1"] == pytest.approx(measured["token_accuracy"])
    assert measured["per_class"].keys() == {"LOC", "O", "PER"} and "rules" not in measured
    assert "aggregation_strategy" not in run.facts["usage"]


@pytest.mark.parametrize("scheme", ["bioes"])
def test_other_schemes_are_recognised_and_their_order_becomes_a_rule(tiny_model, tmp_path, scheme):
    run = trained(tiny_model, tmp_path / "run", {"train": sentences(40, scheme=scheme)}, max_steps=1)
    assert f"{scheme}-transitions" in run.metrics["valid"]["rules"]
    assert run.metrics["valid"]["rules"][f"{scheme}-transitions"]["violation_rate_on_gold"] == 0


def test_every_letter_of_the_scheme_is_known_for_every_kind(tiny_model, tmp_path):
    train = pd.DataFrame({"text": [["oslo", "is"], ["new", "york"]] * 8, "label": [["B-X", "O"], ["B-Y", "I-Y"]] * 8})
    run = trained(tiny_model, tmp_path / "run", train, max_steps=1)
    assert run.facts["space"]["labels"] == ["B-X", "B-Y", "I-X", "I-Y", "O"]


def test_tokens_without_a_tag_are_predicted_and_not_learnt_from(tiny_model, tmp_path):
    table = sentences(24)
    table["label"] = [[None, *tags[1:]] for tags in table["label"]]
    table.at[3, "label"] = None
    run = trained(tiny_model, tmp_path / "run", {"train": table, "test": table}, max_steps=2)
    assert run.metrics["test"]["labelled"] == 23
    assert [len(tags) for tags in triune.predict(run.folder, table)["predicted"]] == [
        len(text) for text in table["text"]
    ]


def test_tokens_that_are_cut_off_or_leave_nothing_to_read_are_outside_and_counted(tiny_model, tmp_path):
    train = sentences(40)
    long = pd.DataFrame({"text": [["where"] * 50, ["\u200d", "oslo"]], "label": [["B-LOC"] * 50, ["O", "B-LOC"]]})
    run = trained(tiny_model, tmp_path / "run", {"train": train, "test": long}, epochs=8)
    predicted = triune.predict(run.folder, long)["predicted"].tolist()
    assert len(predicted[0]) == 50 and predicted[0][30:] == ["O"] * 20
    assert predicted[1] == ["O", "B-LOC"]
    notes = "\n".join(run.facts["notes"])
    assert "given as test: tokens behind the 32 pieces that are read of a text: 20, in 1 of them" in notes
    assert "given as test: tokens that leave nothing to read, such as control characters: 1" in notes
    assert run.metrics["test"]["token_accuracy"] < 0.7, "what was cut off counts as wrong"


def test_resuming_is_exact(tiny_model, tmp_path):
    from triune.signals import Interrupted

    def stop(event):
        if getattr(event, "step", None) and event.step.index == 3 and type(event).__name__ == "Stepped":
            import os
            import signal

            os.kill(os.getpid(), signal.SIGTERM)

    config = {
        "task": {"use": "token-classification", "model": str(tiny_model)},
        "data": "table",
        "methods": ["end-to-end"],
        "training": {**TRAINING, "max_steps": 6, "accumulate": 2},
    }
    frames = {"train": sentences(64)}
    whole = triune.run(config, data=frames, output=tmp_path / "whole")
    with pytest.raises(Interrupted):
        triune.run(config, data=frames, output=tmp_path / "parts", observers=[stop])
    triune.run(config, data=frames, output=tmp_path / "parts", resume="auto")
    name = "model/model.safetensors"
    assert (tmp_path / "parts" / name).read_bytes() == (whole.folder / name).read_bytes()


def test_it_conforms(tiny_model):
    def tables():
        train = sentences(40)
        train.at[5, "label"] = None
        return Tables(train=train, test=sentences(12, seed=1), unlabelled=sentences(6, seed=2)[["text"]])

    check_plugin(TokenClassification, config={"model": str(tiny_model)}, company={"tables": tables})


WRONG = {
    "whole texts": ({"text": ["a b"], "label": ["O"]}, {}, "texts are whole, and this task tags tokens"),
    "no tag": ({"text": [["a"], ["b"]], "label": [None, None]}, {}, "no token has a tag"),
    "one tag": ({"text": [["a"], ["b"]], "label": [["O"], ["O"]]}, {}, "every tag is 'O', and there must be two"),
    "mixed": (
        {"text": [["a", "b"], ["c"]], "label": [["B-X", "I-X"], ["Y"]]}, {},
        "row 1, token 1: tag 'Y' marks no span, and 'B-X' and others do",
    ),
    "no scheme": (
        {"text": [["a", "b", "c"]], "label": [["B-X", "L-X", "S-X"]]}, {},
        "row 0, token 1: tags begin with B, L, S, which no scheme has together",
    ),
    "another scheme": (
        {"text": [["a", "b"]], "label": [["B-X", "E-X"]]}, {"scheme": "bio"},
        "row 0, token 2: tag 'E-X' is none of the scheme 'bio', which has B, I and O",
    ),
    "number and text": ({"text": [["a", "b"]], "label": [[1, "1"]]}, {}, "as number and as text"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "task", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_told_before_anything_is_written(tiny_model, tmp_path, columns, task, message):
    with pytest.raises(DataError) as error:
        trained(tiny_model, tmp_path / "run", pd.DataFrame(columns), task)
    assert message in str(error.value)
    assert not (tmp_path / "run").exists()


def test_an_unknown_tag_of_the_test_table_is_told_with_its_place(tiny_model, tmp_path):
    test = pd.DataFrame({"text": [["a", "b"]], "label": [["O", "B-ORG"]]})
    with pytest.raises(DataError, match="the frame given as test: row 0, token 2: label 'B-ORG' is not a label"):
        trained(tiny_model, tmp_path / "run", {"train": sentences(16), "test": test})


def test_gold_tags_that_break_the_scheme_are_noted_with_their_places(tiny_model, tmp_path):
    train = sentences(20)
    train.at[7, "label"] = ["I-LOC", *train.at[7, "label"][1:]]
    run = trained(tiny_model, tmp_path / "run", train, max_steps=1, validation=0.0, early_stopping=None)
    assert any("1 of 20 tag sequences of" in note and "row 7" in note for note in run.facts["notes"])


def test_other_tasks_refuse_tokens_and_balance_does(tiny_model, tmp_path):
    config = {
        "task": {"use": "text-classification", "model": str(tiny_model)},
        "data": "table",
        "methods": "end-to-end",
    }
    with pytest.raises(DataError, match="texts are lists of tokens, and this task labels whole texts"):
        triune.run(config, data=sentences(8), output=tmp_path / "run")
    pytest.importorskip("imblearn")
    config["task"]["use"], config["data"] = "token-classification", ["table", {"use": "balance", "focal": 1.0}]
    with pytest.raises(DataError, match="cannot be balanced as wholes"):
        triune.run(config, data=sentences(8), output=tmp_path / "run")


def test_labels_from_rules_are_refused(tiny_model, tmp_path):
    with pytest.raises(PlanError, match="no rule speaks of tokens"):
        trained(tiny_model, tmp_path / "run", sentences(16), methods=("end-to-end", "weak-labels"))


def test_predictions_of_a_csv_are_words_between_blanks_and_can_be_read_again(tiny_model, tmp_path, capsys):
    def written(table, name):
        spaced = table.assign(**{column: table[column].map(" ".join) for column in table.columns})
        spaced.to_csv(tmp_path / name, index=False)
        return str(tmp_path / name)

    table = {"token_separator": " ", "train": written(sentences(60), "train.csv")}
    run = trained(tiny_model, tmp_path / "run", None, table=table, epochs=4)
    test, output = written(sentences(20, seed=1), "test.csv"), tmp_path / "out.csv"
    assert main(["predict", str(run.folder), test, "--probabilities", "--output", str(output)]) == 0
    found, given = pd.read_csv(output), pd.read_csv(test)
    assert found[["text", "label"]].equals(given)
    assert found["predicted"].map(str.split).tolist() == triune.predict(run.folder, test)["predicted"].tolist()
    assert [len(row.split()) for row in found["probability"]] == [len(row.split()) for row in found["text"]]
    assert "20 rows; predicted: O " in capsys.readouterr().out


def test_lines_of_standard_input_are_parted_into_tokens(run, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"where is  oslo\nthanks\n")))
    assert main(["predict", str(run.folder), "-"]) == 0
    header, first, second = capsys.readouterr().out.splitlines()
    assert (header, second) == ("text,predicted", "thanks,O")
    assert first.startswith("where is oslo,O O ")


def test_conll_files_go_in_and_are_predicted(tiny_model, tmp_path):
    def written(table, name):
        rows = zip(table["text"], table["label"], strict=True)
        lines = ["\n".join(f"{token} x {tag}" for token, tag in zip(*row, strict=True)) for row in rows]
        (tmp_path / name).write_text("\n\n".join(lines) + "\n")
        return str(tmp_path / name)

    config = {
        "task": {"use": "token-classification", "model": str(tiny_model)},
        "data": {"use": "conll", "train": written(sentences(60), "train.conll")},
        "methods": ["end-to-end"],
        "training": {**TRAINING, "epochs": 3},
    }
    run = triune.run(config, output=tmp_path / "run")
    test = written(sentences(20, seed=1), "test.conll")
    assert triune.evaluate(run.folder, test)["labelled"] == 20
    table = sentences(20, seed=1)[["text"]].set_axis(["tokens"], axis=1)
    same = triune.predict(run.folder, table)["predicted"].tolist()
    assert triune.predict(run.folder, test)["predicted"].tolist() == same
