"""A folder with a configuration and tables that work, until a case spoils something in it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TRAIN = "text,label\n" + "".join(
    f"{text},{label}\n"
    for text, label in [
        ("my card was stolen", "card"),
        ("where is my new card", "card"),
        ("the card is blocked", "card"),
        ("a card for my wife", "card"),
        ("send a transfer abroad", "transfer"),
        ("my transfer is late", "transfer"),
        ("cancel the transfer", "transfer"),
        ("when does a transfer arrive", "transfer"),
    ]
)
TEST = "text,label\nmy card is lost,card\na transfer to my son,transfer\n"
CONFIG = """\
task:
  use: text-classification
  model: MODEL
data:
  use: table
  train: train.csv
  test: test.csv
  text: text
  label: label
methods:
  - end-to-end
training:
  epochs: 2
  batch_size: 4
  learning_rate: 1.0e-3
  threads: 1
  device: cpu
  max_length: 16
  validation: 0.25
output: out
"""


@dataclass(frozen=True, slots=True)
class Case:
    """Something spoilt, and what the command line has to say of it.

    Attributes:
        name: what is spoilt.
        says: what standard error has to contain, each at least once.
        edits: texts of the configuration, and what stands in their place.
        files: files put into the folder; a name that ends with / is a folder.
        words: the command line.
        code: the exit code.
        problems: how many mistakes there are; each may take three lines.
        model: what is done to a copy of the pretrained model, which is then named `model`.
        run: what is done to a finished run, which then lies in `out`.
        environment: variables that are set.
        stdin: what comes in on standard input.
        begins: whether training begins, so that the plan was printed.
    """

    name: str
    says: tuple[str, ...]
    edits: tuple[tuple[str, str], ...] = ()
    files: dict[str, str | bytes] = field(default_factory=dict)
    words: tuple[str, ...] = ("run", "config.yaml")
    code: int = 2
    problems: int = 1
    model: Callable[[Path], object] | None = None
    run: Callable[[Path], object] | None = None
    environment: dict[str, str] = field(default_factory=dict)
    stdin: bytes = b""
    begins: bool = False


def lay_out(folder: Path, model: Path, case: Case, finished: Path | None = None) -> None:
    """Write what works, and then what the case spoils."""
    config = CONFIG
    for old, new in case.edits:
        assert old in config, f"{case.name}: {old!r} is not in the configuration"
        config = config.replace(old, new)
    if case.model is not None:
        case.model(shutil.copytree(model, folder / "model"))
    config = config.replace("MODEL", "model" if case.model else str(model))
    if case.run is not None and finished is not None:
        case.run(shutil.copytree(finished, folder / "out"))
    files = {"config.yaml": config, "train.csv": TRAIN, "test.csv": TEST, **case.files}
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return everything below a folder: the bytes of files, None for folders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def plugin(name: str, code: str, *, family: str = "methods", extra: str = "", distribution: str = "") -> dict[str, str]:
    """Return the files of an installed distribution with one plugin, its class `Plugin` in the module of its name."""
    module, owner = name.replace("-", "_"), distribution or name
    information = f"site/{owner.replace('-', '_')}-1.0.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {owner}\nVersion: 1.0\n"
    if extra:
        metadata += f"Provides-Extra: {extra}\nRequires-Dist: no-such-package; extra == {extra!r}\n"
    value = f"{module}:Plugin" + (f" [{extra}]" if extra else "")
    return {
        f"{information}/METADATA": metadata,
        f"{information}/entry_points.txt": f"[triune.{family}]\n{name} = {value}\n",
        f"site/{module}.py": code,
    }
