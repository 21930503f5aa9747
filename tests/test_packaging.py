"""The ways of installing, and the files of the distributions."""

import email
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections import Counter

import pytest

import keras_swish

WITHOUT_TENSORFLOW = """
import sys
sys.modules.update(dict.fromkeys(["tensorflow", "tensorflow_datasets"]))
import keras, keras_swish
model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "relu"), keras.layers.Dense(2)])
swish = keras_swish.replace_activations(model, {"relu": "swish_beta"})
swish.save("swish.keras")
keras.saving.load_model("swish.keras")
from keras_swish.train import cli
sys.argv = ["keras-swish", *sys.argv[1:]]
cli.main()
"""
PROGRAM = "import keras_swish.train.cli, keras_swish.models; print(keras_swish.__file__)"
NO_GENERIC_NAMES = """
import importlib.util
assert not importlib.util.find_spec("models") and not importlib.util.find_spec("train")
"""


def run(*command, cwd, **environment):
    outcome = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env={**{k: v for k, v in os.environ.items() if k != "PYTHONPATH"}, **environment},
        capture_output=True,
        text=True,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return outcome.stdout


def tracked(root):
    """The files of a clone, those not yet committed included."""
    if not shutil.which("git") or not (root / ".git").exists():
        pytest.skip("needs a git checkout")
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=root)
    return [name for name in listed.splitlines() if os.path.lexists(root / name)]


@pytest.fixture(scope="module")
def clone(root, tmp_path_factory):
    """A copy of the repository without its results, with its links as links."""
    folder = tmp_path_factory.mktemp("clone")
    for name in tracked(root):
        if not name.startswith("results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="module")
def modules(clone):
    """The files that an installation has to have, by their names there."""
    names = [
        (prefix / path.relative_to(clone)).as_posix()
        for folder, prefix in (
            ("keras_swish", pathlib.PurePath()),
            ("models", pathlib.PurePath("keras_swish")),
            ("train", pathlib.PurePath("keras_swish")),
        )
        for path in (clone / folder).rglob("*.py")
    ]
    assert len(names) > 80
    tables = (clone / "keras_swish/search/tables").glob("*/*")
    names += [path.relative_to(clone).as_posix() for path in tables]
    return sorted([*names, "keras_swish/py.typed", "keras_swish_cli.py"])


@pytest.fixture(scope="module")
def sdist(clone, tmp_path_factory):
    """The source distribution."""
    folder = tmp_path_factory.mktemp("sdist")
    # A copy, because a build leaves folders behind, which later builds would find.
    copy = shutil.copytree(clone, folder / "copy", symlinks=True)
    build = f"import setuptools.build_meta as b; b.build_sdist({str(folder)!r})"
    run(sys.executable, "-c", build, cwd=copy)
    (path,) = folder.glob("*.tar.gz")
    return path


@pytest.fixture(scope="module")
def wheels(clone, sdist, tmp_path_factory):
    """The wheel of the checkout and that of the source distribution."""
    folder = tmp_path_factory.mktemp("wheels")
    copy = shutil.copytree(clone, folder / "copy", symlinks=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    for name, source in (("checkout", copy), ("sdist", sdist)):
        run(*pip, "--wheel-dir", folder / name, source, cwd=folder)
    return {name: next((folder / name).glob("*.whl")) for name in ("checkout", "sdist")}


@pytest.mark.slow
def test_the_source_distribution_has_every_file_once(clone, sdist):
    with tarfile.open(sdist) as archive:
        names = [m.name.partition("/")[2] for m in archive.getmembers() if m.isfile()]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    folders = ("keras_swish", "models", "train", "tests", "benchmarks", "docs")
    wanted = [
        path.relative_to(clone).as_posix()
        for folder in folders
        for path in (clone / folder).rglob("*.py")
    ]
    wanted.append("keras_swish_cli.py")
    assert sorted(name for name in names if name.endswith(".py")) == sorted(wanted)
    root = {"CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "README.md", "mkdocs.yml"}
    assert {"keras_swish/py.typed", "docs/index.md", *root} <= set(names)


@pytest.mark.slow
def test_the_metadata_says_who_and_where(wheels):
    with zipfile.ZipFile(wheels["sdist"]) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_string(archive.read(name).decode())
    urls = dict(url.split(", ") for url in metadata.get_all("Project-URL"))
    assert {"Documentation", "Changelog", "Issues"} <= set(urls)
    assert metadata["Author"] == "The keras-swish developers"
    assert {"Operating System :: OS Independent", "Typing :: Typed"} <= set(
        metadata.get_all("Classifier")
    )


def test_one_version_everywhere(root):
    version = keras_swish.__version__
    assert f"\nversion: {version}\n" in (root / "CITATION.cff").read_text()
    assert f"\n## {version} - 20" in (root / "CHANGELOG.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["checkout", "sdist"])
def test_the_wheel_has_every_file_once(wheels, modules, source):
    with zipfile.ZipFile(wheels[source]) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    assert sorted(names) == modules


class Environment:
    """An empty environment that sees this one's packages, but not this one's keras-swish."""

    def __init__(self, folder: pathlib.Path):
        venv.create(folder, with_pip=False)
        self.scripts = folder / "bin"
        packages = folder / "packages"
        packages.mkdir()
        for path in pathlib.Path(sysconfig.get_paths()["purelib"]).iterdir():
            # Found before an editable installation, if this environment has an installed copy.
            if "keras_swish" not in path.name:
                (packages / path.name).symlink_to(path)
        site = next(folder.glob("lib/python*/site-packages"))
        (site / "parent.pth").write_text(f"{packages}\n")

    def install(self, *arguments, cwd):
        pip = [sys.executable, "-m", "pip", "--python", self.scripts / "python", "install", "-q"]
        options = ["--no-deps", "--no-build-isolation", "--ignore-installed"]
        run(*pip, *options, *arguments, cwd=cwd)

    def run(self, command, *arguments, cwd):
        path = f"{self.scripts}{os.pathsep}{os.environ['PATH']}"
        return run(self.scripts / command, *arguments, cwd=cwd, PATH=path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "way", ["plain", "editable", "editable without links", "wheel of the source distribution"]
)
def test_an_installation_is_complete(way, clone, wheels, tmp_path):
    environment = Environment(tmp_path / "env")
    if way.startswith("wheel"):
        environment.install(wheels["sdist"], cwd=tmp_path)
    else:
        copy = shutil.copytree(clone, tmp_path / "copy", symlinks=True)
        if way.endswith("without links"):
            # As git leaves them on a system that has none.
            for name in ("models", "train"):
                (copy / "keras_swish" / name).unlink()
                (copy / "keras_swish" / name).write_text(f"../{name}")
        environment.install(*["-e"] * way.startswith("editable"), copy, cwd=tmp_path)
    imported = environment.run("python", "-c", PROGRAM, cwd=tmp_path)
    expected = tmp_path / ("copy" if way.startswith("editable") else "env")
    assert pathlib.Path(imported.strip()).is_relative_to(expected)
    assert "compare" in environment.run("keras-swish", "--help", cwd=tmp_path)
    environment.run("python", "-c", NO_GENERIC_NAMES, cwd=tmp_path)
    if way.startswith("editable"):
        environment.run("python", "-c", PROGRAM, cwd=copy)


@pytest.mark.slow
def test_a_checkout_works_without_an_installation(clone, tmp_path):
    environment = Environment(tmp_path / "env")
    imported = environment.run("python", "-c", PROGRAM, cwd=clone)
    assert pathlib.Path(imported.strip()).is_relative_to(clone)
    environment.run("python", "-m", "keras_swish.train.cifar", "--help", cwd=clone)
    small = ("tests/keras_swish/test_io.py", "tests/models/test_create.py")
    environment.run("python", "-m", "pytest", "-q", "-n", "0", *small, cwd=clone)


@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.parametrize(
    "program", [("cifar", "--epochs=1"), ("search", "--max_trials=1", "--epochs=1")], ids=" ".join
)
def test_jax_needs_no_tensorflow(program, python, tmp_path):
    pytest.importorskip("jax")
    command = ("-c", WITHOUT_TENSORFLOW, *program, f"--out={tmp_path / 'run'}")
    python(*command, cwd=tmp_path, KERAS_BACKEND="jax")


def test_ruff_sees_every_file_once(root):
    ruff = shutil.which("ruff", path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
    if not ruff:
        pytest.skip("needs ruff")
    files = run(ruff, "check", "--show-files", cwd=root).splitlines()
    assert len(files) > 100
    seen = Counter(pathlib.Path(file).resolve() for file in files)
    assert [file for file, count in seen.items() if count > 1] == []


@pytest.mark.slow
def test_pytest_sees_every_test_once(root):
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-n", "0", "-m", "", ".")
    tests = [line for line in run(*command, cwd=root).splitlines() if "::" in line]
    assert len(tests) > 1000
    seen = Counter(line.partition("tests/")[2] for line in tests)
    assert [test for test, count in seen.items() if count > 1] == []
