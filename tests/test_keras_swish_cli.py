"""The console command, before Keras is imported: quick, and without TensorFlow's noise."""

import os
import sys

import pytest

import keras_swish_cli
from keras_swish.train import cli

WITHOUT_KERAS = """
import sys
sys.argv = ["keras-swish", sys.argv[1]]
import keras_swish_cli
keras_swish_cli.main()
assert not {"keras", "keras_swish", "tensorflow"} & set(sys.modules)
"""
# Writes to the file descriptor, as native code does; and ends as such code may.
NATIVE = """
import os, sys
import keras_swish_cli
with keras_swish_cli.without_noise():
    os.write(2, b"I0000 00:00:1 2 port.cc:153] oneDNN custom operations are on\\nan error\\n")
    os.write(2, b"the last words")
    if sys.argv[1] == "crash":
        os.abort()
    print("a warning of Python", file=sys.stderr)
print("after", file=sys.stderr)
"""
# What TensorFlow 2.19 and 2.21 wrote on machines without a GPU.
NOISE = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1796019432.302400    8040 cudart_stub.cc:31] Could not find cuda drivers on your machine
2025-09-01 10:00:00.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the
E0000 00:00:1796019470.968177    8632 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA
E0000 00:00:17.9 80 cuda_dnn.cc:8579] Unable to register cuDNN factory: Attempting to register
2025-09-01 10:00:00.1: E external/local_xla/x/cuda_platform.cc:51] failed call to cuInit: UNKNOWN
"""


@pytest.mark.parametrize("argument", ["--help", "--version", "help"])
def test_help_and_version_need_no_keras(python, argument):
    outcome = python("-c", WITHOUT_KERAS, argument)
    assert outcome.stderr == ""
    assert "keras-swish" in outcome.stdout


def test_both_ways_to_start_print_the_same(call, capsys, monkeypatch):
    printed = call("--help")[1]
    monkeypatch.setattr(sys, "argv", ["keras-swish"])
    keras_swish_cli.main()
    assert capsys.readouterr().out == printed
    assert cli.COMMANDS is keras_swish_cli.COMMANDS


@pytest.mark.parametrize("line", NOISE.splitlines())
def test_what_tensorflow_writes_at_every_start_is_noise(line):
    assert keras_swish_cli.noise(line, has_gpu=False)


@pytest.mark.parametrize(
    "line",
    [
        "E0000 00:00:1 2 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error",
        "I0000 00:00:1 2 cudart_stub.cc:31] Could not find cuda drivers on your machine",
    ],
)
def test_where_there_is_a_gpu_it_is_an_error_that_none_is_found(line):
    assert not keras_swish_cli.noise(line, has_gpu=True)
    assert keras_swish_cli.noise(line, has_gpu=False)


@pytest.mark.parametrize(
    "line",
    [
        "F0000 00:00:1 2 cpu_feature_guard.cc:1] The TensorFlow library was compiled to use AVX",
        "W0000 00:00:1 2 gpu_device.cc:2341] Cannot dlopen some GPU libraries.",
        "2025-09-01 10:00:00.1: W tensorflow/core/common_runtime/gpu/gpu_device.cc:1] no library",
        "Traceback (most recent call last):",
        "",
    ],
)
def test_all_else_is_passed_on(line):
    assert not keras_swish_cli.noise(line, has_gpu=False)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_nothing_but_noise_is_lost_not_even_in_a_crash(python, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    outcome = python("-c", NATIVE, "end")
    assert outcome.stderr == "an error\nthe last wordsa warning of Python\nafter\n"
    outcome = python("-c", NATIVE, "crash", check=False)
    assert outcome.returncode < 0
    assert outcome.stderr.startswith("an error\nthe last words")


def test_whoever_sets_the_level_sees_every_line(python):
    assert "oneDNN" in python("-c", NATIVE, "end", TF_CPP_MIN_LOG_LEVEL="0").stderr


@pytest.mark.slow
def test_a_program_starts_in_silence(python, monkeypatch, tmp_path):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    out = tmp_path / "figure.svg"
    outcome = python("-m", "keras_swish_cli", "plot", "swish", f"--out={out}")
    assert outcome.stderr == ""
    assert outcome.stdout == f"figure: {out}\n"


@pytest.mark.parametrize("closed", [(1,), (2,), (0, 1, 2)])
@pytest.mark.slow
def test_without_an_output_it_works_all_the_same(python, tmp_path, closed):
    code = f"""
import os, sys
for number in {closed}:
    os.close(number)
os.execv(sys.executable, [sys.executable, "-m", "keras_swish_cli", "plot", "relu", "--out=a.svg"])
"""
    python("-c", code, cwd=tmp_path)
    assert (tmp_path / "a.svg").stat().st_size > 1000


@pytest.mark.parametrize("backend", ["tensorflwo", "no_backend"])
def test_a_backend_that_is_none_ends_with_one_line(python, backend):
    outcome = python(
        "-c",
        "import keras_swish_cli; keras_swish_cli.main()",
        "models",
        check=False,
        KERAS_BACKEND=backend,
    )
    assert outcome.returncode == 2
    assert outcome.stderr.startswith(f"keras-swish: KERAS_BACKEND={backend} cannot be used (")
    assert outcome.stderr.count("\n") == 1
