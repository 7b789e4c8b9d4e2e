"""Mistakes in plugins that somebody else wrote, and in how plugins go together."""

from tests.acceptance.bad_input.workshop import Case, plugin

HEAD = (
    "import triune\nfrom triune import LossTerm, ParameterClaim, TermValues, hookimpl\nfrom triune.select import Name\n"
)


def method(name, code, *says, code_of_exit=2, edits=(), begins=False):
    """Return a case whose methods are end-to-end and one more, a plugin with that code."""
    edits = (("  - end-to-end\n", f"  - end-to-end\n  - use: {name}\n"), *edits)
    return Case(name, says, edits=edits, files=plugin(name, code), code=code_of_exit, begins=begins)


def hook(body):
    """Return a module whose plugin has these methods."""
    lines = "".join(f"    {line}\n" if line else "\n" for line in body.splitlines())
    return f"{HEAD}\n\nclass Plugin:\n{lines}"


TERM = """\
@hookimpl
def loss_terms(self):
    def values(step, batch, outputs):
        found = outputs.scores.sum(-1)
        return {}
    yield LossTerm('mine', values)"""
COMPOSER = hook("@hookimpl\ndef compose_loss(self, terms):\n    return sum(terms.values())")
TWO = (("  - end-to-end\n", "  - end-to-end\n  - first-composer\n  - second-composer\n"),)
RIVALS = {**plugin("rival", COMPOSER, distribution="one"), **plugin("rival", COMPOSER, distribution="other")}

IMPORTS = [
    method(
        "lacks-a-module",
        "import no_such_module_anywhere\n",
        "config.yaml:12:10",
        "plugin 'lacks-a-module' of lacks-a-module 1.0 cannot be loaded",
        "pip install no_such_module_anywhere",
    ),
    method("broken-syntax", "def (:\n", "plugin 'broken-syntax'", "cannot be loaded: SyntaxError"),
    method("no-class", "X = 1\n", "plugin 'no-class'", "has no attribute 'Plugin'"),
    method("not-a-class", "Plugin = 3\n", "plugin 'not-a-class'", "is not a class but a int"),
    method("leaves", "import sys\nsys.exit(3)\n", "plugin 'leaves'", "cannot be loaded: SystemExit"),
    method(
        "odd-config", "class Plugin:\n    Config = dict\n", "plugin 'odd-config'", "its Config is not a pydantic model"
    ),
    Case(
        "extra that is not installed",
        ("plugin 'needs-extra' of needs-extra 1.0 is unavailable", 'pip install "needs-extra[fast]"'),
        edits=(("- end-to-end", "- needs-extra"),),
        files=plugin("needs-extra", COMPOSER, extra="fast"),
    ),
    Case(
        "one name from two distributions",
        ("'rival'", "is ambiguous", "provided by one 1.0 and by other 1.0"),
        edits=(("- end-to-end", "- rival"),),
        files=RIVALS,
    ),
    Case(
        "TRIUNE_DISABLE of an unknown plugin",
        ("TRIUNE_DISABLE: no installed plugin is called 'tabel'", "did you mean 'table'?"),
        environment={"TRIUNE_DISABLE": "tabel"},
    ),
    Case(
        "TRIUNE_DISABLE of a plugin that is needed",
        ("config.yaml:5:8", "plugin 'table'", "TRIUNE_DISABLE"),
        environment={"TRIUNE_DISABLE": "balance,table"},
    ),
]

CONTRACT = [
    method(
        "misspelt-hook",
        hook("@hookimpl\ndef loss_term(self):\n    return []"),
        "plugin 'misspelt-hook': 'loss_term' is no hook",
        "did you mean 'loss_terms'?",
    ),
    method(
        "misspelt-argument",
        hook("@hookimpl\ndef loss_terms(self, ruls):\n    return []"),
        "plugin 'misspelt-argument': hook 'loss_terms' has no argument 'ruls'",
        "did you mean 'rules'?",
    ),
    method(
        "unmarked-hook",
        hook("def loss_terms(self):\n    return []"),
        "plugin 'unmarked-hook': method 'loss_terms'",
        "mark it with @hookimpl",
    ),
    method(
        "argument-with-default",
        hook("@hookimpl\ndef loss_terms(self, run=None):\n    return []"),
        "plugin 'argument-with-default'",
        "has a default",
    ),
    method("lacks-company", hook("requires = ('lora',)"), "plugin 'lacks-company' requires 'lora'"),
    method("fights", hook("conflicts = ('end-to-end',)"), "plugin 'fights' cannot run together with 'end-to-end'"),
    method(
        "returns-text",
        hook("@hookimpl\ndef loss_terms(self):\n    return 'mine'"),
        "plugin 'returns-text': hook 'loss_terms' returns str",
    ),
    method(
        "returns-numbers",
        hook("@hookimpl\ndef loss_terms(self):\n    return [3]"),
        "plugin 'returns-numbers': hook 'loss_terms' gives a value of type 'int', and LossTerm is needed",
    ),
    method(
        "claims-numbers",
        hook("@hookimpl\ndef claim_parameters(self):\n    return [3]"),
        "plugin 'claims-numbers': hook 'claim_parameters' gives",
        "ParameterClaim is needed",
    ),
    method(
        "rules-of-text",
        hook("@hookimpl\ndef rules(self):\n    return ['no', 'yes']"),
        "plugin 'rules-of-text': hook 'rules' gives",
        "Rule is needed",
    ),
    method(
        "measures-a-number",
        hook("@hookimpl\ndef measure(self, predictions):\n    return 3"),
        "plugin 'measures-a-number': hook 'measure' gives",
        "Mapping is needed",
    ),
    method(
        "measures-again",
        hook("@hookimpl\ndef measure(self, predictions):\n    return {'accuracy': 1.0}"),
        "plugins 'text-classification' and 'measures-again' both measure 'accuracy'",
    ),
    Case(
        "plugin that brings text as data",
        ("plugin 'odd-data': hook 'load_data' gives", "Data is needed"),
        edits=(
            (
                "data:\n  use: table\n  train: train.csv\n  test: test.csv\n  text: text\n  label: label\n",
                "data: odd-data\n",
            ),
        ),
        files=plugin("odd-data", hook("@hookimpl\ndef load_data(self):\n    return 'rows'"), family="data"),
    ),
    Case(
        "plugin that prepares nothing of use",
        ("plugin 'odd-balance': hook 'prepare_data' gives", "Data is needed"),
        edits=(("  - end-to-end\n", "  - end-to-end\n  - odd-balance\n"),),
        files=plugin("odd-balance", hook("@hookimpl\ndef prepare_data(self, data):\n    return 3")),
    ),
    Case(
        "plugin that builds a string",
        ("plugin 'odd-task': hook 'build_model' gives", "Bundle is needed"),
        edits=(("use: text-classification\n  model: MODEL", "use: odd-task"),),
        files=plugin("odd-task", hook("@hookimpl\ndef build_model(self):\n    return 'model'"), family="tasks"),
    ),
    method(
        "claims-nothing-there",
        hook("@hookimpl\ndef claim_parameters(self):\n    yield ParameterClaim(Name('*.lora.*'), trainable=True)"),
        "'claims-nothing-there'",
        "*.lora.*",
    ),
    method(
        "freezes-all",
        hook("@hookimpl\ndef claim_parameters(self):\n    yield ParameterClaim(Name('*'), trainable=False)"),
        "no parameter ever trains: all stay frozen by the claims of 'freezes-all'",
        "let some of them train",
    ),
    method(
        "fails-when-made",
        hook("def __init__(self):\n    raise RuntimeError('no licence')"),
        "raised by plugin 'fails-when-made' while it was made",
        "no licence",
        "authors of the plugin",
        code_of_exit=1,
    ),
    method(
        "fails-in-a-hook",
        hook("@hookimpl\ndef loss_terms(self):\n    raise RuntimeError('out of order')"),
        "out of order",
        "plugin 'fails-in-a-hook' in hook 'loss_terms'",
        code_of_exit=1,
    ),
    method(
        "fails-in-a-term",
        hook(TERM.format("None.values")),
        "plugin 'fails-in-a-term' in the loss term 'mine'",
        code_of_exit=1,
    ),
    method(
        "takes-a-name",
        hook(TERM.format("TermValues(found, found * 0 + 1)").replace("'mine'", "'task'")),
        "'task'",
        "'takes-a-name'",
    ),
    method(
        "uneven-term",
        hook(TERM.format("TermValues(found, found[:1])")),
        "loss term 'mine' of plugin 'uneven-term'",
        "differ in shape",
    ),
    method(
        "no-number",
        hook(TERM.format("TermValues(found * float('nan'), found * 0 + 1)")),
        "loss term 'mine' of plugin 'no-number'",
        "nan",
    ),
    Case(
        "two plugins decide one thing",
        ("plugins 'first-composer', 'second-composer' all decide 'compose_loss'", "leave out all but one"),
        edits=TWO,
        files={**plugin("first-composer", COMPOSER), **plugin("second-composer", COMPOSER)},
    ),
    Case(
        "two plugins bring data",
        ("'table'", "'more-data'", "load_data"),
        edits=(
            ("data:\n  use: table", "data:\n  - use: more-data\n  - use: table"),
            *((f"  {key}:", f"    {key}:") for key in ("train", "test", "text", "label")),
        ),
        files=plugin("more-data", hook("@hookimpl\ndef load_data(self):\n    return None"), family="data"),
    ),
]
LATER = TERM.format("TermValues(found * (float('nan') if step.index == 1 else 0.0), found * 0 + 1)")
TRAINING = [
    Case(
        "learning rate far too high",
        ("step ", "lower training.learning_rate", "nothing was learnt from this step"),
        edits=(
            ("1.0e-3", "1.0e+30"),
            ("epochs: 2", "epochs: 20\n  warmup: 0\n  checkpoint_every: 1000\n  early_stopping: null"),
        ),
        begins=True,
    ),
    method(
        "no-number-later",
        hook(LATER),
        "step 2: loss term 'mine' of plugin 'no-number-later' is nan",
        begins=True,
    ),
]
CASES = [*IMPORTS, *CONTRACT, *TRAINING]
