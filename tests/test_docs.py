"""The documentation is true: its examples run as printed, and its index leads to files."""

import doctest
import re

import keras
import pytest

import keras_swish
from keras_swish.formulas import lowering


def text_of(root, name):
    return (root / name).read_text()


def test_the_examples_of_the_architecture_run_as_printed(root, monkeypatch):
    monkeypatch.setattr(lowering, "RULES", dict(lowering.RULES))
    blocks = re.findall(r"```python\n(.*?)```", text_of(root, "docs/architecture.md"), re.DOTALL)
    assert len(blocks) == 3
    names = {"keras": keras, "keras_swish": keras_swish}
    parser = doctest.DocTestParser()
    test = parser.get_doctest("\n".join(blocks), names, "docs/architecture.md", None, 0)
    printed = []
    assert doctest.DocTestRunner().run(test, out=printed.append).failed == 0, "".join(printed)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_paths_exist(root, name):
    text = text_of(root, name)
    paths = set(re.findall(r"`((?:keras_swish|models|train|tests|benchmarks|docs)/[\w/.]*)`", text))
    assert paths
    assert [path for path in sorted(paths) if not (root / path).exists()] == []


def test_the_index_leads_to_the_files_that_define_the_names(root):
    rows = re.findall(r"^\| (where .*?\?) \| (.*) \|$", text_of(root, "CONTRIBUTING.md"), re.M)
    assert len(rows) >= 20
    for question, answer in rows:
        places = re.findall(r"`([\w/]+\.py)` \(`([\w.]+)`\)", answer)
        assert places, question
        for path, name in places:
            definition = rf"^\s*(?:def|class) {name.split('.')[-1]}\b|^{name}(?:: [^=\n]*)? = "
            assert re.search(definition, text_of(root, path), re.M), f"{question} {path} {name}"
