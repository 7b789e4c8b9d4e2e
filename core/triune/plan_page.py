"""The plan as a page to read, as a few lines before a run begins, and as JSON."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING

from triune.alignment import aligned, bar, count, shortened, size, wrapped
from triune.errors import listed
from triune.frozen import described, plain
from triune.schedules import Schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triune.optimisation import Group
    from triune.planning import Plan, Table
    from triune.schedules import Weight
    from triune.types import JSON, ParameterInfo

MOST_LABELS = 12
MOST_RULES = 12
BAR = 30


def page(plan: Plan) -> str:
    """Return everything that a run will do, at most 100 columns wide."""
    parts = (_plugins, _data, _model, _frozen, _losses, _rules, _steps, _memory, _machine, _writes, _notes)
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part(plan)))) + "\n"


def brief(plan: Plan) -> str:
    """Return the plan in a few lines."""
    tables = " · ".join(f"{split} {table.rows:,}" for split, table in plan.tables.items())
    train = plan.tables.get("train")
    classes = f", {count(len(train.distribution), 'label')}" if train and train.distribution else ""
    share = "all train" if plan.trainable == plan.parameters else f"{plan.trainable:,} train"
    counted = [(plan.machine.get("processes"), "process", 1), (plan.machine.get("threads"), "thread", 0)]
    machine = ", ".join(
        [
            *(f"{value}" for name, value in plan.machine.items() if name not in ("processes", "threads")),
            *(count(number, what) for number, what, least in counted if isinstance(number, int) and number > least),
        ]
    )
    rows = [
        ("data", f"{tables} examples{classes}"),
        ("model", f"{plan.model}, {plan.parameters:,} parameters, {share}"),
        ("plugins", listed(f"{row.name} {row.version}".strip() for row in plan.plugins)),
        ("loss", listed(f"{name} × {weight_of(plan, name)}" for name in plan.terms)),
        *([("rules", _seats(plan))] if plan.acting else []),
        ("steps", _length(plan)),
        ("machine", machine),
        ("memory", f"about {size(sum(asdict(plan.memory).values()))}"),
    ]
    if plan.writes:
        rows.append(("output", str(plan.writes[0].parent)))
    return "\n".join(line for name, text in rows for line in wrapped(text, "", f"{name:8} "))


def as_json(plan: Plan) -> dict[str, JSON]:
    """Return the plan as plain values."""
    memory: dict[str, JSON] = {**asdict(plan.memory), "total": sum(asdict(plan.memory).values())}
    return {
        "plugins": [asdict(row) for row in plan.plugins],
        "tables": {split: _plain_table(table) for split, table in plan.tables.items()},
        "model": {
            "name": plan.model,
            "parameters": plan.parameters,
            "trainable": plan.trainable,
            "blocks": plan.layout.blocks,
        },
        "groups": [_plain_group(group, plan.training.weight_decay) for group in plan.groups],
        "loss": {
            "terms": {
                name: {
                    "owner": owner,
                    "weight": _plain_weight(term.weight),
                    "replaces": list(term.replaces),
                    "scales": {other: _plain_weight(by) for other, by in term.scales.items()},
                    "note": term.note,
                }
                for name, (owner, term) in plan.terms.items()
            },
            "composer": plan.composer,
        },
        "optimizer": plan.optimizer,
        "frozen": plain(plan.prefix) if plan.prefix else None,
        "rules": list(plan.rules),
        "acting": [
            {**asdict(rule), "acts": [{"seat": seat, "plugin": plugin} for seat, plugin in rule.acts]}
            for rule in plan.acting
        ],
        "steps": asdict(plan.steps),
        "training": plan.training.model_dump(mode="json"),
        "memory": memory,
        "machine": dict(plan.machine),
        "writes": [str(path) for path in plan.writes],
        "notes": list(plan.notes),
    }


def summary(plan: Plan, groups: Sequence[Group]) -> dict[str, JSON]:
    """Return what of a plan one wants to know of a finished run; `groups` are in the windows that they had."""
    whole = as_json(plan)
    return {
        "tables": whole["tables"],
        "model": whole["model"],
        "groups": [
            {
                "where": f"{_where(group, plan)}{'' if group.decays else ' (no weight decay)'}",
                "elements": group.elements,
                "windows": [
                    {"start": window.start, "stop": window.stop, "lr_scale": window.lr_scale}
                    for window in group.windows
                ],
            }
            for group in groups
        ],
        "terms": [
            {"name": name, "owner": owner, "weight": weight_of(plan, name)} for name, (owner, _) in plan.terms.items()
        ],
        "composer": plan.composer,
        "optimizer": plan.optimizer,
        "steps": whole["steps"],
    }


def _plain_table(table: Table) -> dict[str, JSON]:
    plain: dict[str, JSON] = {**asdict(table), "distribution": dict(table.distribution)}
    return plain


def _plain_group(group: Group, decay: float) -> dict[str, JSON]:
    return {
        "names": list(group.names),
        "elements": group.elements,
        "weight_decay": decay if group.decays else 0.0,
        "windows": [asdict(window) for window in group.windows],
    }


def _plain_weight(weight: Weight) -> JSON:
    if not isinstance(weight, Schedule):
        return str(weight)
    plain: dict[str, JSON] = weight.model_dump(mode="json", by_alias=True)
    return weight.start if weight.is_constant else plain


def _plugins(plan: Plan) -> Iterator[str]:
    yield "Plugins"
    rows = [
        (
            shortened(row.name, 26),
            row.family,
            shortened(f"{row.distribution} {row.version}".strip(), 36),
            f"sha256 {row.sha256[:12]}" if row.sha256 else "",
        )
        for row in plan.plugins
    ]
    yield from aligned(rows, indent="  ")


def _data(plan: Plan) -> Iterator[str]:
    yield "Data"
    head = ("table", "examples", "labelled", "tokens", "longest", "from")
    rows = [
        (split, f"{one.rows:,}", f"{one.labelled:,}", f"{one.tokens:,}", f"{one.longest:,}", shortened(one.source, 48))
        for split, one in plan.tables.items()
    ]
    yield from aligned([head, *rows], right=(1, 2, 3, 4), indent="  ")
    train = plan.tables.get("train")
    if train and train.distribution:
        yield ""
        yield "  labels of train"
        yield from _distribution(train.distribution)


def _distribution(counts: Mapping[str, int]) -> Iterator[str]:
    most, total = max(counts.values()), sum(counts.values())
    shown = list(itertools.islice(counts.items(), MOST_LABELS))
    rows = [
        (shortened(label, 32), f"{number:,}", f"{100 * number / total:.1f} %", bar(number / most, BAR))
        for label, number in shown
    ]
    yield from aligned(rows, right=(1, 2), indent="    ")
    rest = list(counts.values())[MOST_LABELS:]
    if rest:
        yield f"    … and {count(len(rest), 'more label')}, {min(rest):,} to {max(rest):,} times each"


def _model(plan: Plan) -> Iterator[str]:
    share = 100 * plan.trainable / max(plan.parameters, 1)
    yield f"Model: {plan.model}, {plan.parameters:,} parameters in {count(plan.layout.blocks, 'block')}"
    yield f"  {plan.trainable:,} train ({share:.1f} %), {plan.parameters - plan.trainable:,} never do"
    head = ("group", "parameters", "tensors", "weight decay", "trains at (× learning rate)")
    decay = f"{plan.training.weight_decay:g}"
    rows = [head]
    for group in plan.groups:
        first, *others = group.windows
        place = shortened(_where(group, plan), 44)
        rows.append((place, f"{group.elements:,}", f"{len(group.names)}", decay if group.decays else "0", str(first)))
        rows.extend(("", "", "", "", str(window)) for window in others)
    yield from aligned(rows, right=(1, 2), indent="  ")


def _frozen(plan: Plan) -> Iterator[str]:
    if plan.prefix:
        yield from described(plan.prefix)


def _where(group: Group, plan: Plan) -> str:
    """Return where a group sits: "outside blocks, blocks 0–5, head", with its owner where there are several."""
    names = set(group.names)
    members = [one for one in plan.layout.parameters if one.name in names]
    places = [
        "outside blocks" if any(one.depth is None and not one.head for one in members) else "",
        _blocks({one.depth for one in members if one.depth is not None and not one.head}),
        "head" if any(one.head for one in members) else "",
    ]
    return _owners(members, plan) + ", ".join(filter(None, places))


def _blocks(depths: set[int]) -> str:
    """Return the numbers of blocks, runs of them drawn together: "blocks 0–3, 5"."""
    runs: list[list[int]] = []
    for depth in sorted(depths):
        if runs and runs[-1][-1] == depth - 1:
            runs[-1].append(depth)
        else:
            runs.append([depth])
    said = ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)
    return f"block{'s' if len(depths) > 1 else ''} {said}" if runs else ""


def _owners(members: list[ParameterInfo], plan: Plan) -> str:
    if len({one.owner for one in plan.layout.parameters}) == 1:
        return ""
    return f"{listed(dict.fromkeys(one.owner for one in members), 3)}: "


def weight_of(plan: Plan, name: str) -> str:
    """Return the weight of a term with what other terms scale it by: "1 × (1 − 0.5)"."""
    scales = [f" × ({term.scales[name]})" for _, term in plan.terms.values() if name in term.scales]
    return "".join([str(plan.terms[name][1].weight), *scales])


def _losses(plan: Plan) -> Iterator[str]:
    yield "Loss"
    rows = [("term", "weight", "from plugin")]
    for name, (owner, term) in plan.terms.items():
        instead = f", instead of {listed(term.replaces)}" if term.replaces else ""
        rows.append((shortened(name, 24), shortened(weight_of(plan, name), 40), f"{owner}{instead}"))
    yield from aligned(rows, indent="  ")
    for name, (_, term) in plan.terms.items():
        if term.note:
            yield from wrapped(term.note, "  ", f"{name}: ")
    composer = f"plugin {plan.composer!r}" if plan.composer else "their sum"
    yield f"  composed by: {composer}"


def _rules(plan: Plan) -> Iterator[str]:
    if not plan.acting:
        return
    yield f"Rules: {_seats(plan)}"
    rows = [("rule", "says", "confidence", "acts in (plugin)")]
    for rule in plan.acting[:MOST_RULES]:
        seats = ", ".join(f"{seat} ({plugin})" for seat, plugin in rule.acts) or "the report alone"
        rows.append((shortened(rule.name, 26), shortened(rule.says, 26), rule.trust, seats))
    yield from aligned(rows, indent="  ")
    if len(plan.acting) > MOST_RULES:
        yield f"  … and {count(len(plan.acting) - MOST_RULES, 'more rule')}"


def _seats(plan: Plan) -> str:
    """Return how many rules act in each seat, and by which plugin."""
    numbers = Counter(act for rule in plan.acting for act in rule.acts)
    idle = sum(not rule.acts for rule in plan.acting)
    said = [f"{number:,} in the {seat} ({plugin})" for (seat, plugin), number in numbers.items()]
    return ", ".join([*said, *([f"{idle:,} in the report alone"] if idle else [])])


def _steps(plan: Plan) -> Iterator[str]:
    optimizer = f"of plugin {plan.optimizer!r}" if plan.optimizer else "AdamW"
    yield from wrapped(_length(plan), "", "Steps: ")
    training = plan.training
    clip = "no clipping" if training.clip is None else f"gradient clipped at {training.clip:g}"
    yield f"  optimiser: {optimizer}; {clip}"
    yield (
        f"  learning rate: up to {training.learning_rate:g}, warm-up {count(plan.steps.warmup, 'step')}, "
        f"then {training.schedule}"
    )
    if training.early_stopping:
        stop = training.early_stopping
        yield f"  stops early: after {count(stop.patience, 'evaluation')} without a better {stop.metric}"
        begins = [one.start for group in plan.groups for one in group.windows if one.since is None]
        if any(begins):
            yield (
                f"    that may be before step {max(begins)}, at which the last part thaws: "
                "training.early_stopping: null goes on to the end"
            )


def _length(plan: Plan) -> str:
    steps = plan.steps
    parts = f" in {steps.accumulate} parts" if steps.accumulate > 1 else ""
    epochs = f"{steps.epochs:.3g} epoch{'' if steps.epochs == 1 else 's'}"
    return f"{steps.total:,} ({epochs} × {steps.per_epoch:,}), {count(steps.batch, 'example')} each{parts}"


def _memory(plan: Plan) -> Iterator[str]:
    values = asdict(plan.memory)
    yield f"Memory: about {size(sum(values.values()))}, besides what Python and torch take"
    names = {"optimizer": "optimiser", "cache": "cache of frozen blocks"}
    rows = [(names.get(name, name), size(value)) for name, value in values.items() if value]
    yield from aligned(rows, right=(1,), indent="  ")


def _machine(plan: Plan) -> Iterator[str]:
    yield "Machine: " + ", ".join(f"{name} {value}" for name, value in plan.machine.items())


def _writes(plan: Plan) -> Iterator[str]:
    if plan.writes:
        yield from wrapped(str(plan.writes[0].parent), "", "Writes into ")
        yield "  " + ", ".join(path.name for path in plan.writes)


def _notes(plan: Plan) -> Iterator[str]:
    if plan.notes:
        yield "Notes"
        for note in plan.notes:
            yield from wrapped(note, "  ", "- ")
