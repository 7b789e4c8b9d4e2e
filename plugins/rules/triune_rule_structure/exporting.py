"""What goes with an exported model: the rules that it does not carry itself, and how to keep them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from triune.errors import listed

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from triune_rule_structure.structure import Structure

FILE = "constraints.json"


def write(structure: Structure, transitions: nn.Parameter | None, folder: Path) -> None:
    """Write the rules as data, and the scores of neighbouring tags where they were learnt."""
    from triune_rule_structure.transitions import FILE as SCORES
    from triune_rule_structure.transitions import save

    space = structure.seated.grounded.space
    assert space is not None
    facts = {
        "kind": space.kind,
        "labels": list(space.labels),
        "holds by": structure.form.said,
        "rules": [
            {"name": rule.name, "when": str(rule.when), "then": str(rule.then), "python": repr(rule.then)}
            for rule in structure.rules
        ],
        "transitions": SCORES if transitions is not None else None,
    }
    (folder / FILE).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if transitions is not None:
        save(transitions, folder)


def paragraph(structure: Structure, *, learned: bool) -> str:
    """Return what the model's card says of the constraints."""
    names = listed([repr(rule.name) for rule in structure.rules], 12)
    beside = " The learned transitions lie beside it, in `transitions.safetensors`." if learned else ""
    return (
        f"The hard rules {names} held in training and hold in every prediction of `triune predict` and `triune "
        f"evaluate`, by {structure.form.said}. The weights do not carry them: plain `transformers` gives the scores "
        "before they act, so that its answers can break rules. `constraints.json` beside the model states them."
        f"{beside} A run is opened again with the rule files that it was trained with, and refuses others."
    )
