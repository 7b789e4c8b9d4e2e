"""The files that rules are read from, by what is in them: a run is opened again under the rules it was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune.errors import RuleError
from triune.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triune.config import LoadedConfig
    from triune.types import JSON


def rule_files(loaded: LoadedConfig) -> dict[str, str]:
    """Return the SHA-256 of every file that rule plugins are set to read, by plugin and key, `NAME.path`."""
    return {
        f"{plugin.name}.{key}": sha256_of(value)
        for plugin in loaded.plugins
        if plugin.family == "rule" and plugin.config is not None
        for key, value in plugin.config
        if isinstance(value, Path) and value.is_file()
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
