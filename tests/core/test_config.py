"""The configuration: one schema whatever it is written in, and every mistake told at once, where it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, model_validator

import triune
from triune.catalog import Catalog, Entry
from triune.config import (
    InputPath,
    LoadedConfig,
    RunConfig,
    Section,
    Training,
    json_schema,
    load_config,
    resolved,
)
from triune.errors import ConfigError
from triune.markup import parse_json, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CORE = str(Path(triune.__file__).parents[1])


class Ramp(BaseModel, frozen=True, extra="forbid"):
    start: float = Field(0.0, alias="from")
    to: float
    over: float = Field(1.0, gt=0, le=1)


class Classify:
    """Predict one label a text."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        model: str = Field(description="An encoder, by name or by path.")
        classes: Annotated[int, Field(ge=2)] | None = None

    def __init__(self, config: Config) -> None:
        self.config = config


class Frame:
    class Config(BaseModel, frozen=True, extra="forbid", arbitrary_types_allowed=True):
        train: InputPath
        test: InputPath | None = None
        text: str = "text"
        label: str | list[str] = "label"
        frame: types.SimpleNamespace | None = None

    def __init__(self, config: Config) -> None:
        self.config = config


class Adapter:
    class Config(BaseModel):
        rank: int = Field(8, ge=1)
        alpha: float = 16.0
        weight: float | Ramp = 1.0
        order: Literal["top-down", "bottom-up"] = "top-down"
        where: list[str] = []
        mode: Literal["auto"] | float = "auto"

        @model_validator(mode="after")
        def _sane(self) -> Adapter.Config:
            if self.alpha < 0:
                raise ValueError("alpha is negative; it scales the update")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config


class Plain:
    """Takes no settings."""


class Greedy:
    class Config(BaseModel):
        name: str = ""


class Odd:
    Config = dict


MODULE = "triune_config_test_plugins"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    module = types.ModuleType(MODULE)
    for cls in (Classify, Frame, Adapter, Plain, Greedy, Odd):
        setattr(module, cls.__name__, cls)
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.chdir(tmp_path)
    yield


def plugin(name: str, family: str, cls: str) -> Entry:
    return Entry(name, family, "acme", "1.0", f"{MODULE}:{cls}")


CATALOG = Catalog(
    [
        plugin("classify", "task", "Classify"),
        plugin("table", "data", "Frame"),
        plugin("shuffle", "data", "Plain"),
        plugin("lora", "method", "Adapter"),
        plugin("plain", "method", "Plain"),
        plugin("file", "rule", "Adapter"),
        plugin("greedy", "rule", "Greedy"),
        plugin("odd", "rule", "Odd"),
        plugin("gone", "rule", "Gone"),
        Entry("rare", "rule", "acme", "1.0", "x:Y", "unavailable", 'needs far: pip install "acme[far]"'),
    ]
)

GOOD = """\
task: {use: classify, model: small}
data:
  - use: table
    train: train.csv
  - shuffle
methods:
  - plain
  - use: lora
    rank: 4
    weight: {from: 0, to: 1}
training:
  epochs: 2
  learning_rate: 1e-5
output: runs/first
"""

HEAD = "task: {use: classify, model: m}\ndata: {use: table, train: t.csv}\n"


def load(text: str, name: str = "run.yaml", **rest: object) -> LoadedConfig:
    Path(name).write_text(text, encoding="utf-8")
    return load_config(name, catalog=CATALOG, **rest)  # type: ignore[arg-type]


def problems(text: str, name: str = "run.yaml", **rest: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, name, **rest)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return list(caught.value.problems)


def test_a_good_file_gives_every_plugin_in_order_with_its_settings() -> None:
    loaded = load(GOOD)
    assert [(p.name, p.family, p.section) for p in loaded.plugins] == [
        ("classify", "task", "task"),
        ("table", "data", "data[0]"),
        ("shuffle", "data", "data[1]"),
        ("plain", "method", "methods[0]"),
        ("lora", "method", "methods[1]"),
    ]
    adapter = loaded.plugins[4].build()
    assert isinstance(adapter, Adapter)
    assert (adapter.config.rank, adapter.config.alpha) == (4, 16.0)
    assert isinstance(adapter.config.weight, Ramp)
    assert isinstance(loaded.plugins[3].build(), Plain)
    assert (loaded.run.training.epochs, loaded.run.training.learning_rate) == (2.0, 1e-5)
    assert loaded.run.training.early_stopping is not None
    assert loaded.run.output == Path("runs/first")


METHOD = HEAD + "methods:\n  - use: lora\n    "
TRAINING = HEAD + "training:\n  "
TRAINING_LINE = "run.yaml:4:"

BAD = {
    "unknown key of a plugin": (
        METHOD + "rnak: 4",
        "run.yaml:5:5: methods[0].rnak: unknown key 'rnak' of plugin 'lora'; "
        "known: alpha, mode, order, rank, weight, where; did you mean 'rank'?",
    ),
    "unknown key, though the plugin forgot to forbid it": (
        METHOD + "zzz: 4",
        "run.yaml:5:5: methods[0].zzz: unknown key 'zzz' of plugin 'lora'; "
        "known: alpha, mode, order, rank, weight, where",
    ),
    "unknown key on top": (
        HEAD + "trainning: {}",
        "run.yaml:3:1: trainning: unknown key 'trainning' of a configuration; "
        "known: compare, data, methods, output, rules, task, training; did you mean 'training'?",
    ),
    "setting of a plugin that takes none": (
        HEAD + "methods: [{use: plain, rank: 3}]",
        "run.yaml:3:24: methods[0].rank: unknown key 'rank' of plugin 'plain', which takes no settings",
    ),
    "missing key": (
        "task: {use: classify, model: m}\ndata:\n  use: table\n",
        "run.yaml:3:3: data.train: missing key 'train' of plugin 'table'",
    ),
    "missing key of a bare name": (
        "task: classify\ndata: {use: table, train: t.csv}",
        "run.yaml:1:7: task.model: missing key 'model' of plugin 'classify'",
    ),
    "missing task": (
        "data: {use: table, train: t.csv}",
        "run.yaml:1:1: task: missing key 'task': it names a task plugin; installed: classify",
    ),
    "empty data": (
        "task: {use: classify, model: m}\ndata: []",
        "run.yaml:2:7: data: missing key 'data': it names a data plugin; installed: shuffle, table",
    ),
    "missing use": (
        HEAD + "rules:\n  - path: x",
        "run.yaml:4:5: rules[0].use: missing key 'use': it names a rule plugin; installed: file, gone, greedy, odd",
    ),
    "unknown plugin": (
        HEAD + "methods: [lorra]",
        "run.yaml:3:11: methods[0]: no method plugin is called 'lorra'; installed: lora, plain; did you mean 'lora'?",
    ),
    "unknown plugin by use": (
        HEAD + "methods:\n  - rank: 1\n    use: lorra",
        "run.yaml:5:10: methods[0].use: no method plugin is called 'lorra'; "
        "installed: lora, plain; did you mean 'lora'?",
    ),
    "plugin of another family": (
        HEAD + "methods: [shuffle]",
        "run.yaml:3:11: methods[0]: 'shuffle' is a data plugin: name it under data:",
    ),
    "unavailable plugin": (
        HEAD + "rules: [rare]",
        "run.yaml:3:9: rules[0]: plugin 'rare' of acme 1.0 is unavailable: needs far: pip install \"acme[far]\"",
    ),
    "plugin that cannot be loaded": (
        HEAD + "rules: [gone]",
        "run.yaml:3:9: rules[0]: plugin 'gone' of acme 1.0 cannot be loaded: AttributeError: module "
        "'triune_config_test_plugins' has no attribute 'Gone'; upgrade or reinstall 'acme', or leave the plugin out",
    ),
    "plugin whose Config takes our key": (
        HEAD + "rules: [greedy]",
        "run.yaml:3:9: rules[0]: plugin 'greedy' of acme 1.0 cannot be used: its Config has a field 'name', "
        "which every section has already; report it to the authors of 'acme'",
    ),
    "plugin whose Config is no model": (
        HEAD + "rules: [odd]",
        "run.yaml:3:9: rules[0]: plugin 'odd' of acme 1.0 cannot be used: its Config is not a pydantic model; "
        "report it to the authors of 'acme'",
    ),
    "wrong type": (
        METHOD + "rank: many",
        "run.yaml:5:11: methods[0].rank: found the text 'many', wanted a whole number",
    ),
    "wrong type in a list": (
        METHOD + "where: [a, {b: 1}]",
        "run.yaml:5:16: methods[0].where[1]: found a mapping, wanted text",
    ),
    "out of range": (
        METHOD + "rank: 0",
        "run.yaml:5:11: methods[0].rank: found 0, wanted a number of at least 1",
    ),
    "wrong choice": (
        METHOD + "order: topdown",
        "run.yaml:5:12: methods[0].order: found the text 'topdown', wanted one of top-down, bottom-up; "
        "did you mean 'top-down'?",
    ),
    "wrong choice of a union": (
        METHOD + "mode: auot",
        "run.yaml:5:11: methods[0].mode: found the text 'auot', wanted 'auto' or a number; did you mean 'auto'?",
    ),
    "neither form of a union": (
        METHOD + "weight: heavy",
        "run.yaml:5:13: methods[0].weight: found the text 'heavy', wanted a number or a mapping",
    ),
    "one form of a union, gone wrong inside": (
        METHOD + "weight: {from: 0, to: 1, over: 2}",
        "run.yaml:5:36: methods[0].weight.over: found 2, wanted a number of at most 1",
    ),
    "unknown key inside a union": (
        METHOD + "weight: {to: 1, form: 2}",
        "run.yaml:5:21: methods[0].weight.form: unknown key 'form' of plugin 'lora'; "
        "known: from, over, to; did you mean 'from'?",
    ),
    "missing key inside a union": (
        METHOD + "weight: {from: 1}",
        "run.yaml:5:13: methods[0].weight.to: missing key 'to' of plugin 'lora'",
    ),
    "the plugin's own check": (
        METHOD + "alpha: -1.0",
        "run.yaml:4:5: methods[0]: alpha is negative; it scales the update",
    ),
    "section that is a number": (
        HEAD + "methods: [3]",
        "run.yaml:3:11: methods[0]: found 3, wanted a plugin: its name, or a mapping with 'use'",
    ),
    "use that is a list": (
        HEAD + "methods: [{use: [a]}]",
        "run.yaml:3:17: methods[0].use: found a list, wanted a name",
    ),
    "name that is a number": (
        HEAD + "methods: [{use: plain, name: 3}]",
        "run.yaml:3:30: methods[0].name: found 3, wanted a name",
    ),
    "two tasks": ("task: [classify]\n" + HEAD.split("\n")[1], "run.yaml:1:7: task: found a list, wanted one plugin"),
    "twice the same plugin": (
        HEAD + "methods: [plain, plain]",
        "run.yaml:3:18: methods[1]: 'plain' is already the name of methods[0]; give this one a 'name:' of its own",
    ),
    "training that is a list": (HEAD + "training: [1]", "run.yaml:3:11: training: found a list, wanted a mapping"),
    "training key": (
        TRAINING + "epoch: 3",
        "run.yaml:4:3: training.epoch: unknown key 'epoch' of training; known: accumulate, baselines, batch_size, "
        "cache, cache_limit, checkpoint_every, clip, collapse, data_seed, device, dropout, early_stopping, "
        "… (15 more); did you mean 'epochs'?",
    ),
    "no epochs": (TRAINING + "epochs: 0", "run.yaml:4:11: training.epochs: found 0, wanted a number above 0"),
    "infinite epochs": (TRAINING + "epochs: .inf", "run.yaml:4:11: training.epochs: found inf, wanted a finite number"),
    "text for a number": (
        TRAINING + "batch_size: '32'",
        "run.yaml:4:15: training.batch_size: found the text '32', wanted a whole number",
    ),
    "a broken batch": (
        TRAINING + "batch_size: 32.5",
        "run.yaml:4:15: training.batch_size: found 32.5, wanted a whole number",
    ),
    "true for a number": (TRAINING + "seed: true", "run.yaml:4:9: training.seed: found true, wanted a whole number"),
    "no for a switch": (
        TRAINING + "keep_best: no",
        "run.yaml:4:14: training.keep_best: found the text 'no', wanted true or false",
    ),
    "schedule": (
        TRAINING + "schedule: lineer",
        "run.yaml:4:13: training.schedule: found the text 'lineer', wanted one of linear, cosine, constant; "
        "did you mean 'linear'?",
    ),
    "warm-up of everything": (
        TRAINING + "warmup: 1",
        "run.yaml:4:11: training.warmup: found 1, wanted a number below 1",
    ),
    "more parts than examples": (
        TRAINING + "{batch_size: 4, accumulate: 8}",
        "run.yaml:4:31: training.accumulate: found 8, wanted at most batch_size (4): each part needs an example",
    ),
    "impatience": (
        TRAINING + "early_stopping: {patience: 0}",
        "run.yaml:4:30: training.early_stopping.patience: found 0, wanted a number of at least 1",
    ),
    "early stopping as a switch": (
        TRAINING + "early_stopping: false",
        "run.yaml:4:19: training.early_stopping: found false, wanted a mapping",
    ),
    "output": (HEAD + "output: 3", "run.yaml:3:9: output: found 3, wanted a path"),
    "empty path": (
        "task: {use: classify, model: m}\ndata: {use: table, train: ''}",
        "run.yaml:2:27: data.train: found an empty text, wanted a path",
    ),
    "empty file": ("", "run.yaml:1:1: the file says nothing; it starts with 'task:' and 'data:'"),
    "only a comment": ("# later\n", "run.yaml:1:1: the file says nothing; it starts with 'task:' and 'data:'"),
    "a list on top": ("\n- task", "run.yaml:2:1: the top is a list, not a mapping; it starts with 'task:' and 'data:'"),
    "a text on top": (
        "task",
        "run.yaml:1:1: the top is the text 'task', not a mapping; it starts with 'task:' and 'data:'",
    ),
    "a tab": ("task:\n\tuse: classify", "run.yaml:2:1: a tab cannot indent YAML; use spaces"),
    "a key twice": (
        HEAD + "task: {use: classify}",
        "run.yaml:3:1: the key 'task' is already in line 1; keep one of them",
    ),
    "two documents": (
        HEAD + "---\n" + HEAD,
        "run.yaml:3:1: a second document starts here; a file holds one: remove the '---'",
    ),
    "a custom tag": (
        "task: !python/object:os.system 'ls'",
        "run.yaml:1:7: the tag !python/object:os.system is not allowed; write a plain value",
    ),
    "a long custom tag": (
        "task: !!python/object/apply:os.system ['ls']",
        "run.yaml:1:7: the tag tag:yaml.org,2002:python/object/apply:os.system is not allowed; write a plain value",
    ),
    "bad indentation": (
        "task: classify\n  model: m",
        "run.yaml:2:8: a key cannot start here; check the indentation, or quote the text if it holds ': '",
    ),
    "an alias of nothing": ("task: *t", "run.yaml:1:7: undefined alias 't'; define it with & above"),
    "an alias of itself": ("task: &t [*t]", "run.yaml:1:7: this alias contains itself"),
    "a list as a key": ("[a]: 1", "run.yaml:1:1: a key must be a plain word, not a list or a mapping"),
    "a merge of a text": ("<<: a", "run.yaml:1:5: '<<' takes a mapping or a list of mappings"),
}


@pytest.mark.parametrize(("text", "line"), BAD.values(), ids=BAD.keys())
def test_a_mistake_is_told_in_one_line_that_says_where(text: str, line: str) -> None:
    assert problems(text) == [line]


def test_all_mistakes_of_both_passes_come_at_once_in_the_order_of_the_file() -> None:
    text = "task: {use: clasify}\ndata: {use: table}\nmethods:\n  - {use: lora, rnak: 4, rank: x}\n  - lorra\nseed: 3\n"
    text += "training: {epochs: -1, sede: 3}\n"
    places = [line.split(": ")[0:2] for line in problems(text)]
    assert places == [
        ["run.yaml:1:13", "task.use"],
        ["run.yaml:2:7", "data.train"],
        ["run.yaml:4:17", "methods[0].rnak"],
        ["run.yaml:4:32", "methods[0].rank"],
        ["run.yaml:5:5", "methods[1]"],
        ["run.yaml:6:1", "seed"],
        ["run.yaml:7:20", "training.epochs"],
        ["run.yaml:7:24", "training.sede"],
    ]


def test_a_plugin_that_cannot_load_is_the_cause_of_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        load(HEAD + "rules: [gone]")
    assert isinstance(caught.value.__cause__.__cause__, AttributeError)  # type: ignore[union-attr]


BAD_JSON = {
    "position of a value": (
        '{"task": {"use": "classify", "model": "m"},\n "data": {"use": "table", "train": 3}}',
        "run.json:2:36: data.train: found 3, wanted a path",
    ),
    "position of a key": (
        '{"task": {"use": "classify",\n\t"model": "m", "x": 1}, "data": {"use": "table", "train": "t"}}',
        "run.json:2:16: task.x: unknown key 'x' of plugin 'classify'; known: classes, model",
    ),
    "a key twice": ('{"a": 1,\n "a": 2}', "run.json:2:2: the key 'a' is already in line 1; keep one of them"),
    "a comma too many": ('{"a": 1,\n}', "run.json:2:1: this is not valid JSON: a comma stands before '}'"),
    "no comma": ('{"a": [1 2]}', "run.json:1:10: this is not valid JSON: expected ',' or ']'"),
    "no quotes": ("{a: 1}", "run.json:1:2: this is not valid JSON: expected a key in double quotes"),
    "no colon": ('{"a" 1}', "run.json:1:6: this is not valid JSON: expected ':'"),
    "NaN": ('{"a": NaN}', "run.json:1:7: this is not valid JSON: it holds NaN or Infinity, which are not in JSON"),
    "an end too early": ('{"a": ', "run.json:1:7: this is not valid JSON: expecting value"),
    "more than one": ("{} {}", "run.json:1:4: this is not valid JSON: something follows the end of the value"),
    "a list on top": ("[1]", "run.json:1:1: the top is a list, not a mapping; it starts with 'task:' and 'data:'"),
    "empty": (" ", "run.json:1:2: this is not valid JSON: expecting value"),
}


@pytest.mark.parametrize(("text", "line"), BAD_JSON.values(), ids=BAD_JSON.keys())
def test_json_has_positions_too(text: str, line: str) -> None:
    assert problems(text, "run.json") == [line]


def test_files_that_cannot_be_read_as_text(tmp_path: Path) -> None:
    def told(path: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load_config(path, catalog=CATALOG)
        return str(caught.value)

    Path("latin.yaml").write_bytes("a: 1\nbé: 2".encode("latin-1"))
    Path("binary.yaml").write_bytes(b"a: 1\n\x00\x01")
    Path("control.yaml").write_bytes(b"a: \x01")
    Path("folder").mkdir()
    Path("large.csv").write_bytes(b"a,b\n" * 2_000_000)
    Path("run.yaml").write_text(HEAD)
    assert told("latin.yaml") == "latin.yaml:2:2: this is not UTF-8: byte 0xe9; save the file as UTF-8"
    assert told("binary.yaml") == "binary.yaml:2:1: this is not a text file: it holds a zero byte"
    assert told("control.yaml").startswith("control.yaml:1:1: this is not valid YAML: unacceptable character")
    assert told("folder") == "folder: this is a folder; name a file"
    assert told(".") == ".: this is a folder; name the file in it, such as 'binary.yaml'"
    assert told("rnu.yaml") == "rnu.yaml: there is no such file; did you mean 'run.yaml'?"
    assert told("no/run.yaml") == "no/run.yaml: there is no such file, nor a folder 'no'"
    assert told("large.csv") == "large.csv: the file is larger than 4 MiB; is it data rather than this?"
    assert "cannot be read" in told("a\0b")
    assert "cannot be read" in told("x" * 5000)


def test_a_text_that_explodes_by_aliases_is_refused() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for above, below in zip("abcde", "bcdef", strict=True):
        text += f"{below}: &{below} [{', '.join([f'*{above}'] * 10)}]\n"
    assert problems(text) == ["run.yaml:1:1: this holds more than 100,000 values once its aliases are followed"]


@pytest.mark.parametrize("name", ["run.yaml", "run.json"])
def test_a_text_nested_too_deeply_is_refused(name: str) -> None:
    assert problems("[" * 20_000, name) == [f"{name}:1:1: this is nested too deeply to be read"]


def test_a_byte_order_mark_is_no_mistake() -> None:
    Path("run.yaml").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load_config("run.yaml", catalog=CATALOG).run.task.use == "classify"


def test_yaml_is_read_as_version_1_2_says() -> None:
    marked = parse_yaml("a: no\nb: 1e-5\nc: 0x10\nd: 010\ne: 2024-01-01\nf: ~\ng: -.inf\nh: True\ni: '1'\n1: j")
    assert marked.problems == []
    assert marked.value == {
        "a": "no", "b": 1e-5, "c": 16, "d": 10, "e": "2024-01-01", "f": None, "g": -float("inf"), "h": True,
        "i": "1", "1": "j",
    }  # fmt: skip


def test_anchors_and_merges_are_followed_and_own_keys_win() -> None:
    marked = parse_yaml("a: &a {x: 1, y: 2}\nb: *a\nc: {y: 3, <<: *a}\nd:\n  <<: [{x: 5}, *a]\n")
    assert marked.value == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
        "d": {"x": 5, "y": 2},
    }
    assert marked.values["c", "y"] == (3, 8)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)  # machines are busy; time is not what is tested
@given(plain, st.sampled_from([None, 1, "\t"]))
def test_every_json_text_is_read_as_json_reads_it(value: object, indent: int | str | None) -> None:
    marked = parse_json(json.dumps(value, indent=indent))
    assert marked.problems == []
    assert marked.value == value


PIECES = st.sampled_from([*"\t\n -:,{}[]&*!?|>'\"#%@`~<=0a", "<<", "&t ", "*t", "use: ", "1e999", "\x00", "é"])


@settings(deadline=None)  # machines are busy; time is not what is tested
@given(st.integers(0, len(GOOD)), st.integers(0, 8), st.lists(PIECES, max_size=3).map("".join), st.booleans())
def test_a_damaged_text_loads_or_is_told_and_never_ends_in_another_error(
    start: int, length: int, put: str, as_override: bool
) -> None:
    text = GOOD[:start] + put + GOOD[start + length :]
    source = text if not as_override else GOOD
    changes = [f"methods.lora.weight={put}"] if as_override else []
    try:
        for name in ("run.yaml", "run.json"):
            load(source, name, overrides=changes)
    except ConfigError as error:
        assert error.problems
        assert all("\n" not in line for line in error.problems if "--set" not in line)


def test_overrides_are_put_over_the_file_and_read_as_yaml() -> None:
    loaded = load(
        GOOD,
        overrides=[
            "training.epochs=5",
            "methods.1.weight=0.3",
            "methods.lora.rank=16",
            "data[0].train=other.csv",
            "training.early_stopping.patience=7",
            "training.schedule=cosine",
            "output=",
        ],
    )
    adapter = loaded.plugins[4].config
    assert isinstance(adapter, Adapter.Config)
    assert (adapter.weight, adapter.rank) == (0.3, 16)
    assert loaded.run.training.epochs == 5
    assert loaded.run.training.early_stopping is not None and loaded.run.training.early_stopping.patience == 7
    assert loaded.run.output is None


def test_an_override_turns_a_bare_name_into_a_section() -> None:
    loaded = load(HEAD + "methods: [lora]", overrides=["methods.0.rank=2"])
    assert loaded.run.methods[0].settings["rank"] == 2


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("training.epochs", "--set training.epochs: this is not of the form KEY=VALUE, such as training.epochs=5"),
        ("=5", "--set =5: this is not of the form KEY=VALUE, such as training.epochs=5"),
        (
            "training.epoch=5",
            "--set training.epoch=5: training.epoch: unknown key 'epoch' of training; known: accumulate, baselines, "
            "batch_size, cache, cache_limit, checkpoint_every, clip, collapse, data_seed, device, dropout, "
            "early_stopping, … (15 more); did you mean 'epochs'?",
        ),
        (
            "training.epochs=many",
            "--set training.epochs=many: training.epochs: found the text 'many', wanted a number",
        ),
        ("training.epochs.x=1", "--set training.epochs.x=1: training.epochs is 2, which has nothing inside"),
        (
            "methods.7.rank=1",
            "--set methods.7.rank=1: methods is a list without '7'; say which by 0 to 1 or by name: plain, lora",
        ),
        (
            "methods.lorra.rank=1",
            "--set methods.lorra.rank=1: methods is a list without 'lorra'; "
            "say which by 0 to 1 or by name: plain, lora; did you mean 'lora'?",
        ),
        (
            "output=a: b: c",
            "--set output=a: b: c: the value 'a: b: c' is no YAML: a key cannot start here; check the indentation, "
            "or quote the text if it holds ': '; quote it if it is text",
        ),
    ],
)
def test_a_wrong_override_is_named(change: str, line: str) -> None:
    assert problems(GOOD, overrides=[change]) == [line]


def test_mappings_from_python_are_the_same_schema_with_the_key_as_place() -> None:
    source = {"task": {"use": "classify", "model": "m"}, "data": {"use": "table", "train": "t.csv"}}
    assert load_config(source, catalog=CATALOG) == load(HEAD)
    with pytest.raises(ConfigError) as caught:
        load_config({**source, "training": {"epochs": "many"}, "methods": ["lorra"]}, catalog=CATALOG)
    assert caught.value.problems == (
        "config: methods[0]: no method plugin is called 'lorra'; installed: lora, plain; did you mean 'lora'?",
        "config: training.epochs: found the text 'many', wanted a number",
    )


def test_a_mapping_is_not_changed_and_objects_in_it_are_kept() -> None:
    frame = types.SimpleNamespace()
    source: dict[str, object] = {
        "task": {"use": "classify", "model": "m"},
        "data": {"use": "table", "train": "t", "frame": frame},
    }
    before = {key: dict(value) for key, value in source.items() if isinstance(value, dict)}
    loaded = load_config(source, catalog=CATALOG, overrides=["data.text=body"])
    assert source == before
    config = loaded.plugins[1].config
    assert isinstance(config, Frame.Config)
    assert config.frame is frame
    json.dumps(resolved(loaded))


def test_numbers_of_numpy_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    source = {"task": {"use": "classify", "model": "m"}, "data": {"use": "table", "train": "t.csv"}}
    training = {"batch_size": numpy.int64(8), "learning_rate": numpy.float32(0.5)}
    loaded = load_config({**source, "training": training}, catalog=CATALOG)
    assert (loaded.run.training.batch_size, loaded.run.training.learning_rate) == (8, 0.5)


def test_a_mapping_that_contains_itself_is_refused() -> None:
    source: dict[str, object] = {}
    source["task"] = source
    with pytest.raises(ConfigError, match="does it contain itself"):
        load_config(source, catalog=CATALOG)


def test_a_run_config_from_python_is_a_source_too() -> None:
    run = RunConfig(
        task=Section.model_validate({"use": "classify", "model": "m"}),
        data=(Section.model_validate({"use": "table", "train": "t.csv"}),),
    )
    assert load_config(run, catalog=CATALOG) == load(HEAD)
    with pytest.raises(ConfigError, match="config: found 3, wanted a path, a mapping or a RunConfig"):
        load_config(3, catalog=CATALOG)  # type: ignore[arg-type]


def test_paths_start_at_the_file_and_outputs_where_one_stands(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    loaded = load(HEAD + "output: out", "deep/run.yaml")
    config = loaded.plugins[1].config
    assert isinstance(config, Frame.Config)
    assert config.train == tmp_path / "deep" / "t.csv"
    assert loaded.folder == tmp_path / "deep"
    assert loaded.run.output == Path("out")
    from_python = load_config(
        {"task": {"use": "classify", "model": "m"}, "data": {"use": "table", "train": "t.csv"}}, catalog=CATALOG
    )
    assert isinstance(from_python.plugins[1].config, Frame.Config)
    assert from_python.plugins[1].config.train == tmp_path / "t.csv"


def test_a_resolved_configuration_loads_to_an_equal_one(tmp_path: Path) -> None:
    loaded = load(GOOD)
    whole = resolved(loaded)
    assert json.loads(json.dumps(whole)) == whole
    (tmp_path / "elsewhere").mkdir()
    again = load(json.dumps(whole), "elsewhere/run.json")
    assert again == loaded
    assert resolved(again) == whole
    assert whole["training"] == Training(epochs=2, learning_rate=1e-5).model_dump(mode="json")


def test_the_same_plugin_twice_goes_with_a_name_of_its_own() -> None:
    loaded = load(HEAD + "methods: [lora, {use: lora, name: second}]")
    assert [p.name for p in loaded.plugins][2:] == ["lora", "second"]
    assert load_config(resolved(loaded), catalog=CATALOG) == loaded


def test_instances_from_python_join_under_their_name() -> None:
    mine = Plain()
    loaded = load(HEAD + "methods: [mine]", instances={"mine": mine})
    assert loaded.plugins[2].build() is mine
    assert (loaded.plugins[2].entry, loaded.plugins[2].cls, loaded.plugins[2].config) == (None, Plain, None)


@pytest.mark.parametrize(
    ("methods", "instances", "line"),
    [
        (
            "[{use: mine, rank: 3}]",
            {"mine": Plain()},
            "run.yaml:3:23: methods[0].rank: unknown key 'rank' of plugin 'mine', an object from Python, "
            "which takes no settings",
        ),
        ("[mine]", {"mine": Plain}, "run.yaml:1:1: the plugin 'mine' is passed as a class; pass an object: Plain(…)"),
        (
            "[lora]",
            {"lora": Plain()},
            "run.yaml:1:1: the plugin 'lora' is passed from Python and installed by acme 1.0; rename yours",
        ),
        (
            "[]",
            {"mine": Plain()},
            "run.yaml:1:1: the plugin 'mine' is passed from Python but no section names it; add it to methods:",
        ),
    ],
)
def test_instances_that_cannot_join_are_told(methods: str, instances: Mapping[str, object], line: str) -> None:
    assert problems(HEAD + f"methods: {methods}", instances=instances) == [line]


def test_a_switched_off_early_stopping_and_a_null_section_are_allowed() -> None:
    loaded = load(HEAD + "methods:\nrules: null\ntraining: {early_stopping: null, clip: null}")
    assert loaded.run.training.early_stopping is None
    assert loaded.run.methods == ()


def test_every_training_key_is_described() -> None:
    assert all(field.description for field in Training.model_fields.values())


def test_the_schema_is_made_of_what_is_available() -> None:
    schema = json_schema(CATALOG)
    text = json.dumps(schema)
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    assert {"method.lora", "method.lora.Ramp", "task.classify", "training"} <= definitions.keys()
    assert not {"rule.rare", "rule.gone"} & definitions.keys()
    assert definitions["task.classify"]["required"] == ["use", "model"]
    assert definitions["task.classify"]["description"] == "Predict one label a text. (acme 1.0)"
    assert definitions["task.classify"]["properties"]["model"]["description"].startswith("An encoder")
    references = {part.split('"')[0] for part in text.split('"#/$defs/')[1:]}
    assert references <= definitions.keys()


def test_the_schema_lets_a_bare_name_stand_only_for_what_needs_no_settings() -> None:
    text = json.dumps(json_schema(CATALOG))
    assert '{"const": "plain", "description": "Takes no settings. (acme 1.0)"}' in text
    assert '{"const": "classify", "description": "Predict' not in text


def test_the_schema_of_an_empty_catalogue_can_be_made() -> None:
    assert "no task plugin is installed" in json.dumps(json_schema(Catalog()))


def test_reading_a_configuration_imports_nothing_heavy() -> None:
    code = (
        "import sys; from triune.config import load_config; import triune.schema;"
        "print([m for m in ('numpy', 'torch', 'pandas', 'transformers', 'sklearn') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": CORE}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == "[]"
