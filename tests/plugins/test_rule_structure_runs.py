"""Whole runs under hard rules: nothing that they predict breaks one, however it is opened again."""

import json

import pandas as pd
import pytest

import triune
from tests.plugins.test_token_classification import sentences
from triune import Label, Rule, SoftFormula, TextMatches, hookimpl
from triune.conditions import Token
from triune.errors import OutputError, PlanError, RuleError
from triune.logic import Exactly, Span, hierarchy
from triune.testing import check_plugin, table
from triune.testing.toys import All, Tables, ToyTask
from triune_rule_structure import RuleStructure
from triune_token_classification import TokenClassification

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers warns of its own affairs

TRAINING = {
    **{"epochs": 1, "batch_size": 8, "learning_rate": 3e-3, "threads": 1, "device": "cpu", "max_length": 32},
    "baselines": False,
}
LABELS = ("macro_f1", "micro_f1", "labelled")
PARENTS = {"cat": "animal", "dog": "animal", "oak": "plant", "fern": "plant"}
RULES = """
rules:
  - {name: tree, then: {hierarchy: {animal: [cat, dog], plant: [oak, fern]}}, hard: true}
  - {name: one-kind, then: {exactly: 1, of: [animal, plant]}, hard: true}
  - {name: barks, when: {contains: barks}, then: dog, hard: true}
  - {name: no-barking-tree, when: {contains: leafy}, then: {not: animal}, hard: true}
"""


def texts(rows=48, seed=0):
    import random

    draw, found = random.Random(seed), []
    for _ in range(rows):
        kind = draw.choice(list(PARENTS))
        said = "it barks " if kind == "dog" and draw.random() < 0.5 else ""
        found.append({"text": f"{said}a {kind} number {draw.randrange(9)}", "label": sorted({kind, PARENTS[kind]})})
    return pd.DataFrame(found)


def given_rules(folder, text=RULES):
    folder.mkdir(exist_ok=True)
    path = folder / "rules.yaml"
    path.write_text(text)
    return path


def config(model, rules, structure=None, task="text-classification", **training):
    return {
        "task": {"use": task, "model": str(model)},
        "data": {"use": "table"},
        "methods": ["end-to-end", {"use": "rule-structure", **(structure or {})}],
        "rules": [{"use": "rule-file", "path": str(rules)}] if rules else [],
        "training": {**TRAINING, **training},
    }


def violations(result):
    return {name: one["violation_rate"] for name, one in result.metrics["test"]["rules"].items()}


@pytest.fixture(scope="module")
def labels(tiny_model, tmp_path_factory):
    """Return a finished run, its rule file and a test file."""
    folder = tmp_path_factory.mktemp("labels")
    rules, test = given_rules(folder), texts(24, seed=1)
    test.assign(label=[" ".join(one) for one in test["label"]]).to_csv(folder / "test.csv", index=False)
    data = {"train": texts(), "test": test}
    result = triune.run(config(tiny_model, rules, max_steps=6), data=data, output=folder / "run")
    return result, rules, folder


def test_no_prediction_breaks_a_rule_and_every_label_has_a_probability_given_them(labels):
    result, _, _ = labels
    assert set(violations(result).values()) <= {0.0, None}
    found = triune.predict(result.folder, texts(24, seed=3)[["text"]])
    for _, row in found.iterrows():
        assert len({"animal", "plant"} & set(row["predicted"])) == 1
        assert all(PARENTS[one] in row["predicted"] for one in row["predicted"] if one in PARENTS)
        assert row["probability of animal"] + row["probability of plant"] == pytest.approx(1, abs=1e-5)
        assert row["probability of dog"] <= row["probability of animal"] + 1e-6


def test_the_loss_is_the_likelihood_under_the_rules(labels):
    result, _, _ = labels
    steps = [json.loads(line) for line in (result.folder / "history.jsonl").read_text().splitlines()]
    terms = [one["terms"] for one in steps if "terms" in one]
    assert terms and all(set(one) == {"task under rules"} for one in terms)


def test_a_finished_run_keeps_the_rules_and_says_the_same_again(labels):
    result, _, _ = labels
    test = texts(24, seed=1)
    again = triune.evaluate(result.folder, test)
    assert again["rules_overall"]["hard_violations"] == 0
    assert {key: again[key] for key in LABELS} == {key: result.metrics["test"][key] for key in LABELS}


def test_the_card_and_a_file_say_how_the_rules_go_on(labels):
    result, _, _ = labels
    card = (result.folder / "README.md").read_text()
    assert "The hard rules 'tree', 'one-kind', 'barks', 'no-barking-tree' held in training" in card
    assert "plain `transformers` gives the scores before they act" in card
    facts = json.loads((result.folder / "model" / "constraints.json").read_text())
    assert [one["name"] for one in facts["rules"]] == ["tree", "one-kind", "barks", "no-barking-tree"]


def test_an_example_without_an_answer_stops_the_prediction_with_its_line(labels, tmp_path):
    result, _, _ = labels
    path = tmp_path / "new.csv"
    path.write_text("text\nan oak\nit barks and is leafy\na cat\n")
    with pytest.raises(RuleError, match=r"new.csv:3: the hard rules that fire there leave no answer .*'barks'"):
        triune.predict(result.folder, path)


def test_rules_that_changed_since_are_noticed(labels):
    result, rules, _ = labels
    before = rules.read_text()
    try:
        rules.write_text(before.replace("exactly: 1", "at_most: 1"))
        with pytest.raises(RuleError, match=r"rules.yaml: the rules have changed since the run was trained with them"):
            triune.predict(result.folder, texts(2))
        rules.unlink()
        with pytest.raises(RuleError, match=r"rules.yaml: the rules are gone since"):
            triune.predict(result.folder, texts(2))
    finally:
        rules.write_text(before)


def test_a_run_with_other_rules_is_another_run(tiny_model, tmp_path):
    rules = given_rules(tmp_path)
    one = config(tiny_model, rules, max_steps=1)
    triune.run(one, data=texts(16), output=tmp_path / "run")
    triune.run(one, data=texts(16), output=tmp_path / "run", resume="auto")
    rules.write_text(RULES.replace("exactly: 1", "at_least: 1"))
    with pytest.raises(OutputError, match="finished run of another configuration, data or plugins"):
        triune.run(one, data=texts(16), output=tmp_path / "run", resume="auto")


def test_labels_that_break_a_rule_are_refused_by_place_or_left_out_and_counted(tiny_model, tmp_path):
    rules, train = given_rules(tmp_path), texts(24)
    train.at[5, "label"] = ["cat", "plant"]
    train.to_json(tmp_path / "train.jsonl", orient="records", lines=True)
    one = config(tiny_model, rules, max_steps=2, validation=0.0, early_stopping=None)
    one["data"] = {"use": "table", "train": str(tmp_path / "train.jsonl")}
    with pytest.raises(PlanError, match=r"rule 'tree' is hard, and labels break it: .*train.jsonl:6; mend the labels"):
        triune.run(one, output=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    one["methods"][1]["gold"] = "ignore"
    plan = triune.plan(one)
    assert "1 example whose labels break them is left out" in str(plan.terms["task under rules"][1].note)
    triune.run(one, output=tmp_path / "run")


def test_a_table_with_an_example_without_an_answer_is_refused_before_training(tiny_model, tmp_path):
    rules = given_rules(tmp_path)
    test = pd.DataFrame([{"text": "an oak", "label": ["oak", "plant"]}, {"text": "barks, leafy", "label": ["oak"]}])
    with pytest.raises(PlanError, match=r"row 1: the hard rules that fire there leave no answer"):
        triune.plan(config(tiny_model, rules), data={"train": texts(16), "test": test})


class Rules:
    """Rules from Python."""

    def __init__(self, *rules):
        self.given = rules

    @hookimpl
    def rules(self):
        return self.given


def planned(tiny_model, *rules, **structure):
    one = config(tiny_model, None, structure)
    one["rules"] = ["mine"]
    return triune.plan(one, data=texts(16), plugins={"mine": Rules(*rules)})


def test_without_a_hard_rule_it_is_refused(tiny_model):
    with pytest.raises(PlanError, match="no rule of this run is hard and may act in the structure"):
        planned(tiny_model, Rule("soft", Label("cat")))


def test_a_hard_rule_that_only_a_loss_can_read_is_refused(tiny_model):
    soft = Rule("odd", SoftFormula(lambda outputs, batch: outputs.scores.sigmoid()[:, 0]), hard=True)
    with pytest.raises(PlanError, match="rule 'odd' is hard and says a SoftFormula"):
        planned(tiny_model, soft)


def test_soft_rules_do_not_act(tiny_model, tmp_path):
    one = config(tiny_model, None, max_steps=1)
    one["rules"] = ["mine"]
    rules = Rules(Rule("hard", ~Label("cat") | Label("animal"), hard=True), Rule("soft", Label("cat") & Label("fern")))
    result = triune.run(
        one, data={"train": texts(16), "test": texts(16)}, plugins={"mine": rules}, output=tmp_path / "r"
    )
    assert violations(result)["hard"] == 0 and violations(result)["soft"] > 0


@pytest.mark.parametrize(
    ("structure", "message"),
    [
        ({"transitions": "learned"}, "transitions: learned needs sequences of tags, and these outputs are binaries"),
        ({"coherence": "max"}, "coherence: max is for hierarchies alone, and rule 'one' says more"),
    ],
)
def test_settings_that_do_not_suit_the_outputs_are_refused(tiny_model, structure, message):
    with pytest.raises(PlanError, match=message):
        planned(tiny_model, Rule("one", Exactly(1, ["animal", "plant"]), hard=True), **structure)


def test_text_without_labels_is_not_learnt_from_for_the_structure_alone(tiny_model, tmp_path):
    data = {"train": texts(16), "unlabelled": texts(8)[["text"]]}
    plan = triune.plan(config(tiny_model, given_rules(tmp_path)), data=data)
    assert "the unlabelled table is not learnt from: no active method asks for it" in plan.notes


@pytest.fixture(scope="module", params=["none", "learned"])
def tags(request, tiny_model, tmp_path_factory):
    data = {"train": sentences(80), "test": sentences(30, seed=1)}
    structure = {"transitions": request.param}
    one = config(tiny_model, None, structure, task="token-classification", epochs=3)
    return request.param, triune.run(one, data=data, output=tmp_path_factory.mktemp("tags") / "run")


def test_no_predicted_sequence_breaks_the_scheme_trained_or_not(tags, tiny_model, tmp_path):
    how, trained = tags
    one = config(tiny_model, None, {"transitions": how}, task="token-classification", max_steps=1, learning_rate=1e-9)
    data = {"train": sentences(16), "test": sentences(40, seed=1)}
    untrained = triune.run(one, data=data, output=tmp_path / "run")
    assert violations(trained) == violations(untrained) == {"bio-transitions": 0.0}
    without = {**one, "methods": ["end-to-end"]}
    assert violations(triune.run(without, data=data, output=tmp_path / "w"))["bio-transitions"] > 0.3


def test_a_finished_run_reads_sequences_as_it_did(tags):
    how, run = tags
    again = triune.evaluate(run.folder, sentences(30, seed=1))
    assert again["rules_overall"]["hard_violations"] == 0
    assert again["macro_f1"] == run.metrics["test"]["macro_f1"] and again["labelled"] == 30
    assert (run.folder / "model" / "transitions.safetensors").exists() == (how == "learned")


def test_learned_transitions_lie_beside_a_model_that_plain_transformers_loads(tags):
    from safetensors.torch import load_file
    from transformers import AutoModelForTokenClassification

    how, run = tags
    _, info = AutoModelForTokenClassification.from_pretrained(run.folder / "model", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    if how == "learned":
        learned = load_file(run.folder / "model" / "transitions.safetensors")["tag_transitions"]
        assert learned.shape == (5, 5) and learned.abs().max() > 0.01
        assert "transitions.safetensors" in (run.folder / "README.md").read_text()


def test_a_rule_about_tokens_holds_too(tiny_model, tmp_path):
    rule = Rule("oslo", Span("LOC"), Token("oslo"), hard=True)
    one = config(tiny_model, None, task="token-classification", max_steps=1)
    one["rules"] = ["mine"]
    data = {"train": sentences(40), "test": sentences(40, seed=1)}
    result = triune.run(one, data=data, plugins={"mine": Rules(rule)}, output=tmp_path / "run")
    assert violations(result) == {"oslo": 0.0, "bio-transitions": 0.0}
    predicted = triune.predict(result.folder, data["test"][["text"]], plugins={"mine": Rules(rule)})
    for tokens, found in zip(data["test"]["text"], predicted["predicted"], strict=True):
        assert all(tag == "B-LOC" for token, tag in zip(tokens, found, strict=True) if token == "oslo")


def kit_rules():
    return Rules(
        Rule("one", Exactly(1, ["warm", "cold"]), hard=True),
        Rule("blue", Label("cold"), TextMatches(lambda text: "blue" in text), hard=True),
    )


@pytest.mark.parametrize("several", [False, True])
def test_it_conforms_where_one_label_is_right_and_where_several_may_hold(several):
    company = {"toy": lambda: ToyTask(multi_label=several), "rules-of-mine": kit_rules, "all": All}
    check_plugin(RuleStructure, config={"gold": "ignore"}, company=company)


def test_it_conforms_for_a_hierarchy():
    def rules():
        return Rules(Rule("tree", hierarchy({"warm": ["cold"]}), hard=True))

    def tables():
        train = table(40)
        train["label"] = [["warm"] if one == "warm" else ["warm", "cold"] for one in train["label"]]
        return Tables(train=train)

    company = {"toy": lambda: ToyTask(multi_label=True), "tables": tables, "rules-of-mine": rules, "all": All}
    check_plugin(RuleStructure, config={"coherence": "max"}, company=company)


@pytest.mark.parametrize("how", ["none", "learned"])
def test_it_conforms_for_sequences(tiny_model, how):
    def tables():
        train = sentences(40)
        train.at[5, "label"] = None
        train.at[6, "label"] = ["O", *[None] * (len(train.at[6, "label"]) - 1)]
        return Tables(train=train, test=sentences(8, seed=1))

    def task():
        return TokenClassification(TokenClassification.Config(model=str(tiny_model)))

    company = {"tokens": task, "tables": tables, "all": All}
    check_plugin(RuleStructure, config={"transitions": how}, company=company)
