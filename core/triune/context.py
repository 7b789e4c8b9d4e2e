"""What a hook is told about the run it serves: `Run`, and the run's own random numbers."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, cast

from triune.processes import ALONE, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import torch

    from triune.config import RunConfig
    from triune.spaces import OutputSpace
    from triune.types import JSON


class Generators:
    """Random generators by purpose, so that one consumer's draws never move another's.

    Each starts from (seed, purpose) alone and is saved with every checkpoint.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._part = ""
        self._numpy: dict[str, np.random.Generator] = {}
        self._torch: dict[str, torch.Generator] = {}

    def numpy(self, purpose: str) -> np.random.Generator:
        """Return the numpy generator of a purpose."""
        if purpose not in self._numpy:
            import numpy as np

            self._numpy[purpose] = np.random.default_rng(self._seed_of(purpose))
        return self._numpy[purpose]

    def torch(self, purpose: str) -> torch.Generator:
        """Return the torch generator (CPU) of a purpose."""
        if purpose not in self._torch:
            import torch

            self._torch[purpose] = torch.Generator().manual_seed(self._seed_of(purpose))
        return self._torch[purpose]

    @contextmanager
    def untouched(self) -> Iterator[None]:
        """Draw inside the block as if nothing had been drawn after it."""
        before = self.state_dict()
        try:
            yield
        finally:
            fresh = Generators(self.seed)
            for purpose in self._numpy.keys() - before["numpy"].keys():
                self._numpy[purpose].bit_generator.state = fresh.numpy(purpose).bit_generator.state
            for purpose in self._torch.keys() - before["torch"].keys():
                self._torch[purpose].set_state(fresh.torch(purpose).get_state())
            self.load_state_dict(before)

    @contextmanager
    def apart(self, part: str) -> Iterator[None]:
        """Draw inside the block from streams that are this part's alone, and as if nothing had been drawn after it."""
        with self.untouched():
            self._part = f"{part}/"
            fresh = Generators(self.seed)
            fresh._part = self._part
            for purpose, one in self._numpy.items():
                one.bit_generator.state = fresh.numpy(purpose).bit_generator.state
            for purpose, other in self._torch.items():
                other.set_state(fresh.torch(purpose).get_state())
            try:
                yield
            finally:
                self._part = ""

    def _seed_of(self, purpose: str) -> int:
        return seed_of(self.seed, f"{self._part}{purpose}")

    def state_dict(self) -> dict[str, dict[str, object]]:
        """Return the state of every generator drawn from so far."""
        return {
            "numpy": {purpose: dict(one.bit_generator.state) for purpose, one in self._numpy.items()},
            "torch": {purpose: one.get_state() for purpose, one in self._torch.items()},
        }

    def load_state_dict(self, state: Mapping[str, Mapping[str, object]]) -> None:
        """Put every generator back where `state_dict` found it."""
        for purpose, bits in state["numpy"].items():
            self.numpy(purpose).bit_generator.state = cast("Mapping[str, object]", bits)
        for purpose, bits in state["torch"].items():
            self.torch(purpose).set_state(cast("torch.Tensor", bits))


def seed_of(seed: int, purpose: str) -> int:
    """Return a seed of 63 bits for one purpose of a run."""
    return int.from_bytes(sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A finished run that is opened again to evaluate or predict."""

    model: Path
    space: OutputSpace
    roles: Mapping[str, str]
    facts: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Run:
    """The run that a hook is called in; the same object for every hook of a run.

    Attributes:
        config: the resolved configuration.
        folder: where relative paths of the configuration start.
        device: where the model computes: "cpu", "cuda:0".
        generators: random numbers by purpose; use them instead of global ones.
        finished: set when a finished run is opened again; its model is loaded then, not the pretrained one.
        processes: those that do this run together. Each of them calls the same hooks with the same, but for the part of
            a batch that a loss term is given; what may happen once, such as writing, belongs behind `processes.leads`.
    """

    config: RunConfig
    folder: Path
    device: str = "cpu"
    generators: Generators = field(default_factory=lambda: Generators(42))
    finished: FinishedRun | None = None
    processes: World = ALONE

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self.generators.seed
