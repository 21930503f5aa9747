"""Comparisons on images larger than memory."""

import csv
import json
import shutil

import image_files
import pytest
import small_run

from keras_swish import models
from keras_swish.train.datasets import imagenet
from keras_swish.train.trainer import trainer

pytest.importorskip("tensorflow")

QUICK = ["--image_size=32", "--batch_size=4", "--steps=2", "--checkpoint_seconds=0"]
PAPER = ["nasnet_mobile", "inception_resnet_v2", "mobilenet"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("imagenet")
    image_files.make_folder(path / "train", classes=12, per_class=3)
    image_files.make_folder(path / "validation", classes=12, per_class=1, seed=1)
    return path


@pytest.fixture
def trained(monkeypatch):
    """Stands in for the training; keeps the runs, and the datasets that they got."""
    made = []

    def train(run, dataset, directory, **options):
        made.append((run, dataset))
        accuracy = 0.5 + 0.1 * (run.activation == "swish")
        best_rate = 0.75 * (run.recipe.swish_learning_rate or run.recipe.learning_rate)
        return small_run.finish(run, directory, accuracy, best_rate, test_top_5_accuracy=0.9)

    monkeypatch.setattr(trainer, "train", train)
    return made


@pytest.mark.parametrize("program", ["imagenet", "compare"])
def test_a_folder_of_other_classes_is_not_resumed(call, folder, trained, tmp_path, program):
    data = shutil.copytree(folder, tmp_path / "data")
    out = tmp_path / "out"
    flags = [program, *QUICK, f"--dataset={data}", "--model=resnet8", "--recipe=mobilenet"]
    flags += ["--dropout=0", f"--out={out}"]
    flags += ["--activations=relu", "--seeds=1", "--learning_rates=0.01"] * (program == "compare")
    code, _, err = call(*flags)
    assert code == 0, err
    names = json.loads((out / "config.json").read_text())["class_names"]
    for split in ("train", "validation"):
        (data / split / names[-1]).rename(data / split / "n99999999")
    code, _, err = call(*flags)
    assert code == 2
    other = f"holds results of other classes (class 11 {names[-1]!r}, now 'n99999999')"
    assert f"--out={out}: {other}; choose another one" in err
    # As an earlier version of `compare` left it.
    record = json.loads((out / "config.json").read_text())
    del record["class_names"]
    (out / "config.json").write_text(json.dumps(record))
    if program == "compare":
        assert call(*flags)[0] == 0
        assert json.loads((out / "config.json").read_text())["class_names"] != names
    assert len(trained) == 1


@pytest.mark.slow
def test_compare_trains_on_class_folders_resumes_and_reports(call, folder, tmp_path):
    broken = tmp_path / "data"
    for path in folder.glob("*/*/*"):
        copy = broken / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    corrupt = next(iter(sorted(broken.glob("validation/*/*"))))
    corrupt.write_bytes(b"no image")
    out = tmp_path / "out"
    flags = [*QUICK, f"--dataset={broken}", "--models=resnet8", "--recipe=mobilenet", "--dropout=0"]
    flags += ["--activations=relu,swish", "--learning_rates=0.01", f"--out={out}"]
    code, printed, err = call("compare", *flags, "--seeds=1")
    assert code == 0, err
    assert "| swish " in printed
    names = [f"resnet8-lr0.01-{activation}-seed0" for activation in ("relu", "swish")]
    for name in names:
        run = out / "runs" / name
        assert set((run / "corrupt.txt").read_text().split()) == {str(corrupt)}
        assert (run / trainer.MODEL).exists()
    before = (out / "runs" / names[0] / trainer.RESULT).read_text()

    code, printed, err = call("compare", *flags, "--seeds=2")
    assert code == 0, err
    assert printed.count("finished before") == 2
    assert (out / "runs" / names[0] / trainer.RESULT).read_text() == before
    with open(out / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["activation"], row["seed"]) for row in rows] == [
        (activation, seed) for activation in ("relu", "swish") for seed in "01"
    ]
    for row in rows:
        assert 0 <= float(row["test_accuracy"]) <= float(row["test_top_5_accuracy"]) <= 1

    code, _, err = call("report", out)
    assert code == 0, err
    text = (out / "table.md").read_text()
    for words in (
        "12 classes; 36 images of the split train for",
        "12 of the split validation for validation and test",
        "the test split is also the one that validates",
    ):
        assert words in " ".join(text.split())
    assert "Compared with the paper" not in text  # which measured neither network nor data
    for name in ("inputs.png", "curves.svg", "accuracy.svg", "report.html"):
        assert (out / name).stat().st_size > 1000, name


def test_each_network_is_checked_at_its_own_size(call, folder, trained, tmp_path, monkeypatch):
    built = []

    def build(input_shape, **arguments):
        built.append(input_shape)
        return small_run.small_network(input_shape, **arguments)

    for name, size in (("larger", 40), ("smaller", 32)):
        monkeypatch.setitem(models.BUILDERS, name, build)
        monkeypatch.setitem(imagenet.SIZES, name, size)
    flags = [f"--dataset={folder}", "--models=larger,smaller", "--activations=relu", "--seeds=1"]
    flags += ["--batch_size=4", "--steps=2", "--recipe=short", "--warmup_epochs=0"]
    code, _, err = call("compare", *flags, f"--out={tmp_path / 'out'}")
    assert code == 0, err
    assert built == [(40, 40, 3), (32, 32, 3)]
    assert [dataset.input_shape for _, dataset in trained] == built


@pytest.mark.slow
def test_each_network_is_trained_by_its_own_recipe_at_its_own_size(call, folder, trained, tmp_path):
    out = tmp_path / "out"
    flags = [f"--dataset={folder}", f"--models={','.join(PAPER)}", "--batch_size=4"]
    flags += ["--batch_scaling=none", "--activations=relu,swish", "--seeds=3", f"--out={out}"]
    code, _, err = call("compare", *flags)
    assert code == 0, err
    rates = {
        "nasnet_mobile": (0.04, 0.03, 0.02),
        "inception_resnet_v2": (0.045, 0.03375, 0.0225),
        "mobilenet": (0.045, 0.03375, 0.0225),
    }
    runs = [run for run, _ in trained]
    assert [(run.model, run.activation, run.recipe.learning_rate) for run in runs[:18]] == [
        (model, activation, rate)
        for model in PAPER
        for activation in ("relu", "swish")
        for rate in rates[model]
    ]
    assert len(runs) == 18 + 2 * 6
    assert {run.recipe.learning_rate for run in runs[18:]} == {0.02, 0.0225}
    assert {(run.model, run.image_size) for run in runs} == {
        ("nasnet_mobile", 224),
        ("inception_resnet_v2", 299),
        ("mobilenet", 224),
    }
    for run, dataset in trained:
        assert dataset.image_size == run.image_size
        assert dataset.corrupt_log.parent.parent == out / "runs"
        assert run.test_split == "validation"
        assert (run.recipe.clip_norm, run.recipe.decay_depthwise) == (
            10.0 if run.model == "nasnet_mobile" else None,
            run.model != "mobilenet",
        )
    assert len({dataset.corrupt_log for _, dataset in trained}) == len(trained)
    settled = json.loads((out / "config.json").read_text())["config"]
    assert settled["image_files"] == {"classes": 12, "training": 36, "test": 12}
    own = settled["networks"]["nasnet_mobile"]
    assert (own["image_size"], own["recipe"]["dropout"]) == (224, 0.5)
    text = " ".join((out / "table.md").read_text().split())
    assert "Recipe of nasnet_mobile: " in text
    assert "clip_norm 10.0" in text

    # The same trains nothing; another network is added, with its own recipe.
    trained.clear()
    flags[1] = "--models=nasnet_mobile,inception_v3"
    assert call("compare", *flags)[0] == 0
    assert {run.model for run, _ in trained} == {"inception_v3"}
    settled = json.loads((out / "config.json").read_text())["config"]
    assert set(settled["networks"]) == {*PAPER, "inception_v3"}

    # Other settings of a network are refused, even where those in common are the same.
    code, _, err = call("compare", *flags, "--recipe=inception_v3")
    assert code == 2
    assert "holds the results of other settings (" in err
    assert "decay_factor 0.97, now 0.94" in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.slow
def test_too_many_corrupt_images_end_it_with_one_line(call, folder, trained, tmp_path):
    for path in folder.glob("*/*/*"):
        copy = tmp_path / "data" / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(b"no image")
    flags = [f"--dataset={tmp_path / 'data'}", *QUICK, "--max_corrupt=3", "--seeds=1"]
    code, _, err = call("compare", *flags, f"--out={tmp_path / 'out'}")
    assert code == 1
    assert "Too many corrupt images: " in err.strip().splitlines()[-1]
    assert trained == []


@pytest.mark.slow
def test_one_learning_rate_is_tried_where_it_is_given(call, folder, trained, tmp_path):
    flags = [f"--dataset={folder}", "--model=mobilenet", "--batch_size=4", "--seeds=1"]
    flags += ["--activations=relu,swish", "--learning_rate=0.01", f"--out={tmp_path / 'out'}"]
    assert call("compare", *flags)[0] == 0
    assert [run.recipe.learning_rate for run, _ in trained] == [0.01, 0.01]


def test_swish_gets_its_lower_learning_rate_where_none_are_tried(call, trained, tmp_path):
    flags = ["--train_split=train[:200]", "--activations=relu,swish", "--seeds=1"]
    flags += ["--swish_learning_rate=0.05", f"--out={tmp_path / 'out'}"]
    assert call("compare", *flags)[0] == 0
    assert [run.recipe.learning_rate for run, _ in trained] == [0.1, 0.05]


@pytest.mark.slow
def test_tfrecords_are_compared_on_too(call, folder, trained, tmp_path):
    for split in ("train", "validation"):
        image_files.write_records(folder / split, tmp_path / "shards", name=split)
    flags = [f"--dataset={tmp_path}/shards/{{split}}-*", "--classes=12", "--model=mobilenet"]
    flags += [*QUICK, "--activations=relu", "--seeds=1", f"--out={tmp_path / 'out'}"]
    code, _, err = call("compare", *flags)
    assert code == 0, err
    assert trained[0][1].training_images == 36
    code, _, err = call("compare", *flags[:1], *flags[2:])
    assert code == 2
    assert "--classes: TFRecords do not tell" in err


@pytest.mark.slow
def test_a_folder_of_other_data_is_refused(call, folder, trained, tmp_path):
    digits = ["--model=resnet8", "--seeds=1", f"--out={tmp_path / 'digits'}"]
    assert call("compare", *digits)[0] == 0
    flags = [f"--dataset={folder}", *QUICK, "--recipe=short", "--warmup_epochs=0"]
    assert call("compare", *flags, "--model=resnet8", f"--out={tmp_path / 'flowers'}")[0] == 0
    for arguments in (
        [*flags, "--model=resnet8", f"--out={tmp_path / 'digits'}"],
        ["--model=resnet8", f"--out={tmp_path / 'flowers'}"],
    ):
        code, _, err = call("compare", *arguments)
        assert code == 2
        assert len(err.strip().splitlines()) == 1
        assert "holds the results of other settings (dataset " in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pad=4"], "--pad=4: images of ImageNet's form are cropped in another way"),
        (["--test_split=test"], "/test'."),
        (["--models=mobilenet,inception_v5"], "Unknown network 'inception_v5'"),
        (["--model=mobilenet", "--auxiliary_weight=0.4"], "mobilenet has no auxiliary"),
        (["--batch_size=64"], "--batch_size=64: a batch of 64 is larger than"),
        (["--learning_rate=0.1", "--learning_rates=0.1"], "stands in place of --learning_rate"),
        (["--strategy=multi_host"], "value should be one of <none|data_parallel>"),
        (["--train_split=tran"], "/tran'."),
    ],
)
def test_a_mistake_ends_with_one_line_and_code_2(call, folder, tmp_path, arguments, message):
    code, _, err = call("compare", f"--dataset={folder}", *arguments, f"--out={tmp_path / 'out'}")
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert message in err
    assert not (tmp_path / "out").exists()


def test_the_recipes_of_all_networks_are_printed(call):
    networks = "--models=resnet164,wrn_28_10"
    code, printed, _ = call("compare", "--dataset=cifar10", networks, "--print_recipe")
    assert code == 0
    assert printed.index("\nresnet164\nsource: He et al. 2016 (Identity") < printed.index(
        "\nwrn_28_10\nsource: Zagoruyko"
    )


@pytest.mark.ray
@pytest.mark.slow
def test_on_ray_a_comparison_ends_with_the_table_of_local(call, folder, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    flags = [f"--dataset={folder}", *QUICK, "--models=resnet8,resnet14", "--recipe=mobilenet"]
    flags += ["--dropout=0", "--activations=relu", "--seeds=1", "--learning_rates=0.01"]
    tables = {}
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        for executor in ("local", "ray"):
            out = tmp_path / executor
            code, printed, err = call("compare", *flags, f"--executor={executor}", f"--out={out}")
            assert code == 0, err
            tables[executor] = printed[printed.index("| activation") : printed.index("results:")]
    finally:
        ray.shutdown()
    assert tables["local"] == tables["ray"]


@pytest.mark.jax
@pytest.mark.slow
def test_the_runs_of_a_comparison_take_all_devices(python, folder, tmp_path):
    pytest.importorskip("jax")
    four = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    flags = [f"--dataset={folder}", *QUICK, "--models=resnet8,resnet14", "--recipe=mobilenet"]
    flags += ["--dropout=0", "--activations=relu", "--seeds=1", "--learning_rates=0.01"]
    losses = []
    for strategy in ("none", "data_parallel"):
        out = tmp_path / strategy
        flags = [*flags, f"--strategy={strategy}", f"--out={out}"]
        python("-m", "keras_swish.train.compare", *flags, **four)
        with open(out / "results.csv") as file:
            losses.append([float(row["test_loss"]) for row in csv.DictReader(file)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
