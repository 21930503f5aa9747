"""Keras's private parts are touched in one file."""

import ast
import functools
import pathlib
import re

import keras
import pytest

from keras_swish.keras_compat import hears_batches

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in ("keras_swish", "models", "train")
    for path in (ROOT / folder).rglob("*.py")
    if path != ROOT / "keras_swish" / "keras_compat.py"
)


@functools.cache
def private_names_of_keras():
    """Returns the private attributes that Keras's own code sets or asks for."""
    sources = pathlib.Path(keras.__file__).parent / "src"
    names = {
        name
        for path in sources.rglob("*.py")
        if "test" not in path.name
        for name in re.findall(r"\.(_[a-z]\w*)", path.read_text(encoding="utf-8"))
    }
    assert {"_layers", "_keras_history", "_inbound_nodes"} <= names
    return names


def private_uses(text):
    """Yields the private attributes of Keras's objects that a module's code uses."""
    yield from re.findall(r"keras\.src[\w.]*", text)
    accesses = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)]
    # What a file defines or sets is its own.
    defined = {node.attr for node in accesses if isinstance(node.ctx, ast.Store)}
    defined |= set(re.findall(r"^\s*(?:def|class) (\w+)", text, re.MULTILINE))
    for node in accesses:
        if node.attr in private_names_of_keras() - defined:
            yield ast.unparse(node)


@pytest.mark.parametrize(
    "text",
    [
        "from keras.src import backend",
        "for node in operation._inbound_nodes: pass",
        "class Mine(keras.Layer):\n    def f(self):\n        return self._layers",
    ],
)
def test_a_private_part_is_seen(text):
    assert list(private_uses(text))


def test_no_other_file_touches_a_private_part_of_keras():
    uses = {file: [*private_uses((ROOT / file).read_text(encoding="utf-8"))] for file in FILES}
    assert len(uses) > 80
    assert {file: used for file, used in uses.items() if used} == {}


def test_callbacks_that_do_something_per_batch_are_known():
    class Own(keras.callbacks.ModelCheckpoint):
        def on_train_batch_end(self, batch, logs=None):
            pass

    save = keras.callbacks.ModelCheckpoint
    for hears in (keras.callbacks.TerminateOnNaN(), save("a.keras", save_freq=5), Own("a.keras")):
        assert hears_batches(hears)
    for deaf in (keras.callbacks.EarlyStopping(), save("a.keras")):
        assert not hears_batches(deaf)
