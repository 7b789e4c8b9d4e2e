"""`triune compare` as it is typed: what it prints, what it leaves with, and that a signal costs nothing."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from triune.cli import main

RULES = """
rules:
- {name: parcels, when: {contains: parcel}, then: parcel}
- {name: refunds, when: {contains: refund}, then: refund}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory, tiny_model):
    """Return a folder with a table, rules and a configuration of a network that trains in no time."""
    folder = tmp_path_factory.mktemp("project")
    rows = "\n".join(f"my {word} number {n},{word}" for n in range(20) for word in ("parcel", "refund"))
    (folder / "train.csv").write_text(f"text,label\n{rows}\n")
    (folder / "rules.yaml").write_text(RULES)
    (folder / "config.yaml").write_text(
        f"task: {{use: text-classification, model: {tiny_model}}}\n"
        "data: {use: table, train: train.csv, test: train.csv}\n"
        "rules: {use: rule-file, path: rules.yaml}\n"
        "training: {batch_size: 8, threads: 1, device: cpu, learning_rate: 1.0e-3}\n"
        "compare: {steps: 3, seeds: 2}\n"
    )
    return folder


def words(project, folder, *more):
    return ["compare", str(project / "config.yaml"), "--output", str(folder), *more]


def test_the_five_default_ways_are_compared_in_one_table_and_a_second_time_nothing_is_trained(
    project, tmp_path, capsys
):
    assert main(words(project, tmp_path / "found", "--seeds", "1")) == 0
    said = capsys.readouterr().out
    table = said.partition("On the test table")[2]
    for name in ("weak-labels", "end-to-end", "layer-by-layer", "lora", "hybrid"):
        assert f"\n  {name} " in table
    assert "5 runs of at most 3 steps each" in said and "Who wins" in said
    assert main(words(project, tmp_path / "found", "--seeds", "1")) == 0
    assert "5 runs finished before, and not repeated" in capsys.readouterr().out


def test_as_json_it_is_what_the_file_holds(project, tmp_path, capsys):
    code = main(words(project, tmp_path / "found", "--strategies", "end-to-end,lora", "--seeds", "7,8", "--json"))
    said = json.loads(capsys.readouterr().out)
    assert code == 0
    assert said.pop("folder") == str(tmp_path / "found")
    assert said == json.loads((tmp_path / "found" / "comparison.json").read_text())
    assert [(row["arm"], row["seed"]) for row in said["runs"]] == [
        ("end-to-end", 7), ("lora", 7), ("end-to-end", 8), ("lora", 8),
    ]  # fmt: skip


def test_an_arm_that_fails_makes_the_exit_code_and_not_the_end(project, tmp_path, capsys):
    bad = "{name: bad, methods: end-to-end, training: {learning_rate: 1.0e30}}"
    settings = f"{{steps: 3, seeds: 1, strategies: end-to-end, arms: [{bad}]}}"
    assert main(words(project, tmp_path / "found", "--set", f"compare={settings}")) == 2
    said = capsys.readouterr().out
    assert "\n  end-to-end " in said and "failed    bad, seed 42" in said


def test_what_is_left_out_is_printed_with_its_reason(project, tmp_path, capsys):
    assert main(words(project, tmp_path / "found", "--seeds", "1", "--set", "rules=null", "--without", "lora")) == 0
    said = capsys.readouterr().out
    assert said.count("left out  weak-labels: it needs rules") == 2  # before the runs, and with the result
    assert "left out  lora" in said and "blocked by --without" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--strategies", "end-to-ent"], "did you mean 'end-to-end'"),
        (["--strategies", ""], "no strategy is named"),
        (["--seeds", "0"], "compare.seeds: found 0, wanted"),
        (["--seeds", "many"], "say how many"),
        (["--seeds", "1,1"], "seeds name 1 twice"),
        (["--workers", "0"], "workers is 0"),
        (["--workers", "two"], "invalid int value"),
        (["--strategy", "lora"], "did you mean '--strategies'"),
        (["--set", "compare.step=3"], "did you mean 'steps'"),
        (["--set", "compare.seconds=3"], "both steps and seconds"),
    ],
)
def test_what_is_mistyped_is_told_in_a_line_and_nothing_is_written(project, tmp_path, capsys, more, said):
    assert main(words(project, tmp_path / "found", *more)) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error
    assert not (tmp_path / "found").exists()


def test_what_is_in_the_folder_already_is_told_by_the_name_that_the_user_gave_it(project, tmp_path, capsys):
    folder = tmp_path / "found"
    one = ["--strategies", "end-to-end", "--seeds", "1"]
    assert main(words(project, folder, *one)) == 0
    assert main(words(project, folder, *one, "--set", "training.learning_rate=0.01")) == 2
    said = capsys.readouterr().err
    assert f"output {str(folder)!r} holds a comparison of another configuration" in said and "end-to-end" in said
    inside = tmp_path / "other" / "runs" / "end-to-end" / "seed-42" / "mine.txt"
    inside.parent.mkdir(parents=True)
    inside.touch()
    assert main(words(project, tmp_path / "other", *one)) == 2
    said = capsys.readouterr().err
    assert f"output {str(tmp_path / 'other')!r}: something" in said and inside.exists()


def start(project, folder):
    command = [
        sys.executable,
        "-m",
        "triune",
        *words(project, folder, "--workers", "2", "--strategies", "end-to-end,hybrid", "--seeds", "1"),
    ]
    command += [
        "--set",
        "compare.steps=40",
        "--set",
        "training.checkpoint_every=1",
        "--set",
        "training.early_stopping=null",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


@pytest.mark.slow
def test_a_signal_saves_what_is_at_work_in_every_process_and_the_same_command_goes_on(project, tmp_path):
    folder = tmp_path / "found"
    process = start(project, folder)
    while len(list(folder.glob("runs/*/seed-42/checkpoints/step-*/"))) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130 and "goes on" in errors and "Traceback" not in errors
    assert not (folder / "comparison.json").exists()
    left = {path: path.read_bytes() for path in folder.glob("runs/*/*/history.jsonl")}
    assert left
    again = start(project, folder)
    _, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    for path, before in left.items():  # not begun anew: what was learnt before the signal stands at its beginning
        assert path.read_bytes().startswith(before)
    assert len(json.loads((folder / "comparison.json").read_text())["runs"]) == 2
