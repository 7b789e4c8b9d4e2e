"""The rule file: what it says is what the rules say; what is wrong in it is told, all at once, with its place."""

from __future__ import annotations

import re

import pytest

from triune import ALL, ALWAYS, Label, Seat
from triune.conditions import (
    AllTrue,
    AnyTrue,
    Column,
    Contains,
    ContainsAll,
    EndsWith,
    Length,
    NotTrue,
    Python,
    Regex,
    Script,
    SpanRegex,
    StartsWith,
    TokensWhere,
)
from triune.errors import ConfigError, RuleError
from triune.logic import (
    And,
    AnyOf,
    AtLeast,
    AtMost,
    EachIs,
    EachIsNot,
    EveryFollowedBy,
    EveryPrecededBy,
    Exactly,
    Iff,
    Implies,
    Matches,
    NeverFollows,
    NoneOf,
    Not,
    Occurs,
    Or,
    Span,
    bio,
    hierarchy,
)
from triune.logic import EndsWith as LastIs
from triune.logic import StartsWith as FirstIs
from triune.testing import check_plugin
from triune_rule_file import RuleFile


def read(folder, text, name="rules.yaml", **settings):
    (folder / name).write_text(text, encoding="utf-8")
    return RuleFile(RuleFile.Config(path=folder / name, **settings)).rules()


def one(folder, written):
    (rule,) = read(folder, f"rules:\n  - {{name: r, {written}}}\n")
    return rule


def test_the_file_of_the_documentation_reads_as_it_says(tmp_path):
    rules = read(
        tmp_path,
        r"""
rules:
  - name: asks-for-a-place
    when: {regex: '\bwhere\b'}
    then: LOC
  - name: money-is-a-number
    when: {contains: [cost, price, how much]}
    then: {any_of: [NUM, ENTY]}
    confidence: 0.8
    seats: [labels, loss]
    note: The price list.
    tags: [money]
  - {name: a-dog-is-an-animal, then: {if: dog, then: animal}, hard: true}
""",
    )
    place, money, dog = rules
    assert (place.when, place.then, place.confidence, place.seats) == (Regex(r"\bwhere\b"), Label("LOC"), 1.0, ALL)
    assert money.when == Contains("cost", "price", "how much")
    assert (money.confidence, money.seats) == (0.8, {Seat.LABELS, Seat.LOSS})
    assert (money.note, money.tags) == ("The price list.", {"money"})
    assert (dog.when, dog.then, dog.hard) == (ALWAYS, Implies(Label("dog"), Label("animal")), True)
    assert [rule.place.rpartition("rules.yaml")[2] for rule in rules] == [":3:5", ":6:5", ":13:5"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("{regex: 'a+', case: true}", Regex("a+", case=True)),
        ("{contains: refund}", Contains("refund")),
        ("{contains: [24, h], inside: true}", Contains("24", "h", inside=True)),
        ("{any_of: [a, {regex: b}]}", AnyTrue(Contains("a"), Regex("b"))),
        ("{all_of: [a, b]}", ContainsAll("a", "b")),
        ("{all_of: [a, {not: {contains: b}}]}", AllTrue(Contains("a"), NotTrue(Contains("b")))),
        ("{starts_with: [dear, hi]}", StartsWith("dear", "hi")),
        ("{ends_with: '?', column: subject}", EndsWith("?", column="subject")),
        ("{column: stars, at_least: 4}", Column("stars", "at_least", 4)),
        ("{column: stars, above: 1, below: 5}", AllTrue(Column("stars", "above", 1), Column("stars", "below", 5))),
        ("{column: country, in: [DE, FR]}", Column("country", "in", ("DE", "FR"))),
        ("{column: sent, before: 2024-01-31}", Column("sent", "before", "2024-01-31")),
        ("{column: sent, missing: true}", Column("sent", "missing", True)),
        ("{length: {at_most: 3}}", Length(0, 3)),
        ("{length: {at_least: 3, unit: characters}}", Length(3, None, "characters")),
        ("{script: [Greek, Latin], share: 0.2}", AnyTrue(Script("Greek", 0.2), Script("Latin", 0.2))),
        ("{and: [{contains: a}, {or: [{contains: b}, {contains: c}]}]}",
         AllTrue(Contains("a"), AnyTrue(Contains("b"), Contains("c")))),
    ],
)  # fmt: skip
def test_conditions(tmp_path, written, meant):
    assert one(tmp_path, f"then: a, when: {written}").when == meant


A, B, C = map(Label, "abc")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a", A),
        ("1", Label(1)),
        ("{any_of: [a, b]}", AnyOf("a", "b")),
        ("{none_of: [a, b]}", NoneOf("a", "b")),
        ("{and: [a, {not: b}]}", And(A, Not(B))),
        ("{or: [a, b]}", Or(A, B)),
        ("{if: a, then: {any_of: [b, c]}}", Implies(A, AnyOf("b", "c"))),
        ("{iff: [a, b]}", Iff(A, B)),
        ("{exactly: 1, of: [a, b]}", Exactly(1, ["a", "b"])),
        ("{at_least: 1, at_most: 2, of: [a, b, c]}", And(AtLeast(1, [A, B, C]), AtMost(2, [A, B, C]))),
        ("{hierarchy: {a: {b: [c], d: }}}", hierarchy({"a": {"b": ["c"], "d": None}})),
        ("{never: [O, 'I-*']}", NeverFollows("O", "I-*")),
        ("{starts_with: [O, 'B-*']}", Or(FirstIs("O"), FirstIs("B-*"))),
        ("{ends_with: O}", LastIs("O")),
        ("{every: B-X, followed_by: [I-X, O]}", EveryFollowedBy("B-X", "I-X", "O")),
        ("{every: I-X, preceded_by: B-X}", EveryPrecededBy("I-X", "B-X")),
        ("{occurs: B-X}", Occurs("B-X", 1)),
        ("{occurs: B-X, at_most: 2}", Occurs("B-X", 0, 2)),
        ("{matches: 'O* (B-X I-X* O*)*'}", Matches("O* (B-X I-X* O*)*")),
        ("{bio: [X, Y]}", bio("X", "Y")),
    ],
)  # fmt: skip
def test_formulas(tmp_path, written, meant):
    assert one(tmp_path, f"then: {written}").then == meant


def test_python_conditions_find_a_module_beside_the_file(tmp_path):
    (tmp_path / "checks_beside.py").write_text("def loud(text):\n    return text.isupper()\n")
    rule = one(tmp_path, "then: a, when: {python: 'checks_beside:loud'}")
    assert isinstance(rule.when, Python)
    assert rule.when.function()("HEY")


BAD = [
    # the file
    ("", "the file says nothing; it starts with 'rules:'"),
    ("- a", "the top is a list"),
    ("rule: []", "1:1: unknown key 'rule' of a rule file; known: rules; did you mean 'rules'?"),
    ("rules: [", "this is not valid YAML"),
    ("rules: []", "1:8: found an empty list, wanted rules"),
    ("rules: {a: b}", "1:8: found a mapping, wanted a list of rules"),
    ("rules: [a]", "1:9: rule 1: found the text 'a', wanted a mapping"),
    # a rule
    ("then: a", "1:9: rule 1: missing key 'name' of a rule"),
    ("name: r", "rule 'r': missing key 'then' of a rule"),
    ("name: '', then: a", "rule 1: name: found an empty text"),
    ("name: [x], then: a", "name: found a list, wanted text"),
    ("name: r, then: a, wen: {contains: x}", "unknown key 'wen' of a rule"),
    ("name: r, then: a, confidence: 0", "1:40: rule 'r': confidence: found 0, wanted a number above 0"),
    ("name: r, then: a, confidence: 1.5", "confidence: found 1.5, wanted a number above 0 and of at most 1"),
    ("name: r, then: a, confidence: high", "confidence: found the text 'high', wanted a number"),
    ("name: r, then: a, confidence: .nan", "confidence: found nan, wanted a number above 0"),
    ("name: r, then: a, hard: true, confidence: 0.9", "a hard rule has no confidence"),
    ("name: r, then: a, hard: 1", "hard: found 1, wanted true or false"),
    ("name: r, then: a, seats: [lables]", "seats[0]: found the text 'lables', wanted a seat"),
    ("name: r, then: a, seats: []", "seats: found an empty list, wanted seats"),
    ("name: r, then: a, tags: [x, x]", "tags[1]: 'x' stands there twice"),
    ("name: r, then: a}, {name: r, then: b", "1:36: rule 'r': name: another rule of this name is in line 1"),
    # conditions
    ("name: r, then: a, when: where", "when: found the text 'where', wanted a mapping: {contains: where}"),
    ("name: r, then: a, when: [x]", "when: found a list; write {and: […]}"),
    ("name: r, then: a, when: {}", "when: found nothing, wanted a mapping"),
    ("name: r, then: a, when: {regx: x}", "when: unknown key 'regx' of a condition"),
    ("name: r, then: a, when: {regex: '(x'}", "when.regex: '(x' is no regular expression: missing ) at character 3"),
    ("name: r, then: a, when: {regex: '^(a|aa)+$'}", "takes for ever on some texts"),
    ("name: r, then: a, when: {regex: ''}", "when.regex: found nothing, wanted a regular expression"),
    ("name: r, then: a, when: {regex: 'x*'}", "'x*' matches every text"),
    ("name: r, then: a, when: {regex: 5}", "when.regex: found 5, wanted a regular expression"),
    ("name: r, then: a, when: {contains: []}", "when.contains: found an empty list"),
    ("name: r, then: a, when: {contains: ['  ']}", "when.contains[0]: found an empty text"),
    ("name: r, then: a, when: {contains: true}", "found true, wanted text; quote it"),
    ("name: r, then: a, when: {contains: x, regex: y}", "'contains' and 'regex' are two conditions; write {and: "),
    ("name: r, then: a, when: {regex: y, inside: true}", "'inside' means nothing beside 'regex'"),
    ("name: r, then: a, when: {contains: x, case: 1}", "when.case: found 1, wanted true or false"),
    ("name: r, then: a, when: {case: true}", "'case' asks nothing"),
    ("name: r, then: a, when: {column: stars}", "'column' needs a comparison"),
    ("name: r, then: a, when: {at_least: 3}", "'at_least' compares a column; name it"),
    ("name: r, then: a, when: {column: c, above: x}", "when.above: found the text 'x', wanted a number"),
    ("name: r, then: a, when: {column: c, before: soon}", "found 'soon', wanted a date such as 2024-01-31"),
    ("name: r, then: a, when: {column: c, in: []}", "when.in: found an empty list"),
    ("name: r, then: a, when: {length: 3}", "when.length: found 3, wanted bounds"),
    ("name: r, then: a, when: {length: {at_least: 3, at_most: 2}}", "found 3, which is above at_most (2)"),
    ("name: r, then: a, when: {length: {at_most: 2, unit: word}}", "did you mean 'words'?"),
    ("name: r, then: a, when: {script: Latim}", "'Latim' is no script of Unicode"),
    ("name: r, then: a, when: {python: os}", "'os' names no function; write 'module:function'"),
    ("name: r, then: a, when: {python: 'os:getcwdd'}", "'getcwdd' of module 'os' is not there; did you mean 'getcwd'?"),
    ("name: r, then: a, when: {python: 'no_such:f'}", "module 'no_such' cannot be imported: ModuleNotFoundError"),
    ("name: r, then: a, when: {not: [x]}", "when.not: found a list"),
    ("name: r, then: a, when: {and: []}", "when.and: found an empty list, wanted conditions"),
    # formulas
    ("name: r, then: ", "then: found nothing, wanted a label or a formula"),
    ("name: r, then: [a, b]", "then: found a list; write {any_of: […]}"),
    ("name: r, then: {}", "then: found an empty mapping"),
    ("name: r, then: true", 'then: found true, wanted a label; quote it if a label is called so: "true"'),
    ("name: r, then: 0.5", "then: found 0.5, wanted a label"),
    ("name: r, then: {any_off: [a]}", "unknown key 'any_off' of a formula"),
    ("name: r, then: {any_of: []}", "then.any_of: found an empty list"),
    ("name: r, then: {any_of: a}", "then.any_of: found the text 'a', wanted a list"),
    ("name: r, then: {any_of: [a, a]}", "then.any_of[1]: 'a' stands there twice"),
    ("name: r, then: {any_of: [a], none_of: [b]}", "'any_of' and 'none_of' are two statements"),
    ("name: r, then: {if: a}", "'if' needs its 'then'"),
    ("name: r, then: {if: a, then: a}", "a follows from itself"),
    ("name: r, then: {then: a}", "'then' says nothing by itself; it goes with 'if'"),
    ("name: r, then: {iff: [a, b, c]}", "then.iff: found 3 entries, wanted two"),
    ("name: r, then: {exactly: 3, of: [a, b]}", "found 3, and there are only 2 to choose from: it can never hold"),
    ("name: r, then: {at_most: 2, of: [a, b]}", "found 2, and there are 2 to choose from: it always holds"),
    ("name: r, then: {at_most: -1, of: [a, b]}", "found -1, wanted at least 0"),
    ("name: r, then: {at_most: 1}", "'at_most' needs 'of'"),
    ("name: r, then: {at_least: 2, at_most: 1, of: [a, b, c]}", "'at_least' is above 'at_most'"),
    ("name: r, then: {hierarchy: {a: }}", "no label has a child"),
    ("name: r, then: {hierarchy: {a: {b: [a]}}}", "'a' stands above itself"),
    ("name: r, then: {hierarchy: [a]}", "then.hierarchy: found a list, wanted a mapping"),
    ("name: r, then: {never: [O]}", "then.never: found 1 entries, wanted two tags"),
    ("name: r, then: {every: O}", "'every' needs 'followed_by' or 'preceded_by'"),
    ("name: r, then: {matches: '(O'}", "then.matches"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "message"), BAD, ids=[written or "nothing" for written, _ in BAD])
def test_what_is_wrong_is_told_with_its_place(tmp_path, monkeypatch, written, message):
    monkeypatch.chdir(tmp_path)
    whole = written if not written or written.startswith(("rule", "- ")) else f"rules: [{{{written}}}]"
    with pytest.raises((RuleError, ConfigError)) as caught:
        read(tmp_path, whole)
    assert message in str(caught.value)
    assert all(one.startswith("rules.yaml:") for one in caught.value.problems)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """
rules:
  - name: first
    when: {regx: x}
    then: {any_of: [a, a]}
  - name: second
    then: a
    confidence: 7
"""
    with pytest.raises(RuleError) as caught:
        read(tmp_path, text)
    assert [one.split(": ")[0] for one in caught.value.problems] == [
        "rules.yaml:4:12",
        "rules.yaml:5:24",
        "rules.yaml:8:17",
    ]
    assert "rule 'first'" in caught.value.problems[0]


def test_tags_switch_rules_on_and_off(tmp_path):
    text = "rules:\n - {name: a, then: x, tags: [one, two]}\n - {name: b, then: x, tags: two}\n - {name: c, then: x}\n"
    assert [rule.name for rule in read(tmp_path, text, only=["two"])] == ["a", "b"]
    assert [rule.name for rule in read(tmp_path, text, without=["one"])] == ["b", "c"]
    assert [rule.name for rule in read(tmp_path, text, only=["two"], without=["one"])] == ["b"]
    with pytest.raises(RuleError, match="no rule has the tag 'tow'; tags: one, two; did you mean 'two'"):
        read(tmp_path, text, only=["tow"])


def test_the_default_confidence_is_of_rules_that_say_none(tmp_path):
    text = "rules:\n - {name: a, then: x}\n - {name: b, then: x, confidence: 0.6}\n - {name: c, then: x, hard: true}\n"
    assert [rule.confidence for rule in read(tmp_path, text, confidence=0.9)] == [0.9, 0.6, 1.0]


def test_json_is_read_too(tmp_path):
    (rule,) = read(tmp_path, '{"rules": [{"name": "a", "then": "x", "when": {"contains": "y"}}]}', "rules.json")
    assert rule.when == Contains("y")


def test_ten_thousand_rules_are_read(tmp_path):
    lines = ",".join(f'{{"name": "r{n}", "then": "x", "when": {{"contains": "w{n}"}}}}' for n in range(10_000))
    assert len(read(tmp_path, f'{{"rules": [{lines}]}}', "rules.json")) == 10_000


def test_the_plugin_conforms(tmp_path):
    red, blue = "{name: red, when: {contains: red}, then: warm}", "{name: blue, when: {regex: 'blu+e'}, then: cold}"
    text = f"rules: [{red}, {blue}]"
    (tmp_path / "rules.yaml").write_text(text)
    check_plugin(RuleFile, config={"path": str(tmp_path / "rules.yaml")})


def test_rules_about_tokens_are_read_and_say_something_of_tokens(tmp_path):
    rules = read(
        tmp_path,
        """
        rules:
          - {name: city, when: {token: [paris, new york]}, then: {span: LOC}}
          - {name: digits, when: {token_regex: '\\d+'}, then: {none_of: [B-LOC]}}
          - {name: near, when: {and: [{span_regex: 'near \\w+'}, {contains: hotel}]}, then: {any_of: [O, '*-LOC']}}
        """,
    )
    assert [rule.then for rule in rules] == [Span("LOC"), EachIsNot("B-LOC"), EachIs("O", "*-LOC")]
    assert rules[2].when == TokensWhere(SpanRegex(r"near \w+"), Contains("hotel"))


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("{name: r, when: {token: x}, then: {if: a, then: b}}", "of tokens a rule may say a tag"),
        ("{name: r, when: {contains: x}, then: {span: LOC}}", "the tokens there are one LOC: of which"),
        ("{name: r, when: {not: {token: x}}, then: O}", "a condition on tokens stands alone"),
        ("{name: r, when: {or: [{token: x}, {contains: y}]}, then: O}", "a condition on tokens stands alone"),
        ("{name: r, when: {span_regex: '^(a|aa)+$'}, then: O}", "takes for ever on some texts"),
    ],
)
def test_rules_about_tokens_that_make_no_sense_are_refused_in_their_place(tmp_path, rule, sentence):
    with pytest.raises(RuleError, match=rf"rules.yaml:\d+:\d+: rule 'r'.*{re.escape(sentence)}"):
        read(tmp_path, f"rules:\n  - {rule}\n")
