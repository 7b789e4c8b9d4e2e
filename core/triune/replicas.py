"""Whether the processes of a run hold the same, to the bit: compared by hashes, named where it differs."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from triune.errors import CheckpointError, TrainingError
from triune.state import split_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from torch import Tensor

    from triune.checkpoint import Snapshot
    from triune.examples import Examples
    from triune.processes import World
    from triune.types import GroundedRules

Part = tuple[str, bytes]
"""Something that all processes hold alike, in words, and its hash."""


def refuse_differences(world: World, when: str, held: Callable[[], Iterable[Part]]) -> None:
    """Compare what the processes hold; one alone is not even asked.

    Raises:
        TrainingError: they differ; names the first part that does, on every process alike.
    """
    if world.size == 1:
        return
    first, *others = world.exchange(dict(held()))
    for what in first:
        for rank, other in enumerate(others, start=1):
            if other.get(what) != first[what]:
                raise TrainingError(
                    f"{when}: process {rank} differs from process 0 in {what}, and both must hold the same: nothing "
                    "was saved; look for what depends on time, machine or rank in the plugins, or train on one process"
                )


def refuse_other_checkpoint(world: World, snapshot: Snapshot | None, folder: object) -> None:
    """Meet, and make sure that all processes go on from one moment.

    Raises:
        CheckpointError: they do not see the same checkpoint.
    """
    steps = world.exchange(snapshot.step if snapshot else None)
    if len(set(steps)) > 1:
        raise CheckpointError(
            f"{folder}: processes see different checkpoints in it (of steps {', '.join(map(str, steps))}): give a "
            "folder on a disk that all of them share"
        )


def of_training(
    weights: Mapping[str, Tensor],
    optimizer: Mapping[str, Tensor],
    plugins: Mapping[str, object],
    generators: Mapping[str, object],
) -> Iterator[Part]:
    """Yield everything that the next step depends on."""
    yield from of_tensors("the weight", weights)
    yield from of_tensors("the optimiser's state of", optimizer)
    yield from of_states("the state of plugin", plugins)
    yield from of_states("the random numbers of", {"the run": generators})


def of_tensors(kind: str, tensors: Mapping[str, Tensor]) -> Iterator[Part]:
    """Yield tensors by name."""
    for name, tensor in tensors.items():
        yield f"{kind} {name!r}", sha256(_bytes(tensor)).digest()


def of_states(kind: str, states: Mapping[str, object]) -> Iterator[Part]:
    """Yield states as `split_state` takes them, by their owner."""
    for owner, state in states.items():
        tensors, facts = split_state(state, owner)
        digest = sha256(repr(facts).encode())
        for tensor in tensors.values():
            digest.update(_bytes(tensor))
        yield f"{kind} {owner!r}", digest.digest()


def of_data(examples: Mapping[str, Examples], rules: GroundedRules) -> Iterator[Part]:
    """Yield what is learnt from and measured on."""
    for split, table in examples.items():
        for name, ragged in table.inputs.items():
            yield f"{name!r} of the {split} table", sha256(ragged.values.tobytes() + ragged.offsets.tobytes()).digest()
        for name in ("targets", "labelled", "weights"):
            yield f"the {name} of the {split} table", sha256(getattr(table, name).tobytes()).digest()
    for split, fires in rules.fires.items():
        yield f"where rules fire in the {split} table", sha256(fires.tobytes()).digest()


def _bytes(tensor: Tensor) -> bytes:
    import torch

    plain: bytes = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return plain
