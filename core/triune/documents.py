"""What a user typed, wherever it came from, with the place to name when something in it is wrong."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.errors import ConfigError, nearest
from triune.markup import Keys, Marked, Spot, parse_json, parse_yaml

if TYPE_CHECKING:
    from pathlib import Path

LARGEST = 4 * 1024 * 1024
"""Bytes; what is larger was meant as data."""

DEEPEST = 64
"""Levels of a mapping from Python; what is deeper contains itself."""


@dataclass(slots=True)
class Document:
    """Plain values (mappings, lists, scalars) and where each was written.

    `labels` holds the places that are no line of a file, such as a `--set` of the command line.
    """

    name: str
    data: dict[str, object]
    keys: dict[Keys, Spot] = field(default_factory=dict)
    values: dict[Keys, Spot] = field(default_factory=dict)
    labels: dict[Keys, str] = field(default_factory=dict)

    def value_at(self, where: Keys) -> tuple[Spot, str]:
        """Return the place of a value, or of the closest thing around it: a spot to sort by and its text."""
        for length in range(len(where), -1, -1):
            near = where[:length]
            if near in self.labels:
                return (0, 0), self.labels[near]
            if near in self.values:
                return self._place(self.values[near])
        return (0, 0), self.name

    def key_at(self, where: Keys) -> tuple[Spot, str]:
        """Return the place of a key, for what is wrong with the key and not with its value."""
        set_by_hand = any(where[:length] in self.labels for length in range(1, len(where) + 1))
        return self._place(self.keys[where]) if where in self.keys and not set_by_hand else self.value_at(where)

    def _place(self, spot: Spot) -> tuple[Spot, str]:
        return spot, f"{self.name}:{spot[0]}:{spot[1]}"


def dotted(where: Keys) -> str:
    """Write the way to a value as a user would: `methods[1].weight`."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in where).lstrip(".")


def read_document(path: Path, *, starts_with: str) -> Document:
    """Read a YAML or JSON file (by its ending) whose top is a mapping.

    Args:
        path: the file.
        starts_with: what such a file begins with, for the message about an empty one.

    Raises:
        ConfigError: there is no such file, or it is not such a text; every mistake with its line.
    """
    text = _text(path)
    marked = parse_json(text) if path.suffix.lower() == ".json" else parse_yaml(text)
    problems = sorted(marked.problems) or _not_a_mapping(marked, text, starts_with)
    if problems:
        raise ConfigError(f"{path}:{line}:{column}: {what}" for (line, column), what in problems)
    assert isinstance(marked.value, dict)
    return Document(str(path), marked.value, marked.keys, marked.values)


def _not_a_mapping(marked: Marked, text: str, starts_with: str) -> list[tuple[Spot, str]]:
    if isinstance(marked.value, dict):
        return []
    spot = marked.values.get((), (1, 1))
    if not text.strip() or marked.value is None:
        return [(spot, f"the file says nothing; it starts with {starts_with}")]
    return [(spot, f"the top is {found(marked.value)}, not a mapping; it starts with {starts_with}")]


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise ConfigError([_missing(path)]) from error
    except IsADirectoryError as error:
        inside = sorted(p.name for p in path.iterdir() if p.suffix in {".yaml", ".yml", ".json"})
        hint = f"; name the file in it, such as {str(path / inside[0])!r}" if inside else "; name a file"
        raise ConfigError([f"{path}: this is a folder{hint}"]) from error
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise ConfigError([f"{str(path)[:120]}: the file cannot be read: {what}"]) from error
    if len(content) > LARGEST:
        raise ConfigError([f"{path}: the file is larger than {LARGEST // 1024**2} MiB; is it data rather than this?"])
    return _decoded(path, content)


def _decoded(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
        bad, what = text.find("\0"), "this is not a text file: it holds a zero byte"
        before = text[: max(bad, 0)]
    except UnicodeDecodeError as error:
        text, bad = "", error.start
        what = f"this is not UTF-8: byte 0x{content[bad]:02x}; save the file as UTF-8"
        before = content[:bad].decode("utf-8", "replace")
    if bad < 0:
        return text
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    raise ConfigError([f"{path}:{line}:{column}: {what}"])


def _missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: there is no such file, nor a folder {str(folder)!r}"
    names = [p.name for p in folder.iterdir() if p.suffix in {".yaml", ".yml", ".json"}]
    return f"{path}: there is no such file{nearest(path.name, names)}"


def mapping_document(source: Mapping[str, object], name: str = "config") -> Document:
    """Take a mapping from Python, copied so that nothing we do reaches back into the caller's.

    Raises:
        ConfigError: it contains itself.
    """
    copy = _copied(source, 0)
    assert isinstance(copy, dict)
    return Document(name, copy)


def _copied(value: object, depth: int) -> object:
    """Copy lists and mappings; numbers of numpy become Python's; anything else goes through untouched."""
    if depth > DEEPEST:
        raise ConfigError([f"config: this is nested more than {DEEPEST} levels deep; does it contain itself?"])
    match value:
        case Mapping():
            return {str(key): _copied(item, depth + 1) for key, item in value.items()}
        case list() | tuple():
            return [_copied(item, depth + 1) for item in value]
        case bool():
            return value
        case numbers.Integral():
            return int(value)
        case numbers.Real():
            return float(value)
        case _:
            return value


def found(value: object) -> str:
    """Describe a value in a few words, for a sentence that says what was found."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {value if len(value) <= 60 else value[:57] + '…'!r}"
        case int() | float():
            return f"{value!r}"
        case Mapping():
            return "a mapping"
        case list() | tuple() | set() | frozenset():
            return "a list"
        case _:
            return f"a {type(value).__name__}"
