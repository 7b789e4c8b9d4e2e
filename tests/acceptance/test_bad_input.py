"""Whatever a user gets wrong is said in a few sentences that help, and costs nothing that was there.

The cases lie in `bad_input/`, a table for each kind of mistake; here is what holds for all of them.
"""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.acceptance.bad_input import configurations, finished, installed, models, rules, tables
from tests.acceptance.bad_input.workshop import CONFIG, TRAIN, Case, contents, lay_out
from triune.cli import main

TABLES = (configurations, tables, models, installed, finished, rules)
CASES = [case for table in TABLES for case in table.CASES]
NAMED = {case.name: case for case in CASES}
IN_PROCESSES = [
    *("unknown key at the top", "tabs", "unknown verb", "output holds foreign files"),
    *("too many cells", "RUN that is not there"),
]
AS_JSON = [
    *("three mistakes at once", "--set without value", "unknown option", "output is a file", "unclosed quote"),
    *("model that is nowhere", "two plugins decide one thing", "fails-in-a-hook", "predict over a file"),
]
AS_ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def named(case):
    return case.name


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("finished")
    lay_out(folder, tiny_model, Case("none", ()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["run", "config.yaml"]) == 0
    return folder / "out"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return a working folder; what a test imports from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def prepare(place, tiny_model, finished_run, monkeypatch):
    def prepare(case):
        lay_out(place, tiny_model, case, finished_run)
        monkeypatch.syspath_prepend(place / "site")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(case.stdin)))
        for name, value in case.environment.items():
            monkeypatch.setenv(name, value)
        return contents(place)

    return prepare


def check(case, said):
    """Check that a message helps."""
    assert "Traceback" not in said
    assert "triune failed in a way" not in said
    for words in case.says:
        assert words in said
    lines = said.strip().splitlines()
    assert 1 <= len(lines) <= 3 * case.problems, said


def test_the_cases_are_many_and_each_has_a_name_of_its_own():
    assert len(NAMED) == len(CASES) >= 70
    assert all(case.says and case.code in (1, 2) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_a_mistake_is_explained_and_leaves_everything_as_it_was(case, place, prepare, capsys):
    before = prepare(case)
    code = main(list(case.words))
    printed = capsys.readouterr()
    check(case, printed.err)
    assert code == case.code
    assert case.begins or not printed.out
    assert contents(place) == before


@pytest.mark.parametrize("name", IN_PROCESSES)
def test_a_process_of_its_own_says_the_same(name, place, prepare):
    case = NAMED[name]
    before = prepare(case)
    command = [sys.executable, "-m", "triune", *case.words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    check(case, done.stderr)
    assert (done.returncode, done.stdout) == (case.code, "")
    assert contents(place) == before


@pytest.mark.parametrize("name", AS_JSON)
def test_with_json_the_error_is_one_document(name, prepare, capsys):
    case = NAMED[name]
    prepare(case)
    assert main([*case.words, "--json"]) == case.code
    printed = capsys.readouterr()
    document = json.loads(printed.err)
    assert printed.out == ""
    assert document["exit_code"] == case.code
    check(case, document["error"])


@pytest.mark.parametrize("case", tables.HARMLESS, ids=named)
def test_what_only_looks_like_a_mistake_is_learnt_from(case, place, prepare, capsys):
    prepare(case)
    assert main(list(case.words)) == 0, capsys.readouterr().err
    space = json.loads((place / "out" / "run.json").read_text())["space"]
    assert space["labels"] == (["NA", "None", "nan", "null"] if "NA" in case.name else ["card", "transfer"])


@pytest.mark.parametrize("verb", ["plan", "run"])
def test_a_plan_finds_what_a_run_finds(verb, prepare, capsys):
    prepare(NAMED["one class"])
    assert main([verb, "config.yaml"]) == 2
    check(NAMED["one class"], capsys.readouterr().err)


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(place, prepare, capsys):
    def last_damaged(folder):
        finished.unfinished(folder)
        finished.damage(finished.checkpoints(folder)[-1] / "model.safetensors")

    prepare(Case("last damaged", (), run=last_damaged))
    assert main(["run", "config.yaml", "--resume", "auto"]) == 0
    said = capsys.readouterr().err
    assert "warning: passed over: out/checkpoints/step-00000004: the checkpoint is damaged" in said
    assert "model.safetensors is not as it was written" in said
    facts = json.loads((place / "out" / "run.json").read_text())
    assert facts["ended"]["step"] == 4


@pytest.mark.parametrize("spoilt", ["config.yaml", "train.csv"])
def test_overwriting_deletes_the_old_run_only_when_the_new_one_can_begin(spoilt, place, prepare):
    before = prepare(Case("spoilt", (), run=finished.sound, files={spoilt: "text,label\n"}))
    assert main(["run", "config.yaml", "--overwrite"]) == 2
    assert contents(place) == before
    model = json.loads(before["out/run.json"])["config"]["task"]["model"]
    (place / "config.yaml").write_text(CONFIG.replace("MODEL", model))
    (place / "train.csv").write_text(TRAIN)
    assert main(["run", "config.yaml", "--overwrite", "--set", "training.epochs=1"]) == 0
    assert json.loads((place / "out" / "run.json").read_text())["ended"]["step"] == 2


@contextmanager
def room_for(size):
    """Let the system refuse files that are larger: as a full disk does, and with libraries that Python cannot fool."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_no_half_written_model(place, prepare, monkeypatch, capsys):
    from triune import finishing

    export = finishing.export

    def export_on_a_full_disk(prepared, directory):
        with room_for(1 << 14):  # bytes; the weights take more
            export(prepared, directory)

    monkeypatch.setattr(finishing, "export", export_on_a_full_disk)
    prepare(Case("full", ()))
    assert main(["run", "config.yaml"]) == 1
    check(Case("full", ("out/model", "no room to write it"), problems=2), capsys.readouterr().err)
    assert sorted(one.name for one in (place / "out").iterdir()) == ["checkpoints", "history.jsonl"]
    monkeypatch.setattr(finishing, "export", export)
    assert main(["run", "config.yaml", "--resume", "auto"]) == 0
    assert (place / "out" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(("size", "at"), [(4, "start.json"), (64, "history.jsonl"), (1 << 14, "checkpoints/best")])
def test_a_disk_that_is_full_before_a_checkpoint_leaves_nothing(size, at, place, prepare, capsys):
    before = prepare(Case("full", ()))
    with room_for(size):
        assert main(["run", "config.yaml"]) == 1
    check(Case("full", (at, "no room to write it", "free some space")), capsys.readouterr().err)
    assert contents(place) == before


def test_predictions_on_a_full_disk_leave_no_file(place, prepare, monkeypatch, capsys):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = prepare(Case("full", (), run=finished.sound))
    monkeypatch.setattr(os, "fsync", full)
    assert main(["predict", "out", "test.csv", "--output", "p.csv"]) == 1
    check(Case("full", ("p.csv: no room to write it",)), capsys.readouterr().err)
    assert contents(place) == before


@pytest.mark.skipif(AS_ROOT, reason="root may read and write everything")
@pytest.mark.parametrize(("name", "mode"), [("train.csv", 0o000), (".", 0o500)])
def test_forbidden_files_and_folders_are_named(name, mode, place, prepare, capsys):
    prepare(Case("forbidden", ()))
    (place / name).chmod(mode)
    try:
        code = main(["run", "config.yaml"])
    finally:
        (place / name).chmod(0o700)
    assert code == 2
    check(Case("forbidden", ("train.csv" if name == "train.csv" else "out",)), capsys.readouterr().err)


def test_rules_that_cannot_be_asked_abstain_and_are_counted_in_the_plan(place, prepare, capsys):
    code = "from triune import rule\n\n@rule(then='card')\ndef breaks(text):\n    return text.index('card') >= 0\n"
    prepare(Case("raises", (), edits=rules.PYTHON, files={"my_rules.py": code}))
    assert main(["plan", "config.yaml"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "rule 'breaks' abstains on examples" in said and "ValueError: substring not found" in said


def test_ten_thousand_rules_are_read_grounded_and_planned(place, prepare, capsys):
    lines = [f"  - {{name: r{number}, when: {{contains: w{number}}}, then: card}}\n" for number in range(10_000)]
    prepare(Case("many", (), edits=rules.RULES, files={"rules.yaml": "rules:\n" + "".join(lines)}))
    assert main(["plan", "config.yaml"]) == 0
    assert "10,000 rules" in capsys.readouterr().out
