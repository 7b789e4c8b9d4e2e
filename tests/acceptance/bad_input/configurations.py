"""Mistakes in a configuration, in `--set`, and in what is given as output."""

from tests.acceptance.bad_input.workshop import CONFIG, TRAIN, Case

YAML = [
    Case(
        "no such file",
        ("confg.yaml: there is no such file", "did you mean 'config.yaml'?"),
        words=("run", "confg.yaml"),
    ),
    Case(
        "no such folder",
        ("nowhere/config.yaml", "no such file, nor a folder 'nowhere'"),
        words=("run", "nowhere/config.yaml"),
    ),
    Case(
        "folder as configuration",
        ("sub: this is a folder", "'sub/a.yaml'"),
        files={"sub/a.yaml": ""},
        words=("run", "sub"),
    ),
    Case("empty file", ("config.yaml:1:1", "says nothing", "'task:' and 'data:'"), files={"config.yaml": ""}),
    Case("only comments", ("config.yaml:1:1", "says nothing"), files={"config.yaml": "# later\n"}),
    Case(
        "a list at the top",
        ("config.yaml:1:1", "the top is a list, not a mapping"),
        files={"config.yaml": "- a\n- b\n"},
    ),
    Case("two documents", ("config.yaml:21", "document"), edits=(("output: out\n", "output: out\n---\ntask: x\n"),)),
    Case("tabs", ("config.yaml:13", "tab"), edits=(("  epochs: 2", "\tepochs: 2"),)),
    Case(
        "duplicate key",
        ("config.yaml:14:3", "'epochs'", "line 13"),
        edits=(("  epochs: 2\n", "  epochs: 2\n  epochs: 2\n"),),
    ),
    Case("unclosed bracket", ("config.yaml:",), edits=(("  - end-to-end", "  [end-to-end"),)),
    Case("broken JSON", ("c.json:1:2", "key in double quotes"), files={"c.json": "{task: 1}"}, words=("run", "c.json")),
    Case(
        "Latin-1 configuration",
        ("config.yaml:1:3", "not UTF-8", "save the file as UTF-8"),
        files={"config.yaml": "# é\n".encode("latin-1")},
    ),
    Case("binary configuration", ("config.yaml:1:3", "zero byte"), files={"config.yaml": b"PK\0\3"}),
]

KEYS = [
    Case(
        "unknown key at the top",
        ("config.yaml:12:1", "unknown key 'trainning'", "did you mean 'training'?"),
        edits=(("training:", "trainning:"),),
    ),
    Case(
        "unknown key of training",
        ("config.yaml:14:3", "training.batchsize", "did you mean 'batch_size'?"),
        edits=(("batch_size:", "batchsize:"),),
    ),
    Case(
        "unknown key of a plugin",
        ("config.yaml:6:3", "data.trian", "plugin 'table'", "did you mean 'train'?"),
        edits=(("  train:", "  trian:"),),
    ),
    Case(
        "unknown key of a method",
        ("config.yaml:12:5", "unknown key 'rate' of plugin 'end-to-end'"),
        edits=(("- end-to-end", "- use: end-to-end\n    rate: 1"),),
    ),
    Case(
        "three mistakes at once",
        ("trainning", "learnin_rate", "modle"),
        edits=(("model:", "modle:"), ("output: out", "trainning: 1\noutput: out"), ("learning_rate", "learnin_rate")),
        problems=4,
    ),
    Case(
        "wrong type",
        ("config.yaml:13:11", "training.epochs", "the text 'many'", "a number"),
        edits=(("epochs: 2", "epochs: many"),),
    ),
    Case(
        "text for a whole number",
        ("config.yaml:14:15", "training.batch_size", "4.5", "a whole number"),
        edits=(("batch_size: 4", "batch_size: 4.5"),),
    ),
    Case(
        "training is a list",
        ("training", "found a list, wanted a mapping"),
        edits=(("training:\n", "training: []\nx:\n"),),
        problems=2,
    ),
    Case("negative epochs", ("config.yaml:13:11", "training.epochs", "-1"), edits=(("epochs: 2", "epochs: -1"),)),
    Case("no epochs", ("training.epochs", "found 0", "above 0"), edits=(("epochs: 2", "epochs: 0"),)),
    Case(
        "batch size 0",
        ("config.yaml:14:15", "training.batch_size", "found 0", "at least 1"),
        edits=(("batch_size: 4", "batch_size: 0"),),
    ),
    Case(
        "learning rate 0", ("training.learning_rate", "found 0"), edits=(("learning_rate: 1.0e-3", "learning_rate: 0"),)
    ),
    Case(
        "infinite learning rate",
        ("training.learning_rate", "inf"),
        edits=(("learning_rate: 1.0e-3", "learning_rate: .inf"),),
    ),
    Case(
        "validation share above 1",
        ("training.validation", "found 1.5", "below 1"),
        edits=(("validation: 0.25", "validation: 1.5"),),
    ),
    Case(
        "more parts than examples of a batch",
        ("training.accumulate", "found 8", "at most batch_size (4)"),
        edits=(("batch_size: 4", "batch_size: 4\n  accumulate: 8"),),
    ),
    Case("unknown schedule", ("training.schedule", "'lienar'", "'linear'"), edits=(("epochs: 2", "schedule: lienar"),)),
    Case("unknown device", ("training.device", "'gpu'", "auto, cpu, cuda"), edits=(("device: cpu", "device: gpu"),)),
    Case(
        "unknown key of early stopping",
        (
            "training.early_stopping",
            "early_stopping.patiense: unknown key",
            "did you mean 'patience'?",
        ),
        edits=(("epochs: 2", "early_stopping: {patiense: 2}"),),
    ),
    Case(
        "metric that is not measured",
        ("training.early_stopping.metric", "'f1_macro' is not measured", "macro_f1"),
        edits=(("epochs: 2", "early_stopping: {metric: f1_macro}"),),
    ),
    Case(
        "output is a number",
        ("config.yaml:20:9", "output: found 3, wanted a path"),
        edits=(("output: out", "output: 3"),),
    ),
    Case(
        "unknown encoding",
        ("data.encoding", "'utf-9' is no text encoding"),
        edits=(("text: text", "text: text\n  encoding: utf-9"),),
    ),
    Case("unknown format", ("data.format", "'excel'"), edits=(("text: text", "text: text\n  format: excel"),)),
]

PLUGINS = [
    Case(
        "unknown plugin",
        ("config.yaml:11:5", "no method plugin is called 'end-to-and'", "did you mean 'end-to-end'?"),
        edits=(("- end-to-end", "- end-to-and"),),
    ),
    Case(
        "plugin of the wrong family",
        ("config.yaml:11:5", "'table' is a data plugin: name it under data:"),
        edits=(("- end-to-end", "- table"),),
    ),
    Case(
        "no task",
        ("config.yaml:1:1", "missing key 'task'", "text-classification"),
        edits=(("task:\n  use: text-classification\n  model: ", "x:\n  y: "),),
        problems=2,
    ),
    Case(
        "section without use",
        ("config.yaml:2:3", "missing key 'use'", "text-classification"),
        edits=(("use: text-classification", "name: t"),),
    ),
    Case("no model", ("config.yaml:2:3", "task", "missing key 'model'"), edits=(("  model: ", "  dropout: 0.1 # "),)),
    Case("no method", ("no method says which parameters train",), edits=(("methods:\n  - end-to-end\n", ""),)),
    Case(
        "the same plugin twice",
        ("config.yaml:12:5", "'end-to-end' is already the name of methods[0]"),
        edits=(("  - end-to-end\n", "  - end-to-end\n  - end-to-end\n"),),
    ),
]

SET = [
    Case(
        "--set without value",
        ("--set training.epochs", "KEY=VALUE"),
        words=("run", "config.yaml", "--set", "training.epochs"),
    ),
    Case(
        "--set of an unknown key",
        ("--set training.epoch=3", "unknown key 'epoch'", "did you mean 'epochs'?"),
        words=("run", "config.yaml", "--set", "training.epoch=3"),
    ),
    Case(
        "--set of a wrong value",
        ("--set training.epochs=lots", "the text 'lots'", "a number"),
        words=("run", "config.yaml", "--set", "training.epochs=lots"),
    ),
    Case(
        "--set into a value",
        ("--set output.deep=1", "which has nothing inside"),
        words=("run", "config.yaml", "--set", "output.deep=1"),
    ),
    Case(
        "--set into a list",
        ("--set methods.lora.r=1", "a list without 'lora'", "end-to-end"),
        words=("run", "config.yaml", "--set", "methods.lora.r=1"),
    ),
    Case(
        "--set that is no YAML",
        ("--set task.model=[a", "is no YAML"),
        words=("run", "config.yaml", "--set", "task.model=[a"),
    ),
    Case(
        "--without an unknown plugin",
        ("--without", "'tabel'", "did you mean 'table'?"),
        words=("run", "config.yaml", "--without", "tabel"),
    ),
    Case(
        "--without a plugin that is needed",
        ("plugin 'table'", "is blocked", "--without"),
        words=("run", "config.yaml", "--without", "table"),
    ),
]

WORDS = [
    Case("unknown verb", ("'trian' is no verb", "verbs: "), words=("trian",)),
    Case("unknown option", ("--ouput",), words=("run", "config.yaml", "--ouput", "x")),
    Case("no configuration named", ("CONFIG",), words=("run",)),
    Case("resume in another way", ("--resume", "auto"), words=("run", "config.yaml", "--resume", "last")),
]

FOREIGN = {"out/thesis.tex": "\\documentclass{article}"}
OUTPUT = [
    Case("output is a file", ("output 'out' is a file", "give a folder"), files={"out": "mine"}),
    Case(
        "output holds foreign files", ("output 'out'", "holds files that are no run's", "another output"), files=FOREIGN
    ),
    Case(
        "foreign files are not overwritten",
        ("output 'out'", "no run's"),
        files=FOREIGN,
        words=("run", "config.yaml", "--overwrite"),
    ),
    Case(
        "foreign files are not resumed",
        ("output 'out'", "no run's"),
        files=FOREIGN,
        words=("run", "config.yaml", "--resume", "auto"),
    ),
    Case(
        "a file is the output's parent",
        ("output 'train.csv/out' lies in 'train.csv', which is a file",),
        edits=(("output: out", "output: train.csv/out"),),
    ),
    Case("init where a configuration is", ("config.yaml", "exists"), words=("init",)),
    Case(
        "init where example data are",
        ("train.csv", "exists"),
        files={"new/train.csv": TRAIN},
        words=("init", "new", "--demo"),
    ),
    Case("init below a file", ("'train.csv' is a file",), words=("init", "train.csv")),
]

CASES = [*YAML, *KEYS, *PLUGINS, *SET, *WORDS, *OUTPUT]
assert CONFIG.splitlines()[13] == "  batch_size: 4"
