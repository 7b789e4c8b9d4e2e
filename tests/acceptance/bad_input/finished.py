"""Mistakes around a run that is finished, or that was stopped."""

import json

from tests.acceptance.bad_input.workshop import Case


def sound(folder):
    """Leave the run as it is."""


def unfinished(folder):
    """Leave what a run leaves that was stopped."""
    for name in ("run.json", "metrics.json", "README.md"):
        (folder / name).unlink()
    for file in (folder / "model").iterdir():
        file.unlink()
    (folder / "model").rmdir()


def damage(path, at=-1):
    """Change a byte of a file."""
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def checkpoints(folder):
    """Return the folders of the checkpoints in order."""
    return sorted((folder / "checkpoints").glob("step-*"))


def all_damaged(folder):
    """Damage every checkpoint of a stopped run."""
    unfinished(folder)
    for one in checkpoints(folder):
        damage(one / "model.safetensors")


def without(*keys):
    """Return what takes keys out of run.json."""

    def spoil(folder):
        facts = json.loads((folder / "run.json").read_text())
        for key in keys:
            del facts[key]
        (folder / "run.json").write_text(json.dumps(facts))

    return spoil


def write(name, content):
    """Return what writes a file of the run."""
    return lambda folder: (folder / name).write_text(content)


RESUME = ("run", "config.yaml", "--resume", "auto")
PREDICT = ("predict", "out", "test.csv")
EVALUATE = ("evaluate", "out", "test.csv")
LONGER = (("epochs: 2", "epochs: 3"),)

AGAIN = [
    Case(
        "output holds a finished run", ("output 'out' holds a finished run", "--resume auto", "--overwrite"), run=sound
    ),
    Case(
        "output holds a stopped run",
        ("output 'out' holds a run that can go on", "--resume auto", "--overwrite"),
        run=unfinished,
    ),
    Case(
        "finished run with another configuration",
        ("output 'out' holds a finished run of another configuration", "--overwrite"),
        run=sound,
        edits=LONGER,
        words=RESUME,
    ),
    Case(
        "finished run with other data",
        ("output 'out' holds a finished run of another configuration, data or plugins",),
        run=sound,
        files={"train.csv": "text,label\n" + "a,card\nb,transfer\n" * 4},
        words=RESUME,
    ),
    Case(
        "stopped run with another configuration",
        ("out/checkpoints/step-", "is of another run", "configuration"),
        run=unfinished,
        edits=LONGER,
        words=RESUME,
    ),
    Case(
        "every checkpoint damaged",
        ("out/checkpoints: every checkpoint in it is damaged (steps 2, 4)", "delete the folder"),
        run=all_damaged,
        words=RESUME,
        problems=2,
    ),
    Case(
        "overwrite with a broken configuration",
        ("training.epochs",),
        run=sound,
        edits=(("epochs: 2", "epochs: -2"),),
        words=("run", "config.yaml", "--overwrite"),
    ),
    Case(
        "overwrite with broken data",
        ("train.csv:2",),
        run=sound,
        files={"train.csv": "text,label\na\n"},
        words=("run", "config.yaml", "--overwrite"),
    ),
    Case(
        "resume with a broken note of threads",
        ("out/checkpoints/start.json",),
        run=lambda folder: (unfinished(folder), write("checkpoints/start.json", "{")(folder)),
        words=RESUME,
    ),
    Case(
        "resume of a finished run without metrics",
        ("out/metrics.json", "cannot be read"),
        run=lambda folder: (folder / "metrics.json").unlink(),
        words=RESUME,
    ),
]

OPENED = [
    Case(
        "RUN that is not there",
        ("'gone' is not there", "no finished run", "give the folder of one"),
        words=("predict", "gone", "test.csv"),
    ),
    Case(
        "RUN that is no run",
        ("'sub' holds no finished run", "run.json", "give the folder that `triune run` wrote"),
        files={"sub/a.txt": "a"},
        words=("evaluate", "sub", "test.csv"),
    ),
    Case(
        "RUN that is a file",
        ("'test.csv' is a file, and holds no finished run",),
        words=("evaluate", "test.csv", "test.csv"),
    ),
    Case("RUN that was stopped", ("'out' holds no finished run", "--resume auto"), run=unfinished, words=PREDICT),
    Case("run.json cut short", ("out/run.json: cannot be read",), run=write("run.json", '{"triune": '), words=PREDICT),
    Case("run.json that is a list", ("out/run.json: holds a list",), run=write("run.json", "[]"), words=PREDICT),
    Case("run.json without the labels", ("out/run.json", "'space'"), run=without("space", "roles"), words=EVALUATE),
    Case("run.json without the configuration", ("out/run.json", "'config'"), run=without("config"), words=EVALUATE),
    Case(
        "run.json with odd labels",
        ("run.json: 'space'",),
        run=lambda folder: (folder / "run.json").write_text(
            (folder / "run.json").read_text().replace('"kind": "categorical"', '"kind": "circular"')
        ),
        words=EVALUATE,
    ),
    Case(
        "run.json with an unknown plugin",
        ("no task plugin is called 'text-classifier'",),
        run=lambda folder: (folder / "run.json").write_text(
            (folder / "run.json").read_text().replace('"use": "text-classification"', '"use": "text-classifier"')
        ),
        words=EVALUATE,
    ),
    Case(
        "run without its model",
        ("out/model' holds no model",),
        run=lambda folder: [one.unlink() for one in (folder / "model").iterdir()],
        words=PREDICT,
    ),
    Case(
        "run with damaged weights",
        ("out/model",),
        run=lambda folder: (folder / "model" / "model.safetensors").write_bytes(b"gone"),
        words=PREDICT,
    ),
]

TABLES = [
    Case(
        "predict on a file that is not there",
        ("test.cvs: no such file", "did you mean 'test.csv'?"),
        run=sound,
        words=("predict", "out", "test.cvs"),
    ),
    Case(
        "predict without the text column",
        ("test.csv: no column 'text'", "columns: sentence"),
        run=sound,
        files={"test.csv": "sentence\na\n"},
        words=PREDICT,
    ),
    Case(
        "predict on an empty file", ("test.csv: the file is empty",), run=sound, files={"test.csv": ""}, words=PREDICT
    ),
    Case(
        "predict on a blank text",
        ("test.csv:3: text 'text' is empty",),
        run=sound,
        files={"test.csv": "text\na\n \nb\n"},
        words=PREDICT,
    ),
    Case(
        "predict on a broken row",
        ("test.csv:3: 2 cells",),
        run=sound,
        files={"test.csv": "text\na\nb,c\n"},
        words=PREDICT,
    ),
    Case(
        "predict on a table with predictions",
        ("'predicted'", "rename it"),
        run=sound,
        files={"test.csv": "text,predicted\na,b\n"},
        words=PREDICT,
    ),
    Case(
        "predict over a file",
        ("output 'train.csv' exists", "--overwrite"),
        run=sound,
        words=(*PREDICT, "--output", "train.csv"),
    ),
    Case(
        "predict into a folder",
        ("output 'p.csv' is a folder",),
        run=sound,
        files={"p.csv/": ""},
        words=(*PREDICT, "--output", "p.csv"),
    ),
    Case("predict into no format", ("output 'p.xlsx'", ".csv"), run=sound, words=(*PREDICT, "--output", "p.xlsx")),
    Case("predict below a file", ("train.csv",), run=sound, words=(*PREDICT, "--output", "train.csv/p.csv")),
    Case(
        "predict on nothing from standard input",
        ("standard input: nothing came in",),
        run=sound,
        words=("predict", "out", "-"),
    ),
    Case(
        "predict on broken lines from standard input",
        ("standard input:2: no JSON",),
        run=sound,
        words=("predict", "out", "-"),
        stdin=b'{"text": "a"}\nb\n',
    ),
    Case(
        "predict on Latin-1 from standard input",
        ("standard input:2: not UTF-8",),
        run=sound,
        words=("predict", "out", "-"),
        stdin="a\né\n".encode("latin-1"),
    ),
    Case(
        "predict on objects without text",
        ("standard input: no object has the key 'text'", "keys: txt"),
        run=sound,
        words=("predict", "out", "-"),
        stdin=b'{"txt": "a"}\n',
    ),
    Case(
        "evaluate without a label column",
        ("test.csv: no example has a label", "give labels, or predict"),
        run=sound,
        files={"test.csv": "text\na\n"},
        words=EVALUATE,
    ),
    Case(
        "evaluate without a label",
        ("test.csv: no example has a label",),
        run=sound,
        files={"test.csv": "text,label\na,\nb,\n"},
        words=EVALUATE,
    ),
    Case(
        "evaluate on labels that the run lacks",
        ("test.csv:3", "'refund'", "card, transfer"),
        run=sound,
        files={"test.csv": "text,label\na,card\nb,refund\n"},
        words=EVALUATE,
    ),
    Case("evaluate on a folder", ("out: a folder",), run=sound, words=("evaluate", "out", "out")),
]
CASES = [*AGAIN, *OPENED, *TABLES]
