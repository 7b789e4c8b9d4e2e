"""`triune rules check` in a process of its own: without torch, with the exit code that it promises."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "customer_service"
TABLE = "text,label\nwhere is it,LOC\nhow much,NUM\nwhere now,NUM\n"
WATCHED = """
import sys
from triune.cli import main
code = main(sys.argv[1:])
assert "torch" not in sys.modules and "transformers" not in sys.modules
sys.exit(code)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.csv").write_text(TABLE)
    return tmp_path


def check(folder, *words):
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, "rules", "check", *words],
        cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def rules(folder, *lines, name="rules.yaml"):
    (folder / name).write_text("\n".join(["rules:", *(f"  - {{{line}}}" for line in lines)]))
    return name


def test_sound_rules_leave_with_0_and_every_figure_is_in_the_json(folder):
    name = rules(
        folder, "name: where, when: {contains: where}, then: LOC", "name: odd, when: {contains: odd}, then: NUM"
    )
    code, out, _ = check(folder, name, "--data", "train.csv", "--text", "text", "--label", "label", "--json")
    found = json.loads(out)
    where, odd = found["rules"]
    assert code == 0
    assert found["ok"]
    assert (where["fires"], where["coverage"], where["accuracy"]) == (2, 2 / 3, 0.5)
    assert where["wrong"] == [{"place": "train.csv:4", "text": "where now", "labels": ["NUM"]}]
    assert (odd["fires"], found["never"]) == (0, ["odd"])
    assert found["votes"]["accuracy"] == 0.5


def test_the_page_names_rules_lines_and_what_is_worth_knowing(folder):
    name = rules(
        folder, "name: where, when: {contains: where}, then: LOC", "name: odd, when: {contains: odd}, then: NUM"
    )
    code, out, _ = check(folder, name, "--data", "train.csv")
    assert code == 0
    for said in (
        "2 rules on 3 examples, 3 of them labelled",
        "50.0%",
        "9–91%",
        "train.csv:4  NUM: 'where now'",
        "never fires: odd",
    ):
        assert said in out


def test_contradictions_leave_with_2_and_name_rules_places_and_examples(folder):
    name = rules(
        folder,
        "name: where, when: {contains: where}, then: LOC, hard: true",
        "name: now, when: {contains: now}, then: NUM, hard: true",
        "name: fine, then: {none_of: [LOC]}",
    )
    code, out, _ = check(folder, name, "--data", "train.csv")
    assert code == 2
    assert "these hard rules contradict one another:" in out
    assert "rules.yaml:2:5: where" in out
    assert "rules.yaml:3:5: now" in out
    assert "no answer is allowed on 1 example: train.csv:4" in out


def test_contradictions_are_found_without_a_table(folder):
    name = rules(
        folder, "name: a, then: {if: x, then: y}, hard: true", "name: b, then: {and: [x, {not: y}]}, hard: true"
    )
    assert check(folder, name)[0] == 2
    assert check(folder, name, "--labels", "several")[0] == 2
    free = rules(folder, "name: a, then: x, hard: true", "name: b, then: y, hard: true", name="free.yaml")
    assert check(folder, free)[0] == 2
    assert check(folder, free, "--labels", "several")[0] == 0


def test_several_labels_of_a_cell_are_parted_as_told(folder):
    (folder / "many.csv").write_text("text,label\nwhere,LOC;NUM\nwhat,\n")
    name = rules(folder, "name: a, when: {contains: where}, then: NUM", "name: b, when: {contains: where}, then: LOC")
    code, out, _ = check(folder, name, "--data", "many.csv", "--label-separator", ";", "--json")
    assert code == 0
    assert [(one["accuracy"], one["conflicts"]) for one in json.loads(out)["rules"]] == [(1, 0), (1, 0)]


def test_a_label_that_the_table_does_not_have_leaves_with_2(folder):
    code, out, _ = check(folder, rules(folder, "name: a, then: LOK"), "--data", "train.csv")
    assert code == 2
    assert "rules.yaml:2:5: rule 'a': 'LOK' is not a label of this table; labels: LOC, NUM" in out


def test_python_rules_are_checked_and_what_abstains_is_counted(folder):
    (folder / "mine.py").write_text(
        "from triune import rule\n\n@rule(then='LOC')\ndef third_word(text):\n    return text.split()[2] == 'it'\n"
    )
    code, out, _ = check(folder, "mine.py", "--data", "train.csv", "--json")
    (found,) = json.loads(out)["rules"]
    assert (code, found["fires"], found["abstained"]) == (0, 1, 2)
    assert found["reason"].startswith("IndexError")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rules.yml",), "rules.yml: there is no such file; did you mean 'rules.yaml'"),
        (("rules.toml",), "files ending in '.toml' are read by no plugin; endings: .json, .py, .yaml, .yml"),
        (("rules.yaml", "--data", "trian.csv"), "no such file; did you mean 'train.csv'"),
        (("rules.yaml", "--data", "train.csv", "--text", "txt"), "no column 'txt'"),
        (("rules.yaml", "--data", "train.csv", "--label", "lable"), "no column 'lable' for the label"),
        (("rules.yaml", "--label", "label"), "--label names a column, and there is no table"),
        (("stars.yaml", "--data", "train.csv"), "stars.yaml:2:5: rule 'r': no column 'stars'; columns: text"),
        (("bad.yaml",), "bad.yaml:2:28: rule 'r': when: unknown key 'regx'"),
    ],
)
def test_what_cannot_be_read_leaves_with_2_and_says_why(folder, words, message):
    rules(folder, "name: r, then: LOC")
    rules(folder, "name: r, then: LOC, when: {column: stars, above: 3}", name="stars.yaml")
    rules(folder, "name: r, when: {      regx: x}, then: LOC", name="bad.yaml")
    code, _, said = check(folder, *words)
    assert code == 2
    assert message in said


def test_the_rules_of_the_example_are_sound_and_worth_their_while():
    code, out, _ = check(EXAMPLE, "rules.yaml", "--data", "train.csv", "--json")
    found = json.loads(out)
    assert code == 0
    assert 25 <= len(found["rules"]) <= 40
    assert found["covered"] / found["examples"] > 0.6
    assert found["votes"]["accuracy"] > 0.7
    hard = [one for one in found["rules"] if one["hard"]]
    assert len(hard) >= 3
    assert all(one["accuracy"] == 1 for one in hard)
