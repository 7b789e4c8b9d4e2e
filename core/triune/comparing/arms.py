"""Who takes part: the configuration's own methods, its arms, installed strategies; and who is left out, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune import strategies
from triune.comparing.blind import blinded, told
from triune.config import Arm, checked
from triune.documents import Document
from triune.errors import ConfigError, PluginError, TriuneError, listed, nearest
from triune.strategies import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from triune.catalog import Catalog
    from triune.comparing.scene import Scene
    from triune.config import LoadedConfig
    from triune.settings import Family
    from triune.strategies import Need, Strategy

YOURS = "yours"
"""What the methods of the configuration itself are called."""

SHARED = ("seed", "data_seed", "epochs", "max_steps", "validation", "baselines")
"""Keys of `training` that are the same for all arms, or there would be nothing to compare."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A way of learning with its configuration, which lacks only the seed and how long it learns."""

    name: str
    family: Family
    loaded: LoadedConfig


@dataclass(frozen=True, slots=True)
class Ground:
    """What every arm is built on: the configuration as it was written, and what is installed."""

    document: Document
    folder: Path
    catalog: Catalog
    instances: Mapping[str, object]
    base: LoadedConfig
    scene: Scene


def entrants(ground: Ground, named: Sequence[str] | None) -> tuple[list[Entrant], dict[str, str]]:
    """Return who takes part, and the reason of each that is left out.

    Args:
        ground: what arms are built on.
        named: which arms and strategies; None for those of the configuration.

    Raises:
        TriuneError: one that was named does not exist, or is wrong.
    """
    arms, found, left_out, problems = _arms(ground), dict[str, Entrant](), dict[str, str](), list[str]()
    wanted, defaults = _wanted(ground, named, arms)
    for name in (*wanted, *(one for one in defaults if one not in wanted)):
        try:
            made = _made(name, ground, arms)
        except ConfigError as error:
            problems.extend(error.problems)
            continue
        except PluginError as error:
            if name in wanted:
                raise
            left_out[name] = str(error)
            continue
        if isinstance(made, str):
            left_out[name] = made
        elif same := next((one.name for one in found.values() if _alike(one, made)), None):
            left_out[name] = f"{same!r} is the same"
        else:
            found[name] = made
    if problems:
        raise ConfigError(problems)
    return list(found.values()), left_out


def _arms(ground: Ground) -> dict[str, Arm]:
    compare = ground.base.run.compare
    own = {one.name: one for one in (compare.arms if compare else ())}
    if YOURS in own:
        raise ConfigError([f"compare.arms: {YOURS!r} is what the methods of the configuration are called; rename it"])
    return own


def _wanted(ground: Ground, named: Sequence[str] | None, arms: Mapping[str, Arm]) -> tuple[list[str], list[str]]:
    """Return the names that were asked for, and those that take part unless something is in the way."""
    yours = [YOURS] if ground.base.run.methods else []
    if named is not None:
        known = [*yours, *arms, *(one.name for one in strategies.entries())]
        _check_known(named, known)
        return list(dict.fromkeys(named)), []
    asked = ground.base.run.compare.strategies if ground.base.run.compare else None
    if asked is not None:
        _check_known(asked, [*yours, *arms, *(one.name for one in strategies.entries())])
        return list(dict.fromkeys([*asked, *arms])), []
    return [*yours, *arms], [] if arms else _defaults()


def _check_known(names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name == YOURS and name not in known:
            raise TriuneError(f"{YOURS!r} stands for the methods of the configuration, and it has none: name some")
        if name not in known:
            raise TriuneError(f"no arm or strategy is called {name!r}; there are {listed(known)}{nearest(name, known)}")
    if not names:
        raise TriuneError("no strategy is named: name one or several, separated by commas")


def _defaults() -> list[str]:
    """Return the strategies that are compared unless others are named: from rules, from labels, from both."""
    found: list[tuple[int, str]] = []
    for entry in strategies.entries():
        try:
            one = strategies.loaded(entry)
        except PluginError:
            found.append((len(FAMILIES), entry.name))  # nobody knows of which family: its reason is told
            continue
        if one.default:
            found.append((FAMILIES.index(one.family), one.name))
    return [name for _, name in sorted(found)]


def _made(name: str, ground: Ground, arms: Mapping[str, Arm]) -> Entrant | str:
    """Return an entrant, or why it cannot take part."""
    if name == YOURS:
        return _entrant(name, None, {"methods": ground.document.data["methods"]}, {}, ground)
    if name in arms:
        arm = arms[name]
        sections: dict[str, object] = {"methods": [_plain(one) for one in arm.methods]}
        if arm.rules is not None:
            sections["rules"] = [_plain(one) for one in arm.rules]
        return _entrant(name, arm.family, sections, arm.training, ground)
    one = strategies.strategy(name)
    if reason := _unmet(one, ground):
        return reason
    return _entrant(name, one.family, {"methods": list(one.methods)}, one.training, ground)


def _plain(section: object) -> dict[str, object]:
    from triune.settings import Section

    assert isinstance(section, Section)
    return {"use": section.use, **({"name": section.name} if section.name else {}), **section.settings}


def _unmet(one: Strategy, ground: Ground) -> str:
    """Return what a strategy lacks here, or an empty string."""
    order: tuple[Need, ...] = ("rules", "labels", "unlabelled")
    for need in order:
        if need in one.needs and (lack := ground.scene.lacks(need)):
            return lack
    for section in one.methods:
        use = str(section["use"] if isinstance(section, Mapping) else section)
        try:
            if use not in ground.instances:
                ground.catalog.entry("method", use)
        except PluginError as error:
            return str(error)
    return ""


def _entrant(
    name: str, family: Family | None, sections: Mapping[str, object], training: Mapping[str, object], ground: Ground
) -> Entrant:
    """Return an arm with its configuration, checked.

    Raises:
        ConfigError: something in it is wrong.
    """
    if taken := [key for key in SHARED if key in training]:
        raise ConfigError([f"arm {name!r}: training.{taken[0]} is the same for all arms: leave it out here"])
    written = {key: value for key, value in ground.document.data.items() if key not in ("compare", "output")}
    written |= {**sections, "training": {**_mapping(written.get("training")), **training}}
    if family == FAMILIES[0]:
        task = next(one for one in ground.base.plugins if one.family == "task")
        written["task"] = told(written["task"], task, ground.scene)
    used = set(uses(written))
    given = {use: plugin for use, plugin in ground.instances.items() if use in used}
    loaded = checked(Document(f"arm {name!r}", written), ground.folder, ground.catalog, given)
    found = family or _family(loaded)
    return Entrant(name, found, blinded(loaded) if found == FAMILIES[0] and ground.scene.labelled else loaded)


def _family(loaded: LoadedConfig) -> Family:
    """Return what a configuration learns from, by what its methods declare: where rules act they join the labels."""
    from triune.baselines import rule_methods
    from triune.comparing.scene import fresh
    from triune.opening import started

    acting = rule_methods(started(fresh(loaded))[1])
    return FAMILIES[2] if acting and loaded.run.rules else FAMILIES[1]


def _alike(one: Entrant, other: Entrant) -> bool:
    """Return whether two arms do the same under two names."""
    return _essence(one) == _essence(other)


def _essence(one: Entrant) -> tuple[object, ...]:
    plugins = tuple(replace(plugin, entry=None) for plugin in one.loaded.plugins)
    return one.family, plugins, one.loaded.run.training


def uses(written: Mapping[str, object]) -> Iterator[str]:
    """Yield which plugins the sections of a configuration name."""
    for key in ("task", "data", "methods", "rules"):
        sections = written.get(key)
        for section in sections if isinstance(sections, list | tuple) else [sections]:
            use = section.get("use") if isinstance(section, Mapping) else section
            if isinstance(use, str):
                yield use


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
