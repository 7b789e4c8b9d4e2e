"""Files and folders are written whole or not at all."""

import errno
import math
import os
from pathlib import Path

import pytest

from triune.errors import EnvironmentProblem, OutputError
from triune.files import existing, recover, remove_folder, sha256_of, whole_folder, write_json, write_whole


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def fill(folder, text):
    (folder / "deep").mkdir()
    (folder / "deep" / "text").write_text(text)


def text_of(folder):
    return (existing(folder) / "deep" / "text").read_text()


def test_text_and_bytes_are_written_as_given(tmp_path):
    write_whole(tmp_path / "new" / "a.txt", "größer\n")
    write_whole(tmp_path / "new" / "b.bin", b"\xff\x00")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "größer\n".encode()
    assert (tmp_path / "new" / "b.bin").read_bytes() == b"\xff\x00"
    assert names(tmp_path / "new") == ["a.txt", "b.bin"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    write_whole(tmp_path / "a", "old")

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(EnvironmentProblem, match=r"a: no room to write it .*; free some space"):
        write_whole(tmp_path / "a", "new")
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize(
    ("number", "kind", "advice"),
    [
        (errno.ENOSPC, EnvironmentProblem, "free some space"),
        (errno.EDQUOT, EnvironmentProblem, "free some space"),
        (errno.EACCES, OutputError, "permissions"),
        (errno.EROFS, OutputError, "choose another place"),
        (errno.EISDIR, OutputError, "in the way"),
        (errno.EIO, EnvironmentProblem, "check that the disk"),
    ],
)
def test_an_error_of_the_system_says_where_what_and_what_to_do(tmp_path, monkeypatch, number, kind, advice):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(kind, match=advice) as caught:
        write_whole(tmp_path / "a", "new")
    assert str(caught.value).startswith(f"{tmp_path / 'a'}: ")
    assert os.strerror(number) in str(caught.value)
    assert names(tmp_path) == []


def test_a_folder_in_the_way_of_a_file_is_refused(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OutputError, match="in the way"):
        write_whole(tmp_path / "a", "new")


def test_json_keeps_order_and_letters(tmp_path):
    write_json(tmp_path / "a.json", {"z": [1, (2.5, None)], "ä": "垃圾", "lone": "\ud800"})
    written = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert written.splitlines()[1] == '  "z": ['
    assert '"ä": "垃圾"' in written
    assert '"\\ud800"' in written


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"test": {"loss": [1.0, math.nan]}}, r"a\.json: 'test\.loss\[1\]' is nan"),
        ({"best": -math.inf}, r"a\.json: 'best' is -inf"),
        ({"counts": {1: 2}}, r"a\.json: the key 1 of 'counts' is int, not text"),
        ({"seen": {"x"}}, r"a\.json: 'seen' is of type set"),
        (object(), r"a\.json: 'the whole' is of type object"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_its_key(tmp_path, value, named):
    with pytest.raises(OutputError, match=named):
        write_json(tmp_path / "a.json", value)
    assert names(tmp_path) == []


def test_a_folder_appears_whole_and_replaces_the_one_before(tmp_path):
    for text in ("old", "new"):
        with whole_folder(tmp_path / "sub" / "model") as folder:
            fill(folder, text)
    assert text_of(tmp_path / "sub" / "model") == "new"
    assert names(tmp_path / "sub") == ["model"]


def test_every_file_and_folder_reaches_the_disk_before_the_rename(tmp_path, monkeypatch):
    synced = []
    replace, fsync = os.replace, os.fsync

    def note_sync(descriptor):
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def note_rename(*paths):
        synced.append("rename")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_rename)
    with whole_folder(tmp_path / "model") as folder:
        fill(folder, "new")
    assert {"text", "deep", folder.name} == set(synced[:3])
    assert synced[3:] == ["rename", tmp_path.name]


@pytest.mark.parametrize("error", [ValueError("mine"), KeyboardInterrupt(), ConnectionError("a network, not a disk")])
def test_a_block_that_fails_leaves_the_old_folder_and_its_own_error(tmp_path, error):
    with whole_folder(tmp_path / "model") as folder:
        fill(folder, "old")
    with pytest.raises(type(error)) as caught, whole_folder(tmp_path / "model") as folder:
        fill(folder, "new")
        raise error
    assert caught.value is error
    assert text_of(tmp_path / "model") == "old"
    assert names(tmp_path) == ["model"]


def test_a_file_in_the_way_of_a_folder_is_kept_and_refused(tmp_path):
    (tmp_path / "model").write_text("mine")
    with (
        pytest.raises(OutputError, match="a file is where a folder is to be written"),
        whole_folder(tmp_path / "model"),
    ):
        pass
    assert (tmp_path / "model").read_text() == "mine"


def test_a_folder_that_was_moved_aside_is_found_and_comes_back(tmp_path):
    (tmp_path / ".model.triune-old").mkdir()
    fill(tmp_path / ".model.triune-old", "old")
    (tmp_path / ".model.0123abcd.triune-tmp").mkdir()
    assert text_of(tmp_path / "model") == "old"
    recover(tmp_path)
    assert names(tmp_path) == ["model"]
    assert text_of(tmp_path / "model") == "old"


def test_a_folder_moved_aside_goes_when_the_new_one_is_there(tmp_path):
    for name, text in ((".model.triune-old", "old"), ("model", "new")):
        (tmp_path / name).mkdir()
        fill(tmp_path / name, text)
    recover(tmp_path)
    assert names(tmp_path) == ["model"]
    assert text_of(tmp_path / "model") == "new"


def test_recovery_touches_only_what_is_ours(tmp_path):
    for name in (".hidden", "model.old", ".model.tmp", "x.triune"):
        (tmp_path / name).write_text("yours")
    before = names(tmp_path)
    recover(tmp_path)
    recover(tmp_path / "absent")
    assert names(tmp_path) == before


def test_removing_follows_no_link(tmp_path):
    (tmp_path / "data").mkdir()
    fill(tmp_path / "data", "precious")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    remove_folder(tmp_path / "link")
    assert names(tmp_path) == ["data"]
    assert text_of(tmp_path / "data") == "precious"


def test_the_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
