"""What is installed: which plugins there are, whose they are, whether they can run, and one loaded by name."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from inspect import getsource
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from triune.distributions import Declared, declared, lack
from triune.errors import PluginError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from importlib.machinery import ModuleSpec

Status = Literal["available", "unavailable", "blocked", "ambiguous"]

GROUPS = {"task": "triune.tasks", "data": "triune.data", "method": "triune.methods", "rule": "triune.rules"}
"""The entry-point group of each family of plugins."""

STRATEGIES = "triune.strategies"
"""The entry-point group of strategies, which are no plugins but name some: `triune.strategies` reads them."""

KEYS = {"task": "task", "data": "data", "method": "methods", "rule": "rules"}
"""Under which key of a configuration each family is named."""

DISABLE = "TRIUNE_DISABLE"
"""The environment variable that blocks plugins: names, separated by commas."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One plugin as its distribution declares it; looking at it imports nothing of the plugin."""

    name: str
    family: str
    distribution: str
    version: str
    value: str
    status: Status = "available"
    reason: str = ""

    @property
    def origin(self) -> str:
        """The distribution with its version, as messages and reports name it."""
        return f"{self.distribution} {self.version}".strip()

    def load(self) -> type:
        """Import the plugin's class.

        Raises:
            PluginError: the import fails, or what it finds is not a class. The cause is chained.
        """
        found = self.found()
        if not isinstance(found, type):
            raise PluginError(
                f"plugin {self.name!r} of {self.origin} cannot be loaded: {self.value!r} is not a class but a "
                f"{type(found).__name__}; report it to the authors of {self.distribution!r}"
            )
        return found

    def found(self) -> object:
        """Import whatever the entry point names.

        Raises:
            PluginError: the import fails. The cause is chained.
        """
        module, _, attribute = self.value.partition(":")
        try:
            found: object = import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (Exception, SystemExit) as error:
            raise PluginError(self._failure(error)) from error
        return found

    def _failure(self, error: BaseException) -> str:
        cause = f"{type(error).__name__}: {' '.join(str(error).split())}"
        package = self.value.partition(":")[0].partition(".")[0]
        missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if missing and missing != package:
            remedy = f"install the missing module (pip install {missing}), or leave the plugin out"
        else:
            remedy = f"upgrade or reinstall {self.distribution!r}, or leave the plugin out"
        return f"plugin {self.name!r} of {self.origin} cannot be loaded: {cause}; {remedy}"


class Catalog:
    """The plugins that are there, whether a run names them or not."""

    def __init__(self, entries: Iterable[Entry] = (), problems: Iterable[str] = ()) -> None:
        """Keep the entries in the order of families and names.

        Args:
            entries: every plugin found, of whatever status.
            problems: a line for each distribution or declaration that could not be read.
        """
        order = list(GROUPS)
        self.entries = tuple(sorted(entries, key=lambda e: (order.index(e.family), e.name, e.distribution)))
        self.problems = tuple(problems)

    def __iter__(self) -> Iterator[Entry]:
        """Go through the entries."""
        return iter(self.entries)

    def __len__(self) -> int:
        """Count the entries."""
        return len(self.entries)

    def names(self, family: str | Collection[str]) -> list[str]:
        """Return the names in one family or several, each once."""
        families = {family} if isinstance(family, str) else set(family)
        return sorted({one.name for one in self.entries if one.family in families})

    def entry(self, family: str | Collection[str], name: str) -> Entry:
        """Return the available plugin of that name.

        Raises:
            PluginError: there is none in the family, or it cannot run here; the message says what to do.
        """
        families = [family] if isinstance(family, str) else list(family)
        found = [one for one in self.entries if one.name == name and one.family in families]
        if not found:
            raise PluginError(self._unknown(families, name))
        if found[0].status != "available":
            said = found[0].reason.removeprefix(f"{found[0].status} ")
            link = ": " if said == found[0].reason else " "
            raise PluginError(f"plugin {name!r} of {found[0].origin} is {found[0].status}{link}{said}")
        return found[0]

    def _unknown(self, families: list[str], name: str) -> str:
        elsewhere = sorted({one.family for one in self.entries if one.name == name})
        if elsewhere:
            where = " or ".join(f"{KEYS[family]}:" for family in elsewhere)
            return f"{name!r} is a {' and a '.join(elsewhere)} plugin: name it under {where}"
        known = self.names(families)
        there = f"installed: {listed(known)}" if known else "none is installed"
        # A name that is nearly that of another family's plugin still deserves its hint.
        hint = nearest(name, known) or nearest(name, self.names(list(GROUPS)))
        return f"no {' or '.join(families)} plugin is called {name!r}; {there}{hint}"


def installed(without: Collection[str] = ()) -> Catalog:
    """Read what every installed distribution declares, importing none of it.

    Args:
        without: names of plugins to block, in addition to those in `TRIUNE_DISABLE`.

    Raises:
        PluginError: a name to block is not installed.
    """
    declarations, problems = declared({group: family for family, group in GROUPS.items()} | {STRATEGIES: ""})
    found = [one for one in declarations if one.family]
    blocked = _blocked({one.name for one in found}, without)
    entries = marked([_entry(one, blocked) for one in found])
    return Catalog(entries, problems)


def task_for_text() -> str:
    """Return the name of the installed task whose class says `classifies_text = True`.

    Raises:
        PluginError: none or more than one does.
    """
    entries = [one for one in installed() if one.family == "task" and one.status == "available"]
    found = [one.name for one in entries if getattr(one.load(), "classifies_text", False)]
    if len(found) != 1:
        raise PluginError(
            f"{len(found)} installed tasks classify texts ({listed(found) or 'none'}): name one as `task`"
        )
    return found[0]


def reader_of(columns: Iterable[str]) -> tuple[str, Any]:
    """Return the name and class of an installed data plugin that reads one more table whose columns can be named.

    Args:
        columns: the settings that name columns: "text", "label".

    Raises:
        PluginError: none does.
    """
    wanted = {"text", *columns}
    for entry in installed():
        cls: Any = entry.load() if entry.family == "data" and entry.status == "available" else None
        if hasattr(cls, "reading") and wanted <= set(cls.Config.model_fields):
            return entry.name, cls
    raise PluginError("no installed data plugin reads files: install one (`triune plugins` lists them)")


def _blocked(known: set[str], without: Collection[str]) -> dict[str, str]:
    """Return who blocks each blocked name."""
    disabled = [name.strip() for name in os.environ.get(DISABLE, "").split(",") if name.strip()]
    blocked = dict.fromkeys(disabled, DISABLE) | dict.fromkeys(without, "--without")
    for name, by in blocked.items():
        if name not in known:
            raise PluginError(f"{by}: no installed plugin is called {name!r}{nearest(name, known)}")
    return blocked


def _entry(one: Declared, blocked: dict[str, str]) -> Entry:
    status: Status
    if one.name in blocked:
        status, reason = "blocked", f"blocked by {blocked[one.name]}; take it from there or from the configuration"
    else:
        reason = lack(one)
        status = "unavailable" if reason else "available"
    return Entry(one.name, one.family, one.distribution, one.version, one.value, status, reason)


def marked(entries: list[Entry]) -> list[Entry]:
    """Mark the names that several declare: taking one of them in silence would be a guess."""
    count = Counter((one.family, one.name) for one in entries)
    return [_ambiguous(one, entries) if count[one.family, one.name] > 1 else one for one in entries]


def _ambiguous(one: Entry, entries: list[Entry]) -> Entry:
    if one.status == "blocked":
        return one
    rivals = sorted(other.origin for other in entries if (other.family, other.name) == (one.family, one.name))
    reason = f"provided by {' and by '.join(rivals)}; uninstall all but one of them"
    return replace(one, status="ambiguous", reason=reason)


def source_hash(plugin: type | Entry) -> str:
    """Return the SHA-256 of the Python files of the plugin's package, in the order of their paths.

    A class without a file (typed into an interpreter or a notebook) is hashed by its own text, and is
    `""` where Python does not keep that.
    """
    module = plugin.value.partition(":")[0] if isinstance(plugin, Entry) else plugin.__module__
    digest = hashlib.sha256()
    files = _sources(module)
    for name, path in files:
        content = path.read_bytes()
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    if files:
        return digest.hexdigest()
    try:
        return hashlib.sha256(getsource(plugin).encode()).hexdigest() if isinstance(plugin, type) else ""
    except (OSError, TypeError):
        return ""


def _sources(module: str) -> list[tuple[str, Path]]:
    """Return the files of the outermost package of a module that is not a mere namespace."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:depth]))
        if spec is None or not (spec.origin and spec.has_location):
            continue
        file = Path(spec.origin)
        if spec.submodule_search_locations is None:
            return [(file.name, file)] if file.suffix == ".py" else []
        root = file.parent
        return sorted((path.relative_to(root).as_posix(), path) for path in root.rglob("*.py"))
    return []


def _spec(module: str) -> ModuleSpec | None:
    try:
        return find_spec(module)
    except (ImportError, ValueError):  # ValueError: a module that was made by hand, such as __main__
        return None
