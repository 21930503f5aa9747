"""The README's examples run as printed, and its numbers are those of the results."""

import json
import re

import pytest

from keras_swish import models
from keras_swish.train import cli


def blocks(root, language):
    return re.findall(rf"```{language}\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)


@pytest.mark.usefixtures("own_names")
@pytest.mark.parametrize("number", range(7))
def test_examples_run_as_printed(root, number):
    exec(compile(blocks(root, "python")[number], f"README.md, example {number + 1}", "exec"), {})


def test_there_are_no_examples_that_are_not_run(root):
    assert len(blocks(root, "python")) == 7


def test_commands_exist(root):
    text = (root / "README.md").read_text()
    assert set(re.findall(r"keras-swish (\w+)", "\n".join(blocks(root, "sh")))) <= set(cli.COMMANDS)
    for name, summary in cli.COMMANDS.items():
        assert f"| `keras-swish {name}` |" in text, summary
    assert set(re.findall(r"--model=(\w+)", text)) <= set(models.names())


def test_links_lead_to_files(root):
    for link in re.findall(r"\]\(([^)]+)\)", (root / "README.md").read_text()):
        assert link.startswith("https://") or (root / link).exists(), link


def test_result_tables_are_those_of_the_results(root):
    text = (root / "README.md").read_text()
    for path in root.glob("results/*/table.md"):
        assert f"({path.relative_to(root)})" in text
        config = path.parent / "config.json"
        if not config.exists():
            continue  # no comparison of runs
        wanted = r"(?:^\|.*\n)+"
        if json.loads(config.read_text())["config"]["program"] == "search":
            # Of hundreds of lines the README has those that everybody looks for.
            wanted = rf"(?<=## Functions of the paper\n\n){wanted}"
        # The first table; those behind it say more about it.
        assert re.search(wanted, path.read_text(), re.MULTILINE)[0] in text, path
