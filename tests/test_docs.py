"""The documentation is true: its examples run, its commands exist, its links lead somewhere.

Every page of docs/, README.md and CONTRIBUTING.md: examples run as printed, those of one page of
docs/ in one session, those of the README each alone. Commands are not run, as many of them take
hours: programs and files have to exist, and to know every flag.
"""

import configparser
import doctest
import importlib
import inspect
import pathlib
import posixpath
import re
import shlex
import textwrap
import urllib.parse

import keras
import pytest
from absl.flags import FlagValues

import keras_swish
from keras_swish import catalogue, models
from keras_swish.formulas import lowering
from keras_swish.search.algorithms import ALGORITHMS
from keras_swish.train import cli

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in (
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
        *sorted((ROOT / "docs").rglob("*.md")),
    )
]
REPOSITORY = "https://github.com/keras-swish/keras-swish/blob/main/"
RAW = "https://raw.githubusercontent.com/keras-swish/keras-swish/main/"


def text_of(name):
    return (ROOT / name).read_text()


def blocks(name, *languages):
    """The code blocks of a page, with the line at which each begins."""
    text, found = text_of(name), []
    for match in re.finditer(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE):
        if match[2] in languages:
            found.append((text[: match.start()].count("\n") + 1, textwrap.dedent(match[3])))
    return found


def sessions():
    """What runs together: all examples of a page, but each of the README's alone."""
    for page in PAGES:
        examples = blocks(page, "python")
        if page == "README.md":
            yield from (pytest.param(page, [one], id=f"{page}:{one[0]}") for one in examples)
        elif examples:
            # A search, which the README has a shorter one of.
            marks = [pytest.mark.slow] * (page == "docs/search.md")
            yield pytest.param(page, examples, id=page, marks=marks)


@pytest.mark.usefixtures("own_names")
@pytest.mark.parametrize(("page", "examples"), [*sessions()])
def test_examples_run_as_printed(page, examples, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # what they save
    monkeypatch.setattr(lowering, "RULES", dict(lowering.RULES))
    names = {"keras_swish": keras_swish, "keras": keras}
    if page == "CONTRIBUTING.md":
        # Entries of tables: they are no programs, but Python.
        for line, code in examples:
            compile(f"{{{code}}}", f"{page}:{line}", "eval")
        return
    for line, code in examples:
        if code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, names, page, page, line)
            printed = []
            # `clear_globs`: the next example goes on with the names of this one.
            outcome = doctest.DocTestRunner().run(test, out=printed.append, clear_globs=False)
            assert outcome.failed == 0, "".join(printed)
            names = test.globs
        else:
            exec(compile(code, f"{page}:{line}", "exec"), names)


def test_readme_has_the_three_examples():
    assert len(blocks("README.md", "python")) == 3


def commands():
    """The lines of the shell blocks, those that a backslash continues joined, and of the prose."""
    for page in PAGES:
        for line, block in blocks(page, "sh"):
            for command in block.replace("\\\n", " ").splitlines():
                for part in command.split("&&"):
                    if part.strip():
                        yield pytest.param(part.strip(), id=f"{page}:{line}: {part.strip()[:50]}")
        prose = re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
        for match in re.finditer(r"`((?:keras-swish \w+|python benchmarks/)[^`]*)`", prose):
            if not re.search(r"[A-Z]{4}| …|\.\.\.", match[1].partition("'")[0]):
                command = " ".join(match[1].split())
                yield pytest.param(command, id=f"{page}: {command[:50]}")


def check_program(name, arguments):
    assert name in cli.COMMANDS, f"there is no program {name}"
    program = importlib.import_module(f"keras_swish.train.{name}")
    flag_values = FlagValues()
    program.define_flags(flag_values)
    rest = flag_values([name, *arguments])[1:]
    if rest:
        assert len(inspect.signature(program.main).parameters) > 1, f"{name} takes flags alone"
    present = flag_values.flag_values_dict()
    networks = ",".join(present.get(flag) or "" for flag in ("model", "models"))
    assert set(filter(None, networks.split(","))) <= set(models.names())
    for activation in filter(None, (present.get("activations") or "").split(",")):
        keras_swish.describe(activation)
    algorithm = present.get("algorithm") or "surrogate"
    assert algorithm in ALGORITHMS or algorithm.startswith("optuna:")


@pytest.mark.parametrize("command", [*commands()])
def test_commands_exist(command):
    words = shlex.split(command)
    while words and re.fullmatch(r"[A-Z_0-9]+=.*", words[0]):
        words.pop(0)
    program, *arguments = words
    if program == "python" and arguments[0] == "-m":
        return  # of the standard library, or a program of this package by its module
    if program == "keras-swish":
        if arguments[0] != "--help":
            check_program(arguments[0], arguments[1:])
    elif program == "python":
        file = ROOT / arguments[0]
        assert file.is_file()
        # The parsers of the benchmarks are made where they are run: what their source names.
        shared = ("benchmarks/recording.py", "train/app/flags.py", "train/trainer/recipe.py")
        source = file.read_text() + "".join(map(text_of, shared))
        for flag in re.findall(r"--(\w+)", " ".join(arguments)):
            assert re.search(rf"\"(--)?{flag}\"|\b{flag}: ", source), flag
    elif program == "pip":
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        for extras in re.findall(r"\.\[(.+?)\]", command):
            assert set(extras.split(",")) <= set(setup["options.extras_require"]), command
    elif program == "pytest":
        for path in re.findall(r"tests/\S+", command):
            assert (ROOT / path.partition("::")[0]).exists(), command
    else:
        assert program in {
            *("basedpyright", "cd", "git", "mkdocs", "optuna-dashboard", "pre-commit", "ruff"),
            *("source", "twine", ".ci/run"),
        }, f"unknown program: {program}"


def anchors(name):
    """The anchors of a page's titles, as GitHub and MkDocs make them."""
    titles = re.findall(r"^#+ (.*)$", text_of(name), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.replace("`", "").lower()).replace(" ", "-")
        for title in titles
    }


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page):
    prose = re.sub(r"^ *```.*?^ *```$", "", text_of(page), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", prose):
        if page == "README.md":
            # PyPI shows it, where relative links lead nowhere.
            assert link.startswith("https://"), link
        target = link.removeprefix(REPOSITORY).removeprefix(RAW)
        if target.startswith("https://"):
            assert not link.startswith(REPOSITORY.removesuffix("blob/main/")) or "/security" in link
            continue
        path, _, anchor = urllib.parse.unquote(target).partition("#")
        folder = "" if link != target else posixpath.dirname(page)
        path = posixpath.normpath(posixpath.join(folder, path)) if path else page
        assert (ROOT / path).exists(), link
        if anchor.startswith("keras_swish."):
            # Of the reference: a member of the page's module.
            assert anchor.rpartition(".")[0] == pathlib.Path(path).stem, link
            assert hasattr(importlib.import_module(pathlib.Path(path).stem), anchor.split(".")[-1])
        elif anchor:
            assert anchor in anchors(path), link


def test_every_program_is_in_the_tables():
    for page in ("README.md", "docs/training.md"):
        for name in cli.COMMANDS:
            assert f"| `keras-swish {name}` |" in text_of(page)


def test_every_activation_is_in_the_table():
    for name, entry in catalogue.ENTRIES.items():
        beta = "" if entry.beta is None else f"{entry.beta:g}"
        assert f"| `{name}` | `{entry.formula}` | {beta} |" in text_of("docs/activations.md")
    assert f"{len(catalogue.ENTRIES)} names" in text_of("README.md")
    assert f"and {len(models.names()) - 1} others" in text_of("README.md")


def rows(text):
    """The rows of a table, without titles and line, as lists of cells."""
    lines = text.strip().splitlines()
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


TABLE = r"(?:^\|.*\n)+"


def test_result_tables_are_those_of_the_results():
    text = text_of("docs/results.md")
    marked = re.findall(rf"<!-- figures of (\S+) -->\n\n({TABLE})", text + "\n", flags=re.MULTILINE)
    assert len(marked) >= 4
    for path, table in marked:
        known = re.findall(TABLE, text_of(path), flags=re.MULTILINE)
        for name, *cells in rows(table):
            # Of the tables of the page, which has more columns, one has these numbers.
            every = [row for one in known for row in rows(one)]
            same = [row for row in every if row[0].removesuffix(" (baseline)") == name]
            assert any(set(cells) <= set(row) for row in same), f"{path}: {name} {cells}"


def test_every_result_has_a_page_that_names_it():
    text = "".join(text_of(page) for page in PAGES)
    for path in ROOT.glob("results/*/table.md"):
        assert f"{path.relative_to(ROOT)})" in text


def test_the_numbers_of_the_readme_are_in_the_results_that_it_links_to():
    table = re.search(r"^\| question (?:.*\n)+?\n", text_of("README.md"), re.MULTILINE)
    assert table
    for question, answer, interval, _ in rows(table[0]):
        path = re.search(rf"{re.escape(REPOSITORY)}(results/\S+\.(?:md|csv))", answer)
        numbers = re.findall(r"[+-]\d+\.\d+", answer + interval)
        assert bool(numbers) == bool(path), question
        for number in numbers:  # in points; a CSV file has parts of 1
            text = f"{float(number) / 100:.4f}" if path[1].endswith("csv") else number
            assert text in text_of(path[1]), f"{question}: {number}"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md"])
def test_paths_exist(name):
    text = text_of(name)
    paths = set(re.findall(r"`((?:keras_swish|models|train|tests|benchmarks|docs)/[\w/.]*)`", text))
    assert paths
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_the_index_leads_to_the_files_that_define_the_names():
    rows = re.findall(r"^\| (where .*?\?) \| (.*) \|$", text_of("CONTRIBUTING.md"), re.M)
    assert len(rows) >= 20
    for question, answer in rows:
        places = re.findall(r"`([\w/]+\.py)` \(`([\w.]+)`\)", answer)
        assert places, question
        for path, name in places:
            definition = rf"^\s*(?:def|class) {name.split('.')[-1]}\b|^{name}(?:: [^=\n]*)? = "
            assert re.search(definition, text_of(path), re.M), f"{question} {path} {name}"


def test_the_reference_has_a_page_for_each_public_module():
    listed = set(re.findall(r"reference/(\S+)\.md", text_of("mkdocs.yml")))
    assert listed == {path.stem for path in (ROOT / "docs/reference").glob("*.md")}
    for module in listed:
        importlib.import_module(module)
        assert f"::: {module}" in text_of(f"docs/reference/{module}.md")
