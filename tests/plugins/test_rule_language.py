"""The page on the rule language has every word of the language, and what it shows can be read."""

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from triune import Seat
from triune.conditions.columns import COMPARISONS
from triune_rule_file import RuleFile
from triune_rule_file.conditions import OPTIONS
from triune_rule_file.formulas import COMPANIONS, STATEMENTS
from triune_rule_file.reading import KEYS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "rule-language.md").read_text(encoding="utf-8")
WHEN, _, THEN = PAGE.partition("## then: formulas")
WORDS = {
    WHEN: {*OPTIONS, *COMPARISONS, *KEYS, *(option for options in OPTIONS.values() for option in options)},
    THEN: {*STATEMENTS, *(key for keys in COMPANIONS.values() for key in keys), *(seat.value for seat in Seat)},
}
SHOWN = [
    (part, code)
    for part, text in (("when", WHEN), ("then", THEN))
    for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    for code in re.findall(r"`([^`]+)`", row)
    if "…" not in code
]


@pytest.mark.parametrize(("text", "word"), [(text, word) for text, words in WORDS.items() for word in sorted(words)])
def test_every_word_is_on_the_page(text, word):
    assert re.search(rf"\b{word}\b", text)


@pytest.mark.parametrize(("part", "code"), SHOWN)
def test_every_example_in_a_table_can_be_read(tmp_path, monkeypatch, part, code):
    (tmp_path / "my_checks.py").write_text("def has_link(text):\n    return 'http' in text\n")
    written = YAML(typ="safe").load(code if code.startswith("{") or part == "then" else f"{{{code}}}")
    column = {"column": "stars"} if part == "when" and set(written) & {*COMPARISONS} else {}
    if part == "when" and set(written) == {"column"}:
        return  # the row that speaks of the comparisons
    spoken = {"token": "paris"} if "span" in written else None
    rule = {"name": "r", "then": "a", **({"when": {**written, **column}} if part == "when" else {"then": written})}
    rule |= {"when": spoken} if spoken and part == "then" else {}
    with (tmp_path / "rules.yaml").open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump({"rules": [rule]}, file)
    assert len(RuleFile(RuleFile.Config(path=tmp_path / "rules.yaml")).rules()) == 1
