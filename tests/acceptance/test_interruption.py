"""Killed or asked to stop at any moment, a run goes on and ends as if nothing had been."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from safetensors.torch import load_file

from tests.support import same

pytestmark = pytest.mark.slow

KILLS = 6


def start(folder):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tests.acceptance.long_run", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)


def outcome(folder):
    last = sorted((folder / "checkpoints").glob("step-*"))[-1]
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    learnt = [(row["step"], row["terms"]) for row in history if row["event"] == "step"]
    return load_file(last / "model.safetensors"), learnt, json.loads((folder / "metrics.json").read_text())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    process = start(folder)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return outcome(folder)


def test_a_run_killed_again_and_again_ends_bit_identical(tmp_path, uninterrupted):
    chance = random.Random(11)
    folder, killed = tmp_path / "run", 0
    for _ in range(40):
        process = start(folder)
        assert process.stdout.readline() == "started\n"
        if killed < KILLS:
            steps = len(list((folder / "checkpoints").glob("step-*"))) if folder.exists() else 0
            begun = time.monotonic()
            while steps == 0 and time.monotonic() - begun < 60 and not list(folder.glob("checkpoints/step-*")):
                time.sleep(0.005)
            time.sleep(chance.uniform(0.3, 1.2))
            process.kill()
        _, errors = process.communicate(timeout=120)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, errors
        killed += 1
    weights, learnt, metrics = outcome(folder)
    assert killed >= 2, "the run was too quick to be killed: the test proved nothing"
    assert same(weights, uninterrupted[0])
    assert learnt == uninterrupted[1]
    assert metrics == uninterrupted[2]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_the_run_goes_on_bit_identical(tmp_path, uninterrupted, number):
    folder = tmp_path / "run"
    process = start(folder)
    while not list(folder.glob("checkpoints/step-*")):
        time.sleep(0.005)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (folder / "run.json").exists()
    again = start(folder)
    _, errors = again.communicate(timeout=120)
    assert again.returncode == 0, errors
    assert same(outcome(folder)[0], uninterrupted[0])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_command_line_leaves_with_the_code_of_the_signal_and_says_how_to_go_on(tmp_path, tiny_model, number, code):
    rows = "\n".join(f"{word} {n},{word}" for n in range(40) for word in ("parcel", "refund"))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}\n")
    (tmp_path / "config.yaml").write_text(
        f"task: {{use: text-classification, model: {tiny_model}}}\n"
        "data: {use: table, train: train.csv}\n"
        "methods: end-to-end\n"
        "training: {epochs: 40, batch_size: 8, threads: 1, early_stopping: null, checkpoint_every: 1}\n"
    )
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "triune", "run", "config.yaml", "--output", "run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not list(folder.glob("checkpoints/step-*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert "--resume auto" in errors and "Traceback" not in errors
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    last = max(row["step"] for row in history if row["event"] == "step")
    assert (folder / "checkpoints" / f"step-{last:08d}").is_dir()
