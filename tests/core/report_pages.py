"""What tests of reports read pages with: a strict parser, and the checks that every page must pass."""

import re
from itertools import pairwise
from pathlib import Path

import html5lib

STYLE = Path(__file__).parents[2] / "core" / "triune" / "report" / "templates" / "style.css"


def page_of(html):
    """Return a page parsed strictly, having seen that it is whole: ids, links, heads of tables, names of figures."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    root = parser.parse(html)
    ids = [one.get("id") for one in root.iter() if one.get("id")]
    assert len(ids) == len(set(ids)), "an id stands twice"
    links = [value[1:] for one in root.iter() for name, value in one.items() if name.endswith("href")]
    assert set(links) <= set(ids), "a link leads nowhere, or out of the page"
    assert not re.search(r"""(src|href)=["'](?!#)|@import|url\((?!#)""", html), "something is fetched"
    for table in root.iter("table"):
        heads = list(table.find("thead").iter("th"))
        assert all(head.get("scope") == "col" for head in heads) and table.find("caption") is not None
        for row in table.find("tbody"):
            assert sum(int(cell.get("colspan", 1)) for cell in row) == len(heads), "".join(row.itertext())
    for figure in root.iter("figure"):
        assert figure.find("div").get("role") == "img" and figure.find("div").get("aria-label")
    levels = [int(one.tag[1]) for one in root.iter() if re.fullmatch(r"h\d", str(one.tag))]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels)), "a heading is skipped"
    return root


def text_of(element):
    """Return the words of an element, blanks drawn together."""
    return " ".join("".join(element.itertext()).split())


def section(root, name):
    """Return the words of a section of a page, None where it is not there."""
    return next((text_of(one) for one in root.iter() if one.get("id") == name), None)


def tables(root):
    """Return the tables of a page by their captions: rows of cells."""
    return {
        text_of(one.find("caption")): [[text_of(cell) for cell in row] for row in one.iter("tr")]
        for one in root.iter("table")
    }
