"""The files that plugins read, by what is in them: a run goes on and is opened again under those it began with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune.errors import RuleError
from triune.files import sha256_of
from triune.hooks import declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from triune.config import LoadedConfig, NamedPlugin
    from triune.types import JSON


def rule_files(loaded: LoadedConfig) -> dict[str, str]:
    """Return the SHA-256 of every file that rule plugins are set to read, by plugin and key, `NAME.path`."""
    return _files_of(plugin for plugin in loaded.plugins if plugin.family == "rule")


def read_files(loaded: LoadedConfig) -> dict[str, str]:
    """Return the SHA-256 of every file that plugins are set to read, but those of data, whose tables say it.

    A plugin that writes a file it has a setting for names the setting in its attribute `writes`.
    """
    return _files_of(plugin for plugin in loaded.plugins if plugin.family != "data")


def _files_of(plugins: Iterable[NamedPlugin]) -> dict[str, str]:
    return {
        f"{plugin.name}.{key}": sha256_of(value)
        for plugin in plugins
        if plugin.config is not None
        for key, value in plugin.config
        if isinstance(value, Path) and value.is_file() and key not in declared(plugin.cls, "writes")
    }


def check_rule_files(recorded: JSON, loaded: LoadedConfig) -> None:
    """Refuse to open a finished run whose rules now say something else.

    Raises:
        RuleError: a file is gone, or has changed since.
    """
    then: Mapping[str, JSON] = recorded if isinstance(recorded, dict) else {}
    now = rule_files(loaded)
    paths = {
        f"{plugin.name}.{key}": value for plugin in loaded.plugins if plugin.config for key, value in plugin.config
    }
    problems = [
        f"{paths[name]}: the rules {'have changed' if name in now else 'are gone'} since the run was trained with "
        "them: put the file back as it was, or train again"
        for name, digest in then.items()
        if name in paths and now.get(name) != digest
    ]
    if problems:
        raise RuleError(problems)
