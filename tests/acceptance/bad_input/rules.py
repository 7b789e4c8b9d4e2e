"""Mistakes in rules: in the file, in the Python beside it, and what rules and data say of each other."""

from tests.acceptance.bad_input.workshop import Case

RULES = (("training:", "rules:\n  - {use: rule-file, path: rules.yaml}\ntraining:"),)
LABELS = (*RULES, ("  - end-to-end", "  - end-to-end\n  - weak-labels"))
PYTHON = (("training:", "rules:\n  - {use: python-file, path: my_rules.py}\ntraining:"),)
CHECK = ("rules", "check", "rules.yaml", "--data", "train.csv", "--text", "text", "--label", "label")


def spoilt(name, written, *says, problems=1, edits=RULES, words=("run", "config.yaml"), code=2):
    """Return a case whose rule file holds `written`, the entries of its list."""
    text = "rules:\n" + "".join(f"  - {one}\n" for one in written)
    return Case(name, says, edits=edits, files={"rules.yaml": text}, problems=problems, words=words, code=code)


def coded(name, code, *says, problems=1):
    """Return a case whose rules are Python."""
    return Case(name, says, edits=PYTHON, files={"my_rules.py": code}, problems=problems)


FILES = [
    Case("no rule file", ("rules.yaml: there is no such file",), edits=RULES),
    Case(
        "rule file that is no YAML",
        ("rules.yaml:3:1: this is not valid YAML",),
        edits=RULES,
        files={"rules.yaml": "rules:\n  - {name: a\n"},
    ),
    Case(
        "rule file without rules", ("missing key 'rules'",), edits=RULES, files={"rules.yaml": "rule: []\n"}, problems=2
    ),
    Case("empty rule file", ("rules.yaml",), edits=RULES, files={"rules.yaml": ""}),
    Case(
        "rule file with no rule",
        ("found an empty list, wanted rules",),
        edits=RULES,
        files={"rules.yaml": "rules: []\n"},
    ),
    Case(
        "rule file in another encoding",
        ("rules.yaml",),
        edits=RULES,
        files={"rules.yaml": b"rules:\n  - {name: \xe9}\n"},
    ),
    spoilt("rule that is a text", ["spam"], "rules.yaml:2:5", "wanted a mapping with 'name', 'when' and 'then'"),
    spoilt(
        "rule tag that nobody has",
        ["{name: a, then: card, tags: [money]}"],
        "no rule has the tag 'mony'; tags: money; did you mean 'money'?",
        edits=(("training:", "rules:\n  - {use: rule-file, path: rules.yaml, only: [mony]}\ntraining:"),),
    ),
]
FORM = [
    spoilt("rule without a name", ["{then: card}"], "rules.yaml:2:5: rule 1: missing key 'name' of a rule"),
    spoilt("rule without then", ["{name: a}"], "rule 'a': missing key 'then' of a rule"),
    spoilt("rule with an empty then", ["{name: a, then: }"], "rules.yaml:2:", "rule 'a': then"),
    spoilt("rule with an empty list", ["{name: a, then: {any_of: []}}"], "rule 'a': then.any_of: found an empty list"),
    spoilt("rule key misspelt", ["{name: a, then: card, wehn: {contains: x}}"], "unknown key 'wehn'", "'when'?"),
    spoilt(
        "two rules of one name",
        ["{name: a, then: card}", "{name: a, then: transfer}"],
        "rules.yaml:3:",
        "another rule of this name is in line 2; rename one",
    ),
    spoilt("confidence above one", ["{name: a, then: card, confidence: 1.5}"], "found 1.5", "at most 1"),
    spoilt("confidence as a word", ["{name: a, then: card, confidence: high}"], "wanted a number"),
    spoilt("hard and unsure", ["{name: a, then: card, hard: true, confidence: 0.9}"], "a hard rule has no confidence"),
    spoilt("hard as a word", ["{name: a, then: card, hard: very}"], "wanted true or false"),
    spoilt("seat misspelt", ["{name: a, then: card, seats: [lables]}"], "wanted a seat", "did you mean 'labels'?"),
    spoilt(
        "three mistakes in one rule",
        ["{name: a, when: {regx: x}, then: {any_off: [card]}, confidence: 2}"],
        "did you mean 'regex'?",
        "did you mean 'any_of'?",
        "found 2",
        problems=3,
    ),
]
WHEN = [
    spoilt("bad regex", ["{name: a, when: {regex: '(card'}, then: card}"], "is no regular expression", "at character"),
    spoilt("catastrophic regex", ["{name: a, when: {regex: '^(a|aa)+$'}, then: card}"], "takes for ever on some texts"),
    spoilt("regex of everything", ["{name: a, when: {regex: '.*'}, then: card}"], "matches every text"),
    spoilt(
        "unknown column",
        ["{name: a, when: {column: stras, equals: 1}, then: card}"],
        "no column 'stras'",
        "rules.yaml:2:5",
    ),
    spoilt("column of the labels", ["{name: a, when: {column: label, equals: card}, then: card}"], "holds the labels"),
    spoilt("two conditions in one", ["{name: a, when: {regex: x, contains: y}, then: card}"], "are two conditions"),
    spoilt("condition without a question", ["{name: a, when: {case: true}, then: card}"], "asks nothing"),
    spoilt("condition as a text", ["{name: a, when: refund, then: card}"], "wanted a mapping: {contains: refund}"),
    spoilt(
        "unknown script", ["{name: a, when: {script: Cirillic}, then: card}"], "is no script of Unicode", "'Cyrillic'"
    ),
    spoilt(
        "length upside down", ["{name: a, when: {length: {at_least: 5, at_most: 2}}, then: card}"], "no text is so long"
    ),
    spoilt("date that is none", ["{name: a, when: {column: text, before: soon}, then: card}"], "soon"),
    spoilt("Python that is not there", ["{name: a, when: {python: 'checks:link'}, then: card}"], "checks"),
    spoilt("tokens of a text", ["{name: a, when: {token: card}, then: card}"], "this task tags none"),
]
THEN = [
    spoilt(
        "unknown label",
        ["{name: a, then: crad}"],
        "rules.yaml:2:5: rule 'a': 'crad' is not a label of this task",
        "'card'?",
    ),
    spoilt(
        "two unknown labels",
        ["{name: a, then: {any_of: [crad, transfre]}}"],
        "did you mean 'card'?",
        "did you mean 'transfer'?",
        problems=2,
    ),
    spoilt("formula with two heads", ["{name: a, then: {any_of: [card], not: card}}"], "are two statements"),
    spoilt("if without then", ["{name: a, then: {if: card}}"], "'if' needs its 'then'"),
    spoilt("follows from itself", ["{name: a, then: {if: card, then: card}}"], "card follows from itself"),
    spoilt("count that cannot be", ["{name: a, then: {at_least: 3, of: [card, transfer]}}"], "it can never hold"),
    spoilt("count that always is", ["{name: a, then: {at_most: 2, of: [card, transfer]}}"], "it always holds"),
    spoilt("pattern of tags that is none", ["{name: a, then: {matches: '(card'}}"], "is no pattern of tags"),
    spoilt("span of no tokens", ["{name: a, then: {span: LOC}}"], "the tokens there are one LOC"),
]
PYTHON_RULES = [
    coded("Python rules that do not parse", "def a(:\n", "my_rules.py", "line 1"),
    coded("Python rules that raise", "1 / 0\n", "my_rules.py", "ZeroDivisionError"),
    coded("Python without a rule", "x = 1\n", "my_rules.py"),
    coded(
        "Python rule that returns nonsense",
        "from triune import rule\n\n@rule(then='card')\ndef a(text):\n    return 'perhaps'\n",
        "'a'",
        "'perhaps'",
    ),
    coded(
        "Python rule of an unknown label",
        "from triune import rule\n\n@rule(then='crad')\ndef a(text):\n    return True\n",
        "'crad' is not a label of this task",
    ),
]
CHECKED = [
    Case(
        "check of no table",
        ("gone.csv: no such file",),
        files={"rules.yaml": "rules:\n  - {name: a, then: card}\n"},
        words=("rules", "check", "rules.yaml", "--data", "gone.csv", "--text", "text", "--label", "label"),
    ),
    spoilt("check of a bad file", ["{name: a}"], "missing key 'then'", words=CHECK),
]
CASES = [*FILES, *FORM, *WHEN, *THEN, *PYTHON_RULES, *CHECKED]
