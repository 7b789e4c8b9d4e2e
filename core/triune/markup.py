"""YAML and JSON, parsed with the line and column of every key and value."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from json import JSONDecodeError
from typing import TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

Keys: TypeAlias = tuple[str | int, ...]
"""The way from the top to a value: keys of mappings and places in lists."""

Spot: TypeAlias = tuple[int, int]
"""Line and column, both from 1."""

MERGE = "tag:yaml.org,2002:merge"

LIMIT = 100_000
"""Values in one text, after its aliases are followed; more is an accident or an attack."""


@dataclass(slots=True)
class Marked:
    """What a text says, where it says it, and what is wrong with it as a text."""

    value: object = None
    keys: dict[Keys, Spot] = field(default_factory=dict)
    values: dict[Keys, Spot] = field(default_factory=dict)
    problems: list[tuple[Spot, str]] = field(default_factory=list)


def parse_yaml(text: str) -> Marked:
    """Parse YAML 1.2: `no` is text and `1e-5` is a number. Problems are collected, never raised."""
    reader = _Yaml()
    try:
        root = YAML(typ="safe", pure=True).compose(text)
        if root is not None:
            reader.marked.value = reader.read(root, (), ())
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reader.marked.problems.append((spot, _syntax(error, text.splitlines(), spot)))
    except (YAMLError, UnicodeError) as error:
        what = str(error).splitlines()[0]
        reader.marked.problems.append(((1, 1), f"this is not valid YAML: {what}"))
    except RecursionError:
        reader.marked.problems.append(((1, 1), "this is nested too deeply to be read"))
    except _TooMuchError:
        reader.marked.problems.append(((1, 1), f"this holds more than {LIMIT:,} values once its aliases are followed"))
    return reader.marked


def _syntax(error: MarkedYAMLError, lines: list[str], spot: Spot) -> str:
    """Say in a user's words what the parser says in its own."""
    line = lines[spot[0] - 1] if spot[0] <= len(lines) else ""
    problem = str(error.problem)
    if line[spot[1] - 1 : spot[1]] == "\t":
        return "a tab cannot indent YAML; use spaces"
    if "another document" in problem:
        return "a second document starts here; a file holds one: remove the '---'"
    if "mapping values are not allowed" in problem:
        return "a key cannot start here; check the indentation, or quote the text if it holds ': '"
    if "undefined alias" in problem:
        return problem.removeprefix("found ") + "; define it with & above"
    context = f" {error.context}" if error.context else ""
    return f"this is not valid YAML: {problem}{context}"


class _TooMuchError(Exception):
    pass


class _Yaml:
    """Turns parsed nodes into plain values and remembers where they stood."""

    def __init__(self) -> None:
        self.marked = Marked()
        self.count = 0

    def read(self, node: Node, where: Keys, above: tuple[int, ...]) -> object:
        spot = (node.start_mark.line + 1, node.start_mark.column + 1)
        self.marked.values[where] = spot
        self.count += 1
        if self.count > LIMIT:
            raise _TooMuchError
        if id(node) in above:
            self.marked.problems.append((spot, "this alias contains itself"))
            return None
        if not str(node.tag).startswith("tag:yaml.org,2002:") or "python" in str(node.tag):
            self.marked.problems.append((spot, f"the tag {node.tag!s} is not allowed; write a plain value"))
            return None
        above = (*above, id(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, where, above)
        if isinstance(node, SequenceNode):
            return [self.read(item, (*where, n), above) for n, item in enumerate(node.value)]
        return self._scalar(node, spot)

    def _mapping(self, node: MappingNode, where: Keys, above: tuple[int, ...]) -> dict[str, object]:
        merges = [value for key, value in node.value if key.tag == MERGE]
        result = self._merged(merges, where, above) if merges else {}
        own: set[str] = set()
        for key, value in node.value:
            spot = (key.start_mark.line + 1, key.start_mark.column + 1)
            if key.tag == MERGE:
                continue
            if not isinstance(key, ScalarNode):
                self.marked.problems.append((spot, "a key must be a plain word, not a list or a mapping"))
            elif key.value in own:
                line, _ = self.marked.keys[*where, key.value]
                self.marked.problems.append((spot, _twice(key.value, line)))
            else:
                own.add(key.value)
                self.marked.keys[*where, key.value] = spot
                result[key.value] = self.read(value, (*where, key.value), above)
        return result

    def _merged(self, merges: list[Node], where: Keys, above: tuple[int, ...]) -> dict[str, object]:
        """Follow `<<: *alias` before the mapping's own keys, which win."""
        here = self.marked.values[where]
        result: dict[str, object] = {}
        for node in reversed([n for one in merges for n in (one.value if isinstance(one, SequenceNode) else [one])]):
            value = self.read(node, where, above)
            if isinstance(value, dict):
                result |= value
            else:
                spot = (node.start_mark.line + 1, node.start_mark.column + 1)
                self.marked.problems.append((spot, "'<<' takes a mapping or a list of mappings"))
        self.marked.values[where] = here
        return result

    def _scalar(self, node: Node, spot: Spot) -> object:
        kind, text = str(node.tag).rpartition(":")[2], str(node.value)
        try:
            return _plain(kind, text)
        except ValueError:
            self.marked.problems.append((spot, f"{text[:40]!r} cannot be read as {kind}; quote it if it is text"))
            return None


def _twice(key: str, line: int) -> str:
    return f"the key {key!r} is already in line {line}; keep one of them"


def _plain(kind: str, text: str) -> object:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() in {"true", "yes", "on"}
    if kind == "float":
        return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text.lower().replace("_", "")))
    if kind == "int":
        digits = text.replace("_", "")
        return int(digits, 0 if re.match(r"[-+]?0[box]", digits.lower()) else 10)
    return text  # dates stay text: a table's column may well be called 2024-01-01


def parse_json(text: str) -> Marked:
    """Parse JSON. Problems are collected, never raised."""
    reader = _Json(text)
    try:
        reader.marked.value, end = reader.read(reader.skip(0), ())
        if reader.skip(end) < len(text):
            raise JSONDecodeError("something follows the end of the value", text, reader.skip(end))
    except JSONDecodeError as error:
        what = f"this is not valid JSON: {error.msg[0].lower()}{error.msg[1:]}"
        reader.marked.problems.append((reader.spot(error.pos), what))
    except ValueError as error:
        reader.marked.problems.append(((1, 1), f"this is not valid JSON: {error}"))
    except RecursionError:
        reader.marked.problems.append(((1, 1), "this is nested too deeply to be read"))
    return reader.marked


class _Json:
    """Walks objects and lists itself, because `json` keeps no positions, and leaves the scalars to `json`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.marked = Marked()
        self.starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self.scalar = json.JSONDecoder().raw_decode

    def spot(self, at: int) -> Spot:
        line = bisect_right(self.starts, at)
        return line, at - self.starts[line - 1] + 1

    def skip(self, at: int) -> int:
        while at < len(self.text) and self.text[at] in " \t\r\n":
            at += 1
        return at

    def read(self, at: int, where: Keys) -> tuple[object, int]:
        self.marked.values[where] = self.spot(at)
        if self.text.startswith("{", at):
            return self._object(at, where)
        if self.text.startswith("[", at):
            return self._list(at, where)
        if self.text.startswith(("NaN", "Infinity", "-Infinity"), at):
            raise JSONDecodeError("it holds NaN or Infinity, which are not in JSON", self.text, at)
        return self.scalar(self.text, at)

    def _object(self, at: int, where: Keys) -> tuple[object, int]:
        result: dict[str, object] = {}
        at = self.skip(at + 1)
        while not self.text.startswith("}", at):
            spot = self.spot(at)
            if not self.text.startswith('"', at):
                raise JSONDecodeError("expected a key in double quotes", self.text, at)
            key, end = self.scalar(self.text, at)
            at = self.skip(end)
            if not self.text.startswith(":", at):
                raise JSONDecodeError("expected ':'", self.text, at)
            if key in result:
                line, _ = self.marked.keys[*where, key]
                self.marked.problems.append((spot, _twice(key, line)))
            self.marked.keys[*where, key] = spot
            result[key], at = self.read(self.skip(at + 1), (*where, key))
            at = self._next(at, "}")
        return result, at + 1

    def _list(self, at: int, where: Keys) -> tuple[object, int]:
        result: list[object] = []
        at = self.skip(at + 1)
        while not self.text.startswith("]", at):
            item, at = self.read(at, (*where, len(result)))
            result.append(item)
            at = self._next(at, "]")
        return result, at + 1

    def _next(self, at: int, closing: str) -> int:
        at = self.skip(at)
        if self.text.startswith(closing, at):
            return at
        if not self.text.startswith(",", at):
            raise JSONDecodeError(f"expected ',' or '{closing}'", self.text, at)
        at = self.skip(at + 1)
        if self.text.startswith(closing, at):
            raise JSONDecodeError(f"a comma stands before '{closing}'", self.text, at)
        return at
