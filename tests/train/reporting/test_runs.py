import dataclasses
import json

import pytest

from keras_swish.train.reporting import runs
from keras_swish.train.trainer import recipes, trainer


def row(activation, seed, accuracy, model="resnet8", rate=0.1, validation=0.5):
    return {
        "model": model,
        "learning_rate": rate,
        "activation": activation,
        "seed": seed,
        "test_accuracy": accuracy,
        "validation_accuracy": validation,
        "epochs": 1,
        "steps": 5,
        "status": "ok" if accuracy is not None else "diverged: loss",
        "seconds": 1.0,
    }


def test_comparisons_are_corrected_together():
    rows = [row("relu", seed, 0.5) for seed in range(6)]
    rows += [row("swish", seed, 0.6 + 0.01 * seed) for seed in range(6)]
    rows += [row("elu", seed, 0.5 + 0.01 * (-1) ** seed) for seed in range(6)]
    found = runs.comparisons(rows)["relu"]
    assert found["swish"].p == 2 / 2**6
    assert found["swish"].holm_p == 2 * found["swish"].p == found["swish"].smallest_holm_p
    assert found["elu"].holm_p == 1


def test_two_baselines_are_corrected_as_one():
    rows = [row("relu", seed, 0.5) for seed in range(6)]
    rows += [row("swish", seed, 0.6 + 0.01 * seed) for seed in range(6)]
    rows += [row("elu", seed, 0.8 + 0.01 * seed**2) for seed in range(6)]
    found = runs.comparisons(rows, 2)
    assert {name: list(own) for name, own in found.items()} == {
        "relu": ["swish", "elu"],
        "swish": ["elu"],
    }
    assert found["swish"]["elu"].difference == pytest.approx(100 * (0.2 + 0.2 / 3), abs=0.1)
    assert found["swish"]["elu"].holm_p == pytest.approx(3 * 2 / 2**6)


def test_of_the_same_seeds_those_that_diverged_with_neither_are_compared():
    rows = [row("relu", seed, accuracy) for seed, accuracy in enumerate((0.5, 0.9, None))]
    rows += [row("swish", seed, accuracy) for seed, accuracy in enumerate((None, 0.8, 0.1))]
    found = runs.comparisons(rows)["relu"]["swish"]
    assert (found.mean, found.baseline_mean) == pytest.approx((80, 90))
    assert found.difference == pytest.approx(-10)
    assert found.is_paired
    # With no such seed, as two groups.
    rows[4] = row("swish", 1, None)
    found = runs.comparisons(rows)["relu"]["swish"]
    assert not found.is_paired
    assert (found.seeds, found.baseline_seeds, found.mean) == (1, 2, pytest.approx(10))


@pytest.mark.parametrize("seeds", [(1, 2), (2, 3), (2, 3, 4)])
def test_other_seeds_are_compared_as_two_groups(seeds):
    rows = [row("relu", seed, accuracy) for seed, accuracy in enumerate((0.5, 0.6))]
    rows += [row("swish", seed, 0.7 + 0.01 * seed) for seed in seeds]
    found = runs.comparisons(rows)["relu"]["swish"]
    assert (found.seeds, found.baseline_seeds) == (len(seeds), 2)
    assert found.p == {2: 2 / 6, 3: 1 / 10}[len(seeds)]
    assert found.difference == pytest.approx(found.mean - found.baseline_mean)


def test_runs_that_diverged_are_not_compared():
    rows = [row("relu", 0, 0.5), row("relu", 1, 0.6), row("exp", 0, None), row("exp", 1, 0.4)]
    assert runs.comparisons(rows)["relu"]["exp"].seeds == 1
    rows[3] = row("exp", 1, None)
    assert runs.comparisons(rows)["relu"]["exp"] is None


def test_the_learning_rate_is_chosen_by_validation_and_not_by_test():
    rows = [
        row("relu", 0, 0.9, rate=0.1, validation=0.5),
        row("relu", 0, 0.1, rate=0.2, validation=0.6),
        row("swish", 0, 0.1, rate=0.1, validation=0.6),
        row("swish", 0, 0.9, rate=0.2, validation=0.6),
        row("exp", 0, 0.1, rate=0.1, validation=0.1),
        row("exp", 0, None, rate=0.2, validation=None),
    ]
    assert runs.choose_learning_rates(rows) == {
        ("resnet8", "relu"): 0.2,
        ("resnet8", "swish"): 0.1,
        ("resnet8", "exp"): 0.1,
    }


def test_the_seeds_that_only_the_best_has_do_not_unseat_it():
    rows = [
        row("relu", 0, 0.5, rate=0.1, validation=0.5),
        row("relu", 0, 0.5, rate=0.2, validation=0.6),
        row("relu", 1, 0.5, rate=0.2, validation=0.1),
    ]
    assert runs.choose_learning_rates(rows) == {("resnet8", "relu"): 0.2}


def test_the_first_seed_chooses_also_where_others_were_run_with_all_rates():
    """A rate that was added later, and is better, gets the other seeds of the one before, too."""
    validation = {0.1: (0.90, 0.95, 0.90), 0.05: (0.91, 0.91, 0.99)}
    rows = [
        row("relu", seed, accuracy, rate=rate, validation=accuracy)
        for rate, accuracies in validation.items()
        for seed, accuracy in enumerate(accuracies)
    ]
    for count in (4, 5, 6):  # interrupted at each of them
        assert runs.choose_learning_rates(rows[:count]) == {("resnet8", "relu"): 0.05}
        assert runs._choosing_seeds(rows[:count]) == {("resnet8", "relu"): {0}}


def test_without_a_seed_of_all_rates_the_one_with_most_runs_counts():
    """The result of the seed that chose is damaged with the rate that it chose."""
    rows = [
        row("relu", 0, 0.5, rate=0.05, validation=0.3),
        row("relu", 1, 0.5, rate=0.1, validation=0.9),
        row("relu", 2, 0.5, rate=0.1, validation=0.9),
    ]
    assert runs.choose_learning_rates(rows) == {("resnet8", "relu"): 0.1}


def test_folders_of_long_formulas_and_near_rates_have_names_of_their_own(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"recipe": {}}, "starts": []}))
    long = " + ".join(["max(x, sin(x))"] * 20)
    names = set()
    for activation, rate in (
        (long, 0.1),
        (long + " + x", 0.1),
        ("relu", 1 / 30),
        ("relu", 0.0333333),
    ):
        recipe = dataclasses.replace(recipes.RECIPES["short"], learning_rate=rate)
        run = trainer.Run("digits", "resnet8", activation, 0, recipe)
        name = runs.directory(tmp_path, run).name
        assert len(name) < 150
        names.add(name)
    assert len(names) == 4


def write_runs(out, rows, **common):
    """Writes a folder of finished runs, with the settings of all in its config.json."""
    common = {"recipe": {}} | common
    out.mkdir()
    (out / "config.json").write_text(json.dumps({"config": common, "starts": []}))
    for number, one in enumerate(rows):
        (out / f"runs/{number}").mkdir(parents=True)
        (out / f"runs/{number}/result.json").write_text(json.dumps(one))


def test_runs_come_in_the_order_asked_for_then_as_before_then_by_name(tmp_path):
    names = ["gelu", "swish", "relu", "elu", "selu"]
    write_runs(tmp_path / "out", [row(name, seed, 0.5) for seed in (1, 0) for name in names])
    (tmp_path / "out/results.csv").write_text("activation\nswish\ngelu\nrelu\n")
    rows = runs.read_runs(tmp_path / "out", {"activation": ["relu"]})
    assert [row["activation"] for row in rows[::2]] == ["relu", "swish", "gelu", "elu", "selu"]
    assert [row["seed"] for row in rows[:2]] == [0, 1]
    record = json.loads((tmp_path / "out/config.json").read_text())
    record["order"] = {"activation": ["elu", "relu"]}
    (tmp_path / "out/config.json").write_text(json.dumps(record))
    rows = runs.read_runs(tmp_path / "out")
    assert [row["activation"] for row in rows[::2]] == ["elu", "relu", "swish", "gelu", "selu"]


def test_a_folder_from_before_networks_were_compared_is_read(tmp_path):
    old = {k: v for k, v in row("relu", 0, 0.5).items() if k not in ("model", "learning_rate")}
    new = row("relu", 0, 0.5, model="resnet14", rate=0.2)
    write_runs(tmp_path / "out", [old, new], model="resnet20", recipe={"learning_rate": 0.1})
    rows = runs.read_runs(tmp_path / "out", {"model": ["resnet20"]})
    assert [(row["model"], row["learning_rate"]) for row in rows] == [
        ("resnet20", 0.1),
        ("resnet14", 0.2),
    ]


@pytest.mark.parametrize(
    "damage",
    [
        {"epochs": ...},
        {"steps": ...},
        {"steps": "5"},
        {"seed": "zero"},
        {"test_accuracy": "0.9"},
        {"validation_accuracy": "x"},
        {"seconds": None},
        {"learning_rate": "fast"},
        {"model": 8},
    ],
)
def test_a_result_of_other_things_is_left_out(tmp_path, capsys, damage):
    damaged = {**row("swish", 0, 0.5), **damage}
    damaged = {name: value for name, value in damaged.items() if value is not ...}
    write_runs(tmp_path / "out", [row("relu", 0, 0.5), damaged, row("elu", 0, None)])
    assert [one["activation"] for one in runs.read_runs(tmp_path / "out")] == ["elu", "relu"]
    (said,) = capsys.readouterr().err.splitlines()
    assert "runs/1/result.json is damaged (" in said
    assert repr(*damage) in said
    assert "the run is left out" in said


def test_a_run_in_a_folder_of_another_name_is_left_out(tmp_path, capsys):
    """As of a copy, or of `keras-swish cifar --out=out/runs/trial`."""
    out = tmp_path / "out"
    write_runs(out, [], program="compare")
    for name, one in (
        ("resnet8-lr0.1-relu-seed0", row("relu", 0, 0.5)),
        ("resnet8-lr0.1-relu-seed0 (copy)", row("relu", 0, 0.5)),
        ("trial", row("relu", 0, 0.9)),
        ("resnet8-lr0.1-swish-seed0", row("swish", 1, 0.7)),
    ):
        (out / "runs" / name).mkdir(parents=True)
        (out / "runs" / name / "result.json").write_text(json.dumps(one))
    for _ in range(2):
        (found,) = runs.read_runs(out)
        assert found["test_accuracy"] == 0.5
    said = capsys.readouterr().err.splitlines()  # once
    place = "would be in resnet8-lr0.1"
    assert [line.removeprefix(f"{out}/runs/") for line in said] == [
        "resnet8-lr0.1-relu-seed0 (copy) is left out: its run, resnet8 with relu, learning rate "
        f"0.1, seed 0, {place}-relu-seed0",
        "resnet8-lr0.1-swish-seed0 is left out: its run, resnet8 with swish, learning rate 0.1, "
        f"seed 1, {place}-swish-seed1",
        f"trial is left out: its run, resnet8 with relu, learning rate 0.1, seed 0, {place}"
        "-relu-seed0",
    ]


def test_folders_of_runs_are_readable_and_never_the_same():
    assert runs.slug("swish_beta", 3) == "swish_beta-seed3"
    formulas = ["x * sin(x)", "x + sin(x)", "x*sin(x)", "x_sin_x"]
    slugs = [runs.slug(formula, 0) for formula in formulas]
    assert len(set(slugs)) == 4
    assert slugs[0].startswith("x_sin_x-")
