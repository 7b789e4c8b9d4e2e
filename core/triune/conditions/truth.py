"""What asking a condition gives: true, false, or no answer, for each example of a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import TriuneError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Grounding:
    """On which examples a condition holds.

    Attributes:
        fires: (examples,) whether it holds.
        abstains: (examples,) whether it could not be asked; never both.
        reason: why it abstained, of the first example where it did.
    """

    fires: NDArray[np.bool_]
    abstains: NDArray[np.bool_]
    reason: str = ""

    @classmethod
    def of(cls, truths: Iterable[bool | None], reason: str = "") -> Grounding:
        """Return the grounding of one truth an example; None abstains."""
        import numpy as np

        codes = np.fromiter((2 if one is None else one for one in truths), dtype=np.int8)
        return cls(codes == 1, codes == 2, reason)

    @classmethod
    def sure(cls, fires: NDArray[np.bool_]) -> Grounding:
        """Return the grounding of a condition that abstains nowhere."""
        import numpy as np

        return cls(fires, np.zeros(len(fires), dtype=np.bool_))


def attempted(texts: Sequence[str], ask: Callable[[str], bool], stop_after: int | None = None) -> Grounding:
    """Ask of every text; where asking raises, abstain.

    Args:
        texts: the texts.
        ask: whether the condition holds.
        stop_after: after so many failures, abstain on all texts that follow; None: never.

    Raises:
        TriuneError: asking raised one, which is its reader's to mend.
    """
    truths: list[bool | None] = []
    failed, reason = 0, ""
    for text in texts:
        try:
            truths.append(ask(text))
        except TriuneError:
            raise
        except Exception as error:
            failed += 1
            truths.append(None)
            reason = reason or _said(error)
            if failed == stop_after:
                reason += f"; after {failed} of these, not asked any more"
                truths.extend([None] * (len(texts) - len(truths)))
                break
    return Grounding.of(truths, reason)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
