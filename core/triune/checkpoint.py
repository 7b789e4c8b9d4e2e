"""Checkpoints that are there whole or not at all, verified before use, and exact.

A checkpoint is a folder `step-00000120/` with one safetensors file for each group of tensors, `state.json`, and
`MANIFEST.json`, which holds size and SHA-256 of each of these and of itself. No file holds pickle. A best model is
such a folder too, `best/step-00000080/`. A checkpoint names the one that was the best then, and while it is there so
is that one: a newer best model does not stand in for it in a run that goes on from the checkpoint.
`triune.state` and `triune.optimizer_state` turn the state of plugins, generators and optimisers into the tensors
and facts of a `Snapshot`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote

from triune.errors import CheckpointError, OutputError, listed
from triune.files import existing, json_bytes, recover, remove_folder, sha256_of, whole_folder, writing
from triune.tensorfile import read_tensors, write_tensors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from torch import Tensor

    from triune.types import JSON

FORMAT = 1
BEST = "best"
_MANIFEST, _STATE, _TENSORS = "MANIFEST.json", "state.json", ".safetensors"
_STEP = re.compile(r"\.?step-(\d{8,})(?:\.triune-old)?")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a run is made of after `step` optimiser steps."""

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]  # by group ("model", "optimizer", "plugin:NAME"), then by name
    facts: Mapping[str, JSON]
    best: int | None = None  # the step of the best model until then, if it was kept


class DamagedCheckpointError(CheckpointError):
    """A checkpoint is not what was written."""


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The checkpoints of one run in its folder: the last `keep` of them, and the best models that they name.

    Reading changes nothing in the folder, so that a run can be read while it trains; writing is for one process.

    Attributes:
        folder: Where they lie.
        identity: What the run is, as a hash of its configuration, data and plugins.
        keep: How many to keep, at least 1, and at most as many best models. There is room needed for one more of each.
        on_damage: Is told of every damaged checkpoint that is passed over.
    """

    folder: Path
    identity: str
    keep: int = 2
    on_damage: Callable[[str], None] = logging.getLogger(__name__).warning

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise ValueError(f"keep is {self.keep}; at least one checkpoint must stay")

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint, replacing one of the same step; when it is whole, remove what is no longer needed.

        That is: checkpoints before it that are too many, and best models that none of those that stay names.

        Raises:
            EnvironmentProblem: the disk is full or broken.
            OutputError: writing there is not allowed, or a fact is not JSON.
            CheckpointError: a tensor cannot be stored.
        """
        self._recover()
        _write(self._path(snapshot.step), snapshot, self.identity)
        older = [step for step in self.steps() if step < snapshot.step]
        for step in older[: max(0, len(older) - self.keep + 1)]:
            remove_folder(self._path(step))
        self._keep_bests(snapshot.best)

    def save_best(self, snapshot: Snapshot) -> None:
        """Write the best weights so far, beside those that a checkpoint names; errors are those of `save`."""
        self._recover()
        _write(self._best(snapshot.step), snapshot, self.identity)
        self._keep_bests(snapshot.step)

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, ascending; whether it is sound, only reading shows."""
        return _steps_in(self.folder)

    def latest(self) -> Snapshot | None:
        """Return the last sound checkpoint, or None if there never was one.

        Raises:
            CheckpointError: the last one is another run's or of a newer triune, or all of them are damaged.
        """
        steps = self.steps()
        for step in reversed(steps):
            try:
                return self.load(step)
            except DamagedCheckpointError as damage:
                self.on_damage(str(damage))
        if steps:
            raise CheckpointError(
                f"{self.folder}: every checkpoint in it is damaged (steps {listed(steps)}); "
                "delete the folder to start again from the beginning."
            )
        return None

    def load(self, step: int) -> Snapshot:
        """Return the checkpoint of a step.

        Raises:
            CheckpointError: there is none, or it is another run's or of a newer triune.
            DamagedCheckpointError: it is not what was written.
        """
        place = existing(self._path(step))
        if place is None:
            there = listed(self.steps()) or "none"
            raise CheckpointError(
                f"{self.folder}: it has no checkpoint of step {step}; choose one that is there: {there}."
            )
        return _read(place, self.identity)

    def best(self, step: int) -> Snapshot | None:
        """Return the best weights that were saved at a step, or None if they are not there; errors are `load`'s."""
        place = existing(self._best(step))
        return _read(place, self.identity) if place else None

    def _path(self, step: int) -> Path:
        return _place(self.folder, step)

    def _best(self, step: int) -> Path:
        return _place(self.folder / BEST, step)

    def _keep_bests(self, newest: int | None) -> None:
        """Remove the best models that are neither the newest nor named by a checkpoint."""
        with suppress(OSError):  # a checkpoint that cannot be read now may name any of them
            needed = {newest, *map(self._named_by, self.steps())}
            for step in _steps_in(self.folder / BEST):
                if step not in needed:
                    remove_folder(self._best(step))

    def _named_by(self, step: int) -> int | None:
        """Return the step of the best model that a checkpoint names; a damaged one, which nobody uses, names none."""
        try:
            return cast("int | None", _manifest(existing(self._path(step)) or self._path(step)).get("best"))
        except DamagedCheckpointError:
            return None

    def _recover(self) -> None:
        for folder in (self.folder, self.folder / BEST):
            recover(folder)


def _place(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08d}"


def _steps_in(folder: Path) -> list[int]:
    names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
    found = {int(match[1]) for name in names if (match := _STEP.fullmatch(name))}
    return sorted(step for step in found if existing(_place(folder, step)))


def _write(path: Path, snapshot: Snapshot, identity: str) -> None:
    with whole_folder(path) as folder, writing(path):
        state = json_bytes({"step": snapshot.step, "facts": snapshot.facts}, str(path))
        (folder / _STATE).write_bytes(state)
        for group, tensors in snapshot.tensors.items():
            write_tensors(folder / f"{quote(group, safe='')}{_TENSORS}", tensors)
        files: dict[str, JSON] = {file.name: _measured(file) for file in sorted(folder.iterdir())}
        manifest: dict[str, JSON] = {"format": FORMAT, "identity": identity, "step": snapshot.step, "files": files}
        named = {} if snapshot.best is None else {"best": snapshot.best}
        (folder / _MANIFEST).write_bytes(_sealed({**manifest, **named}))


def _measured(file: Path) -> JSON:
    return {"bytes": file.stat().st_size, "sha256": sha256_of(file)}


def _sealed(manifest: Mapping[str, JSON]) -> bytes:
    """Return the manifest's bytes, its own hash in them. Every format to come keeps this seal."""
    seal = hashlib.sha256(json_bytes(manifest, _MANIFEST)).hexdigest()
    return json_bytes({**manifest, "sha256": seal}, _MANIFEST)


def _read(folder: Path, identity: str) -> Snapshot:
    try:
        manifest = _manifest(folder)
        _refuse_newer(folder, manifest)
        _refuse_other(folder, manifest, identity)
        files = cast("Mapping[str, JSON]", manifest["files"])
        for name, expected in files.items():
            _verify(folder / name, expected)
        state = json.loads((folder / _STATE).read_bytes())
        groups = [name.removesuffix(_TENSORS) for name in files if name.endswith(_TENSORS)]
        tensors = {unquote(group): read_tensors(folder / f"{group}{_TENSORS}") for group in groups}
    except OSError as error:
        raise _damaged(folder, f"cannot be read ({error.strerror or error})") from error
    return Snapshot(state["step"], tensors, state["facts"], cast("int | None", manifest.get("best")))


def _manifest(folder: Path) -> dict[str, JSON]:
    if not (folder / _MANIFEST).is_file():
        raise _damaged(folder, f"has no {_MANIFEST}")
    manifest = _unsealed((folder / _MANIFEST).read_bytes())
    if manifest is None:
        raise _damaged(folder, f"{_MANIFEST} is not as it was written")
    return manifest


def _unsealed(written: bytes) -> dict[str, JSON] | None:
    """Return the manifest if every byte of it is as `_sealed` wrote it, else None."""
    try:
        manifest: dict[str, JSON] = json.loads(written)
        sealed = _sealed({key: value for key, value in manifest.items() if key != "sha256"})
    except (ValueError, AttributeError, OutputError):
        return None
    return manifest if sealed == written else None


def _verify(file: Path, expected: JSON) -> None:
    if not file.is_file():
        raise _damaged(file.parent, f"{file.name} is missing")
    if _measured(file) != expected:
        raise _damaged(file.parent, f"{file.name} is not as it was written")


def _damaged(folder: Path, fault: str) -> DamagedCheckpointError:
    return DamagedCheckpointError(f"{folder}: the checkpoint is damaged: {fault}; delete this folder to do without it.")


def _refuse_newer(folder: Path, manifest: Mapping[str, JSON]) -> None:
    if cast("int", manifest["format"]) > FORMAT:
        raise CheckpointError(
            f"{folder}: the checkpoint has format {manifest['format']}, and this triune reads up to {FORMAT}; "
            "install the version that wrote it, or a newer one."
        )


def _refuse_other(folder: Path, manifest: Mapping[str, JSON], identity: str) -> None:
    if manifest["identity"] != identity:
        raise CheckpointError(
            f"{folder}: the checkpoint is of another run (identity {str(manifest['identity'])[:8]!r}, not "
            f"{identity[:8]!r}): its configuration, data or plugins differ; resume with those of that run, or choose "
            "another output folder."
        )
