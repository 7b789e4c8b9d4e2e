"""Checkpoints are there whole or not at all, are verified, and bring everything back to the bit."""

import contextlib
import errno
import hashlib
import io
import itertools
import json
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from triune.checkpoint import Checkpoints, DamagedCheckpointError, Snapshot
from triune.errors import CheckpointError, EnvironmentProblem, OutputError, TriuneError
from triune.files import recover

FILES = ("MANIFEST.json", "state.json", "model.safetensors", "optimizer.safetensors", "plugin%3Aregeln.safetensors")


def snapshot(step, size=50):
    """A snapshot that holds its step everywhere, so that a mixture of two would show."""
    return Snapshot(
        step,
        {
            "model": {
                "gewicht/größe": torch.full((size,), float(step)),
                "half": torch.tensor(step, dtype=torch.bfloat16),
            },
            "optimizer": {"step": torch.tensor(step), "exp_avg": torch.full((size,), float(step))},
            "plugin:regeln": {},
        },
        {"step": step, "plugin": {"seen": [step] * 5, "名": None}},
    )


def same(a, b):
    """Whether two snapshots are equal in every bit."""
    return (
        (a.step, a.facts, a.tensors.keys()) == (b.step, b.facts, b.tensors.keys())
        and all(list(a.tensors[group]) == list(b.tensors[group]) for group in a.tensors)
        and all(
            equal(a.tensors[group][name], b.tensors[group][name]) for group in a.tensors for name in a.tensors[group]
        )
    )


def equal(a, b):
    bits = [tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)]
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*bits)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture
def damages():
    return []


@pytest.fixture
def checkpoints(tmp_path, damages):
    return Checkpoints(tmp_path / "checkpoints", identity="one", on_damage=damages.append)


# ---- what is kept, and that it is what was written


def test_everything_comes_back_to_the_bit(checkpoints, damages):
    base = torch.randn(4, 6)
    tensors = {
        "bf16": torch.randn(3).bfloat16(),
        "fp32": torch.tensor([math.nan, -0.0, math.inf]),
        "int64": torch.tensor([2**62, -1]),
        "uint8": torch.arange(256, dtype=torch.uint8),
        "nothing": torch.zeros(0, 3),
        "turned": base.t(),
        "part": base[1:3, ::2],
        "parameter": nn.Parameter(torch.ones(2)),
    }
    written = Snapshot(7, {"model": tensors, "größe/..": {}}, {"a": [1.5, None, "ä"]})
    checkpoints.save(written)
    assert same(checkpoints.latest(), written)
    assert not damages


def test_tied_weights_are_stored_once_and_load_tied(checkpoints):
    model = nn.Sequential(nn.Embedding(100, 50), nn.Linear(50, 100, bias=False))
    model[1].weight = model[0].weight
    checkpoints.save(Snapshot(1, {"model": model.state_dict()}, {}))
    back = checkpoints.load(1).tensors["model"]
    assert back["0.weight"] is back["1.weight"]
    assert torch.equal(back["1.weight"], model[1].weight)
    assert (checkpoints.folder / "step-00000001" / "model.safetensors").stat().st_size < 1.2 * 100 * 50 * 4


def test_the_layout_is_one_folder_of_readable_files_without_pickle(checkpoints):
    checkpoints.save(snapshot(120))
    folder = checkpoints.folder / "step-00000120"
    assert names(folder) == sorted(FILES)
    manifest = json.loads((folder / "MANIFEST.json").read_text())
    assert (manifest["format"], manifest["identity"], manifest["step"]) == (1, "one", 120)
    for name, told in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert told == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    assert manifest["files"].keys() == set(FILES) - {"MANIFEST.json"}
    assert {(folder / name).stat().st_mode & 0o777 for name in FILES} == {folder.stat().st_mode & 0o666}


def test_the_last_ones_are_kept_and_latest_is_by_number(checkpoints):
    assert checkpoints.latest() is None
    for step in (2, 8, 10, 123456789):
        checkpoints.save(snapshot(step))
    assert checkpoints.steps() == [10, 123456789]
    assert checkpoints.latest().step == 123456789
    assert names(checkpoints.folder) == ["step-00000010", "step-123456789"]


@pytest.mark.parametrize("keep", [1, 3])
def test_as_many_are_kept_as_asked(tmp_path, keep):
    checkpoints = Checkpoints(tmp_path, "one", keep=keep)
    for step in range(5):
        checkpoints.save(snapshot(step))
    assert checkpoints.steps() == list(range(5))[-keep:]


def test_keeping_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        Checkpoints(tmp_path, "one", keep=0)


def test_a_checkpoint_of_the_same_step_is_replaced(checkpoints):
    checkpoints.save(snapshot(1, size=3))
    checkpoints.save(snapshot(1, size=9))
    assert same(checkpoints.latest(), snapshot(1, size=9))
    assert names(checkpoints.folder) == ["step-00000001"]


def test_going_on_from_an_earlier_step_removes_no_sound_checkpoint_for_a_later_damaged_one(tmp_path, damages):
    checkpoints = Checkpoints(tmp_path, "one", keep=1, on_damage=damages.append)
    checkpoints.save(snapshot(10))
    shutil.copytree(tmp_path / "step-00000010", tmp_path / "step-00000020")
    (tmp_path / "step-00000020" / "state.json").write_text("{}")
    checkpoints.save(snapshot(15))
    assert checkpoints.latest().step == 15
    checkpoints.save(snapshot(20))
    assert same(checkpoints.latest(), snapshot(20))
    assert len(damages) == 1


def test_the_best_is_kept_apart_from_the_last(checkpoints):
    assert checkpoints.best(2) is None
    for step in range(3):
        checkpoints.save(snapshot(step + 10))
        checkpoints.save_best(snapshot(step))
    assert same(checkpoints.best(2), snapshot(2))
    assert names(checkpoints.folder / "best") == ["step-00000002"]
    assert checkpoints.steps() == [11, 12]


# ---- what is refused


def test_a_step_that_is_not_there_is_named_with_those_that_are(checkpoints):
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 3; choose .*: none"):
        checkpoints.load(3)
    checkpoints.save(snapshot(1))
    with pytest.raises(CheckpointError, match=r"no checkpoint of step 3; choose .*: 1\."):
        checkpoints.load(3)


def test_the_checkpoint_of_another_run_is_refused(checkpoints):
    checkpoints.save(snapshot(1))
    checkpoints.save_best(snapshot(1))
    other = Checkpoints(checkpoints.folder, identity="two")
    for read in (other.latest, lambda: other.best(1), lambda: other.load(1)):
        with pytest.raises(
            CheckpointError, match=r"of another run \(identity 'one', not 'two'\).*choose another output folder"
        ):
            read()


def test_a_newer_format_is_refused_and_not_taken_for_damage(checkpoints, damages, monkeypatch):
    checkpoints.save(snapshot(1))
    with monkeypatch.context() as later:
        later.setattr("triune.checkpoint.FORMAT", 2)
        checkpoints.save(snapshot(2))
    with pytest.raises(CheckpointError, match="has format 2, and this triune reads up to 1; install"):
        checkpoints.latest()
    assert not damages
    assert checkpoints.load(1).step == 1


def test_facts_that_are_not_json_are_refused_by_key_and_nothing_is_written(checkpoints):
    with pytest.raises(OutputError, match=r"step-00000001: 'facts\.best\.loss' is nan"):
        checkpoints.save(Snapshot(1, {}, {"best": {"loss": math.nan}}))
    assert names(checkpoints.folder) == []


def test_a_tensor_that_cannot_be_stored_is_refused_and_nothing_is_written(checkpoints):
    with pytest.raises(CheckpointError, match="'w' has the type complex128"):
        checkpoints.save(Snapshot(1, {"model": {"w": torch.zeros(1, dtype=torch.complex128)}}, {}))
    assert names(checkpoints.folder) == []


# ---- damage


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_recognised_and_the_previous_one_used(checkpoints, damages, name):
    checkpoints.save(snapshot(1))
    checkpoints.save(snapshot(2))
    file = checkpoints.folder / "step-00000002" / name
    content = file.read_bytes()
    positions = random.Random(0).sample(range(len(content)), min(40, len(content)))
    for position in positions:
        flipped = bytearray(content)
        flipped[position] ^= 1 << position % 8
        file.write_bytes(flipped)
        assert same(checkpoints.latest(), snapshot(1))
    assert len(damages) == len(positions)
    assert all("step-00000002: the checkpoint is damaged" in damage and name in damage for damage in damages)
    file.write_bytes(content)
    assert same(checkpoints.latest(), snapshot(2))


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("harm", ["removed", "emptied", "cut", "grown", "a folder", "unreadable"])
def test_harm_to_a_file_is_recognised(checkpoints, damages, name, harm):
    checkpoints.save(snapshot(1))
    checkpoints.save(snapshot(2))
    file = checkpoints.folder / "step-00000002" / name
    content = file.read_bytes()
    file.unlink()
    if harm == "a folder":
        file.mkdir()
    elif harm == "unreadable":
        file.symlink_to("/proc/self/mem")
    elif harm != "removed":
        file.write_bytes({"emptied": b"", "cut": content[:-1], "grown": content + b" "}[harm])
    assert same(checkpoints.latest(), snapshot(1))
    with pytest.raises(DamagedCheckpointError, match="delete this folder"):
        checkpoints.load(2)
    assert len(damages) == 1


@pytest.mark.parametrize("manifest", [b"[]", b"null", b"NaN", b'{"format": NaN}', b"\xff", b"{}", b'"text"'])
def test_a_manifest_that_is_something_else_is_damage(checkpoints, manifest):
    checkpoints.save(snapshot(1))
    (checkpoints.folder / "step-00000001" / "MANIFEST.json").write_bytes(manifest)
    with pytest.raises(DamagedCheckpointError, match=r"MANIFEST\.json is not as it was written"):
        checkpoints.load(1)


def test_when_all_are_damaged_training_does_not_silently_start_again(checkpoints, damages):
    for step in (1, 2):
        checkpoints.save(snapshot(step))
        (checkpoints.folder / f"step-0000000{step}" / "state.json").unlink()
    with pytest.raises(CheckpointError, match=r"every checkpoint in it is damaged \(steps 1, 2\); delete the folder"):
        checkpoints.latest()
    assert len(damages) == 2


def test_a_damaged_best_is_refused(checkpoints):
    checkpoints.save_best(snapshot(1))
    (checkpoints.folder / "best" / "step-00000001" / "model.safetensors").unlink()
    with pytest.raises(DamagedCheckpointError, match=r"best/step-00000001: .*model\.safetensors is missing"):
        checkpoints.best(1)


def test_damage_is_logged_when_nobody_asks(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path, "one")
    checkpoints.save(snapshot(1))
    checkpoints.save(snapshot(2))
    (tmp_path / "step-00000002" / "MANIFEST.json").unlink()
    assert checkpoints.latest().step == 1
    assert "step-00000002: the checkpoint is damaged: has no MANIFEST.json" in caplog.text


# ---- a writer that dies or fails


class Died(BaseException):
    """Stands for kill -9: from here on, nothing more reaches the disk."""


WRITES = [
    *((os, name) for name in ("open", "fsync", "mkdir", "replace", "rename", "unlink", "rmdir")),
    *((io, "open"), (safetensors.torch, "save_file"), (Path, "chmod"), (shutil, "rmtree")),
]


def sabotage(monkeypatch, at, stop):
    """Let the call number `at` that changes the disk fail with `stop(later)`; return the count of calls so far."""
    count = [0]

    def guarded(module, name, original):
        def call(*args, **options):
            count[0] += 1
            if count[0] > at:
                if name == "save_file":
                    Path(args[1]).write_bytes(b"half")
                stop(count[0] - at > 1)
            return None if name == "fsync" else original(*args, **options)

        monkeypatch.setattr(module, name, call)

    for module, name in WRITES:
        guarded(module, name, getattr(module, name))
    return count


def die(_later):
    raise Died


def fill_the_disk_once(later):
    if not later:
        raise OSError(errno.ENOSPC, "No space left on device")


WRITERS = {
    "another step": (Checkpoints.save, lambda c: c.latest(), 2),
    "the same step": (Checkpoints.save, lambda c: c.latest(), 1),
    "the best of the same step": (Checkpoints.save_best, lambda c: c.best(1), 1),
}


@pytest.mark.parametrize(("save", "read", "step"), WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(
    ("stop", "error"), [(die, Died), (fill_the_disk_once, EnvironmentProblem)], ids=["dies", "disk full"]
)
def test_whatever_call_fails_the_old_or_the_new_is_there(tmp_path, monkeypatch, save, read, step, stop, error):
    old, new = snapshot(1), Snapshot(step, snapshot(2).tensors, {"new": True})
    save(Checkpoints(tmp_path / "before", "one"), old)
    seen = {"old": 0, "new": 0}
    for at in itertools.count():
        folder = shutil.copytree(tmp_path / "before", tmp_path / str(at))
        checkpoints = Checkpoints(folder, "one", keep=1, on_damage=pytest.fail)
        with monkeypatch.context() as patched, contextlib.suppress(error, OutputError):
            count = sabotage(patched, at, stop)
            save(checkpoints, new)
        found = read(checkpoints)
        assert same(found, old) or same(found, new), f"call {at}"
        seen["old" if same(found, old) else "new"] += 1
        recover(folder)
        assert same(read(checkpoints), found)
        assert not [name for name in names(folder) if name.startswith(".")]
        if count[0] <= at:
            break
    assert seen["old"] > 10
    assert seen["new"] > 1


def test_the_harness_catches_a_writer_in_place(tmp_path, monkeypatch):
    file = tmp_path / "a"
    found = set()
    for at in range(3):
        file.write_text("old old")
        with monkeypatch.context() as patched, contextlib.suppress(Died):
            sabotage(patched, at, die)
            with file.open("w") as stream:
                stream.write("new ")
                stream.flush()
                os.fsync(stream.fileno())
                stream.write("new")
        found.add(file.read_text())
    assert found == {"old old", "new ", "new new"}


def in_a_child(work):
    """Fork a child that does `work` and leaves; return its process id."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)  # a child that hangs dies, and fails its test
            torch.set_num_threads(1)  # the other threads did not come along through the fork
            work()
        finally:
            os._exit(1)
    return child


def save_for_ever(folder, first, acknowledge):
    checkpoints = Checkpoints(folder, "one")
    for step in range(first, first + 100_000):
        checkpoints.save_best(snapshot(step, size=30_000))
        checkpoints.save(replace(snapshot(step, size=30_000), best=step))
        os.write(acknowledge, step.to_bytes(8, "big"))


def test_a_writer_killed_at_any_time_leaves_what_it_acknowledged(tmp_path):
    chance = random.Random(0)
    checkpoints = Checkpoints(tmp_path, "one", on_damage=pytest.fail)
    checkpoints.save(snapshot(0, size=30_000))
    step, interrupted = 0, 0
    for _ in range(30):
        reader, writer = os.pipe()
        child = in_a_child(lambda first=step + 1, writer=writer: save_for_ever(tmp_path, first, writer))
        os.close(writer)
        acknowledged = int.from_bytes(os.read(reader, 8), "big")
        time.sleep(chance.uniform(0, 0.04))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while told := os.read(reader, 8):
            acknowledged = int.from_bytes(told, "big")
        os.close(reader)
        last = checkpoints.latest()
        assert last.step == last.best >= acknowledged > step
        assert same(last, snapshot(last.step, size=30_000))
        assert same(checkpoints.best(last.best), snapshot(last.best, size=30_000))
        interrupted += bool(list(tmp_path.rglob(".*")))
        step = last.step
    assert interrupted > 5  # else the kills came between two writes and show nothing
    checkpoints.save(snapshot(step + 1))
    assert not list(tmp_path.rglob(".*"))


def test_reading_disturbs_no_writer(checkpoints):
    checkpoints.save(snapshot(1))
    temporary = checkpoints.folder / ".step-00000002.0123abcd.triune-tmp"
    temporary.mkdir()
    assert checkpoints.latest().step == 1
    assert checkpoints.best(2) is None
    assert temporary.is_dir()


def test_a_real_limit_on_the_size_of_files_is_told_as_no_room(tmp_path, checkpoints):
    checkpoints.save(snapshot(1))

    def save_under_limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        try:
            checkpoints.save(snapshot(2, size=30_000))
        except TriuneError as error:
            (tmp_path / "said").write_text(f"{type(error).__name__}: {error}")

    os.waitpid(in_a_child(save_under_limit), 0)
    said = (tmp_path / "said").read_text()
    assert said.startswith(f"EnvironmentProblem: {checkpoints.folder / 'step-00000002'}: no room to write it")
    assert "free some space" in said
    assert names(checkpoints.folder) == ["step-00000001"]


def test_a_folder_that_may_not_be_written_is_told(checkpoints, monkeypatch):
    def forbid(*_args, **_options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "mkdir", forbid)
    with pytest.raises(OutputError, match=r"step-00000001: may not be written \(Permission denied\); change"):
        checkpoints.save(snapshot(1))


MEASURE = """
import sys
from pathlib import Path

import torch

from triune.checkpoint import Checkpoints, Snapshot


def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1000


def bulk(step, size):
    tensors = {"model": {"w": torch.full((size,), 1.0)}, "optimizer": {"exp_avg": torch.full((size,), 1.0)}}
    return Snapshot(step, tensors, {})


checkpoints = Checkpoints(Path(sys.argv[1]), "one")
checkpoints.save(bulk(1, 10))  # what is imported and allocated once does not count
checkpoints.latest()
large = bulk(2, 8_000_000)  # 64 MB in the two tensors
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = status("VmRSS")
checkpoints.save(large)
saving = status("VmHWM") - before
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
loaded = checkpoints.latest()
print(saving, status("VmHWM") - before, loaded.step)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory is asked of Linux")
def test_loading_and_saving_take_the_memory_of_one_copy(tmp_path):
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    )
    saving, loading, step = map(float, measured.stdout.split())
    assert step == 2
    assert saving < 16
    assert 48 < loading < 80
