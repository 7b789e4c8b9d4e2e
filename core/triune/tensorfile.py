"""Tensors in a safetensors file: any layout, tied ones once, read back without a second copy in memory."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from triune.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor

_STORABLE = {
    *("bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
    *("float8_e4m3fn", "float8_e5m2", "bfloat16", "float16", "float32", "float64", "complex64"),
}


def fault_of(tensor: Tensor) -> str | None:
    """Return why a tensor cannot be stored (`"is sparse"`), or None where it can."""
    import torch

    dtype = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided:
        return f"is {tensor.layout}, not dense"
    if tensor.is_meta:
        return "is on the meta device and has no values"
    return None if dtype in _STORABLE else f"has the type {dtype}"


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name; one that several names share is written once. Their order is kept.

    Raises:
        CheckpointError: a tensor cannot be stored; names it.
        OSError: the file cannot be written.
    """
    from safetensors.torch import save_file

    unique, stored = _without_ties(tensors)
    # One entry: as keys of the metadata, names of tensors could meet those that other readers reserve.
    metadata = {"format": "pt", "names": json.dumps(stored)}
    with system_errors():
        save_file(unique, path, metadata=metadata)
    # The library leaves the file readable by its owner only; ours are as readable as their folder.
    path.chmod(path.parent.stat().st_mode & 0o666)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file on the CPU, tied ones as one tensor under several names."""
    from safetensors import safe_open

    # Read, not mapped: a map would be held in memory a second time while the caller copies, and change with the disk.
    with safe_open(path, framework="pt", backend="pread") as file:
        stored: dict[str, str] = json.loads(file.metadata()["names"])
        tensors: dict[str, Tensor] = file.get_tensors()
    return {name: tensors[kept] for name, kept in stored.items()}


def _without_ties(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return each tensor once, fit to be written, and for every name in order the name it is stored under."""
    unique: dict[str, Tensor] = {}
    stored: dict[str, str] = {}
    first: dict[object, str] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        _refuse(name, tensor)
        stored[name] = first.setdefault(_place(tensor), name) if tensor.numel() else name
        if stored[name] == name:
            unique[name] = _packed(tensor, storages)
    return unique, stored


def _place(tensor: Tensor) -> object:
    """Return what is equal only for the same values at the same place in memory."""
    layout = tensor.dtype, tensor.shape, tensor.stride(), tensor.is_conj(), tensor.is_neg()
    return tensor.device, tensor.data_ptr(), layout


def _packed(tensor: Tensor, storages: set[int]) -> Tensor:
    """Return the tensor contiguous on the CPU, in memory that no tensor before it uses."""
    packed = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    storage = packed.untyped_storage().data_ptr()
    if storage in storages:
        return packed.clone()
    storages.add(storage)
    return packed


def _refuse(name: str, tensor: Tensor) -> None:
    fault = fault_of(tensor)
    if fault:
        raise CheckpointError(f"checkpoint: the tensor {name!r} {fault}, which cannot be stored; convert it first.")
    if name == "__metadata__" or name.encode(errors="replace").decode() != name:
        raise CheckpointError(f"checkpoint: the name {name!r} of a tensor cannot be stored; rename it.")


@contextmanager
def system_errors() -> Iterator[None]:
    """Raise what the operating system said in the block as `OSError`; safetensors only passes on its text."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        number = re.search(r"\(os error (\d+)\)", str(error))
        raise OSError(int(number[1]) if number else None, str(error)) from error
