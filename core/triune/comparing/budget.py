"""How long everybody learns: as many optimiser steps, or as many seconds, each."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune.comparing.scene import Scene
    from triune.config import LoadedConfig
    from triune.settings import Compare, Training


LOOKS = 5
"""How often an arm that learns for some seconds is measured on the validation table."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How long an arm learns.

    Attributes:
        steps: optimiser steps.
        every: steps between two looks at the validation table.
        seconds: what the steps were counted from, where it was seconds.
    """

    steps: int
    every: int
    seconds: float | None = None

    def of(self, training: Training, seed: int) -> Training:
        """Return how a run of this length learns."""
        return training.model_copy(
            update={
                "epochs": float(self.steps),  # an epoch has a step at least
                "max_steps": self.steps,
                "evaluate_every": self.every,
                "checkpoint_every": training.checkpoint_every or self.every,
                "baselines": False,
                "seed": seed,
            }
        )


def budget_of(arm: LoadedConfig, base: LoadedConfig, compare: Compare, scene: Scene) -> Budget:
    """Return the budget in steps: as told, or what training says for somebody who learns from every example."""
    from triune.context import Run
    from triune.prepared import steps_of

    per_epoch = max(ceil(scene.examples / base.run.training.batch_size), 1)
    found = steps_of(Run(base.run, base.folder), per_epoch)
    steps = compare.steps or found.total
    return Budget(steps, min(arm.run.training.evaluate_every or found.between, steps))


def lasting(seconds: float, pace: float) -> Budget:
    """Return the budget of an arm whose steps take `pace` seconds each."""
    steps = max(int(seconds / pace), 1)
    return Budget(steps, max(ceil(steps / LOOKS), 1), seconds)


def seeds_of(base: LoadedConfig, compare: Compare) -> tuple[int, ...]:
    """Return the seeds that every arm is done with."""
    if isinstance(compare.seeds, int):
        first = base.run.training.seed
        return tuple((first + place) % 2**32 for place in range(compare.seeds))
    return compare.seeds
