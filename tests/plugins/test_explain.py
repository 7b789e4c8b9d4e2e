"""`triune.explain` and the verb on whole runs: rules, words, neighbours, and what is said where one of them lacks."""

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch

import triune
from tests.plugins.test_token_classification import sentences
from triune import Label, Rule, SoftFormula, TextMatches, hookimpl
from triune.cli import main
from triune.cli.explanation_page import explanation_lines
from triune.errors import DataError, OutputError
from triune.explaining import attribution
from triune.testing.toys import table

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs

TRAINING = {
    **{"epochs": 1, "batch_size": 8, "learning_rate": 3e-3, "threads": 1, "device": "cpu", "max_length": 32},
    **{"baselines": False, "validation": 0},
}
RULES = r"""
rules:
  - {name: red-is-cold, when: {contains: red}, then: cold, confidence: 0.99}
  - {name: old-is-cold, when: {contains: old}, then: cold, confidence: 0.6}
  - {name: many-stars, when: {column: stars, at_least: 4}, then: warm, confidence: 0.8}
"""
HARD = r"""
rules:
  - {name: blue-is-cold, when: {contains: blue}, then: cold, hard: true}
  - {name: red-is-warm, when: {contains: red}, then: warm, confidence: 0.7}
"""


def config(model, rules=None, methods=("end-to-end", "semantic-loss"), task="text-classification", **data):
    return {
        "task": {"use": task, "model": str(model)},
        "data": {"use": "table", **data},
        "methods": list(methods),
        "rules": [{"use": "rule-file", "path": str(rules)}] if rules else [],
        "training": TRAINING,
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory, tiny_model):
    """Return the folder of a run on a file of texts, with soft rules that act in the loss."""
    folder = tmp_path_factory.mktemp("soft")
    table(40).assign(stars="2").to_csv(folder / "train.csv", index=False)
    (folder / "rules.yaml").write_text(RULES)
    triune.run(config(tiny_model, folder / "rules.yaml", train=str(folder / "train.csv")), output=folder / "run")
    return folder


@pytest.fixture(scope="module")
def structured(tmp_path_factory, tiny_model):
    """Return a run that keeps a hard rule."""
    folder = tmp_path_factory.mktemp("hard")
    (folder / "rules.yaml").write_text(HARD)
    data = table(40)
    data = data[~(data["text"].str.contains("blue") & (data["label"] == "warm"))]
    methods = ("end-to-end", "rule-structure", "semantic-loss")
    triune.run(config(tiny_model, folder / "rules.yaml", methods), data=data, output=folder / "run")
    return folder / "run"


def test_a_rule_that_decides_is_shown_to_decide_and_one_that_does_not_is_not(made):
    found = triune.explain(made / "run", "red old square", steps=0, nearest=0)
    rules = found.rules.set_index("rule")
    assert list(rules.index) == ["red-is-cold", "old-is-cold"]
    assert list(rules["acts"]) == [["loss (semantic-loss)"]] * 2
    assert set(rules["basis"]) == {"projection"}
    label = found.texts["predicted"][0]
    both, red = 1.5 * 99, rules.loc["red-is-cold"]
    p = float(found.labels.set_index("label").loc["cold", "model"])
    wanted = {with_odds: p * with_odds / (p * with_odds + 1 - p) for with_odds in (both, 1.5)}
    own = [red["with"], red["without"]] if label == "cold" else [1 - red["with"], 1 - red["without"]]
    assert own == pytest.approx([wanted[both], wanted[1.5]], abs=1e-4)
    assert [red["holds_model"], red["holds_with"], red["holds_without"]] == pytest.approx([p, *own], abs=1e-4)
    assert red["effect"] == pytest.approx(red["with"] - red["without"])
    assert found.texts["with_rules"][0] == "cold"
    assert not rules.loc["old-is-cold", "changes_answer"]
    assert red["changes_answer"] == (p * 1.5 < 1 - p)
    assert red["kept"] == (label == "cold")


def test_predictions_and_their_probabilities_are_those_of_predict(made, structured):
    texts = ["red old square", "blue", "a small warm one"]
    for run in (made / "run", structured):
        told = triune.predict(run, pd.DataFrame({"text": texts, "stars": "1"}))
        found = triune.explain(run, texts, columns={"stars": "1"}, steps=0, nearest=0)
        assert list(found.texts["predicted"]) == list(told["predicted"])
        labels = found.labels.set_index(["example", "label"])["probability"]
        for label in ("warm", "cold"):
            assert labels.xs(label, level="label").to_numpy() == pytest.approx(
                told[f"probability of {label}"].to_numpy(), abs=1e-5
            )


def test_where_outputs_obey_a_rule_the_structure_itself_is_asked_without_it(structured):
    found = triune.explain(structured, ["blue square", "square red"], label="warm", steps=0, nearest=0)
    hard, soft = (found.rules[found.rules["rule"] == name].iloc[0] for name in ("blue-is-cold", "red-is-warm"))
    assert (hard["basis"], hard["kept"], soft["basis"]) == ("structure", True, "projection")
    assert hard["acts"] == ["loss (semantic-loss)", "structure (rule-structure)"]
    assert soft["acts"] == ["loss (semantic-loss)"]
    assert hard["with"] == pytest.approx(0, abs=1e-6)
    assert hard["without"] == pytest.approx(hard["model"], abs=1e-6)
    assert [hard["holds_model"], hard["holds_with"]] == pytest.approx([1 - hard["model"], 1], abs=1e-5)
    assert hard["changes_answer"] == (hard["model"] > 0.5)


def test_a_rule_whose_column_is_not_given_is_named_with_how_to_give_it(made):
    found = triune.explain(made / "run", "a square", steps=0, nearest=0)
    assert any("column 'stars' is not given" in note and "--column stars=VALUE" in note for note in found.notes)
    assert found.rules.empty
    given = triune.explain(made / "run", "a square", columns={"stars": "5"}, steps=0, nearest=0)
    assert list(given.rules["rule"]) == ["many-stars"]
    assert not any("is not given" in note for note in given.notes)


def test_words_make_up_the_difference_that_the_text_makes(made):
    pytest.importorskip("captum", reason="needs the extra 'explain'")
    found = triune.explain(made / "run", ["red old square", "unheardof words of a text"], nearest=0)
    for _, rows in found.tokens.groupby("example"):
        gap = rows["log_odds"].iloc[0] - rows["log_odds_empty"].iloc[0]
        assert rows["attribution"].sum() == pytest.approx(gap, abs=0.02 * max(abs(gap), 0.1))
    first = found.tokens[found.tokens["example"] == 0]
    assert list(first["word"]) == ["red", "old", "square"]
    p = found.labels.set_index(["example", "label"]).loc[(0, first["label"].iloc[0]), "model"]
    assert first["log_odds"].iloc[0] == pytest.approx(np.log(p / (1 - p)), abs=1e-3)


def test_the_word_that_training_made_matter_matters_most(tmp_path, tiny_model):
    pytest.importorskip("captum", reason="needs the extra 'explain'")
    data = pd.DataFrame({"text": ["my parcel", "my money"] * 24, "label": ["late", "refund"] * 24})
    settings = config(tiny_model, methods=["end-to-end"])
    settings["training"] = {**TRAINING, "epochs": 6}
    run = triune.run(settings, data=data, output=tmp_path / "run")
    tokens = triune.explain(run.folder, "my money", nearest=0).tokens.set_index("word")["attribution"]
    assert tokens["money"] > 3 * abs(tokens["my"])


def test_without_captum_the_line_that_brings_it_is_told_and_the_rest_stays(made, monkeypatch):
    monkeypatch.setattr(attribution, "PACKAGE", "captum_that_nobody_installed")
    found = triune.explain(made / "run", "red square", nearest=2)
    assert found.tokens.empty
    assert len(found.rules) == 1
    assert len(found.nearest) == 2
    (note,) = [note for note in found.notes if "captum" in note]
    assert '`pip install "triune[explain]"`' in note


def test_the_nearest_training_examples_are_told_with_label_and_line(made):
    train = pd.read_csv(made / "train.csv")
    found = triune.explain(made / "run", [train["text"][7], train["text"][12]], steps=0, nearest=3).nearest
    assert list(found["example"]) == [0, 0, 0, 1, 1, 1]
    for example, row in ((0, 7), (1, 12)):
        own = found[found["example"] == example]
        first = own.iloc[0]
        assert (first["text"], first["label"]) == (train["text"][row], train["label"][row])
        assert first["place"].endswith(f"train.csv:{row + 2}")
        assert first["similarity"] == pytest.approx(1, abs=1e-5)
        assert list(own["similarity"]) == sorted(own["similarity"], reverse=True)
    wanted = np.sort(by_hand(made, train["text"].tolist(), train["text"][7]))[::-1][:3]
    assert found["similarity"][:3].to_numpy() == pytest.approx(wanted, abs=1e-5)


def by_hand(made, texts, text):
    """Return the cosines of what plain transformers hands to the classifier."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(made / "run" / "model").eval()
    tokenizer = AutoTokenizer.from_pretrained(made / "run" / "model")
    with torch.no_grad():
        pooled = model.bert(**tokenizer([text, *texts], padding=True, return_tensors="pt")).pooler_output
    unit = torch.nn.functional.normalize(pooled.double(), dim=-1)
    return (unit[1:] @ unit[0]).numpy()


def test_training_data_that_changed_or_moved_are_left_out_and_told(made, tiny_model, tmp_path):
    path = tmp_path / "train.csv"
    table(24).to_csv(path, index=False)
    run = triune.run(config(tiny_model, methods=["end-to-end"], train=str(path)), output=tmp_path / "run").folder
    table(24, seed=3).to_csv(path, index=False)
    changed = triune.explain(run, "red", steps=0)
    assert changed.nearest.empty
    assert any("it has changed since the run was trained on it" in note for note in changed.notes)
    path.unlink()
    moved = triune.explain(run, "red", steps=0)
    assert any("the nearest training examples are left out" in note and "train.csv" in note for note in moved.notes)


def test_tables_from_python_are_looked_up_where_they_are_given_again(structured, tiny_model, tmp_path):
    data = table(24)
    run = triune.run(config(tiny_model, methods=["end-to-end"]), data=data, output=tmp_path / "run").folder
    assert triune.explain(run, "red", steps=0).nearest.empty
    assert len(triune.explain(run, "red", steps=0, data=data).nearest) == 5
    assert triune.explain(run, "red", steps=0, data=table(24, seed=1)).nearest.empty


def test_several_labels_are_explained_one_by_one(tmp_path, tiny_model):
    texts = ["it barks a dog", "an oak is leafy"] * 12
    data = pd.DataFrame({"text": texts, "label": [["animal", "dog"], ["oak", "plant"]] * 12})
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules:\n  - {name: a-dog-is-an-animal, then: {if: dog, then: animal}, hard: true}\n"
        "  - {name: barks, when: {contains: barks}, then: dog, confidence: 0.9}\n"
    )
    methods = ["end-to-end", "rule-structure", "semantic-loss"]
    run = triune.run(config(tiny_model, rules, methods), data=data, output=tmp_path / "run").folder
    found = triune.explain(run, "it barks", label="animal", nearest=0, steps=0)
    always, barks = (found.rules[found.rules["rule"] == name].iloc[0] for name in ("a-dog-is-an-animal", "barks"))
    assert (always["basis"], barks["basis"]) == ("structure", "projection")
    model = found.labels.set_index("label")["model"]
    dog, animal = float(model["dog"]), float(model["animal"])
    assert always["holds_model"] == pytest.approx(1 - dog * (1 - animal), abs=1e-4)
    assert always["with"] == pytest.approx(animal / (1 - dog * (1 - animal)), abs=1e-4)
    assert always["without"] == pytest.approx(animal, abs=1e-4)
    assert barks["with"] > barks["without"]  # a dog is likelier, and so an animal


def test_of_tokens_it_is_told_which_rule_speaks_of_which(tmp_path, tiny_model):
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - {name: oslo, when: {token: oslo}, then: {span: LOC}, hard: true}\n")
    methods = ["end-to-end", "rule-structure"]
    data = sentences(30)
    task = config(tiny_model, rules, methods, "token-classification")
    run = triune.run(task, data=data, output=tmp_path / "run").folder
    found = triune.explain(run, "thanks oslo bob", nearest=2, steps=20, data=data)
    oslo = found.rules[found.rules["rule"] == "oslo"].iloc[0]
    assert (oslo["first"], oslo["last"], oslo["words"], oslo["token"], oslo["label"]) == (1, 1, "oslo", 1, "B-LOC")
    assert oslo["with"] == pytest.approx(1, abs=1e-6)
    assert oslo["without"] < 0.999
    assert oslo["kept"]
    assert "bio-transitions" in set(found.rules["rule"])
    assert list(found.labels["word"]) == ["thanks", "oslo", "bob"]
    assert all(isinstance(tags, list) for tags in found.nearest["label"])
    assert len(found.nearest) == 2
    page = "\n".join(explanation_lines(found))
    assert "oslo at 'oslo': kept by the prediction" in page
    assert "probability of B-LOC at token 2" in page
    if attribution.installed():
        spoken = found.tokens[found.tokens["of_token"] == 1]
        assert list(spoken["word"]) == ["thanks", "oslo", "bob"]


class Says:
    def __init__(self, *rules):
        self.given = rules

    @hookimpl
    def rules(self):
        return self.given


def test_of_a_rule_whose_truth_is_a_function_that_truth_is_told(tmp_path, tiny_model):
    soft = SoftFormula(lambda outputs, batch: outputs.scores.softmax(-1)[:, 0])
    says = Says(Rule("first", soft), Rule("red", Label("warm"), TextMatches(lambda text: "red" in text)))
    settings = config(tiny_model, methods=["end-to-end", "says"])
    run = triune.run(settings, data=table(24), plugins={"says": says}, output=tmp_path / "run").folder
    found = triune.explain(run, ["red", "blue"], steps=0, nearest=0, plugins={"says": says})
    first = found.rules[found.rules["rule"] == "first"]
    cold = found.labels[found.labels["label"] == "cold"]
    assert first["holds_model"].to_numpy() == pytest.approx(cold["model"].to_numpy(), abs=1e-5)
    assert list(first["kept"]) == list(cold["predicted"])
    assert first["with"].isna().all()
    assert not any(found.rules["acts"])


def test_the_verb_prints_a_page_and_a_document_of_texts_files_and_standard_input(made, capsys, monkeypatch, tmp_path):
    words = ["explain", str(made / "run"), "--text", "red square", "--text", "blue", "--steps", "0"]
    assert main([*words, "--column", "stars=5"]) == 0
    page = capsys.readouterr().out
    assert "Text  red square" in page
    assert "red-is-cold" in page and "many-stars" in page
    assert "nearest training examples" in page
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [text["text"] for text in document["texts"]] == ["red square", "blue"]
    assert [rule["rule"] for rule in document["texts"][0]["rules"]] == ["red-is-cold"]
    pd.DataFrame({"text": ["red"], "stars": [5]}).to_csv(tmp_path / "asked.csv", index=False)
    assert main(["explain", str(made / "run"), str(tmp_path / "asked.csv"), "--json", "--steps", "0"]) == 0
    (text,) = json.loads(capsys.readouterr().out)["texts"]
    assert [rule["rule"] for rule in text["rules"]] == ["red-is-cold", "many-stars"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"red\nblue\n")))
    assert main(["explain", str(made / "run"), "--json", "--steps", "0", "--nearest", "0"]) == 0
    assert len(json.loads(capsys.readouterr().out)["texts"]) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--text", "  "], "text 1 of 1 is empty: there is nothing to explain"),
        (
            ["--text", "red", "--label", "wram"],
            "'wram' is no label of this run; labels: cold, warm; did you mean 'warm'?",
        ),
        (["--text", "red", "--column", "stars"], "--column 'stars' is not NAME=VALUE, such as --column stars=5"),
        (["asked.csv", "--text", "red"], "--text and 'asked.csv' are both given: give texts or a table"),
        (["--text", "red", "--steps", "-1"], "--steps is -1: give a number from 0"),
    ],
)
def test_what_cannot_be_explained_is_refused_in_a_sentence(made, capsys, words, said):
    assert main(["explain", str(made / "run"), *words]) == 2
    assert said in capsys.readouterr().err


def test_a_folder_without_a_run_and_more_texts_than_can_be_explained_are_refused(made, tmp_path):
    with pytest.raises(OutputError, match="holds no finished run"):
        triune.explain(tmp_path, "red")
    for name in ("first", "second"):
        (tmp_path / name).symlink_to(made / "run")
    with pytest.raises(OutputError, match="holds 2 finished runs, and one is explained at a time"):
        triune.explain(tmp_path, "red")
    with pytest.raises(DataError, match="101 texts are more than are explained at once"):
        triune.explain(made / "run", ["red"] * 101)
    with pytest.raises(DataError, match="there is no text to explain"):
        triune.explain(made / "run", [])


def test_of_many_rules_those_that_are_not_left_out_one_at_a_time_are_told(tmp_path, tiny_model):
    many = [Rule(f"r{place}", Label("warm"), confidence=0.6) for place in range(45)]
    says = Says(*many, Rule("red", Label("cold"), TextMatches(lambda text: "red" in text), confidence=0.8))
    settings = config(tiny_model, methods=["end-to-end", "says"])
    run = triune.run(settings, data=table(24), plugins={"says": says}, output=tmp_path / "run").folder
    found = triune.explain(run, "red", steps=0, nearest=0, plugins={"says": says})
    rules = found.rules.set_index("rule")
    assert rules["with"].notna().all()
    assert rules["without"].notna().sum() == 40
    assert pd.notna(rules.loc["red", "without"])  # it has a condition, so it goes first
    assert any("what learning with it made of the model is not among it" in note for note in found.notes)
    (note,) = [note for note in found.notes if "left out one at a time" in note]
    assert note.startswith("6 rules of 46 that fire")
