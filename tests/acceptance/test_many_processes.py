"""Several processes do one run: they end as one would, hold the same to the bit, and leave together."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.acceptance.many_processes import CASES, STOPPED_AT, TEXTS
from tests.support import same

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
RANKS = ("0", "1")


def command(*words, processes=1):
    together = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    return [sys.executable, *(together if processes > 1 else []), "-m", *map(str, words)]


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(scope="module")
def still_model(tiny_model, tmp_path_factory):
    """Return the folder of a small BERT without dropout: what is drawn differs from process to process."""
    folder = tmp_path_factory.mktemp("still") / "model"
    shutil.copytree(tiny_model, folder)
    settings = json.loads((folder / "config.json").read_text())
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps({**settings, **still}))
    return folder


@pytest.fixture(scope="module")
def done(still_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("many")
    for processes in (2, 1):
        words = command("tests.acceptance.many_processes", folder, still_model, processes=processes)
        found = subprocess.run(
            words, capture_output=True, text=True, check=False, env=environment(), cwd=ROOT, timeout=600
        )
        assert found.returncode == 0, found.stderr
    return folder


@pytest.mark.parametrize("case", [*CASES, *TEXTS])
def test_two_processes_end_as_one_does_and_hold_the_same_to_the_bit(done, case):
    first, second = (load_file(done / "of-2" / f"{case}-{rank}.safetensors") for rank in RANKS)
    alone = load_file(done / "of-1" / f"{case}-0.safetensors")
    assert same(first, second)
    for name, weight in alone.items():
        torch.testing.assert_close(first[name], weight, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", [*CASES, *TEXTS])
def test_two_processes_tell_what_one_tells(done, case):
    told, alone = (history(done / f"of-{size}" / case) for size in (2, 1))
    assert [row["event"] for row in told] == [row["event"] for row in alone]
    assert close(told, alone)
    assert close(*(json.loads((done / f"of-{size}" / case / "metrics.json").read_text()) for size in (2, 1)))


def close(one, other):
    """Return whether two values are alike up to the last digits of their numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    return one == (pytest.approx(other, abs=1e-5) if isinstance(one, float) else other)


def test_the_cases_have_what_they_are_for(done):
    """A phase goes back to an earlier model, multipliers move, baselines are done, rules teach."""
    ended = [row for row in history(done / "of-2" / "phases by plateaus") if row["event"] == "phase"]
    assert any(row["best_step"] < row["step"] for row in ended)
    rows = history(done / "of-2" / "rules, balanced, beside baselines")
    moved = [row["values"]["rules"] for row in rows if row["event"] == "values" and row["name"] == "multipliers"]
    assert len(set(moved)) > 2
    for size in (2, 1):
        folder = done / f"of-{size}" / "rules, balanced, beside baselines"
        beside = json.loads((folder / "metrics.json").read_text())["baselines"]
        assert {"projection_only", "with_validation_labels", "without_rules"} == beside.keys()
        assert not [one for one in beside.values() if "left_out" in one]
    terms = [row["terms"] for row in history(done / "of-2" / "rules on text without labels") if row["event"] == "step"]
    assert any(one["self-training"] > 0 for one in terms)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the names of threads are read from /proc")
def test_no_thread_of_the_group_outlives_it_and_aborts_the_process_at_its_end(done):
    for rank in RANKS:
        threads = json.loads((done / f"threads-{rank}.json").read_text())
        assert threads
        assert not [name for name in threads if "gloo" in name]


def test_a_signal_to_one_process_stops_both_and_they_go_on_to_the_bit(done):
    for rank in RANKS:
        assert json.loads((done / "of-2" / f"said-{rank}.json").read_text())["stopped"] == "stopped by SIGTERM"
        whole, resumed = (load_file(done / "of-2" / f"{name}-{rank}.safetensors") for name in ("whole", "stopped"))
        assert same(whole, resumed)
    assert history(done / "of-2" / "whole") == history(done / "of-2" / "stopped")
    assert (done / "of-2" / "for one" / "checkpoints" / f"step-{STOPPED_AT:08d}").is_dir()


def test_one_process_goes_on_with_what_two_began(done):
    facts = json.loads((done / "of-1" / "gone on" / "run.json").read_text())
    assert facts["machine"]["processes"] == 1
    steps = [row["step"] for row in history(done / "of-1" / "gone on") if row["event"] == "step"]
    assert steps == list(range(1, facts["ended"]["of"] + 1))


def test_what_fails_in_one_process_ends_both_with_its_message_and_leaves_nothing(done):
    first, second = (json.loads((done / "of-2" / f"said-{rank}.json").read_text()) for rank in RANKS)
    assert first["fails"].startswith(
        "ProcessFailed: process 1 of 2 failed: ValueError: there is something about this row"
    )
    assert "raised by plugin 'method-0' in the loss term 'failing'" in first["fails"]
    assert second["fails"] == "ValueError: there is something about this row"
    assert first["left"] == []


def test_processes_that_differ_are_told_what_differs(done):
    for rank in RANKS:
        said = json.loads((done / "of-2" / f"said-{rank}.json").read_text())
        assert "process 1 differs from process 0 in the weight 'head.bias'" in said["drifts"]
        assert (
            "before the first step: process 1 differs from process 0 in the state of plugin 'method-0'"
            in (said["private"])
        )


def history(folder):
    rows = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    measured = ("examples_per_second", "seconds")
    return [{key: value for key, value in row.items() if key not in measured} for row in rows]


@pytest.fixture
def configured(tmp_path, still_model):
    rows = "\n".join(f"{word} {n},{word}" for n in range(40) for word in ("parcel", "refund"))
    (tmp_path / "train.csv").write_text(f"text,label\n{rows}\n")
    (tmp_path / "config.yaml").write_text(
        f"task: {{use: text-classification, model: {still_model}}}\n"
        "data: {use: table, train: train.csv}\n"
        "methods: end-to-end\n"
        "training: {epochs: 5, batch_size: 8, early_stopping: null, checkpoint_every: 5, report: off}\n"
    )
    return tmp_path


def start(folder, *words):
    words = command("triune", "run", "config.yaml", "--output", "run", *words, processes=2)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, cwd=folder, env=environment(), text=True, **pipes)


def test_the_command_line_stops_goes_on_and_speaks_once(configured):
    folder = configured / "run"
    process = start(configured)
    while not list(folder.glob("checkpoints/step-*")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=200)
    assert process.returncode != 0
    assert errors.count("stopped by SIGTERM") == errors.count("--resume auto") == 1
    assert not (folder / "run.json").exists()
    again = start(configured, "--resume", "auto")
    out, errors = again.communicate(timeout=200)
    assert again.returncode == 0, errors
    assert out.count("Folder: ") == 1
    assert "2 processes, 1 thread" in out
    assert json.loads((folder / "run.json").read_text())["machine"]["processes"] == 2


def test_a_mistake_is_told_once(configured):
    process = start(configured, "--set", "training.epoch=2")
    out, errors = process.communicate(timeout=200)
    assert process.returncode != 0
    assert errors.count("did you mean 'epochs'") == 1 and not out
