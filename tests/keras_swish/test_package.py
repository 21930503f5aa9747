"""Properties of all modules: their examples, their docstrings, their imports."""

import ast
import doctest
import importlib
import json
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Every module; those of `models` and `train` are imported as sub-packages.
MODULES = sorted(
    ".".join([prefix, *path.relative_to(ROOT).with_suffix("").parts])
    .strip(".")
    .removesuffix(".__init__")
    for folder, prefix in (("keras_swish", ""), ("models", "keras_swish"), ("train", "keras_swish"))
    for path in (ROOT / folder).rglob("*.py")
)


def imported(module):
    package, _, name = module.rpartition(".")
    if package in ("keras_swish.elementwise", "keras_swish.recording"):
        pytest.importorskip("keras" if name in ("operation", "recorder") else name)
    return importlib.import_module(module)


def test_there_are_modules():
    assert {"keras_swish.layers", "keras_swish.models.resnet", "keras_swish.train.cli"} < {*MODULES}


# They search, or build large networks.
LONG = ["search.api", "search.child", "models.inception_resnet_v2", "models.inception_v4"]
LONG += ["models.inception_v3", "models.densenet", "models.nasnet", "models.resnet"]


@pytest.mark.usefixtures("own_names")
@pytest.mark.parametrize(
    "module",
    [
        pytest.param(one, marks=[pytest.mark.slow] * (one.removeprefix("keras_swish.") in LONG))
        for one in MODULES
    ],
)
def test_examples_of_the_docstrings_run_as_printed(module):
    assert doctest.testmod(imported(module)).failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_public_functions_have_docstrings(module):
    module = imported(module)
    public = [value for name, value in vars(module).items() if not name.startswith("_")]
    for value in public:
        if getattr(value, "__module__", None) == module.__name__:
            assert value.__doc__, value


# The folders and modules of the core: each imports those before it.
ARROW = ["kernels", "formulas", "elementwise", "activations", "layers", "replacement", "recording"]
ARROW += ["statistics", "callbacks", "search"]


@pytest.mark.parametrize("part", ARROW)
def test_imports_in_the_core_go_one_way(part):
    path = ROOT / "keras_swish" / part
    files = list(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    later = "|".join(ARROW[ARROW.index(part) + 1 :] or ["models|train"])
    imports = re.compile(rf"^\s*(?:from|import) keras_swish\.(?:{later})\b.*", re.MULTILINE)
    assert files
    assert [imports.findall(file.read_text(encoding="utf-8")) for file in files] == [[]] * len(
        files
    )


def test_import_brings_nothing_that_keras_does_not_and_lists_what_comes_on_first_use(python):
    outcome = python(
        "-c",
        "import sys, keras; before = set(sys.modules)\n"
        "import keras_swish\n"
        "print([*{name.split('.')[0] for name in set(sys.modules) - before}])\n"
        "assert {'models', 'search', 'search_activations', 'swish_beta'} - {*dir(keras_swish)} == "
        "{'swish_beta'}\n"
        "assert 'keras_swish.search' not in sys.modules\n"
        "assert callable(keras_swish.search_activations)",
    )
    new = ast.literal_eval(outcome.stdout.strip().splitlines()[-1])
    third_party = set(new) - set(sys.stdlib_module_names) - {"keras", "keras_swish"}
    # Lazy parts of Keras itself may come late; nothing heavy may.
    assert not third_party & {"matplotlib", "sklearn", "scipy", "tensorflow_datasets", "optuna"}


@pytest.mark.slow
def test_import_makes_every_class_of_a_file_known_to_keras(python):
    registered = re.compile(
        r"^@keras\.saving\.register_\w+\(.*\)\n(?:class|def) (\w+)", re.MULTILINE
    )
    # Only a program that searches has a network with the search's own layer.
    files = [file for file in (ROOT / "keras_swish").rglob("*.py") if "search" not in file.parts]
    files += (ROOT / "models").rglob("*.py")
    names = {name for file in files for name in registered.findall(file.read_text("utf-8"))}
    assert {"BatchNormalization", "DropPath", "RMSprop", "Swish"} <= names
    outcome = python("-c", "import keras, keras_swish; print([*keras.saving.get_custom_objects()])")
    known = ast.literal_eval(outcome.stdout.strip().splitlines()[-1])
    assert {f"keras_swish>{name}" for name in names} <= {*known}


@pytest.mark.jax
def test_on_jax_the_programs_do_not_import_tensorflow(python):
    pytest.importorskip("jax")
    python(
        "-c",
        "import sys, keras_swish.models, keras_swish.train.compare, keras_swish.train.cifar\n"
        "assert 'tensorflow' not in sys.modules",
        KERAS_BACKEND="jax",
    )


WITHOUT_TENSORFLOW = "import sys; sys.modules['tensorflow'] = None; "


@pytest.mark.jax
def test_without_tensorflow_the_main_job_runs_on_jax(python, tmp_path):
    pytest.importorskip("jax")
    outcome = python(
        "-c",
        f"{WITHOUT_TENSORFLOW} sys.argv[1:] = ['compare', '--epochs=1', '--seeds=1', '--out=out']\n"
        "from keras_swish.train import cli; cli.main()",
        cwd=tmp_path,
        KERAS_BACKEND="jax",
    )
    assert "results: out" in outcome.stdout
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["config"]["backend"] == "jax"


@pytest.mark.jax
def test_without_tensorflow_tfds_on_jax_says_what_it_needs(python, tmp_path):
    pytest.importorskip("jax")
    outcome = python(
        "-c",
        f"{WITHOUT_TENSORFLOW} sys.argv[1:] = ['cifar', '--dataset=mnist']\n"
        "from keras_swish.train import cli; cli.main()",
        check=False,
        KERAS_BACKEND="jax",
    )
    assert outcome.returncode == 2
    assert "needs TensorFlow Datasets, which needs TensorFlow" in outcome.stderr
    assert "Traceback" not in outcome.stderr
