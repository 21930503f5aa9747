import csv
import importlib.util
import json
import os
import signal
import subprocess
import sys

import pytest

from keras_swish import io
from keras_swish.search.executors import Local, WorkerLostError
from keras_swish.train import search
from keras_swish.train.app import executors

pytest.importorskip("optuna")
SHORT = ("search", "--algorithm=random", "--top_seeds=1", "--epochs=1", "--images=256")


@pytest.fixture
def narrow(monkeypatch):
    """A child of one small convolution, which compiles fast."""
    import keras

    from keras_swish import models

    def build(input_shape, classes, classifier_activation, filters=(4, 4, 4), name=None):
        return keras.Sequential(
            [
                keras.Input(input_shape),
                keras.layers.Conv2D(filters[0], 3, strides=2),
                keras.layers.BatchNormalization(),
                keras.layers.ReLU(),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(classes, activation=classifier_activation),
            ]
        )

    monkeypatch.setitem(models.BUILDERS, "resnet8", build)


def test_the_child_of_fashion_mnist_is_the_one_that_the_study_chose(root):
    rows = io.read_csv(root / "results/study/proxy/proxy.csv")
    (chosen,) = [row for row in rows if row["chosen"] == "True"]
    assert (chosen["child"], chosen["rate"]) == ("narrow32", "0.03")
    child = search.CHILDREN["fashion_mnist"]
    assert (child.model, child.filters, child.images) == ("resnet32", (8, 16, 32), 10240)
    assert child.config.learning_rate == 0.03


def test_a_search_on_the_digits_goes_on_and_writes_its_table(call, narrow, tmp_path):
    out = tmp_path / "out"
    code, printed, err = call(*SHORT, "--max_trials=2", f"--out={out}")
    assert code == 0, err
    # The first lines say what is about to happen.
    assert printed.startswith(
        "Searches for the activation function with which resnet8 learns digits"
    )
    assert "3358 different functions" in printed
    assert (
        "random proposes up to 2 of them. With each the network is trained for 1 epoch" in printed
    )
    assert f"To watch: optuna-dashboard {out / 'study.log'}\n" in printed
    assert f"Interrupted, it resumes with the same command and --out={out}.\n" in printed
    code, printed, err = call(
        *SHORT, "--max_trials=3", "--top=0.4", "--top_seeds=2", f"--out={out}"
    )
    assert code == 0, err
    # One more candidate, and the best two of three again.
    assert printed.count("(seed 0,") == 1
    assert printed.count("(seed 1,") == 2
    with open(out / "results.csv", newline="") as file:
        *rows, relu, swish = csv.DictReader(file)
    assert [row["rank"] for row in rows] == ["1", "2", "3"]
    for row, name in ((relu, "relu"), (swish, "swish")):
        assert (row["rank"], row["formula"], row["algorithm"]) == ("", name, "reference")
        assert row["seed 0"]
        assert row["seed 1"]
    assert all(row["seed 0"] for row in rows)
    assert sum(row["seed 1"] != "" for row in rows) == 2
    page = (out / "table.md").read_text()
    assert rows[0]["formula"] in page
    assert "None of them was tried." in page
    assert (out / "report.html").exists()
    assert page.count("--max_trials=") == 2
    assert "in 2 starts of the program" in page
    assert json.loads((out / "config.json").read_text())["config"]["core_units"] == 1


@pytest.mark.slow
def test_functions_of_a_file_are_trained_and_nothing_else(call, narrow, tmp_path):
    (tmp_path / "mine.txt").write_text("cos(x) - x\nx**2\ngelu\n")
    out = tmp_path / "out"
    flags = ("--max_trials=0", f"--start={tmp_path / 'mine.txt'}", f"--out={out}")
    code, _, err = call(*SHORT, *flags)
    assert code == 0, err
    with open(out / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["formula"] for row in rows if row["algorithm"] == "start"} == {
        "-x + cos(x)",
        "x * x",
        "gelu",  # not in the space
    }


def test_functions_outside_the_space_alone_are_reported_on(call, narrow, tmp_path):
    (tmp_path / "mine.txt").write_text("gelu\n")
    out = tmp_path / "out"
    flags = ("--max_trials=0", f"--start={tmp_path / 'mine.txt'}", f"--out={out}")
    code, printed, err = call(*SHORT, *flags)
    assert code == 0, err
    assert "best: gelu, reward" in printed
    (out / "table.md").unlink()
    code, _, err = call("report", out)
    assert code == 0, err
    page = (out / "table.md").read_text()
    assert "**No candidate of the space was trained.**" in page
    assert "| gelu     | given to start with, not in the space |" in page
    assert "Trained: 3 children of functions outside the space" in page
    with open(out / "results.csv", newline="") as file:
        assert {row["formula"] for row in csv.DictReader(file)} == {"relu", "swish", "gelu"}


@pytest.mark.slow
def test_children_that_do_worse_than_most_can_be_stopped_early(call, narrow, tmp_path):
    flags = ("--max_trials=6", "--epochs=4", "--pruner=halving", f"--out={tmp_path / 'out'}")
    code, printed, err = call(*SHORT, *flags)
    assert code == 0, err
    assert "(pruned)" in printed
    with open(tmp_path / "out/results.csv", newline="") as file:
        stati = [row["status"] for row in csv.DictReader(file) if row["rank"]]
    assert {"ok", "pruned"} <= set(stati)
    assert stati[-1] == "pruned"
    assert stati[0] != "pruned"


def test_without_ray_its_executor_is_refused_at_once(call, monkeypatch, tmp_path):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        executors.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ray" else find_spec(name, *rest),
    )
    code, _, err = call(*SHORT, "--executor=ray", f"--out={tmp_path / 'out'}")
    assert code == 2
    assert "--executor=ray: needs Ray: pip install 'keras-swish[ray]'" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.ray
@pytest.mark.slow
def test_ray_finds_what_is_found_here(call, narrow, tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    tables = []
    try:
        code, _, err = call(*SHORT, "--executor=ray", "--run_cpus=3", f"--out={tmp_path / 'no'}")
        assert code == 2
        assert "--run_cpus=3.0: no run fits into the Ray cluster, which has 2 CPU, 0 GPU" in err
        for executor in ("ray", "local"):
            out = tmp_path / executor
            code, _, err = call(*SHORT, "--max_trials=6", f"--executor={executor}", f"--out={out}")
            assert code == 0, err
            with open(out / "results.csv", newline="") as file:
                rows = sorted(csv.DictReader(file), key=lambda row: row["formula"])
            tables.append([(row["formula"], row["seed 0"], row["status"]) for row in rows])
    finally:
        ray.shutdown()
    assert tables[0] == tables[1]


@pytest.mark.parametrize(
    ("number", "status", "message"),
    [
        pytest.param(signal.SIGINT, 130, "interrupted", marks=pytest.mark.slow),
        (signal.SIGTERM, 143, "stopped by SIGTERM, and saved"),
    ],
)
def test_stopped_within_a_child_it_writes_the_report(
    number, status, message, call, narrow, tmp_path, monkeypatch, request
):
    from keras_swish.search import Child

    evaluate, seen = Child.evaluate, []

    def stopped(child, *arguments):
        seen.append(arguments)
        if len(seen) == 5:  # ReLU and Swish come first
            signal.raise_signal(number)
        return evaluate(child, *arguments)

    monkeypatch.setattr(Child, "evaluate", stopped)
    # A shell lets what it starts in the background ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    out = tmp_path / "out"
    code, _, err = call(*SHORT, "--max_trials=4", f"--out={out}")
    assert code == status
    assert message in err
    assert "The best 2 of 2 candidates" in (out / "table.md").read_text()
    assert (out / "report.html").exists()


@pytest.mark.ray
@pytest.mark.slow
def test_sigterm_under_ray_leaves_the_report(tmp_path):
    """Ray has a handler of its own, which would end the process before the report is drawn."""
    pytest.importorskip("ray")
    command = [sys.executable, "-m", "keras_swish.train.search", "--executor=ray", "--epochs=1"]
    out = tmp_path / "out"
    with subprocess.Popen(
        [*command, f"--out={out}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
    ) as process:
        for line in process.stdout:
            if "seed 0" in line:
                process.terminate()
                break
        printed = process.stdout.read()
    assert process.returncode == 143, printed
    assert "stopped by SIGTERM, and saved; the same command with --out=" in printed
    assert (out / "report.html").exists()


def test_a_command_that_is_refused_is_no_start(call, narrow, tmp_path):
    out = tmp_path / "out"
    assert call(*SHORT, "--max_trials=1", f"--out={out}")[0] == 0
    code, _, err = call(*SHORT, "--max_trials=1", "--seed=1", f"--out={out}")
    assert code == 2
    assert "first seed is 0" in err
    assert len(json.loads((out / "config.json").read_text())["starts"]) == 1


def test_the_folder_of_another_child_is_refused(call, narrow, tmp_path):
    out = tmp_path / "out"
    assert call(*SHORT, "--max_trials=1", f"--out={out}")[0] == 0
    before = (out / "study.log").read_bytes()
    code, _, err = call(*SHORT, "--max_trials=1", "--learning_rate=0.3", f"--out={out}")
    assert code == 2
    assert "learning_rate 0.1, now 0.3" in err
    assert (out / "study.log").read_bytes() == before


@pytest.mark.slow
def test_a_child_of_several_learning_rates_counts_by_its_best(call, narrow, tmp_path):
    out = tmp_path / "out"
    more = ("--epochs=5", "--images=1024")
    begun = (*SHORT, *more, "--max_trials=1", "--learning_rates=0.3,0.0001", f"--out={out}")
    code, printed, err = call(*begun)
    assert code == 0, err
    assert "on 1024 images, at each of the learning rates 0.3, 0.0001; its reward" in printed
    with open(out / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        of_rates = list(map(float, row["rates of seed 0"].split()))
        assert len(set(of_rates)) == 2
        assert max(of_rates) == pytest.approx(float(row["seed 0"]), abs=1e-5)
    assert call(*begun)[0] == 0  # resumes


def test_the_help_says_that_a_search_does_not_test(call):
    assert "a search leaves it alone" in call("search", "--help")[1]


def test_a_lost_worker_ends_with_one_line(call, narrow, monkeypatch, tmp_path):
    def lost(self):
        raise WorkerLostError(self._submitted[0][0])

    monkeypatch.setattr(Local, "wait", lost)
    code, _, err = call(*SHORT, "--max_trials=1", f"--out={tmp_path / 'out'}")
    assert code == 1
    assert err == (
        "keras-swish search: The worker was lost 10 times while it trained max(x, max(x, 0)) with "
        f"seed 0; the same command with --out={tmp_path / 'out'} resumes\n"
    )


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--algorithm=luck", "--algorithm=luck: Unknown algorithm 'luck'"),
        ("--model=resnet9", "--model=resnet9: Unknown network 'resnet9'"),
        ("--filters=8,x,3", "must be whole numbers"),
        ("--filters=", "name three, such as 8,16,32"),
        ("--top=nan", "--top=nan: is not a finite number"),
        ("--filters=8,4,2", "--filters=8,4,2: `filters` must be three"),
        ("--model=wrn_28_10 --filters=8,8,8", "--filters=8,8,8: wrn_28_10 takes none"),
        ("--model=keras.applications:MobileNet --filters=8,8,8", "--filters=8,8,8: keras.appl"),
        ("--run_cpus=2", "--run_cpus=2.0: needs --executor=ray"),
        ("--pruner=halving --epochs=1", "--pruner=halving: stops children between epochs"),
        ("--weight_decay=0.1", "Unknown flag 'weight_decay'."),
        ("--optimizer=rmsprop", "Unknown flag 'optimizer'."),
        ("--print_recipe", "Unknown flag 'print_recipe'."),
        ("--strategy=data_parallel", "Unknown flag 'strategy'."),
        ("--images=10", "--images=10: a batch of 64 is larger than 10 images"),
        ("--images=5000", "--images=5000: there are 1294 to train on"),
        ("--batch_size=2000 --images=1000", "--batch_size=2000: a batch of 2000 is larger than"),
        ("--algorithm=optuna:GridSampler", "--algorithm=optuna:GridSampler: "),
        ("--algorithm=optuna:BruteForceSampler", "Unknown sampler of Optuna 'BruteForceSampler'"),
        ("--core_units=2 --algorithm=exhaustive", "Only a space of one core unit"),
        ("--max_trials=many", "must be a whole number, or 'none' for no limit"),
        ("--max_trials=0", "--max_trials=0: trains the functions of --start alone"),
        ("--learning_rates=0.1,x", "--learning_rates=0.1,x: 'x' is not a number"),
        ("--learning_rates=0.1,0.1", "must be a positive number, or several different ones"),
        ("--learning_rate=0.1 --learning_rates=0.1,0.2", "stands in place of --learning_rate"),
        ("--learning_rates=0.1,0.2 --pruner=halving", "takes children of one learning rate"),
        ("--learning_rate=0", "--learning_rate=0.0: `learning_rate` must be a positive number"),
        ("--warmup_epochs=6", "--warmup_epochs=6.0: a child is trained for 6 in all"),
        ("--bn_momentum=1", "--bn_momentum=1.0: `bn_momentum` must be in [0, 1)"),
        ("--seed=5000000000", "5000000000 is not an integer in the range [0, 4294967295]"),
        ("--seed=4294967293", "--seed=4294967293: the last of 4 seeds would be larger than"),
        ("--start=nowhere.txt", "--start=nowhere.txt: `start` must be a list of formulas, or"),
    ],
)
def test_mistakes_end_with_one_line(call, flag, message, tmp_path):
    code, _, err = call("search", f"--out={tmp_path / 'out'}", *flag.split())
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
