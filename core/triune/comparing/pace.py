"""How long a step of each arm takes, measured in a short run of it: for comparisons that last seconds, not steps."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from triune.comparing.jobs import PACE
from triune.comparing.scene import fresh
from triune.events import Stepped
from triune.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from triune.comparing.arms import Entrant
    from triune.events import Event

STEPS = 12
"""Steps of the short run, of which the first is not counted."""


def paces_of(
    arms: Sequence[Entrant], folder: Path, frames: Mapping[str, pd.DataFrame] | None, workers: int
) -> dict[str, float]:
    """Return the seconds that a step takes, by arm; those that were measured before are kept, as runs depend on them.

    Raises:
        TriuneError: a run of an arm cannot even begin.
    """
    import torch

    from triune.machine import threads

    known = _known(folder / PACE)
    with threads(max(torch.get_num_threads() // workers, 1)):
        measured = {one.name: known.get(one.name) or _measured(one, frames) for one in arms}
    write_json(folder / PACE, {**known, **measured})
    return measured


def _known(path: Path) -> dict[str, float]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): value for name, value in found.items() if isinstance(value, float) and value > 0}


def _measured(arm: Entrant, frames: Mapping[str, pd.DataFrame] | None) -> float:
    from triune.runs import carried_out

    seconds: list[float] = []

    def observe(event: Event) -> None:
        if isinstance(event, Stepped):
            seconds.append(event.seconds)

    short = {"epochs": float(STEPS), "max_steps": STEPS, "evaluate_every": STEPS, "checkpoint_every": STEPS}
    loaded = fresh(arm.loaded)
    training = loaded.run.training.model_copy(update={**short, "baselines": False, "early_stopping": None})
    run = loaded.run.model_copy(update={"training": training, "output": None, "compare": None})
    try:
        with tempfile.TemporaryDirectory() as place:
            carried_out(replace(loaded, run=run), Path(place) / "run", data=frames, observers=[observe])
    except Exception as error:
        error.add_note(f"raised while the pace of arm {arm.name!r} was measured")
        raise
    return max(mean(seconds[1:] or seconds), 1e-6)
