"""State as tensors and JSON, without pickle: any nested value, and the global random generators."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, cast

from triune.errors import CheckpointError, PluginError
from triune.tensorfile import fault_of

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from triune.types import JSON

_Split = Callable[[object, str], "JSON"]


def split_state(value: object, owner: str) -> tuple[dict[str, Tensor], JSON]:
    """Return the tensors of a nested state by number, and the rest of it as JSON that refers to them.

    Takes dicts (any keys), lists, tuples, tensors, numpy arrays and numbers, text, numbers (NaN and infinities too),
    True, False and None. `join_state` returns an equal value of the same types; but an `OrderedDict` becomes a dict,
    and a stored tensor comes back on the CPU.

    Example:
        >>> tensors, facts = split_state({"seen": 3, "span": (0, 1)}, "my-plugin")
        >>> join_state(tensors, facts)
        {'seen': 3, 'span': (0, 1)}

    Raises:
        PluginError: a part has another type; names the owner and the key path of the part.
    """
    tensors: dict[str, Tensor] = {}
    try:
        return tensors, _Splitter(owner, tensors).split(value, "")
    except RecursionError:
        raise PluginError(f"{owner!r}: its state contains itself or is nested too deeply; flatten it.") from None


def join_state(tensors: Mapping[str, Tensor], value: JSON) -> object:
    """Return the state that `split_state` took apart."""
    if isinstance(value, list):
        return [join_state(tensors, part) for part in value]
    if not isinstance(value, Mapping):
        return value
    for mark in _JOIN.keys() & value.keys():
        return _JOIN[mark](tensors, value[mark])
    return {key: join_state(tensors, part) for key, part in value.items()}


class _Splitter:
    """Takes one owner's state apart; what is not plain JSON becomes a mapping with one marked key."""

    def __init__(self, owner: str, tensors: dict[str, Tensor]) -> None:
        self.owner = owner
        self.tensors = tensors
        self.by_type: dict[type, Callable[..., JSON]] = {
            **dict.fromkeys((type(None), bool, int, str), lambda value, _: value),
            **dict.fromkeys((dict, OrderedDict), self._dict),
            float: lambda value, _: value if isfinite(value) else {"!float": repr(value)},
            list: self._list,
            tuple: lambda value, path: {"!tuple": self._list(value, path)},
        }

    def split(self, value: object, path: str) -> JSON:
        # By exact type: a subclass (an enum, a named tuple, a Counter) would silently come back as something else.
        return self.by_type.get(type(value), self._array)(value, path)

    def _list(self, value: Iterable[object], path: str) -> list[JSON]:
        return [self.split(part, f"{path}[{position}]") for position, part in enumerate(value)]

    def _dict(self, value: Mapping[object, object], path: str) -> JSON:
        parts = {key: self.split(part, f"{path}[{key!r}]") for key, part in value.items()}
        if all(type(key) is str and not key.startswith("!") for key in parts):
            return cast("dict[str, JSON]", parts)
        return {"!dict": [[self.split(key, f"{path}.keys()"), part] for key, part in parts.items()]}

    def _array(self, value: object, path: str) -> JSON:
        import numpy as np
        import torch

        if isinstance(value, torch.Tensor):
            return self._keep("!tensor", value.detach(), path)
        if type(value) is np.ndarray:
            return self._keep("!array", self._from_numpy(value, path), path)
        if isinstance(value, np.generic):
            return self._keep("!number", self._from_numpy(np.asarray(value), path), path)
        raise self._refusal(path, f"is of type {type(value).__name__}")

    def _from_numpy(self, array: np.ndarray, path: str) -> Tensor:
        import numpy as np
        import torch

        try:
            return torch.from_numpy(np.array(array, order="C"))  # a copy: torch takes no read-only or reversed array
        except (TypeError, ValueError) as error:
            raise self._refusal(path, f"is a numpy array of {array.dtype}") from error

    def _keep(self, mark: str, tensor: Tensor, path: str) -> JSON:
        fault = fault_of(tensor)
        if fault:
            raise self._refusal(path, fault)
        number = str(len(self.tensors))
        self.tensors[number] = tensor
        return {mark: number}

    def _refusal(self, path: str, fault: str) -> PluginError:
        return PluginError(
            f"{self.owner!r}: its state{path} {fault}, which a checkpoint cannot hold; return dicts, lists, tuples, "
            "dense tensors, numpy arrays, numbers, text, True, False or None."
        )


_JOIN: dict[str, Callable[[Mapping[str, Tensor], JSON], object]] = {
    "!float": lambda tensors, text: float(cast("str", text)),
    "!tuple": lambda tensors, parts: tuple(cast("list[object]", join_state(tensors, parts))),
    "!dict": lambda tensors, pairs: dict(cast("list[tuple[object, object]]", join_state(tensors, pairs))),
    "!tensor": lambda tensors, number: tensors[cast("str", number)],
    "!array": lambda tensors, number: tensors[cast("str", number)].numpy(),
    "!number": lambda tensors, number: tensors[cast("str", number)].numpy()[()],
}


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, numpy and torch."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw inside the block from a seed, and as if nothing had been drawn after it."""
    before = random_state()
    seed_everything(seed)
    try:
        yield
    finally:
        set_random_state(before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Give the caller's random states back after the block, whatever was drawn or seeded in it."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)


def random_state() -> dict[str, object]:
    """Return the state of every global generator (Python, numpy, torch, CUDA), ready for `split_state`."""
    import numpy as np
    import torch

    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(legacy=False),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: Mapping[str, object]) -> None:
    """Set every global generator to a state that `random_state` returned.

    Raises:
        CheckpointError: the state is of another number of CUDA devices than there are here.
    """
    import numpy as np
    import torch

    cuda = cast("list[Tensor]", state["cuda"])
    here = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if len(cuda) != here:
        raise CheckpointError(
            f"checkpoint: it holds the random state of {len(cuda)} CUDA devices, but {here} are here; "
            "resume on a machine like the first (CUDA_VISIBLE_DEVICES chooses devices), or start a new run."
        )
    random.setstate(cast("tuple[object, ...]", state["python"]))
    np.random.set_state(cast("dict[str, object]", state["numpy"]))
    torch.set_rng_state(cast("Tensor", state["torch"]))
    torch.cuda.set_rng_state_all(cuda)
