"""How far a run is, and what an evaluation makes of that: whether it has the best model so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

from triune.selection import Standing, is_better


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is."""

    step: int = 0
    evaluated: int = 0  # the step of the last evaluation
    saved: int = 0  # the step of the last checkpoint
    best: float | None = None
    best_step: int = 0
    best_loss: float = 0.0  # the log loss of that model, which decides among ties of a tiny validation table
    highest: float | None = None  # the best value of all evaluations
    disappointments: int = 0  # evaluations in a row that were no better
    ended: tuple[int, ...] = ()  # the steps at which phases ended
    seconds: float = 0.0  # spent learning, over all resumes
    evaluating: float = 0.0  # seconds spent so before the last resume
    caching: float = 0.0  # seconds spent computing frozen blocks once and for all, over all resumes
    spread: bool = False  # whether an evaluation has seen several labels predicted
    collapsed: str = ""  # what was said when one label took over
    chooser: str = ""  # the plugin that has decided between two models


def judged(
    progress: Progress, decided: bool | None, value: float | None, loss: float, labelled: int, margin: float
) -> tuple[Progress, bool]:
    """Return the progress after an evaluation, and whether it is of the best model so far.

    Args:
        progress: of the run before.
        decided: what a plugin decides; None leaves it to the metric.
        value: the metric, None where it is not measured.
        loss: the log loss.
        labelled: how many examples of the validation table have a label.
        margin: how much better a value must be to count.
    """
    if value is None and decided is None:
        return progress, False  # without labels nothing is measured, and nothing disappoints
    new = Standing(value or 0.0, loss)
    rises, better = (decided, decided) if decided is not None else _rises(progress, new, labelled, margin)
    values = [one for one in (progress.highest, value) if one is not None]
    after = replace(
        progress,
        highest=max(values, default=None),
        disappointments=0 if rises else progress.disappointments + 1,
    )
    return (replace(after, best=value, best_loss=loss, best_step=progress.step) if better else after), better


def _rises(progress: Progress, new: Standing, labelled: int, margin: float) -> tuple[bool, bool]:
    """Return whether the metric is higher than ever, and whether the model is better than the best so far."""
    if progress.best is None or progress.highest is None:
        return True, True
    old = Standing(progress.best, progress.best_loss)
    return new.value > progress.highest + margin, is_better(new, old, progress.highest, labelled, margin)
