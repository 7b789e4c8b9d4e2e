"""Mistakes in the tables that a run learns from, and what looks like one and is none."""

import gzip

from tests.acceptance.bad_input.workshop import TRAIN, Case


def spoilt(name, train, *says, problems=1, edits=(), code=2):
    """Return a case whose training table is `train`."""
    return Case(name, says, files={"train.csv": train}, problems=problems, edits=edits, code=code)


def jsonl(name, train, *says, problems=1):
    """Return a case whose training table is JSON lines."""
    return Case(name, says, edits=(("train.csv", "train.jsonl"),), files={"train.jsonl": train}, problems=problems)


GOOD = '{"text": "my card", "label": "card"}\n{"text": "a transfer", "label": "transfer"}\n'
WEIGHTS = (("label: label", "label: label\n  weight: weight"),)
ROWS = TRAIN.splitlines(keepends=True)

FILES = [
    Case(
        "no training file",
        ("trian.csv: no such file", "did you mean 'train.csv'?"),
        edits=(("train: train.csv", "train: trian.csv"),),
    ),
    Case("no training table", ("data.train: no training table is given",), edits=(("  train: train.csv\n", ""),)),
    Case(
        "no folder of the file", ("no such file", "no folder"), edits=(("train: train.csv", "train: gone/train.csv"),)
    ),
    Case(
        "folder for a file",
        ("tables: a folder", "files in it: a.csv"),
        edits=(("train: train.csv", "train: tables"),),
        files={"tables/a.csv": TRAIN},
    ),
    Case(
        "ending that says nothing",
        ("'.xlsx' does not say how the file is written", "data.format"),
        edits=(("train: train.csv", "train: t.xlsx"),),
        files={"t.xlsx": b"PK"},
    ),
    Case(
        "all files missing at once",
        ("a.csv: no such file", "b.csv: no such file"),
        edits=(("train: train.csv", "train: a.csv"), ("test: test.csv", "test: b.csv")),
        problems=2,
    ),
    Case(
        "gzip that is none",
        ("t.csv.gz",),
        edits=(("train: train.csv", "train: t.csv.gz"),),
        files={"t.csv.gz": b"\x1f\x8b\x08no gzip at all"},
    ),
    Case(
        "gzip cut short",
        ("t.csv.gz: the gzip file is damaged",),
        edits=(("train: train.csv", "train: t.csv.gz"),),
        files={"t.csv.gz": gzip.compress(TRAIN.encode())[:-20]},
    ),
    Case(
        "Parquet that is none",
        ("t.parquet: no Parquet file",),
        edits=(("train: train.csv", "train: t.parquet"),),
        files={"t.parquet": TRAIN},
    ),
    Case(
        "empty Parquet",
        ("t.parquet: the file is empty",),
        edits=(("train: train.csv", "train: t.parquet"),),
        files={"t.parquet": b""},
    ),
]

DELIMITED = [
    spoilt("empty training file", "", "train.csv: the file is empty"),
    spoilt("blank file", "\n\n  \n", "train.csv: the file holds nothing but blanks"),
    spoilt("header only", "text,label\n", "train.csv: a header and no examples"),
    spoilt("semicolons", TRAIN.replace(",", ";"), "train.csv:1", "semicolons"),
    spoilt(
        "no column for the text",
        TRAIN.replace("text,label", "texts,label", 1),
        "train.csv: no column 'text' for the text",
        "did you mean 'texts'?",
        "data.text",
    ),
    spoilt(
        "no column for the label",
        TRAIN.replace("text,label", "text,intent", 1),
        "train.csv: no column 'label' for the label",
        "columns: text, intent",
        "data.label",
    ),
    spoilt("no header", "".join(ROWS[1:]), "no column 'text'", "no column 'label'", problems=2),
    spoilt("duplicate column", "text,label,text\na,b,c\n", "train.csv: column 'text' stands there twice"),
    spoilt("column without a name", ",text,label\n0,a,b\n1,c,d\n", "train.csv: column 1 has no name", "index=False"),
    spoilt("too many cells", TRAIN + "one, two,card\n", "train.csv:10: 3 cells, and the header has 2"),
    spoilt("too few cells", TRAIN + "only a text\n", "train.csv:10: 1 cell, and the header has 2"),
    spoilt("many broken rows", TRAIN + "a,b,c\n" * 20, "train.csv:10", "and 15 more", problems=6),
    spoilt(
        "unclosed quote", TRAIN + '"never closed,card\nmore,card\n', "train.csv:10: a quoted cell", "data.quote: null"
    ),
    spoilt("Latin-1", (TRAIN + "café,card\n").encode("latin-1"), "train.csv:10: byte 0xE9", "'utf-8'", "latin-1"),
    spoilt("UTF-16", TRAIN.encode("utf-16"), "train.csv:1", "utf-16", "data.encoding"),
    spoilt("UTF-16 without mark", TRAIN.encode("utf-16-le"), "train.csv:1", "data.encoding"),
    spoilt("NUL", TRAIN + "a\0b,card\n", "train.csv:10: a NUL character"),
]

CELLS = [
    spoilt("empty text", TRAIN + ",card\n", "train.csv:10: text 'text' is empty"),
    spoilt("blank text", TRAIN + "   ,card\n", "train.csv:10: text 'text' is empty"),
    spoilt("many empty texts", TRAIN + ",card\n" * 9, "train.csv:10, train.csv:11, train.csv:12 and 6 more (9 in all)"),
    spoilt("one class", TRAIN.replace(",transfer", ",card"), "train.csv: every label is 'card'", "two classes"),
    spoilt(
        "no label anywhere",
        "text,label\na,\nb,\nc,\n",
        "train.csv: no example has a label: name the column as data.label",
    ),
    spoilt(
        "no label anywhere, and none from rules",
        "text,label\na,\nb,\nc,\n",
        "train.csv: no training example has a label, and no active method gives labels or learns without",
        edits=(("use: text-classification", "use: text-classification\n  labels: [card, transfer]"),),
    ),
    spoilt(
        "negative weight",
        "text,label,weight\na,x,1\nb,y,-2\n",
        "train.csv:3: weight 'weight' is no number of at least 0 (found '-2')",
        edits=WEIGHTS,
    ),
    spoilt(
        "NaN as weight", "text,label,weight\na,x,nan\nb,y,1\n", "train.csv:2: weight 'weight'", "'nan'", edits=WEIGHTS
    ),
    spoilt(
        "text as weight",
        "text,label,weight\na,x,heavy\nb,y,1\n",
        "train.csv:2: weight 'weight'",
        "'heavy'",
        edits=WEIGHTS,
    ),
    spoilt("no column for the weight", TRAIN, "train.csv: no column 'weight' for the weight", edits=WEIGHTS),
    spoilt(
        "weights that are all zero",
        "text,label,weight\n" + "a,card,0\nb,transfer,0\n" * 4,
        "train.csv: column 'weight' weighs every example 0",
        "above 0",
        edits=WEIGHTS,
    ),
    Case(
        "label that train lacks, in test",
        ("test.csv:4", "'refund'", "card, transfer"),
        files={"test.csv": "text,label\na,card\nb,transfer\nc,refund\n"},
    ),
    Case(
        "label that train lacks, in valid",
        ("valid.csv:2", "'Card'", "did you mean 'card'?"),
        edits=(("test: test.csv", "valid: valid.csv"),),
        files={"valid.csv": "text,label\na,Card\n"},
    ),
    Case("empty test file", ("test.csv: the file is empty",), files={"test.csv": ""}),
    Case("test of a header only", ("test.csv: a header and no examples",), files={"test.csv": "text,label\n"}),
    Case("test without text", ("test.csv: no column 'text'",), files={"test.csv": "sentence,label\na,card\n"}),
]

JSON_LINES = [
    jsonl("broken line", GOOD + '{"text": "a", \n', "train.jsonl:3: no JSON", "one object a line"),
    jsonl("line that is no object", GOOD + "[1, 2]\n", "train.jsonl:3: found a list", "wanted an object"),
    jsonl("nested text", GOOD + '{"text": {"a": 1}, "label": "card"}\n', "train.jsonl:3: text 'text' is no text"),
    jsonl(
        "number with a fraction as label",
        GOOD + '{"text": "a", "label": 0.5}\n',
        "train.jsonl:3: label 'label' is 0.5",
        "regression",
    ),
    jsonl(
        "key twice in a line",
        GOOD + '{"text": "a", "text": "b", "label": "card"}\n',
        "train.jsonl:3: key 'text' stands there twice",
    ),
    jsonl(
        "empty lists of labels",
        '{"text": "a", "label": []}\n{"text": "b", "label": []}\n',
        "train.jsonl: every list of labels is empty",
    ),
    jsonl(
        "number and text as one label",
        '{"text": "a", "label": 1}\n{"text": "b", "label": "1"}\n',
        "train.jsonl: label 1 stands there as number and as text",
    ),
]

CASES = [*FILES, *DELIMITED, *CELLS, *JSON_LINES]

HARMLESS = [
    spoilt("byte-order mark", b"\xef\xbb\xbf" + TRAIN.encode()),
    spoilt(
        "null, None, NA and nan are labels",
        "text,label\n" + "a,null\nb,None\nc,NA\nd,nan\n" * 2,
        edits=(("  test: test.csv\n", ""),),
    ),
    spoilt("blank lines and Windows line ends", TRAIN.replace("\n", "\r\n\r\n")),
    Case("plain text called gzip", (), edits=(("train: train.csv", "train: t.csv.gz"),), files={"t.csv.gz": TRAIN}),
    spoilt("some rows without label", TRAIN + "a text,\n" * 3),
]
