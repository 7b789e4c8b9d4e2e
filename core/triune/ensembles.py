"""Several finished runs as one: the mean of what they believe, such as of the seeds of one configuration.

With few labels a model is several points better or worse by its seed alone, and nobody knows which is which; the mean
of their probabilities is as good as the better ones (Lakshminarayanan et al. 2017).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from triune.errors import OutputError
from triune.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor

    from triune.spaces import OutputSpace
    from triune.types import Batch, Outputs

    OutputsOf = Callable[[Batch], Outputs]


def members_of(folder: Path) -> tuple[Path, ...]:
    """Return the folder of a finished run as it is, or those of the finished runs in it, by name.

    Raises:
        OutputError: the runs do not belong together: another task, another model, other labels, plugins or rules.
    """
    if Folder(folder).finished or not folder.is_dir():
        return (folder,)
    members = tuple(one for one in sorted(folder.iterdir()) if one.is_dir() and Folder(one).finished)
    for one in members[1:]:
        for what in ("space", "task", "roles", "plugins", "rules"):
            if _said(members[0], what) != _said(one, what):
                raise OutputError(
                    f"{str(folder)!r} holds finished runs that cannot be asked together: {members[0].name!r} and "
                    f"{one.name!r} differ in their {what}; give the folder of one of them"
                )
    return members or (folder,)


def _said(member: Path, what: str) -> object:
    facts = Folder(member).facts()
    config, plugins = facts["config"], facts.get("plugins")
    if what == "task" and isinstance(config, dict):
        return config.get("task")
    if what == "plugins" and isinstance(plugins, list):
        return [one.get("name") for one in plugins if isinstance(one, dict)]
    return facts.get(what)


def together(members: Sequence[OutputsOf], space: OutputSpace) -> OutputsOf:
    """Return what says, of a batch, the mean of the members' probabilities as scores.

    Where a structure decides the members' answers, the answer is that of the member which the mean finds likeliest: a
    mean of answers that keep hard rules need not keep them.
    """
    if len(members) == 1:
        return members[0]

    def outputs_of(batch: Batch) -> Outputs:
        return _mean([member(batch) for member in members], space)

    return outputs_of


def _mean(each: Sequence[Outputs], space: OutputSpace) -> Outputs:
    import torch

    p = torch.stack([space.probabilities(one.scores) for one in each]).mean(0).double().clamp(1e-12, 1 - 1e-12)
    scores = (p.logit() if space.kind == "binaries" else p.log()).to(each[0].scores.dtype)
    decided = [one.decided for one in each if one.decided is not None]
    chosen = _likeliest(torch.stack(decided), scores, each[0].mask, space) if len(decided) == len(each) else None
    return replace(each[0], scores=scores, decided=chosen, hidden=None, free=None)


def _likeliest(decided: Tensor, scores: Tensor, mask: Tensor | None, space: OutputSpace) -> Tensor:
    """Return (batch, …) of answers (members, batch, …) the likeliest of each example."""
    import torch

    likelihoods = []
    for answer in decided:
        found = space.log_likelihood(scores, answer.float())  # (batch,), (batch, classes) or (batch, tokens)
        found = found if mask is None else found * mask
        likelihoods.append(found.flatten(1).sum(1) if found.ndim > 1 else found)
    best = torch.stack(likelihoods).argmax(0)  # (batch,)
    return decided[best, torch.arange(decided.shape[1], device=decided.device)]
