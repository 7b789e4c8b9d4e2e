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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_leaves_within_a_step(tmp_path, uninterrupted, number, code):
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
