"""The rules of a run as tables: what is printed at its end, by `evaluate`, and in the model card."""

import json

import pytest
from ruamel.yaml import YAML

from triune.cli import main
from triune.rule_table import MOST_RULES, beside_lines, rule_lines

RULES = """
rules:
  - {name: parcels, when: {contains: [parcel, package]}, then: delivery, confidence: 0.8}
  - {name: money, when: {regex: 'refund|money back'}, then: refund, confidence: 0.9}
  - {name: never-praise, when: {contains: [cancel]}, then: {none_of: [compliment]}, hard: true}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_model):
    """Return a folder with a configuration that learns from labels and rules, and one that only learns."""
    folder = tmp_path_factory.mktemp("project")
    assert main(["init", str(folder), "--demo", "--model", str(tiny_model)]) == 0
    (folder / "mine.yaml").write_text(RULES)
    training = {"epochs": 1, "batch_size": 64, "threads": 1, "device": "cpu", "max_steps": 4}
    config = {
        "task": {"use": "text-classification", "model": str(tiny_model)},
        "data": {"use": "table", "train": "train.csv", "test": "test.csv"},
        "rules": [{"use": "rule-file", "path": "mine.yaml"}],
        "training": training,
    }
    for name, methods in {"both": ["end-to-end", "weak-labels"], "learning": ["end-to-end"]}.items():
        with (folder / f"{name}-config.yaml").open("w") as file:
            YAML().dump({**config, "methods": methods}, file)
    return folder


@pytest.fixture(scope="module")
def both(project):
    assert main(["run", str(project / "both-config.yaml"), "--output", str(project / "both")]) == 0
    return project / "both"


def test_a_run_ends_with_its_rules_and_what_stands_beside_it(both, capsys, project):
    assert main(["run", str(project / "both-config.yaml"), "--output", str(both), "--resume", "auto"]) == 0
    said = capsys.readouterr().out
    rules = said.partition("  rules (test)\n")[2]
    assert rules.split("\n")[0].split() == ["fires", "on", "broken", "before", "by", "labels", "holds", "with"]
    assert {line.split()[0] for line in rules.split("\n")[1:5]} == {"all", "parcels", "money", "never-praise"}
    beside = said.partition("Beside it (test)\n")[2].split("\n")
    assert [line.split("  ")[1] or line.strip().split("  ")[0] for line in beside[1:6]] == [
        "this run", "projected onto the rules", "without rules", "projected onto the rules",
        "and with validation labels",
    ]  # fmt: skip
    assert beside[2].rstrip().endswith(" %")


def test_the_card_holds_the_same_tables(both):
    card = (both / "README.md").read_text()
    assert "  rules (test)\n" in card
    assert "Beside it (test)\n" in card
    assert "| baselines" not in card


def test_evaluate_reports_on_rules_and_projects_the_scores(both, project, capsys):
    assert main(["evaluate", str(both), str(project / "test.csv")]) == 0
    said = capsys.readouterr().out
    assert "  rules (" in said
    assert f"Beside it ({project / 'test.csv'})" in said
    assert "projected onto the rules" in said
    assert main(["evaluate", str(both), str(project / "test.csv"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    metrics = json.loads((both / "metrics.json").read_text())["test"]
    assert found["projection"] == metrics["projection"]
    assert found["rules"]["money"]["satisfaction_probability"] == pytest.approx(
        metrics["rules"]["money"]["satisfaction_probability"], abs=1e-6
    )


def test_a_run_that_only_learns_is_compared_with_its_own_projection(project, capsys):
    assert main(["run", str(project / "learning-config.yaml"), "--output", str(project / "learning")]) == 0
    said = capsys.readouterr().out
    assert "  rules (test)\n" in said
    assert "projected onto the rules" in said
    assert "without rules" not in said
    assert not (project / "learning" / "baselines").exists()


def test_set_leaves_the_baselines_out(project, capsys):
    words = ["run", str(project / "both-config.yaml"), "--output", str(project / "bare")]
    assert main([*words, "--set", "training.baselines=false", "--json"]) == 0
    assert "baselines" not in json.loads(capsys.readouterr().out)["metrics"]


def test_progress_names_the_baselines(project, capsys):
    words = ["run", str(project / "both-config.yaml"), "--output", str(project / "both"), "--overwrite"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "beside it, projection-only …" in said
    assert "beside it, with-validation-labels …" in said


def figures(coverage, rate):
    return {"coverage": coverage, "violation_rate": rate, "violation_rate_on_gold": None}


def test_of_many_rules_those_that_are_broken_on_most_examples_come_first_and_the_rest_is_counted():
    rules = {f"r{number:02}": figures(0.5, number / 100) for number in range(20)}
    rules["rare"] = figures(0.001, 1.0)
    lines = list(rule_lines("test", {"rules": rules, "rules_overall": {**figures(0.5, 0.1), "hard_violations": 2}}))
    assert lines[4].split()[0] == "r19"
    assert not any("rare" in line for line in lines)
    assert f"  … and {21 - MOST_RULES} more, broken less often: metrics.json has them" in lines
    assert lines[-1] == "  hard rules are broken 2 times"
    assert "by labels" not in lines[2]  # nobody knows


def test_what_is_left_out_is_said_with_its_reason():
    metrics = {
        "test": {"accuracy": 0.5, "projection": {"accuracy": 0.6, "violation_rate": 0.0}},
        "baselines": {"projection_only": {"left_out": "no training example has a label"}},
    }
    assert list(beside_lines(metrics))[-1] == "  projection only: left out, as no training example has a label"
