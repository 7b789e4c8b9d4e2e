"""Mistakes in the pretrained model."""

from tests.acceptance.bad_input.workshop import CONFIG, Case


def named(model):
    """Return the edit that names another model."""
    return (("MODEL", model),)


def cut(path, size):
    """Keep the first bytes of a file."""
    path.write_bytes(path.read_bytes()[:size])


CASES = [
    Case(
        "model that is nowhere",
        ("model 'no-such/model' was not found", "HF_HUB_OFFLINE is set", "save_pretrained"),
        edits=named("no-such/model"),
    ),
    Case(
        "folder without config.json",
        ("model 'empty': 'empty' has no config.json", "save_pretrained"),
        edits=named("empty"),
        files={"empty/": ""},
    ),
    Case("model that is a file", ("model 'train.csv': 'train.csv' is a file",), edits=named("train.csv")),
    Case("name that no hub would take", ("model 'a b/c/d!' was not found",), edits=named("a b/c/d!")),
    Case(
        "no tokenizer",
        ("model 'model'", "the tokenizer in", "no file holds its vocabulary"),
        model=lambda folder: [one.unlink() for one in folder.glob("tokenizer*")],
    ),
    Case(
        "broken tokenizer",
        ("model 'model'", "the tokenizer in"),
        model=lambda folder: (folder / "tokenizer.json").write_text("{"),
    ),
    Case(
        "weights cut short",
        ("model 'model'", "the model in", "weights are damaged"),
        model=lambda folder: cut(folder / "model.safetensors", 900),
    ),
    Case(
        "weights that are none",
        ("model 'model'", "the model in"),
        model=lambda folder: (folder / "model.safetensors").write_bytes(b"no tensors here"),
    ),
    Case(
        "no weights",
        ("model 'model'", "the model in"),
        model=lambda folder: (folder / "model.safetensors").unlink(),
    ),
    Case(
        "config.json that is no JSON",
        ("model 'model'", "JSON"),
        model=lambda folder: (folder / "config.json").write_text("{vocab_size: 3"),
    ),
    Case(
        "config.json of an unknown kind",
        ("model 'model'", "`brt`"),
        model=lambda folder: (folder / "config.json").write_text('{"model_type": "brt"}'),
    ),
    Case(
        "config.json that says nothing",
        ("model 'model'",),
        model=lambda folder: (folder / "config.json").write_text("{}"),
    ),
    Case(
        "config.json of another size than the weights",
        ("model 'model'", "weights have not the shapes"),
        model=lambda folder: (folder / "config.json").write_text(
            (folder / "config.json").read_text().replace('"hidden_size": 32', '"hidden_size": 64')
        ),
    ),
]
assert "MODEL" in CONFIG
