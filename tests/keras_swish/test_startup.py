"""Ctrl-C before a program has begun, sent by what it imports."""

import os
import signal

import pytest

INTERRUPT = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(0.1)
print("imported", flush=True)
"""


@pytest.fixture(autouse=True)
def sigint():
    """A shell lets what it starts in the background ignore SIGINT, and the processes of that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupted_import(python, root, tmp_path):
    """Runs a command for which the import of a package is interrupted."""

    def run(*arguments, package="keras", check=False):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(INTERRUPT)
        path = os.pathsep.join(map(str, [tmp_path, root]))
        return python(*arguments, check=check, PYTHONPATH=path)

    return run


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
@pytest.mark.parametrize("module", ["cli", "cifar"])
def test_while_keras_is_imported_it_is_one_line(interrupted_import, module):
    outcome = interrupted_import("-m", f"keras_swish.train.{module}", "--help")
    assert (outcome.returncode, outcome.stdout) == (130, "")
    assert outcome.stderr == "keras-swish: interrupted\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_the_command_too(interrupted_import, tmp_path):
    script = tmp_path / "keras-swish"
    script.write_text("from keras_swish.train.cli import main\nmain()\n")
    outcome = interrupted_import(script, "--help", package="absl")
    assert outcome.returncode == 130
    assert outcome.stderr.splitlines()[-1] == "keras-swish: interrupted"
    assert "Traceback" not in outcome.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has other signals")
def test_other_programs_are_interrupted_as_ever(interrupted_import):
    outcome = interrupted_import("-c", "import keras_swish")
    assert "KeyboardInterrupt" in outcome.stderr
    assert "keras-swish: interrupted" not in outcome.stderr
