"""A data set of the `datasets` library becomes raw frames, its class numbers replaced by class names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triune.data import Source, fingerprint
from triune.errors import DataError, EnvironmentProblem, TriuneError, listed, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    from datasets import Dataset

    from triune_hub import Splits

USUAL = {"valid": ("validation", "valid", "dev"), "test": ("test",)}


def loaded(path: str, subset: str | None, folder: Path) -> Mapping[str, Dataset]:
    """Return the splits of a data set: of a folder where `path` is one, else from the hub or its cache.

    Raises:
        DataError: the folder or the subset is not what it is said to be.
        EnvironmentProblem: `datasets` is missing, or the hub is out of reach and the cache is empty.
    """
    try:
        import datasets
    except ImportError:
        raise EnvironmentProblem(
            f"data.path {path!r}: the package 'datasets' is not installed; pip install \"triune[hub]\""
        ) from None
    local = folder / Path(path).expanduser()
    if local.is_file():
        raise DataError(f"data.path {path!r}: a file, and a folder or an id is needed; read a file with use: table")
    try:
        if any((local / name).is_file() for name in ("dataset_dict.json", "dataset_info.json")):
            found = datasets.load_from_disk(str(local))
        elif local.is_dir():
            found = datasets.load_dataset(str(local), subset, **_as_text(str(local), subset))
        else:
            found = datasets.load_dataset(path, subset)
    except Exception as error:  # what datasets, huggingface_hub, fsspec and pyarrow raise has no common class
        raise _explained(error, path, subset, local) from error
    return found if isinstance(found, dict) else {"train": found}


def _as_text(folder: str, subset: str | None) -> dict[str, bool]:
    """Return the setting by which `datasets` leaves NA, null and None in CSV the texts that they are."""
    from datasets import load_dataset_builder

    return {"keep_default_na": False} if hasattr(load_dataset_builder(folder, subset).config, "keep_default_na") else {}


def _explained(error: Exception, path: str, subset: str | None, local: Path) -> TriuneError:
    said = (str(error) or type(error).__name__).splitlines()[0]
    if "BuilderConfig" in said or "Config name is missing" in said:
        told = "names none" if subset is None else f"{subset!r} is none of them"
        return DataError(
            f"data.path {path!r}: the data set has subsets and data.subset {told} ({' '.join(str(error).split())})"
        )
    if local.is_dir():
        return DataError(
            f"data.path {path!r}: the folder cannot be read as a data set ({said}); "
            "give a folder written by save_to_disk, or one of data files"
        )
    return EnvironmentProblem(
        f"data.path {path!r}: no such folder, and neither the local cache of 'datasets' nor the hub has it ({said}); "
        "check the id, load it once where there is network, or name a folder"
    )


def tables(
    found: Mapping[str, Dataset], splits: Splits, path: str
) -> tuple[dict[str, pd.DataFrame], dict[str, Source]]:
    """Return the raw frame and the source of every split that is wanted.

    Raises:
        DataError: splits are missing; it names all of them.
    """
    wanted = {split: name for split, name in splits.model_dump().items() if name is not None}
    for split, usual in USUAL.items():
        present = [name for name in usual if name in found and name not in wanted.values()]
        if split not in wanted and present:
            wanted[split] = present[0]
    problems = [
        f"data.splits.{split}: {path!r} has no split {name!r}; splits: {listed(found)}{nearest(name, found)}"
        for split, name in wanted.items()
        if name not in found
    ]
    if problems:
        raise DataError("\n".join(problems))
    frames = {split: frame_of(found[name]) for split, name in wanted.items()}
    sources = {
        split: Source(f"{path} {wanted[split]}", "row", fingerprint(frame), len(frame))
        for split, frame in frames.items()
    }
    return frames, sources


def frame_of(split: Dataset) -> pd.DataFrame:
    """Return a split as Python values, the index "row" counting from 0; pictures and sounds stay bytes."""
    import pandas as pd

    table = split.with_format("arrow")[:]  # pandas would make whole numbers beside a null floats
    index = pd.RangeIndex(table.num_rows, name="row")
    columns = {name: _named(table.column(name).to_pylist(), split.features[name]) for name in table.column_names}
    frame = pd.DataFrame({name: pd.Series(cells, index=index, dtype=object) for name, cells in columns.items()})
    return frame.set_axis(index)


def _named(cells: Sequence[object], feature: Any) -> list[object]:  # noqa: ANN401 - datasets has no stubs
    """Return cells with the class names of a `ClassLabel`, or of a list of them, for its numbers."""
    names = getattr(feature, "names", None)
    if names is not None:
        return [_name(cell, names) for cell in cells]
    names = getattr(getattr(feature, "feature", None), "names", None)
    if names is not None:
        return [None if cell is None else [_name(one, names) for one in cell] for cell in cells]  # type: ignore[attr-defined]
    return list(cells)


def _name(number: object, names: Sequence[str]) -> str | None:
    # -1 is how public test splits hide their labels
    return names[number] if isinstance(number, int) and number >= 0 else None
