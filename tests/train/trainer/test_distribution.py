"""Many devices and many processes, for real: each case in processes of its own."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from keras_swish.train.errors import ArgumentError
from keras_swish.train.trainer import distribution, epoch_log, recipes, trainer

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-m", "keras_swish.train.cifar"]
FLAGS = ["--epochs=2", "--train_split=train[:200]", "--batch_size=32", "--model=resnet8"]
# All that could differ between devices: clipping, the average, weighted metrics.
FLAGS += ["--optimizer=rmsprop", "--ema_momentum=0.9", "--clip_norm=0.5", "--epsilon=0.1"]
JAX = {"KERAS_BACKEND": "jax"}
MIRRORED = """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
parts = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, parts)
"""
# Batch normalisation takes each device's own share. Without it the losses have to be the same.
NETWORK = """
import keras
from keras_swish import models

def build(input_shape, classes, activation, **_):
    layers = [keras.layers.Conv2D(8, 3, activation=activation), keras.layers.Flatten()]
    return keras.Sequential([keras.Input(input_shape), *layers, keras.layers.Dense(classes)])

models.BUILDERS["resnet8"] = build
"""
TRAIN = """
import runpy
runpy.run_module("keras_swish.train.cifar", run_name="__main__", alter_sys=True)
"""


@pytest.fixture
def start(root, monkeypatch):
    """Starts commands, and ends them where a test fails."""
    started = []

    def run(command, **environment):
        environment = {**os.environ, "PYTHONPATH": str(root), **environment}
        process = subprocess.Popen(
            [*map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()


def ended(process):
    output = process.communicate(timeout=600)[0].decode()
    assert process.returncode == 0, output
    return output


def assert_same_tests(ours, theirs, rtol):
    results = [trainer.read_result(directory) for directory in (ours, theirs)]
    for name in ("test_loss", "test_accuracy"):
        np.testing.assert_allclose(*(result[name] for result in results), rtol=rtol, err_msg=name)


def assert_same_losses(ours, theirs, rtol):
    logs = [epoch_log.read_log(directory) for directory in (ours, theirs)]
    assert len(logs[0]) == len(logs[1]) > 0
    for left, right in zip(*logs):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            np.testing.assert_allclose(left[name], right[name], rtol=rtol, err_msg=name)


def hosts(out, *flags):
    """Returns the commands of two hosts."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = [*PROGRAM, *FLAGS, *flags, "--strategy=multi_host", "--hosts=2", f"--out={out}"]
    return [[*common, f"--coordinator=localhost:{port}", f"--host={host}"] for host in range(2)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory, root):
    """The folder of a run on one device of JAX."""
    pytest.importorskip("jax")
    out = tmp_path_factory.mktemp("alone") / "run"
    environment = {**os.environ, "PYTHONPATH": str(root), **JAX}
    subprocess.run([*PROGRAM, *FLAGS, f"--out={out}"], check=True, env=environment)
    return out


@pytest.mark.jax
def test_four_devices_of_jax_give_the_losses_of_one(alone, start, tmp_path):
    out = tmp_path / "four"
    four = {**JAX, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    flags = ["--strategy=data_parallel", f"--out={out}"]
    ended(start([*PROGRAM, *FLAGS, *flags], **four))
    assert_same_losses(out, alone, 1e-4)
    # Test and validation splits are no multiple of four.
    refused = start([*PROGRAM, "--batch_size=30", flags[0], f"--out={tmp_path / 'x'}"], **four)
    assert b"must be a multiple of the 4 devices" in refused.communicate()[0]
    assert refused.returncode == 2


@pytest.mark.jax
def test_the_weights_lie_on_all_devices(python):
    pytest.importorskip("jax")
    code = """
from keras_swish.train.trainer import model as model_building
from keras_swish.train.datasets import in_memory
from keras_swish.train.trainer import distribution
from keras_swish.train.trainer import trainer
from keras_swish.train.trainer import recipes
devices = distribution.start("data_parallel")
run = trainer.Run("digits", "resnet8", "swish", 0, recipes.RECIPES["short"])
with devices.scope():
    model = model_building.build(run, in_memory.load("digits"))
print(devices.count, {len(v.value.sharding.device_set) for v in model.variables})
"""
    four = {**JAX, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    assert "4 {4}" in python("-c", code, **four).stdout


@pytest.mark.jax
def test_two_processes_give_the_losses_of_one(alone, start, tmp_path):
    processes = [start(command, **JAX) for command in hosts(tmp_path / "two")]
    for process in processes:
        ended(process)
    assert_same_losses(tmp_path / "two", alone, 1e-4)


@pytest.mark.jax
def test_a_killed_process_ends_the_others_and_a_restart_goes_on(alone, start, tmp_path):
    out = tmp_path / "two"
    flags = ["--checkpoint_seconds=0", "--epochs=40"]
    processes = [start(command, **JAX) for command in hosts(out, *flags)]
    while len(list((out / trainer.CHECKPOINTS).glob("step-*"))) < 2:
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGKILL)
    output = processes[0].communicate(timeout=300)[0].decode()
    assert processes[0].returncode == 1, output
    assert output.splitlines()[-1].endswith(f"--out={out} resumes, on all hosts")
    assert list((out / trainer.CHECKPOINTS).glob("step-*"))
    before = len(epoch_log.read_log(out))
    processes = [start(command, **JAX) for command in hosts(out, flags[1])]
    for process in processes:
        ended(process)
    assert 0 <= before < len(epoch_log.read_log(out)) == 40


@pytest.mark.parametrize("optimizer", ["rmsprop", "sgd"])
def test_two_devices_of_tensorflow_give_the_losses_of_one(optimizer, start, tmp_path):
    pytest.importorskip("tensorflow")
    # The last image of the test is alone in its batch, and one of the devices without any.
    flags = [flag for flag in FLAGS if optimizer == "rmsprop" or "epsilon" not in flag]
    flags += [f"--optimizer={optimizer}", "--learning_rate=0.01", "--test_split=test[:65]"]
    for name, devices, strategy in (("one", "", "none"), ("two", MIRRORED, "data_parallel")):
        command = [sys.executable, "-c", devices + NETWORK + TRAIN, *flags]
        command += [f"--strategy={strategy}", f"--out={tmp_path / name}"]
        ended(start(command, KERAS_BACKEND="tensorflow"))
    assert_same_losses(tmp_path / "one", tmp_path / "two", rtol=1e-4)
    assert_same_tests(tmp_path / "one", tmp_path / "two", rtol=1e-4)


def test_two_devices_of_tensorflow_train_a_network_of_the_zoo(start, tmp_path):
    pytest.importorskip("tensorflow")
    command = [sys.executable, "-c", MIRRORED + TRAIN, *FLAGS, "--strategy=data_parallel"]
    command.append("--test_split=test[:65]")
    ended(start([*command, f"--out={tmp_path}"], KERAS_BACKEND="tensorflow"))
    losses = [row["loss"] for row in epoch_log.read_log(tmp_path)]
    assert losses[1] < losses[0]


def test_devices_of_tensorflow_have_the_mean_of_their_moving_statistics(python):
    pytest.importorskip("tensorflow")
    code = """
import keras
import numpy as np
from keras_swish.train.trainer import distribution
with distribution.start("data_parallel").scope():
    model = keras.Sequential([keras.Input((3,)), keras.layers.BatchNormalization(momentum=0.5)])
    model.compile("sgd", "mse")
x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
model.fit(x, x, batch_size=8, verbose=0)
for value in model.layers[0].moving_mean.value.values:
    np.testing.assert_allclose(value, x.mean(0) / 2, rtol=1e-5)
"""
    python("-c", MIRRORED + code, KERAS_BACKEND="tensorflow")


def test_a_step_that_overflows_on_any_device_of_tensorflow_is_skipped(python):
    pytest.importorskip("tensorflow")
    code = """
import keras
import numpy as np
from keras_swish.train.trainer import distribution
from keras_swish.train.trainer import model as model_building
with distribution.start("data_parallel").scope():
    layers = [keras.Input((2,)), keras.layers.Dense(2, dtype="mixed_float16")]
    model = keras.Sequential(layers)
    model_building.compile_for(model, optimizer=keras.optimizers.SGD(0.1))
before = model.get_weights()
x, y = np.ones((4, 2), "float32"), np.eye(2, dtype="float32")[[0, 1, 0, 1]]
x[-1] = 1e6  # of the second device
model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
for ours, theirs in zip(before, model.get_weights()):
    np.testing.assert_array_equal(ours, theirs)
"""
    python("-c", MIRRORED + code, KERAS_BACKEND="tensorflow")


def test_a_strategy_that_the_backend_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(distribution.keras.backend, "backend", lambda: "torch")
    for strategy in ("data_parallel", "multi_host"):
        with pytest.raises(ArgumentError, match="needs KERAS_BACKEND=") as caught:
            distribution.start(strategy)
        assert caught.value.argument == "strategy"
    assert distribution.start("none") == distribution.ONE_DEVICE


@pytest.mark.parametrize(
    ("backend", "count", "synchronized", "split"),
    [
        ("tensorflow", 1, False, None),
        ("tensorflow", 2, False, 2),
        ("tensorflow", 2, True, None),
        ("jax", 2, False, None),
    ],
)
def test_batch_normalisation_has_replicas_where_devices_normalise_alone(
    monkeypatch, backend, count, synchronized, split
):
    monkeypatch.setattr(distribution.keras.backend, "backend", lambda: backend)
    recipe = dataclasses.replace(recipes.RECIPES["short"], synchronized_bn=synchronized)
    assert distribution.Devices(count).bn_replicas(recipe) == split


def test_synchronized_batch_normalisation_gives_the_losses_of_one_device(start, tmp_path):
    pytest.importorskip("tensorflow")
    flags = [flag for flag in FLAGS if not flag.startswith("--batch_size")]
    flags += ["--synchronized_bn", "--per_device_batch=16", "--strategy=data_parallel"]
    two = [sys.executable, "-c", MIRRORED + TRAIN, *flags, f"--out={tmp_path / 'two'}"]
    output = ended(start(two))
    assert "2 x 16 images a step, learning rate 0.1" in output
    ended(start([*PROGRAM, *FLAGS, f"--out={tmp_path / 'one'}"]))
    assert_same_losses(tmp_path / "two", tmp_path / "one", 1e-3)
