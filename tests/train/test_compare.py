"""The grid of a comparison: which runs are made, which are found again."""

import csv
import importlib.util
import json
import os
import re
import shutil
import sys

import numpy as np
import pytest

from keras_swish.train.datasets.augmentation import Batches
from keras_swish.train.reporting import runs
from keras_swish.train.trainer import epoch_log, loggers, recipes, trainer

QUICK = ["--epochs=1", "--train_split=train[:200]", "--batch_size=32"]


@pytest.mark.slow
def test_only_the_best_learning_rate_is_repeated(call, trained, tmp_path):
    flags = [*QUICK, "--models=resnet8,resnet14", "--activations=relu,swish", "--seeds=3"]
    flags += ["--learning_rates=0.1,0.02,0.005", f"--out={tmp_path / 'out'}"]
    code, printed, err = call("compare", *flags)
    assert code == 0, err
    pairs = [(model, name) for model in ("resnet8", "resnet14") for name in ("relu", "swish")]
    assert trained[:12] == [(*pair, rate, 0) for pair in pairs for rate in (0.1, 0.02, 0.005)]
    assert trained[12:] == [(*pair, 0.02, seed) for seed in (1, 2) for pair in pairs]
    assert "## resnet14" in printed
    assert "On resnet8, swish reaches 61.50%, 10.00 points better than relu (51.50%)" in printed
    assert "with relu, each activation at the learning rate that validates best" in printed
    left = [int(n) for n in re.findall(r"(\d+) of 20 runs done, about \d+:\d\d left", printed)]
    assert left == list(range(1, 20))
    with open(tmp_path / "out/results.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert {row["learning_rate"] for row in rows if row["chosen"] == "True"} == {"0.02"}
    for name in ("table.md", "report.html", "curves.svg", "accuracy.svg", "inputs.png"):
        assert (tmp_path / "out" / name).stat().st_size > 1000, name

    # The same command again trains nothing; more of everything trains what is new.
    trained.clear()
    assert call("compare", *flags)[0] == 0
    assert trained == []
    flags += ["--models=resnet8,resnet20", "--activations=relu,elu", "--seeds=1"]
    assert call("compare", *flags, "--learning_rates=0.02")[0] == 0
    new = [("resnet8", "elu"), ("resnet20", "relu"), ("resnet20", "elu")]
    assert trained == [(*pair, 0.02, 0) for pair in new]


def test_a_worker_elsewhere_is_told_the_whole_path(call, trained, tmp_path, monkeypatch):
    seen, train = [], trainer.train

    def looked(run, dataset, directory, **options):
        seen.append(directory)
        return train(run, dataset, directory, **options)

    monkeypatch.setattr(trainer, "train", looked)
    monkeypatch.chdir(tmp_path)
    flags = [*QUICK, "--activations=relu", "--seeds=1", "--out=out"]
    assert call("compare", *flags)[0] == 0
    assert seen == [tmp_path.resolve() / "out/runs/resnet8-lr0.1-relu-seed0"]


@pytest.mark.parametrize(
    "name", ["digits_resnet8", pytest.param("fashion_mnist_resnet20", marks=pytest.mark.slow)]
)
def test_results_from_before_the_grid_resume(call, trained, tmp_path, root, name):
    out = tmp_path / "out"
    shutil.copytree(root / "results" / name, out)
    record = json.loads((out / "config.json").read_text())
    # Small data in place of the real: what is looked for is the runs.
    record["config"] |= {"dataset": "digits", "pad": 1, "flip": False}
    (out / "config.json").write_text(json.dumps(record))
    settled = record["config"]["recipe"]
    flags = [f"--{key}={settled[key]}" for key in ("epochs", "batch_size", "warmup_epochs")]
    flags += [f"--model={record['config']['model']}", "--recipe=short", f"--out={out}"]
    assert call("compare", *flags)[0] == 0
    assert trained == []
    assert call("compare", *flags, "--activations=relu,elu", "--seeds=1")[0] == 0
    assert [activation for _, activation, *_ in trained] == ["elu"]
    assert (out / "runs/elu-seed0").exists()


def test_folders_name_what_the_comparison_leaves_open(tmp_path):
    recipe = recipes.Recipe("a test", 1, 16, learning_rate=0.05, schedule="cosine")
    run = trainer.Run("digits", "resnet8", "relu", 3, recipe)
    for settled, name in (
        ({"recipe": {}}, "resnet8-lr0.05-relu-seed3"),
        ({"recipe": {"learning_rate": 0.1}, "model": "resnet8"}, "lr0.05-relu-seed3"),
        ({"recipe": {"learning_rate": 0.05}, "model": "resnet20"}, "resnet8-relu-seed3"),
        ({"recipe": {"learning_rate": 0.05}, "model": "resnet8"}, "relu-seed3"),
    ):
        (tmp_path / "config.json").write_text(json.dumps({"config": settled}))
        assert runs.directory(tmp_path, run) == tmp_path / "runs" / name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models=resnet8,resnet21"], "--models=resnet8,resnet21: Unknown network 'resnet21'."),
        (["--models="], "--models=: name at least one"),
        (["--models=resnet8", "--model=resnet8"], "stands in place of --model"),
        (["--learning_rates=0.1,fast"], "--learning_rates=0.1,fast: 'fast' is not a number"),
        (["--learning_rates=0.1,-1"], "--learning_rates=0.1,-1: must be positive numbers"),
        (["--learning_rates=nan"], "--learning_rates=nan: must be positive numbers"),
        (["--learning_rates="], "--learning_rates=: must be positive numbers"),
        (["--learning_rates=0.1", "--learning_rate=1"], "stands in place of --learning_rate"),
        (
            ["--swish_learning_rate=0.05", "--learning_rate=1"],
            "every activation gets 1, from",
        ),
        (
            ["--dataset=imagenet2012", "--models=resnet50,mobilenet", "--swish_learning_rate=0.05"],
            "changes nothing where every activation gets 0.045, 0.03375, 0.0225, from",
        ),
        (["--executor=slurm"], "value should be one of <local|ray>"),
        (["--run_cpus=-1"], "--run_cpus=-1"),
    ],
)
def test_a_mistake_ends_with_one_line_and_code_2(call, tmp_path, arguments, message):
    code, _, err = call("compare", *arguments, f"--out={tmp_path / 'out'}")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert message in err
    assert not (tmp_path / "out").exists()


def test_the_sample_is_of_the_first_batch(tiny):
    recipe = recipes.Recipe("a test", 2, 16, learning_rate=0.1, schedule="cosine")
    sample = loggers.sample_inputs(tiny, 0, recipe, count=8)
    np.testing.assert_array_equal(sample, Batches(tiny, tiny.train, 16, 0)[0][0][:8])
    images = loggers.as_images(sample)
    assert images.shape == (8, 8, 8, 1)
    assert (images.min(), images.max()) == (0, 1)
    assert np.corrcoef(images.ravel(), sample.ravel())[0, 1] == pytest.approx(1)


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "betas"), [("swish_beta", 7), ("relu", 0)])
def test_tensorboard_gets_throughput_inputs_and_histograms(activation, betas, tiny, tmp_path):
    tensorflow = pytest.importorskip("tensorflow")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    recipe = recipes.Recipe("a test", 2, 16, learning_rate=0.1, schedule="cosine")
    run = trainer.Run("tiny", "resnet8", activation, 0, recipe)
    trainer.train(run, tiny, tmp_path, tensorboard=True)
    found = accumulator.EventAccumulator(str(tmp_path / "tensorboard/train"))
    found.Reload()
    tensors = found.Tags()["tensors"]
    assert "augmented inputs" in tensors
    speeds = [
        float(tensorflow.make_ndarray(event.tensor_proto))
        for event in found.Tensors("epoch_images_per_second")
    ]
    seconds = [row["seconds"] for row in epoch_log.read_log(tmp_path)]
    assert speeds == pytest.approx([64 / s for s in seconds])
    found = accumulator.EventAccumulator(str(tmp_path / "tensorboard/activations"))
    found.Reload()
    tags = found.Tags()["tensors"]
    assert sum(tag.endswith("/beta") for tag in tags) == betas
    assert sum(tag.endswith("/pre_activation") for tag in tags) == 7


def test_without_wandb_its_flag_is_refused_at_once(call, monkeypatch, tmp_path):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "wandb" else find_spec(name, *rest),
    )
    code, _, err = call("compare", "--wandb", f"--out={tmp_path / 'out'}")
    assert code == 2
    assert "--wandb=True: needs wandb: pip install" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_wandb_gets_the_log(tiny, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    recipe = recipes.Recipe("a test", 2, 16, learning_rate=0.1, schedule="cosine")
    run = trainer.Run("tiny", "resnet8", "relu", 0, recipe)
    assert trainer.train(run, tiny, tmp_path, wandb=True)["status"] == "ok"
    assert list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.mark.ray
@pytest.mark.slow
def test_on_ray_a_comparison_ends_with_the_table_of_local(call, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        flags = [*QUICK, "--activations=relu,swish", "--seeds=1"]
        tables = {}
        for executor in ("local", "ray"):
            code, printed, err = call(
                "compare", *flags, f"--executor={executor}", f"--out={tmp_path / executor}"
            )
            assert code == 0, err
            tables[executor] = printed[printed.index("| activation") : printed.index("results:")]
        assert tables["local"] == tables["ray"]
    finally:
        ray.shutdown()


def test_compare_prints_and_saves_the_table_and_resumes(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [*QUICK, "--activations=relu,swish_beta", "--out=both"]
    code, printed, err = call("compare", *flags, "--seeds=1")
    assert code == 0, err
    assert "| swish_beta " in printed
    assert printed.strip().splitlines()[-1].startswith("results: both")

    first = json.loads((tmp_path / "both/runs/resnet8-lr0.1-relu-seed0/result.json").read_text())
    code, printed, err = call("compare", *flags, "--seeds=2")
    assert code == 0, err
    with open(tmp_path / "both" / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["activation"], row["seed"]) for row in rows] == [
        ("relu", "0"),
        ("relu", "1"),
        ("swish_beta", "0"),
        ("swish_beta", "1"),
    ]
    assert float(rows[0]["seconds"]) == first["seconds"]  # read, not trained again
    table = (tmp_path / "both" / "table.md").read_text()
    for seeds in (1, 2):
        assert f"--activations=relu,swish_beta --out=both --seeds={seeds}`" in table
    assert "2 seeds cannot give less than 0.5" in table
    assert "results: both (results.csv, table.md, report.html" in printed
    assert (tmp_path / "both" / "curves.svg").stat().st_size > 10_000
    # Swish's betas, which the run's folder keeps when its network is gone.
    assert "betas of 2 runs; 90% of them lie between" in " ".join(table.split())
    (kept,) = (tmp_path / "both").glob("runs/*swish_beta-seed0/betas.json")
    assert len(json.loads(kept.read_text())) == 7
    figure = (tmp_path / "both" / "betas.svg").read_bytes()
    for model in (tmp_path / "both").glob("runs/*/model.keras"):
        model.unlink()
    assert call("report", "both")[0] == 0
    assert (tmp_path / "both" / "betas.svg").read_bytes() == figure


@pytest.mark.slow
def test_a_run_that_diverged_does_not_end_the_others(call, tmp_path):
    flags = [*QUICK, "--activations=relu,max(x, exp(x))", "--seeds=1", f"--out={tmp_path / 'out'}"]
    code, printed, err = call("compare", *flags, "--learning_rate=1e30")
    assert code == 0, err
    assert "max(x, exp(x)), learning rate 1e+30, seed 0: diverged: the loss is" in printed
    assert "diverged" in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.slow
def test_the_main_job_learns_with_every_activation(tmp_path, python):
    outcome = python("-m", "keras_swish.train.compare", f"--out={tmp_path / 'out'}")
    with open(tmp_path / "out" / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    assert min(float(row["test_accuracy"]) for row in rows) > 0.95
    assert "results: " in outcome.stdout


@pytest.mark.slow
def test_what_a_folder_was_begun_with_is_not_left_out_in_silence(call, trained, tmp_path):
    flags = [*QUICK, "--activations=relu", "--seeds=1", f"--out={tmp_path / 'out'}"]
    begun = ["--validation_split=0.2", "--baselines=2", "--count_choosing_seed"]
    for _ in range(2):
        code, _, err = call("compare", *flags, *begun)
        assert code == 0, err
    for left_out in begun:
        others = [flag for flag in begun if flag != left_out]
        code, _, err = call("compare", *flags, *others, "--seeds=2")
        assert code == 2
        name = left_out.strip("-").partition("=")[0]
        assert re.search(f"holds the results of other settings .{name} .*, now None", err), err
    assert len(trained) == 1


def test_a_network_that_cannot_take_the_images_is_refused_before_the_first(call, trained, tmp_path):
    flags = [*QUICK, "--models=resnet8,inception_v3", f"--out={tmp_path / 'out'}"]
    code, _, err = call("compare", *flags)
    assert code == 2
    assert "--models=resnet8,inception_v3: " in err
    assert "height and width of at least 75" in err
    assert not trained
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode")
def test_a_folder_need_not_be_utf_8(call, trained, tmp_path):
    out = os.path.join(tmp_path, os.fsdecode(b"caf\xe9"))
    for seeds in (1, 2):  # what it has written, it reads again
        flags = [*QUICK, "--activations=relu,swish", f"--seeds={seeds}", f"--out={out}"]
        code, printed, err = call("compare", *flags)
        assert code == 0, err
    assert "/caf\\udce9 (results.csv" in printed
    with open(os.path.join(out, "table.md"), encoding="utf-8") as file:
        assert "caf\\udce9" in file.read()
    assert call("report", out)[0] == 0
    assert len(trained) == 4


def test_the_baseline_is_kept_without_the_table(call, trained, tmp_path):
    out = tmp_path / "out"
    flags = [*QUICK, "--seeds=1", f"--out={out}"]
    for activations in ("swish,relu", "relu,gelu", "swish,relu"):
        assert call("compare", *flags, f"--activations={activations}")[0] == 0
    # As after a kill before the first report.
    (out / "results.csv").unlink()
    assert call("report", out)[0] == 0
    with open(out / "results.csv") as file:
        assert [row["activation"] for row in csv.DictReader(file)] == ["swish", "relu", "gelu"]


def test_rates_of_which_none_was_chosen_are_not_called_so(call, trained, tmp_path):
    flags = [*QUICK, "--activations=relu,swish", "--seeds=2", f"--out={tmp_path / 'out'}"]
    code, printed, err = call("compare", *flags, "--swish_learning_rate=0.05")
    assert code == 0, err
    assert {run[1:3] for run in trained} == {("relu", 0.1), ("swish", 0.05)}
    for text in (printed, (tmp_path / "out/table.md").read_text()):
        assert "validates best" not in text
        assert "## Learning rates" not in text


@pytest.mark.slow
def test_learning_rates_are_not_left_out_in_silence(call, trained, tmp_path):
    flags = [*QUICK, "--activations=relu,swish", f"--out={tmp_path / 'out'}"]
    assert call("compare", *flags, "--learning_rates=0.05,0.02", "--seeds=2")[0] == 0
    count = len(trained)
    code, _, err = call("compare", *flags, "--seeds=3")
    assert code == 2
    assert "has runs of resnet8 with relu by --learning_rates=0.05,0.02: give it again" in err
    code, _, err = call("compare", *flags, "--seeds=2", "--seed=5", "--learning_rates=0.1,0.2")
    assert code == 2
    assert "--seed=5: 5 is not the seed with which the folder tried other learning rates" in err
    assert len(trained) == count
    assert call("compare", *flags, "--learning_rates=0.05,0.02", "--seeds=3")[0] == 0
    assert len(trained) == count + 2


@pytest.mark.parametrize(
    "flag",
    ["--learning_rates=0.005", pytest.param("--learning_rate=0.005", marks=pytest.mark.slow)],
)
def test_a_worse_learning_rate_that_is_new_is_not_repeated(call, trained, tmp_path, flag):
    flags = [*QUICK, "--activations=relu", f"--out={tmp_path / 'out'}"]
    assert call("compare", *flags, "--learning_rates=0.1,0.02", "--seeds=1")[0] == 0
    trained.clear()
    assert call("compare", *flags, flag, "--seeds=2")[0] == 0
    assert [run[2:] for run in trained] == [(0.005, 0), (0.02, 1)]


def test_one_learning_rate_is_not_left_out_in_silence(call, trained, tmp_path):
    flags = [*QUICK, "--activations=relu", "--seeds=1", f"--out={tmp_path / 'out'}"]
    assert call("compare", *flags, "--learning_rate=0.05")[0] == 0
    code, _, err = call("compare", *flags)
    assert code == 2
    assert "has runs of resnet8 with relu by --learning_rate=0.05: give it again" in err
