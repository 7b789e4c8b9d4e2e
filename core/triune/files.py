"""Write files and folders whole or not at all, and say in one sentence why one could not be written.

A writer makes a hidden sibling (`.NAME.xxxxxxxx.triune-tmp`) and renames it when all of it is on the disk.
A folder that is replaced waits under `.NAME.triune-old` meanwhile, always whole. `recover` tidies up after a writer
that died; it is for the one process that writes there, since it cannot tell a dead writer from a living one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from math import isfinite
from typing import TYPE_CHECKING

from triune.errors import EnvironmentProblem, OutputError, TriuneError

if TYPE_CHECKING:
    from pathlib import Path

    from triune.types import JSON

_TEMPORARY = ".triune-tmp"
_OLD = ".triune-old"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_OCCUPIED = {errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG}


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file (text as UTF-8) so that, after a crash at any point, the old or the new one is there.

    Raises:
        EnvironmentProblem: the disk is full or broken.
        OutputError: writing there is not allowed, or something is in the way.
    """
    temporary = _temporary_name(path)
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync(path.parent)
    finally:
        _delete(temporary)


def write_json(path: Path, value: JSON) -> None:
    """Write a value as JSON, whole or not at all; keys keep their order.

    Raises:
        OutputError: JSON has no word for a part of the value (NaN, a key that is not text, …); names its key.
    """
    write_whole(path, json_bytes(value, str(path)))


def json_bytes(value: JSON, owner: str) -> bytes:
    """Return a value as indented JSON in UTF-8; `owner` begins the error if that is impossible."""
    for fault in _faults(value, ""):
        raise OutputError(
            f"{owner}: {fault}, which JSON cannot hold; use finite numbers, text, lists, "
            "true, false, null and mappings with text keys."
        )
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=dict)
    # A lone surrogate has no UTF-8; its backslash escape is what JSON writes for it.
    return f"{text}\n".encode(errors="backslashreplace")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; when the block ends without an error it becomes `path`, else it is removed.

    After a crash at any point `existing(path)` is the old folder or the new one, never a part of either.

    Raises:
        EnvironmentProblem: the disk is full or broken.
        OutputError: writing there is not allowed, or a file is in the way.
    """
    temporary = _temporary_name(path)
    with writing(path):
        _refuse_file(path)
        _settle(path)
        temporary.mkdir(parents=True)
    try:
        yield temporary
        with writing(path):
            _sync_tree(temporary)
            _swap(temporary, path)
    except BaseException:
        with suppress(OSError):
            _settle(path)
        raise
    finally:
        _delete(temporary)


def existing(path: Path) -> Path | None:
    """Return where the folder `path` lies: there, or where a replacement that was cut short left the old one."""
    return next((place for place in (path, _old_name(path)) if place.is_dir()), None)


def remove_folder(path: Path) -> None:
    """Remove a folder so that a crash on the way leaves nothing that could be taken for a whole one."""
    temporary = _temporary_name(path)
    with writing(path):
        path.replace(temporary)
    _delete(temporary)


def recover(folder: Path) -> None:
    """Undo what a writer that died left in `folder`: half-written things go, a folder moved aside comes back."""
    if not folder.is_dir():
        return
    with writing(folder):
        for entry in sorted(folder.iterdir()):
            if entry.name.endswith(_TEMPORARY):
                _delete(entry)
            elif entry.name.endswith(_OLD):
                _settle(entry.with_name(entry.name[1 : -len(_OLD)]))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal, reading it piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into an error that says what could not be written, why and what to do."""
    try:
        yield
    except OSError as error:
        explained = _explained(path, error)
        for note in getattr(error, "__notes__", ()):
            explained.add_note(note)
        raise explained from error


def _explained(path: Path, error: OSError) -> TriuneError:
    said = error.strerror or str(error)
    if error.errno in _FULL:
        return EnvironmentProblem(f"{path}: no room to write it ({said}); free some space or choose another disk.")
    if error.errno in _FORBIDDEN:
        return OutputError(f"{path}: may not be written ({said}); change its permissions or choose another place.")
    if error.errno in _OCCUPIED:
        return OutputError(f"{path}: something is in the way ({said}); move it or choose another place.")
    return EnvironmentProblem(f"{path}: cannot be written ({said}); check that the disk is there and sound.")


def _faults(value: object, where: str) -> Iterator[str]:
    """Yield every part of a value that JSON would refuse or change, with its key."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if not isinstance(key, str):
                yield f"the key {key!r} of {where or 'the whole'!r} is {type(key).__name__}, not text"
            yield from _faults(child, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list | tuple):
        for position, child in enumerate(value):
            yield from _faults(child, f"{where}[{position}]")
    elif not isinstance(value, str | int | float | None):
        yield f"{where or 'the whole'!r} is of type {type(value).__name__}"
    elif isinstance(value, float) and not isfinite(value):
        yield f"{where or 'the whole'!r} is {value!r}"


def _temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{_TEMPORARY}")


def _old_name(path: Path) -> Path:
    return path.with_name(f".{path.name}{_OLD}")


def _swap(temporary: Path, path: Path) -> None:
    if path.exists():
        path.replace(_old_name(path))
    temporary.replace(path)
    _sync(path.parent)
    _settle(path)


def _settle(path: Path) -> None:
    """Bring the old folder back if `path` is missing, else let it go."""
    old = _old_name(path)
    if not old.is_dir():
        return
    if path.exists():
        remove_folder(old)
    else:
        old.replace(path)


def _refuse_file(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise OutputError(f"{path}: a file is where a folder is to be written; move it or choose another place.")


def _delete(path: Path) -> None:
    """Remove what can be removed; what another process holds open is left to the next `recover`."""
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _sync_tree(folder: Path) -> None:
    for entry in folder.rglob("*"):
        _sync(entry)
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
