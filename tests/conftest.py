"""Fixtures shared by all tests."""

import gc
import importlib
import os
import pathlib
import random
import subprocess
import sys

import numpy as np
import pytest

# On a CPU TensorFlow has convolutions of channels first by oneDNN alone, which is off by default
# where the processor is an older one.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

# Python looks for cycles after every 700 objects, and tracing a function makes millions.
gc.set_threshold(100_000, 50, 100)

ROOT = pathlib.Path(__file__).resolve().parent.parent


# By how much a process may grow before garbage is collected between two tests: so rarely is it
# otherwise that the networks of a module of slow tests took 13 GB.
MOST_GROWTH = 2**30
_resident_after_collection = 0


@pytest.fixture(scope="module", autouse=True)
def _short_collections():
    """Leaves what is alive out of garbage collections.

    `clear_session` collects, over TensorFlow and all that modules before have left: seconds each.
    """
    _collect()


@pytest.fixture(autouse=True)
def _bounded_memory():
    yield
    if resident_memory() > _resident_after_collection + MOST_GROWTH:
        gc.unfreeze()  # some of it may be garbage by now
        _collect()


def _collect() -> None:
    global _resident_after_collection
    gc.collect()
    gc.freeze()
    _resident_after_collection = resident_memory()


def resident_memory() -> int:
    """Returns the bytes of memory that this process has; 0 where no system tells."""
    statm = pathlib.Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


@pytest.fixture(autouse=True)
def _seeds():
    """Draws the same weights in each run: Keras draws the seeds of its initializers from here."""
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def _no_determinism():
    """Undoes what the training programs set for the whole process: Keras then compiles no XLA."""
    yield
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework.config import disable_op_determinism

        disable_op_determinism()


@pytest.fixture(scope="module")
def without_graph_optimizer():
    """Leaves TensorFlow's graph optimizer out, which takes a quarter of what trains a few steps."""
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        yield
        return
    optimizer = tensorflow.config.optimizer
    optimizer.set_experimental_options({"disable_meta_optimizer": True})
    yield
    optimizer.set_experimental_options({"disable_meta_optimizer": False})


@pytest.fixture(scope="session")
def root():
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def benchmark_module():
    """Imports a benchmark by name, as Python does where it is started."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module


@pytest.fixture
def python():
    """Runs code or a module in a new process, outside the checkout's folder by default."""

    def run(*arguments, cwd=None, executable=sys.executable, check=True, **environment):
        outcome = subprocess.run(
            [executable, *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
        )
        assert not check or outcome.returncode == 0, outcome.stdout + outcome.stderr
        return outcome

    return run


@pytest.fixture
def own_names(monkeypatch):
    """Forgets the names that a test registers when it ends."""
    from keras_swish import activations, catalogue

    for module, table in (
        (catalogue, "ENTRIES"),
        (catalogue, "NAMES"),
        (activations, "BY_NAME"),
        (activations, "REGISTERED"),
    ):
        monkeypatch.setattr(module, table, dict(getattr(module, table)))


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs `keras-swish ARGUMENTS` in this process; gives exit code, stdout and stderr."""
    from keras_swish.train import cli

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["keras-swish", *map(str, arguments)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as error:
            code = error.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def tiny():
    """A dataset of 64 training images that a network can learn in seconds."""
    from keras_swish.train.datasets import in_memory

    generator = np.random.default_rng(0)

    def split(n):
        labels = generator.integers(0, 3, n).astype("int32")
        images = generator.integers(0, 60, (n, 8, 8, 1)) + 80 * labels[:, None, None, None]
        return in_memory.Split(images.astype("uint8"), labels)

    spec = in_memory.Spec((100.0,), (70.0,), pad=1, flip=False)
    return in_memory.ImageArrays("tiny", split(64), split(20), split(30), 3, spec)
