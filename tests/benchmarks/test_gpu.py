"""The program for GPUs runs small where there is none."""

import json

import keras
import pytest

BACKEND = keras.backend.backend()


@pytest.fixture(scope="module")
def gpu(benchmark_module):
    return benchmark_module("gpu")


@pytest.mark.slow
@pytest.mark.jax
@pytest.mark.torch
def test_all_parts_are_written(gpu, tmp_path, capsys):
    assert gpu.main(["--small", f"--backend={BACKEND}", f"--out={tmp_path}"]) == 0
    record = json.loads((tmp_path / f"{BACKEND}.json").read_text())
    assert record["accelerator"] == gpu.accelerator()
    assert record["environment"]["backend"] == BACKEND
    versions = [(row["function"], row["version"]) for row in record["activations"]]
    assert ("relu", "own") in versions
    assert ("swish_beta", "ours") in versions
    contenders = [row["contender"] for row in record["networks"]]
    assert contenders[:4] == ["keras", "relu", "swish", "swish_beta"]
    assert record["search"][0]["children"] >= gpu.SMALL.children
    assert BACKEND in capsys.readouterr().out


def test_ratios_are_those_of_the_medians(gpu, monkeypatch):
    def contenders(network, sizes):
        return dict.fromkeys(("relu", "swish"), lambda: None)

    clock = iter([0, 1, 0, 2] * 3)
    monkeypatch.setattr(gpu, "_contenders", contenders)
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: next(clock))
    sizes = gpu.Sizes(networks=("resnet50",), repeats=3, batch_size=4)
    relu, swish = gpu.measure_networks(sizes)
    assert (relu["images_per_s"], relu["speed_next_to_relu"]) == (4, 1)
    assert (swish["images_per_s"], swish["speed_next_to_relu"]) == (2, 0.5)


def test_an_unknown_part_is_named(gpu, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--parts=network"])
    assert "unknown part 'network'; valid: activations, networks, search" in capsys.readouterr().err
