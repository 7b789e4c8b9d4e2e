"""The model card of a run: what the model does, how it was made, how good it is, how to load it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from triune.alignment import count
from triune.data import SPLITS
from triune.errors import listed
from triune.hookspecs import RunLifecycle

if TYPE_CHECKING:
    from triune.prepared import Prepared
    from triune.types import JSON


def model_card(prepared: Prepared, metrics: Mapping[str, JSON], facts: Mapping[str, JSON]) -> str:
    """Return the card as Markdown with the front matter that model hubs read."""
    return "\n".join(_lines(prepared, metrics, facts)) + "\n"


def _lines(prepared: Prepared, metrics: Mapping[str, JSON], facts: Mapping[str, JSON]) -> Iterator[str]:
    plan, bundle = prepared.plan, prepared.opened.bundle
    ended = facts["ended"]
    assert isinstance(ended, Mapping)
    yield from ("---", "library_name: transformers", "tags: [triune]", "---", "", "# Model card", "")
    yield f"A {plan.model} of {plan.parameters:,} parameters, of which {plan.trainable:,} were trained,"
    yield f"that predicts {_kind(bundle.space.kind)} of: {listed(bundle.space.labels, 40)}."
    yield from ("", "## Load it", "", "```python", "import transformers", f"classify = {bundle.usage}", "```")
    yield from ("", "## How good it is", "")
    yield from _table(metrics)
    yield from ("", f"The model was chosen by {ended['chosen_by']}.")
    if ended["collapsed"]:
        yield from ("", f"**Warning:** {ended['collapsed']}.")
    yield from ("", "## How it was made", "")
    yield f"Trained for {ended['step']} of {ended['of']} steps ({ended['because']}) by:"
    yield from ("", *(f"- {row.name} ({row.family}; {row.distribution} {row.version})" for row in plan.plugins), "")
    yield "Data:"
    yield from (
        "",
        *(f"- {split}: {count(table.rows, 'example')} from {table.source}" for split, table in plan.tables.items()),
        "",
    )
    yield "The configuration, seeds, versions and fingerprints are in `run.json`; `metrics.json` has every figure."
    if plan.rules:
        yield from ("", "## Rules", "", f"The run knew the rules {listed(plan.rules)}.")
        yield "Plain `transformers` applies none of them."
        yield from _rules(metrics)
    opened = prepared.opened
    said = [paragraph for _, paragraph in opened.hooks.collect(RunLifecycle.describe_model, run=opened.run)]
    if said:
        yield from ("", "## What to know", "")
        yield "\n\n".join(said)


def _rules(metrics: Mapping[str, JSON]) -> Iterator[str]:
    """Yield how far rules are kept, and the run beside its projection and its baselines, as they are printed."""
    from triune.rule_table import NOT_MEASURED, beside_lines, rule_lines

    for split in ("test", "valid", "train"):
        if isinstance(one := metrics.get(split), Mapping):
            lines = [*rule_lines(split, one), *beside_lines(metrics)]
            yield from ("", "```text", *lines[1:], "```")
            if said := one.get(NOT_MEASURED):
                yield from ("", f"Of the {split} table {said}." if split != "train" else f"{said}.")
            return


def _kind(space: str) -> str:
    return {"categorical": "one", "binaries": "any number", "tags": "for each token one"}.get(space, space)


def _table(metrics: Mapping[str, JSON]) -> Iterator[str]:
    splits = {split: values for split, values in metrics.items() if isinstance(values, Mapping) and split in SPLITS}
    names = dict.fromkeys(
        name for values in splits.values() for name, value in values.items() if isinstance(value, float)
    )
    if not names:
        yield "No table with labels was set aside, so quality was not measured."
        return
    yield "| metric | " + " | ".join(splits) + " |"
    yield "|---|" + "---:|" * len(splits)
    for name in names:
        cells = (values.get(name) for values in splits.values())
        yield f"| {name} | " + " | ".join(f"{cell:.4f}" if isinstance(cell, float) else "" for cell in cells) + " |"
