"""What distributions say about their plugins, read from their metadata alone: nothing of theirs is imported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING

from triune.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.requirements import Requirement

PREFIX = "triune."
VALUE = re.compile(r"(?P<path>[\w.]+:[\w.]+)\s*(\[(?P<extras>[^\]]*)\])?\s*$")


@dataclass(frozen=True, slots=True)
class Declared:
    """One line of an `entry_points.txt`: `name = module:Class [extra]`; `value` comes without the extras."""

    name: str
    family: str
    value: str
    extras: tuple[str, ...]
    distribution: str
    version: str


def declared(families: Mapping[str, str]) -> tuple[list[Declared], list[str]]:
    """Read the plugins of every distribution.

    Args:
        families: the family of each entry-point group.

    Returns:
        The declarations, and a line for each thing that could not be read. A distribution that is broken
        never hides another one.
    """
    found: list[Declared] = []
    problems: list[str] = []
    for name in _interesting(problems):
        try:
            # By name once more: of two on the path, the first one is installed and the other only lies there.
            distribution = metadata.distribution(name)
            lines = _lines(distribution.read_text("entry_points.txt") or "")
            version = distribution.version or ""
        except Exception as error:
            problems.append(f"distribution {name!r} cannot be read: {type(error).__name__}: {error}; reinstall it")
            continue
        for group, key, value in lines:
            if group in families:
                found.append(_declared(key, families[group], value, name, version))
            elif group.startswith(PREFIX):
                what = f"declares {group!r}, which is no group of plugins{nearest(group, families)}"
                problems.append(f"distribution {name!r} {what}")
    return list(dict.fromkeys(found)), problems


def _interesting(problems: list[str]) -> list[str]:
    """Return the names of the distributions that mention us; only those are worth parsing."""
    names: dict[str, None] = {}
    for distribution in metadata.distributions():
        try:
            if PREFIX not in (distribution.read_text("entry_points.txt") or ""):
                continue
            name = distribution.metadata["Name"]
            if not name:
                raise ValueError("its metadata lacks a name")
            names[name] = None
        except Exception as error:
            where = str(distribution.locate_file(""))
            what = f"{type(error).__name__}: {error}"
            problems.append(f"a distribution in {where!r} cannot be read: {what}; reinstall it")
    return sorted(names)


def _lines(text: str) -> Iterable[tuple[str, str, str]]:
    """Yield group, name and value of each entry point; ours to parse, because one bad line must cost one line."""
    group = ""
    for line in (raw.strip() for raw in text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and not line.startswith(("#", ";")):
            name, _, value = line.partition("=")
            yield group, name.strip(), value.strip()


def _declared(name: str, family: str, value: str, distribution: str, version: str) -> Declared:
    match = VALUE.match(value)
    extras = re.split(r"[\s,]+", (match["extras"] or "").strip()) if match else []
    path = match["path"] if match else value
    return Declared(name, family, path, tuple(filter(None, extras)), distribution, version)


def lack(one: Declared) -> str:
    """Say what keeps a plugin from running here, and the remedy; `""` when nothing does."""
    if not VALUE.match(one.value):
        return f"its entry point {one.value!r} is not of the form 'module:Class'; {_tell(one)}"
    try:
        needs = metadata.distribution(one.distribution).requires or []
    except Exception as error:
        return f"its metadata cannot be read: {type(error).__name__}: {error}; reinstall {one.distribution!r}"
    return _outdated(one, needs) or _unfindable(one) or _unmet(one, needs)


def _tell(one: Declared) -> str:
    return f"report it to the authors of {one.distribution!r}"


def _unfindable(one: Declared) -> str:
    package = one.value.partition(":")[0].partition(".")[0]
    try:
        there = find_spec(package) is not None
    except (ImportError, ValueError):
        there = False
    return "" if there else f"module {package!r} is not there; reinstall {one.distribution!r}"


def _outdated(one: Declared, needs: list[str]) -> str:
    """Compare what the distribution asks of triune with the triune that is here."""
    ours = [need for need in needs if _normal(need).startswith("triune") and _normal(one.distribution) != "triune"]
    here = _version("triune") if ours else None
    if here is None:
        return ""
    for need in ours:
        requirement = _requirement(need)
        if requirement is None:
            return f"its requirement {need!r} cannot be read; {_tell(one)}"
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if requirement.name != "triune" or not applies or requirement.specifier.contains(here, prereleases=True):
            continue
        needed = f"needs triune{requirement.specifier}, and {here} is here"
        return f"{needed}: pip install --upgrade {one.distribution} triune"
    return ""


def _unmet(one: Declared, needs: list[str]) -> str:
    """Say which requirements of the extras that the entry point names are not installed."""
    if not one.extras:
        return ""
    provided = metadata.distribution(one.distribution).metadata.get_all("Provides-Extra") or []
    for extra in one.extras:
        if _normal(extra) not in map(_normal, provided):
            return f"its extra {extra!r} is not one of {one.distribution!r}{nearest(extra, provided)}; {_tell(one)}"
    unmet = sorted({need for extra in one.extras for need in _missing(one.distribution, extra, needs, frozenset())})
    return f'needs {", ".join(unmet)}: pip install "{one.distribution}[{",".join(one.extras)}]"' if unmet else ""


def _missing(distribution: str, extra: str, needs: list[str], seen: frozenset[str]) -> list[str]:
    missing = []
    for need in needs:
        requirement = _requirement(need) if "extra" in need else None
        if requirement is None or requirement.marker is None or not _only_with(requirement, extra):
            continue
        if _normal(requirement.name) == _normal(distribution):  # an extra made of other extras
            for other in requirement.extras - seen - {extra}:
                missing += _missing(distribution, other, needs, seen | {extra})
            continue
        here = _version(requirement.name)
        if here is None:
            missing.append(requirement.name)
        elif not requirement.specifier.contains(here, prereleases=True):
            missing.append(f"{requirement.name}{requirement.specifier} ({here} is here)")
    return missing


def _only_with(requirement: Requirement, extra: str) -> bool:
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _requirement(text: str) -> Requirement | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except Exception:
        return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
