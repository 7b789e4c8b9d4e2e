"""The prior guard: satisfying a rule by predicting one class must not pay.

Without it, pushing rules raises satisfaction and lowers accuracy, until one class is all that is predicted. The
guard is the divergence of the predicted label marginals m from a prior π, over what the last steps learnt from
(label regularisation: Mann & McCallum 2007, eq. 5), KL(π ‖ m) = sum_k π_k log(π_k / m_k).

Where the prior is only a guess, as of labels that were drawn evenly, only labels count that have become too rare:
sum_k π_k max(0, log(f π_k / m_k)) leaves a label alone until its share has fallen to f times what is expected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune.alignment import count
from triune.errors import PlanError, listed, nearest
from triune.events import Stepped
from triune.schedules import PositiveSchedule, Schedule
from triune.types import LossTerm, TermValues

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.events import Event
    from triune.examples import Examples
    from triune.spaces import OutputSpace
    from triune.types import Batch, Outputs, Step

SHARE = 0.1
"""How much one step's marginals count in the running ones: a batch alone is too small to hold every class."""

GUESSED = 0.1
"""The floor under a prior that is taken from labels which seem to have been drawn evenly: against collapse alone, as
nothing is known of the shares. At 0.3 a class of one message in eight, drawn as one in two, was held above them."""
EVEN = 1.25
"""The largest count of a label over the smallest, up to which labels seem so."""


class Guarded(BaseModel, frozen=True, extra="forbid"):
    """Settings of a method that pushes rules, and so needs a guard."""

    guard: PositiveSchedule = Field(
        default_factory=lambda: Schedule.constant(1.0),
        description="Weight of the prior guard, which keeps rules from being satisfied by predicting one class. "
        "0 leaves it out.",
    )
    prior: dict[str, float] | None = Field(
        None,
        description="How often each label is expected. null: as in the labelled training examples; without any, all "
        "labels alike, or no guard where several may hold at once.",
    )
    guard_floor: float | None = Field(
        None,
        gt=0,
        le=1,
        description="The guard acts on a label whose predicted share falls below this part of the expected one. "
        "null: 0.1 where the prior may be a guess, as one label of several is right and examples of each are there in "
        "even numbers (the most frequent at most 1.25 times the rarest), or none is; else 1, which holds marginals at "
        "the prior.",
    )


class Guard:
    """A loss term that keeps label marginals at a prior, and the running marginals that it remembers."""

    def __init__(self, prior: NDArray[np.float32], space: OutputSpace, floor: float = 1.0) -> None:
        """Begin at the prior, (labels,); `floor` is f of the module's formula."""
        import torch

        self.space, self.floor = space, floor
        self.prior = torch.from_numpy(prior)
        self.running = self.prior.clone()  # (labels,)
        self._next = self.running

    def term(self, name: str, weight: Schedule, note: str) -> LossTerm:
        """Return the loss term."""
        return LossTerm(name, self.marginals, weight=weight, of_means=self.divergence, note=note)

    def marginals(self, step: Step, batch: Batch, outputs: Outputs) -> TermValues:
        """Return (batch, labels) probabilities, of sequences (batch, tokens, tags), and what they count."""
        p = self.space.probabilities(outputs.scores)
        mask = p.new_ones(p.shape[:-1]) if outputs.mask is None else outputs.mask.to(p.dtype)
        return TermValues(p, mask)

    def divergence(self, step: Step, means: Tensor) -> Tensor:
        """Return the divergence of the running marginals, (), whose gradient is that of this step's, `means`."""
        running = self.running.to(means)
        smooth = (1 - SHARE) * running + SHARE * means.detach()
        self._next = smooth.cpu()
        m = (smooth + means - means.detach()).clamp(1e-6, 1 - 1e-6)  # the value of `smooth`, the gradient of `means`
        prior = self.prior.to(means)
        divergence = self._divergence(prior, m)
        if self.space.kind != "binaries":
            return divergence.sum()
        return (divergence + self._divergence(1 - prior, 1 - m)).sum() / len(prior)

    def _divergence(self, prior: Tensor, m: Tensor) -> Tensor:
        """Return (labels,) what each label adds; below a floor of 1 only what is too rare adds something."""
        each = (self.floor * prior / m).log()
        return prior * (each if self.floor == 1 else each.clamp(min=0))

    def commit(self) -> None:
        """Remember the marginals of the step that was done: call it when `Stepped` is told."""
        self.running = self._next

    def state_dict(self) -> dict[str, object]:
        """Return the running marginals."""
        return {"running": self.running}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take the running marginals back."""
        self.running = self._next = state["running"]


class MethodGuard:
    """The guard that a method has over a run, if its settings and the labels allow one, and what it remembers.

    A method makes one, contributes its terms, and hands on what it observes and what checkpoints keep:

    ```python
    self.guard = MethodGuard()
    yield from self.guard.terms("rules-prior", self.config, rules.space, train)  # in loss_terms
    self.guard.observe(event)                                                    # in observe
    return self.guard.state_dict()                                               # in state_dict, and load_state_dict
    ```
    """

    def __init__(self) -> None:
        """Begin without a guard."""
        self.found: Guard | None = None

    def made(self, settings: Guarded, space: OutputSpace, train: Examples) -> tuple[Guard | None, str]:
        """Make the guard, and return it with a sentence on it, as `guard_of` does, for a term of the method's own.

        Raises:
            PlanError: the stated prior is none.
        """
        self.found, said = guard_of(settings, space, train)
        return self.found, said

    def terms(self, name: str, settings: Guarded, space: OutputSpace, train: Examples) -> Iterator[LossTerm]:
        """Make the guard, and yield its term, where there is one.

        Raises:
            PlanError: the stated prior is none.
        """
        guard, said = self.made(settings, space, train)
        if guard:
            yield guard.term(name, settings.guard, said)

    def observe(self, event: Event) -> None:
        """Remember the marginals of a step that was done; other events are passed over."""
        if self.found and isinstance(event, Stepped):
            self.found.commit()

    def state_dict(self) -> dict[str, object]:
        """Return what is remembered; nothing without a guard."""
        return self.found.state_dict() if self.found else {}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take it back."""
        if self.found:
            self.found.load_state_dict(state)


def guard_of(settings: Guarded, space: OutputSpace, train: Examples) -> tuple[Guard | None, str]:
    """Return the guard of a method and a sentence on it; None where the settings or the labels allow none.

    Raises:
        PlanError: the stated prior names an unknown label, misses one, or holds no shares.
    """
    if settings.guard.is_constant and settings.guard.start == 0:
        return None, "no prior guard"
    even = not settings.prior and drawn_evenly(space, train)
    found = stated(settings.prior, space) if settings.prior else observed(space, train)
    if found is None:
        return None, "no prior guard, as no example has a label: state how often each label holds as prior"
    prior, said = found
    shares = ", ".join(f"{label} {share:.2f}" for label, share in zip(space.labels[:8], prior.tolist(), strict=False))
    floor = settings.guard_floor or (GUESSED if even else 1.0)
    more = ", …" if len(space.labels) > 8 else ""
    guess = ", which are even, so it may be a guess" if even and said.startswith("of") else ""
    kept = "held" if floor == 1 else f"guarded below {floor:g} of it"
    return Guard(prior, space, floor), f"prior {said}{guess}: {shares}{more}; {kept}"


def drawn_evenly(space: OutputSpace, train: Examples) -> bool:
    """Return whether labels are there in such even numbers that somebody may have drawn them so."""
    totals, decisions = train.label_totals()
    return space.kind == "categorical" and bool(totals.max(initial=0) <= EVEN * totals.min(initial=decisions))


def stated(prior: Mapping[str, float], space: OutputSpace, plugin: str = "") -> tuple[NDArray[np.float32], str]:
    """Return (labels,) the shares that the user states; `plugin` is whose setting it is, for messages.

    Raises:
        PlanError: an unknown label, one without a share, or what is no share.
    """
    import numpy as np

    where = f"{plugin}: prior" if plugin else "prior"
    known = [str(label) for label in space.labels]
    problems = [
        f"{where}: {name!r} is not a label of this task; labels: {listed(known)}{nearest(name, known)}"
        for name in prior
        if name not in known
    ]
    missing = [name for name in known if name not in prior]
    if missing:
        problems.append(f"{where}: no share for {listed(map(repr, missing))}: give one for every label")
    problems.extend(
        f"{where}: {name!r} has {share:g}, wanted above 0 and at most 1"
        for name, share in prior.items()
        if not 0 < share <= 1
    )
    if problems:
        raise PlanError(problems)
    shares = np.asarray([prior[name] for name in known], dtype=np.float32)
    if space.kind != "binaries" and abs(float(shares.sum()) - 1) > 0.01:
        raise PlanError([f"{where}: the shares add up to {shares.sum():.3f}, wanted 1: one label of several is right"])
    return (shares if space.kind == "binaries" else shares / shares.sum()).clip(1e-4, 1 - 1e-4), "as stated"


def observed(space: OutputSpace, train: Examples) -> tuple[NDArray[np.float32], str] | None:
    """Return (labels,) how often each label holds in the labelled examples, one added to each count.

    Without labels it is uniform where one of several is right, and unknown of tags and where each may hold or not.
    """
    import numpy as np

    several = space.kind == "binaries"
    totals, decisions = train.label_totals()
    if not decisions:
        even = np.full(len(space.labels), 1 / len(space.labels), dtype=np.float32)
        return (even, "uniform, as no example has a label") if space.kind == "categorical" else None
    smoothed = (totals + 1) / (decisions + (2 if several else len(space.labels)))
    return smoothed.astype(np.float32), f"of {count(decisions, 'label')}"
