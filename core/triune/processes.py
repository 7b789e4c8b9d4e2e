"""The processes that do one run together, as `torchrun` starts them; what one process does alone costs nothing here.

Each of them does the same with the same, but for two things: in a step each learns from its share of the batch, and
the first one alone writes and speaks. They meet in `exchange`, and add up gradients only after having met. Who fails,
or is told to stop, says so there in place of what it would have given: so all leave at one point, knowing why.
"""

from __future__ import annotations

import atexit
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

from triune.errors import EnvironmentProblem, TriuneError
from triune.signals import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.nn import Parameter

T = TypeVar("T")

BUCKET = 2**23
"""Numbers that are sent together: enough to keep a line busy, little beside the gradient itself."""
PATIENCE = timedelta(days=1)
"""How long one waits for the others; who starts the processes ends them all when one has ended."""


class ProcessFailed(TriuneError):  # noqa: N818 - what failed is another process
    """Another process of the run failed, and so this one ends too."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class _Said:
    """What a process says in an exchange: what it gives, or why it gives nothing any more."""

    value: object = None
    failure: str = ""
    exit_code: int = 0
    signal: int | None = None


@dataclass(frozen=True, slots=True)
class World:
    """The processes of a run, seen from one of them.

    Attributes:
        rank: which of them this is, counted from 0.
        size: how many there are.
        local_rank: which of those on this machine it is.
        local_size: how many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def share(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of a batch that this process learns from, which may be none."""
        import numpy as np

        return rows if self.size == 1 else np.array_split(rows, self.size)[self.rank]

    def exchange(self, value: T) -> list[T]:
        """Return what each process gives, in the order of their ranks; all of them wait for one another.

        Raises:
            ProcessFailed: another one failed.
            Interrupted: another one was told to stop.
            EnvironmentProblem: another one is gone.
        """
        if self.size == 1:
            return [value]
        said = _gathered(_Said(value), self.size)
        for rank, one in enumerate(said):
            if one.failure:
                message = f"process {rank} of {self.size} failed: {one.failure}"
                raise _known(ProcessFailed(message, one.exit_code))
            if one.signal is not None:
                raise _known(Interrupted(one.signal))
        return [cast("T", one.value) for one in said]

    def led(self, act: Callable[[], object]) -> None:
        """Have the first process act while the others wait for it; errors are those of `act` and of `exchange`."""
        if self.leads:
            act()
        self.exchange(None)

    def added(self, tensors: Mapping[str, Tensor], device: torch.device | str) -> dict[str, Tensor]:
        """Return, by name, the sums of what all processes have; one may lack names that others have.

        They are added in the order of ranks, so that every process gets the same bits.
        """
        if self.size == 1:
            return dict(tensors)
        import torch

        given = self.exchange({name: tensor.detach().cpu() for name, tensor in tensors.items()})
        names = dict.fromkeys(name for one in given for name in one)
        return {name: torch.stack([one[name] for one in given if name in one]).sum(0).to(device) for name in names}

    def add_gradients(self, parameters: Iterable[Parameter]) -> None:
        """Leave the sum of every process's gradient with each that asks for one; errors are those of `exchange`.

        A parameter that has a gradient nowhere keeps none.
        """
        if self.size == 1:
            return
        import torch

        asking = [parameter for parameter in parameters if parameter.requires_grad]
        has = self.exchange([parameter.grad is not None for parameter in asking])
        moving = [one for one, somewhere in zip(asking, map(any, zip(*has, strict=True)), strict=True) if somewhere]
        for parameter in moving:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        with _connected():
            for gradients in _buckets([cast("Tensor", parameter.grad) for parameter in moving]):
                _add(gradients)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let an error that ends the block in one process end it in all of them."""
        try:
            yield
        except Exception as error:
            if self.size > 1 and not is_known(error):
                self._say(_known(error), _Said(failure=_told(error), exit_code=getattr(error, "exit_code", 1)))
            raise

    def stop(self, signal: int) -> Interrupted:
        """Tell the others that this process was told to stop; return what it leaves with."""
        return self._say(Interrupted(signal), _Said(signal=signal))

    def _say(self, error: E, last: _Said) -> E:
        if self.size > 1:
            with suppress(EnvironmentProblem):  # nobody is there any more
                _gathered(last, self.size)
        return _known(error)


E = TypeVar("E", bound=BaseException)
ALONE = World()


@contextmanager
def joined() -> Iterator[World]:
    """Yield the processes that were started together; an error in one ends the block in all of them.

    A process group that is there already is used.

    Raises:
        EnvironmentProblem: they do not find one another.
    """
    if started() == 1:
        yield ALONE
        return
    from torch import distributed

    if not distributed.is_initialized():
        _meet()
    rank, size = distributed.get_rank(), distributed.get_world_size()
    world = World(rank, size, _number("LOCAL_RANK", rank), _number("LOCAL_WORLD_SIZE", size))
    with world.together():
        yield world


def _meet() -> None:
    """Find the other processes, once for all runs of this one: they would miss one another a second time.

    The functions of `torch.distributed.nn` take the group of all processes for a default argument when they are
    imported, as Transformers does, and keep it for good. A group that outlives `destroy_process_group` keeps its
    threads, and one of them may still let go of a tensor while the interpreter ends, which aborts the process. Imported
    here, before there is a group, they keep none.
    """
    import torch
    import torch.distributed.nn.functional
    from torch import distributed

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        distributed.init_process_group(backend, timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise EnvironmentProblem(
            f"{started()} processes were started together, and this one does not find the others ({error}): "
            "start them with `torchrun --nproc_per_node N -m triune run CONFIG`"
        ) from error
    atexit.register(distributed.destroy_process_group)


def started() -> int:
    """Return how many processes were started together with this one, itself among them."""
    return _number("WORLD_SIZE", 1) if {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys() else 1


def speaks() -> bool:
    """Return whether this process is the one of those started together that speaks."""
    return started() == 1 or _number("RANK", 0) == 0


def is_known(error: BaseException) -> bool:
    """Return whether the other processes know of an error."""
    return getattr(error, "_known_to_all", False)


def _known(error: E) -> E:
    error._known_to_all = True  # type: ignore[attr-defined]
    return error


def _number(name: str, default: int) -> int:
    found = os.environ.get(name, "")
    return int(found) if found.isdecimal() else default


def _told(error: Exception) -> str:
    what = str(error) if isinstance(error, TriuneError) else f"{type(error).__name__}: {error}"
    return "\n".join([what, *(f"  {note}" for note in getattr(error, "__notes__", ()))])


def _gathered(said: _Said, size: int) -> list[_Said]:
    from torch import distributed

    found: list[_Said | None] = [None] * size
    with _connected():
        distributed.all_gather_object(found, said)
    return cast("list[_Said]", found)


def _add(gradients: Sequence[Tensor]) -> None:
    import torch
    from torch import distributed

    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    distributed.all_reduce(flat)
    for gradient, total in zip(gradients, torch.split(flat, [one.numel() for one in gradients]), strict=True):
        gradient.copy_(total.view(gradient.shape))


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Yield the gradients in runs of one type that are sent together."""
    run: list[Tensor] = []
    for gradient in gradients:
        if run and (gradient.dtype != run[0].dtype or sum(one.numel() for one in run) >= BUCKET):
            yield run
            run = []
        run.append(gradient)
    if run:
        yield run


@contextmanager
def _connected() -> Iterator[None]:
    """Say in a sentence that another process is gone."""
    try:
        yield
    except RuntimeError as error:
        raise EnvironmentProblem(
            "another process of this run ended without a word (killed, or out of memory?): what is saved is whole, and "
            "`--resume auto` goes on from there"
        ) from error
