"""A wrong argument of a network is caught by a type checker, and before anything is built."""

import importlib.util
import inspect
import subprocess
import sys
import typing

import keras
import pytest

from keras_swish import models
from keras_swish.models.network import Network, NetworkArguments


def test_a_misspelt_argument_is_refused_with_the_nearest_before_anything_is_built(monkeypatch):
    built = []
    monkeypatch.setattr(keras, "Input", lambda *args, **kwargs: built.append(args))
    with pytest.raises(TypeError, match=r"argument of resnet20 'actvation'.* mean 'activation'"):
        models.create("resnet20", actvation="swish")
    with pytest.raises(TypeError, match="argument of resnet20 'dropout'"):
        models.create("resnet20", dropout=0.5)
    assert built == []


def test_the_type_of_the_common_arguments_is_that_of_the_network():
    parameters = inspect.signature(Network).parameters
    annotations = {name: p.annotation for name, p in parameters.items() if name != "published"}
    assert typing.get_type_hints(NetworkArguments) == annotations


def test_the_type_of_all_arguments_lists_those_of_every_builder():
    accepted = {name for b in models.BUILDERS.values() for name in models.builder_arguments(b)}
    assert set(typing.get_type_hints(models.BuilderArguments)) == accepted


SNIPPET = """
from keras_swish import models
from keras_swish.models import resnet

models.create("resnet20", activation="swish", classes=3, filters=(4, 8, 8))
models.create("resnet20", actvation="swish")
models.create("resnet20", classes="3")
resnet.cifar_resnet(20, activation="swish")
resnet.cifar_resnet(20, actvation="swish")
resnet.cifar_resnet(20, filtres=(4, 8, 8))
"""


@pytest.mark.skipif(not importlib.util.find_spec("basedpyright"), reason="needs basedpyright")
def test_a_misspelt_argument_is_a_type_error(root, tmp_path):
    (tmp_path / "snippet.py").write_text(SNIPPET)
    # From the checkout: keras_swish.models is resolved by the link, without an installation.
    (tmp_path / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{root}"]}}')
    command = [
        sys.executable,
        "-m",
        "basedpyright",
        "--level=error",
        "--pythonpath",
        sys.executable,
    ]
    outcome = subprocess.run(
        [*command, "-p", tmp_path], capture_output=True, text=True, cwd=tmp_path
    )
    lines = [int(line.split(":")[1]) for line in outcome.stdout.splitlines() if " - error" in line]
    assert lines == [6, 7, 9, 10], outcome.stdout
