"""The first pass over a configuration: which plugins it names, in which family, under which name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.catalog import KEYS, Catalog
from triune.documents import Document, dotted, found
from triune.errors import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triune.markup import Keys
    from triune.problems import Report


@dataclass(frozen=True, slots=True)
class Named:
    """A section after the first pass: which plugin it means, and what it says to it.

    Attributes:
        family: task, data, method or rule.
        where: where the section stands.
        use: the plugin's name.
        name: what the run calls it.
        settings: what is left for the plugin.
        use_at: where the plugin's name stands.
    """

    family: str
    where: Keys
    use: str
    name: str
    settings: dict[str, object]
    use_at: Keys


def named_sections(document: Document, catalog: Catalog, report: Report) -> Iterator[Named]:
    """Yield every section that at least says which plugin it means; the first pass."""
    for family, key in KEYS.items():
        raw = document.data.get(key)
        if raw is None or raw == []:
            if key in ("task", "data"):
                report.add((key,), f"missing key {key!r}: {_offer(catalog, family)}")
        elif not isinstance(raw, list):
            yield from _section(family, (key,), raw, catalog, report)
        elif key == "task":
            report.add((key,), "found a list, wanted one plugin")
        else:
            for n, item in enumerate(raw):
                yield from _section(family, (key, n), item, catalog, report)


def _offer(catalog: Catalog, family: str) -> str:
    names = [entry.name for entry in catalog if entry.family == family and entry.status == "available"]
    return f"it names a {family} plugin; installed: {listed(names) or 'none'}"


def _section(family: str, where: Keys, raw: object, catalog: Catalog, report: Report) -> Iterator[Named]:
    if isinstance(raw, str) and raw:
        yield Named(family, where, raw, raw, {}, where)
        return
    if not isinstance(raw, dict):
        report.add(where, f"found {found(raw)}, wanted a plugin: its name, or a mapping with 'use'")
        return
    settings = {key: value for key, value in raw.items() if key not in ("use", "name")}
    if "use" not in raw:
        report.add((*where, "use"), f"missing key 'use': {_offer(catalog, family)}")
        return
    wrong = [key for key in ("use", "name") if raw.get(key) is not None or key == "use"]
    wrong = [key for key in wrong if not (isinstance(raw[key], str) and raw[key])]
    for key in wrong:
        report.add((*where, key), f"found {found(raw[key])}, wanted a name")
    if not wrong:
        yield Named(family, where, raw["use"], raw.get("name") or raw["use"], settings, (*where, "use"))


def check_names(sections: list[Named], catalog: Catalog, report: Report) -> None:
    """Names tell plugins apart in messages, histories and checkpoints, so a run has each once."""
    first: dict[str, Named] = {}
    for section in sections:
        if section.use in catalog.names(list(KEYS)) and section.use not in catalog.names(section.family):
            continue  # a plugin in the wrong place, which is told as that
        other = first.setdefault(section.name, section)
        if other is not section:
            taken = f"{section.name!r} is already the name of {dotted(other.where)}"
            report.add(section.use_at, f"{taken}; give this one a 'name:' of its own")
