"""A Python file of rules is read as it stands, and what is wrong with it is told with its place."""

import pytest

from triune.errors import RuleError
from triune.testing import check_plugin
from triune_python_file import PythonFile

RULES = """
import re

from triune import Label, Rule, rule
from triune.conditions import Contains


@rule(then="warm", confidence=0.9)
def red(text):
    return re.search("red", text)


@rule(then="cold", hard=True)
def blue(text):
    return "blue" in text


same = blue
more = [Rule("sea", Label("cold"), Contains("sea"))]
"""


def read(folder, text):
    (folder / "my_rules.py").write_text(text)
    return PythonFile(PythonFile.Config(path=folder / "my_rules.py")).rules()


def test_every_rule_of_the_file_is_read_once_in_its_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    red, blue, sea = read(tmp_path, RULES)
    assert [one.where for one in (red, blue, sea)] == [
        "my_rules.py:8: rule 'red'",
        "my_rules.py:13: rule 'blue'",
        "my_rules.py: rule 'sea'",
    ]
    assert (red.confidence, blue.hard) == (0.9, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1\n", "my_rules.py: no rule stands in this file"),
        ("x = 1\ny = x +\n", "my_rules.py:2: the file fails: SyntaxError"),
        ("x = 1\n\nboom = 1 / 0\n", "my_rules.py:3: the file fails: ZeroDivisionError"),
        ("import no_such_module\n", "my_rules.py:1: the file fails: ModuleNotFoundError"),
        ("import sys\nsys.exit(3)\n", "my_rules.py:2: the file fails: SystemExit"),
        (
            "from triune import rule\n\n@rule(then='a', confidence=3)\ndef f(text):\n    return True\n",
            "my_rules.py:3: f: confidence is 3",
        ),
        ("from triune import rule\n\n@rule\ndef f(text):\n    return True\n", "my_rules.py:3: @rule stands bare"),
    ],
)
def test_a_file_that_fails_is_told_with_its_line(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuleError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_told_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_rules.py").write_text(RULES)
    with pytest.raises(RuleError, match=r"my_rule\.py: there is no such file; did you mean 'my_rules\.py'"):
        PythonFile(PythonFile.Config(path=tmp_path / "my_rule.py"))


def test_the_plugin_conforms(tmp_path):
    (tmp_path / "my_rules.py").write_text(RULES)
    check_plugin(PythonFile, config={"path": str(tmp_path / "my_rules.py")})
