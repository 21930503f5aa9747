"""The best of a search, compared again: which functions, with which seeds, on which data."""

import csv
import json

import pytest
from absl import flags

from keras_swish import io
from keras_swish.search import Outcome, SearchSpace, Study
from keras_swish.train import confirm
from keras_swish.train.reporting import runs

pytest.importorskip("optuna")
# From the best to the worst.
FOUND = (
    ("x", "sin(x)", "min(x1,x2)"),
    ("max(x,0)", "max(x,0)", "max(x1,x2)"),  # ReLU
    ("tanh(x)", "x", "max(x1,x2)"),
    ("beta*x", "x^2", "x1+x2"),
    ("beta*x", "x", "sigmoid(x1)*x2"),  # Swish
    ("exp(x)", "x", "x1*x2"),  # diverged
)
QUICK = ("--epochs=1", "--train_split=train[:200]", "--batch_size=32")


@pytest.fixture
def journal(tmp_path):
    """A study of six functions, trained with the seeds 3 and 4."""
    path = tmp_path / "found/study.log"
    path.parent.mkdir()
    space = SearchSpace()
    study = Study(space, {}, path)
    for place, (u1, u2, b) in enumerate(FOUND):
        candidate = space.canonical(space.candidate(u1=u1, u2=u2, b=b))
        for seed in (3, 4):
            status = "diverged" if u1 == "exp(x)" else "ok"
            outcome = Outcome(0.9 - 0.1 * place + 0.001 * seed, status, 10, 1.0)
            study.add(candidate, seed, outcome, "random")
    return path


@pytest.fixture
def folder(journal):
    """The folder of the search that the study is of."""
    child = {"model": "resnet8", "filters": [4, 4, 4], "image_size": None}
    child["config"] = {"epochs": 3}
    config = {"program": "search", "dataset": "digits", "child": child}
    io.write_json(journal.parent / "config.json", {"config": config, "starts": []})
    return journal.parent


def test_the_best_are_compared_with_seeds_that_the_search_did_not_use(call, trained, folder):
    code, printed, err = call("confirm", folder, "--best=3", *QUICK)
    assert code == 0, err
    assert "best of the search: max(x, max(x, 0)), which is relu" in printed
    names = ["relu", "swish", "swish_beta", "min_sin", "max_tanh"]
    assert trained == [("resnet8", name, 0.1, seed) for seed in range(5, 15) for name in names]
    with open(folder / "confirm/results.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) == 50
    page = (folder / "confirm/table.md").read_text()
    assert "p (Holm)" in page
    assert page.count("| minus relu") == page.count("| minus swish ") == 1
    assert "min_sin is as good as relu on average over 10 seeds" in page
    assert "min_sin is 10.00 points worse than swish on average over 10 seeds" in page
    assert "keras-swish confirm" in page
    assert (folder / "confirm/report.html").exists()
    # The search resumes as before, and so does the comparison, with the seeds that it has.
    study = Study.load(folder / "study.log")
    study.add(study.entries()[0].candidate, 7, Outcome(0.9, "ok", 1, 1.0), "random")
    trained.clear()
    assert call("confirm", folder, "--best=4", *QUICK)[0] == 0
    assert {name for _, name, *_ in trained} == {"beta * x + x**2"}
    assert call("report", folder)[0] == 0
    assert call("report", folder / "confirm")[0] == 0


def test_what_a_search_was_given_counts_among_its_best(call, trained, folder):
    study = Study.load(folder / "study.log")
    for seed in (3, 4):
        study.add_reference("gelu", "gelu", seed, Outcome(0.85, "ok", 10, 1.0), "start")
        study.add_reference("relu", "relu", seed, Outcome(0.95, "ok", 10, 1.0))
    del study
    flags = ("--best=2", "--seeds=1", "--activations=relu,swish")
    assert call("confirm", folder, *flags, *QUICK)[0] == 0
    assert [name for _, name, _, _ in trained] == ["relu", "swish", "min_sin", "gelu"]


def test_functions_outside_the_space_alone_are_compared(call, trained, folder):
    (folder / "study.log").unlink()
    study = Study(SearchSpace(), {}, folder / "study.log")
    for name, algorithm in (("relu", "reference"), ("gelu", "start")):
        study.add_reference(name, name, 3, Outcome(0.9, "ok", 10, 1.0), algorithm)
    code, printed, err = call("confirm", folder, "--best=1", "--seeds=1", *QUICK)
    assert code == 0, err
    assert "best of the search: gelu\n" in printed
    assert trained[-1] == ("resnet8", "gelu", 0.1, 4)


@pytest.mark.slow
def test_by_default_it_is_larger_than_the_search(call, trained, folder):
    assert call("confirm", folder, "--seeds=1")[0] == 0
    config = json.loads((folder / "confirm/config.json").read_text())["config"]
    assert config["dataset"] == "digits"
    assert config["train_split"] == "train"
    assert config["recipe"]["epochs"] == 12
    assert config["recipe"]["weight_decay"] == 5e-4


@pytest.mark.parametrize("filters", [pytest.param([], marks=pytest.mark.slow), [4, 4, 4]])
def test_a_network_named_for_the_search_is_taken_again(call, trained, folder, filters):
    record = io.read_json(folder / "config.json")
    record["config"]["child"] |= {"model": "resnet14", "filters": filters, "image_size": 16}
    io.write_json(folder / "config.json", record)
    assert call("confirm", folder, "--best=1", "--seeds=1", *QUICK)[0] == 0
    assert {model for model, *_ in trained} == {"resnet14"}
    config = json.loads((folder / "confirm/config.json").read_text())["config"]
    assert config["image_size"] == 16
    assert config["recipe"]["epochs"] == 1


@pytest.mark.parametrize("model", ["resnet8", "resnet32"])
def test_what_was_and_is_the_default_of_a_dataset_was_named_by_nobody(model):
    flag_values = flags.FlagValues()
    confirm.define_flags(flag_values)
    flag_values(["confirm"])
    before = flag_values.model
    child = {"model": model, "filters": [8, 16, 32], "image_size": 14, "config": {}}
    confirm._take_settings(flag_values, {"dataset": "fashion_mnist", "child": child})
    assert flag_values.model == before


def test_the_folder_of_the_search_is_refused(call, trained, folder):
    code, _, err = call("confirm", folder, "--best=1", "--seeds=1", *QUICK, f"--out={folder}")
    assert code == 2
    assert f"--out={folder}: is a folder of `keras-swish search`" in err


def test_a_study_without_a_folder_needs_a_dataset(call, trained, journal, tmp_path):
    out = f"--out={tmp_path / 'out'}"
    flags = ["--best=1", "--seeds=1", "--activations=swish", *QUICK]
    assert "--dataset: " in call("confirm", journal, *flags, out)[2]
    assert "--out: " in call("confirm", journal, *flags, "--dataset=digits")[2]
    code, _, err = call("confirm", journal, *flags, out, "--dataset=digits")
    assert code == 0, err
    assert [name for _, name, *_ in trained] == ["swish", "min_sin"]


def test_a_study_alone_says_how_long_its_children_were_trained(call, trained, tmp_path):
    space = SearchSpace()
    study = Study(space, {"config": {"epochs": 2}}, tmp_path / "mine.log")
    study.add(space.survey().candidates[0], 0, Outcome(0.5, "ok", 1, 1.0), "random")
    out = tmp_path / "out"
    flags = ["--best=1", "--seeds=1", "--dataset=digits", f"--out={out}"]
    code, _, err = call("confirm", tmp_path / "mine.log", *flags)
    assert code == 0, err
    assert json.loads((out / "config.json").read_text())["config"]["recipe"]["epochs"] == 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--best=6"], "--best=6: the search has only 5 trained to the end"),
        (["--best=0"], "--best=0"),
        (["--seed=4"], "--seed=4: the search has used seeds up to 4"),
        (["--activations=relu,swsh"], "Unknown activation 'swsh'"),
        (["more"], "name the folder of one search"),
    ],
)
def test_a_mistake_ends_with_one_line_and_code_2(call, folder, flags, message):
    code, _, err = call("confirm", folder, *flags)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (folder / "confirm").exists()


def test_what_is_no_search_is_refused(call, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "not a folder of results of `keras-swish search`" in call("confirm", tmp_path)[2]
    assert "no search is stored there" in call("confirm", tmp_path / "missing")[2]
    code, _, err = call("confirm")
    assert code == 2
    assert "name the folder of one search" in err


@pytest.mark.slow
def test_a_found_function_is_trained_as_any_activation(call, folder):
    code, _, err = call("confirm", folder, "--best=4", "--seeds=1", *QUICK)
    assert code == 0, err
    rows = runs.read_runs(folder / "confirm")
    found = {row["activation"]: row for row in rows}
    assert found.keys() == {"relu", "swish", "swish_beta", "min_sin", "max_tanh", "beta * x + x**2"}
    assert {row["seed"] for row in rows} == {5}
    betas = found["beta * x + x**2"]["parameters"] - found["relu"]["parameters"]
    assert betas == found["swish_beta"]["parameters"] - found["relu"]["parameters"] > 0
