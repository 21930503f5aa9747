"""The command line: what it prints, what it writes, what it refuses."""

import csv
import errno
import json

import keras
import numpy as np
import pytest

from keras_swish.train import cli
from keras_swish.train.app import program
from keras_swish.train.errors import PreemptedError
from keras_swish.train.trainer import trainer

COMMON_FLAGS = ["dataset", "data_dir", "model", "epochs", "batch_size", "learning_rate"]
COMMON_FLAGS += ["seed", "out"]
QUICK = ["--epochs=1", "--train_split=train[:200]", "--batch_size=32"]


def test_help_lists_every_command(call):
    for arguments in ([], ["--help"]):
        code, out, _ = call(*arguments)
        assert code == 0
        assert all(f"  {name} " in out for name in cli.COMMANDS)


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_help_of_a_command_teaches(call, command):
    code, out, _ = call(command, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"keras-swish {command}" in out
    for flag in COMMON_FLAGS:
        assert f"--{flag}" in out


def test_version(call):
    assert call("--version")[1].startswith("keras-swish 0.")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compar"], "Unknown command 'compar'. Did you mean 'compare'"),
        (["cifar", "--model=resnet21"], "--model=resnet21: Unknown network 'resnet21'."),
        (["cifar", "--activation=swsh"], "--activation=swsh: Unknown activation 'swsh'."),
        (["compare", "--activations=relu,swsh"], "Unknown activation 'swsh'. Did you mean 'swish'"),
        (["compare", "--activations="], "name at least one"),
        (["cifar", "--dataset=digts"], "--dataset=digts: Unknown dataset 'digts'. Did you mean"),
        (["cifar", "--train_split=tran"], "--train_split=tran: Unknown split 'tran'. Did you mean"),
        (["cifar", "--test_split=test["], "--test_split=test[: Not a split"),
        (["cifar", "--data_dir=/not/there"], "--data_dir=/not/there: The data directory"),
        (["cifar", "--batch_size=5000"], "--batch_size=5000: a batch of 5000 is larger than"),
        (["cifar", "--recipe=shrt"], "--recipe=shrt: Unknown recipe 'shrt'. Did you mean 'short'"),
        (["cifar", "--warmup_epochs=30"], "--warmup_epochs=30.0: a warm-up of 600 steps is too"),
        (["cifar", "--activation=glu"], "--activation=glu: 'glu' is no elementwise function"),
        (["cifar", "--activation=threshold"], "'threshold' cannot be applied to images"),
        (["cifar", "--train_split=train[:50]"], "--batch_size: a batch of 64 is larger than"),
        (["cifar", "--epochs=0"], "--epochs=0"),
        (["cifar", "--milestones=0.5,soon"], "--milestones=0.5,soon"),
        (["cifar", "--milestones=0.7,0.5"], "must be increasing shares of the run"),
        (["cifar", "--auxiliary_weight=0.4"], "--auxiliary_weight=0.4: resnet8 has no auxiliary"),
        (["cifar", "--strategy=data"], "--strategy=data: value should be one of"),
        (["cifar", "--strategy=multi_host"], "--out: --strategy=multi_host needs a folder"),
        (["cifar", "--strategy=multi_host", "--out=x"], "'multi_host' needs KERAS_BACKEND=jax"),
        (["imagenet", "--dataset=/not/there"], "--dataset=/not/there: "),
        (["imagenet", "--pad=4"], "--pad=4: pictures of ImageNet's form are cropped in"),
        (["imagenet", "--model=inception_v5"], "Unknown network 'inception_v5'. Did you mean"),
        (["evaluate"], "name one folder of a run, or one .keras file"),
        (["evaluate", "/not/there"], "/not/there is not there"),
        (["cifar", "--out=gs://bucket/run"], "--out=gs://bucket/run: results go to a folder that"),
        (["evaluate", ".", "--strategy=data_parallel"], "this program computes on one device"),
        (["cifar", "--epoch=3"], "Unknown command line flag 'epoch'. Did you mean: epochs"),
        (["cifar", "--learning_rate=fast"], "--learning_rate=fast"),
        (["cifar", "resnet20"], "unexpected argument 'resnet20'"),
        (["plot", "swsh"], "Unknown activation 'swsh'. Did you mean 'swish'"),
        (["plot", "x +"], "Not a formula, at position"),
        (
            ["plot", "swish", "--out=picture.doc"],
            "--out=picture.doc: Format 'doc' is not supported",
        ),
        (["plot", "swish", "--low=9"], "`low` must be below `high`"),
        (["prepare", "--source=/not/there"], "apt-get install dataset-fashion-mnist"),
    ],
)
def test_a_mistake_ends_with_one_line_and_code_2(call, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = call(*arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1
    assert message in err
    assert err.startswith("keras-swish")
    assert list(tmp_path.iterdir()) == []


def test_interrupted_it_says_how_to_go_on(call, monkeypatch, tmp_path):
    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_swish.train.trainer.trainer.train", interrupt)
    code, _, err = call("cifar", f"--out={tmp_path / 'run'}")
    assert code == 130
    assert f"the same command with --out={tmp_path / 'run'} goes on" in err


def test_a_mistake_in_a_process_of_its_own_shows_no_traceback(python):
    outcome = python("-m", "keras_swish.train.cifar", "--model=resnet21", check=False)
    assert outcome.returncode == 2
    assert "Traceback" not in outcome.stderr
    last = outcome.stderr.strip().splitlines()[-1]
    assert last.startswith("python -m keras_swish.train.cifar: --model=resnet21: Unknown network")


def test_tensorboard_without_its_package_is_refused_at_once(call, monkeypatch, tmp_path):
    find_spec = program.importlib.util.find_spec
    monkeypatch.setattr(
        program.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else find_spec(name, *rest),
    )
    code, _, err = call("cifar", "--tensorboard", f"--out={tmp_path / 'run'}")
    assert code == 2
    assert "--tensorboard=True: needs tensorboard" in err
    assert not (tmp_path / "run").exists()


def test_cifar_trains_tests_and_says_where(call, tmp_path):
    out = tmp_path / "run"
    code, printed, err = call("cifar", *QUICK, "--activation=swish", f"--out={out}")
    assert code == 0, err
    assert "test accuracy" in printed
    assert printed.strip().splitlines()[-1] == f"results: {out}"
    config = json.loads((out / "config.json").read_text())
    assert config["config"]["recipe"]["epochs"] == 1
    (start,) = config["starts"]
    assert start["command"].startswith("keras-swish cifar --epochs=1")
    assert start["environment"]["keras_swish"]
    assert (out / "model.keras").exists()


def test_the_recipe_is_printed_with_the_flags_that_change_it(call):
    code, printed, _ = call("cifar", "--dataset=cifar10", "--model=wrn_28_10", "--print_recipe")
    assert code == 0
    assert "source: Zagoruyko and Komodakis 2016" in printed
    assert "milestones: (0.3, 0.6, 0.8)" in printed
    swish = ["imagenet", "--model=nasnet_mobile", "--activation=swish", "--print_recipe"]
    _, printed, _ = call(*swish, "--decay_epochs=3", "--steps=100")
    for line in ("learning_rate: 0.03", "decay_epochs: 3.0", "steps: 100", "bn_momentum: None"):
        assert f"\n{line}\n" in printed
    assert "\nlearning_rate: 0.04\n" in call(*swish[:2], "--activation=relu", swish[3])[1]
    assert "\nlearning_rate: 0.1\n" in call(*swish, "--learning_rate=0.1")[1]
    # As many pictures, whatever the batch.
    assert "\nsteps: 2500000\n" in call(*swish, "--batch_size=128")[1]
    assert "\nsteps: 7\n" in call(*swish, "--batch_size=128", "--steps=7")[1]


def test_a_full_disk_keeps_the_last_checkpoint_and_says_so(call, tmp_path, monkeypatch):
    def full(path, *arrays, **named):
        saved.append(path)
        if len(saved) > 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        savez(path, *arrays, **named)

    saved, savez = [], np.savez
    out = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(np, "savez", full)
        flags = [*QUICK, "--checkpoint_seconds=0", f"--out={out}"]
        patch.setattr(trainer, "classifier", lambda model: (_ for _ in ()).throw(error))
        error = OSError(errno.ENOSPC, "No space left on device")
        code, _, err = call("cifar", *flags)
    assert "not written (No space left on device); the one of step 2 remains" in err
    assert code == 1
    assert err.strip().splitlines()[-1].endswith(f"the same command with --out={out} goes on")
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert names == ["step-0000000001.npz", "step-0000000002.npz"]
    assert call("cifar", *flags)[0] == 0


def test_sigterm_ends_with_one_line_and_code_143(call, tmp_path, monkeypatch):
    def preempted(*arguments, **keywords):
        raise PreemptedError("stopped by SIGTERM, and saved")

    monkeypatch.setattr(trainer, "train", preempted)
    code, _, err = call("cifar", f"--out={tmp_path / 'run'}")
    assert code == 143
    assert "stopped by SIGTERM, and saved; the same command with" in err


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow alone")
def test_tensorflow_does_not_train_on_the_cpu_of_a_machine_with_tpus(call, tmp_path, monkeypatch):
    monkeypatch.setenv("TPU_NAME", "local")
    code, _, err = call("cifar", "--strategy=data_parallel", f"--out={tmp_path / 'run'}")
    assert code == 2
    assert "--strategy=data_parallel: on TPUs it needs KERAS_BACKEND=jax" in err


def test_out_of_another_run_is_never_overwritten(call, tmp_path):
    out = tmp_path / "run"
    assert call("cifar", *QUICK, f"--out={out}")[0] == 0
    before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
    settings = "holds the results of other settings"
    for other, message in (
        (
            ["cifar", *QUICK, "--learning_rate=0.2"],
            f"{settings} (recipe learning_rate 0.1, now 0.2)",
        ),
        (["cifar", *QUICK, "--activation=relu"], f"{settings} (activation 'swish', now 'relu')"),
        (["compare", *QUICK], "is a folder of `keras-swish cifar`; choose another one"),
    ):
        code, _, err = call(*other, f"--out={out}")
        assert code == 2
        assert f"--out={out}: {message}" in err
    assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_out_with_other_files_is_refused(call, tmp_path):
    (tmp_path / "thesis.tex").touch()
    code, _, err = call("cifar", f"--out={tmp_path}")
    assert code == 2
    assert "holds other files" in err
    code, _, err = call("cifar", f"--out={tmp_path / 'thesis.tex'}")
    assert code == 2
    assert "not a folder of results" in err


def test_divergence_ends_with_one_line_and_code_1(call, tmp_path):
    code, _, err = call("cifar", *QUICK, "--learning_rate=1e30", f"--out={tmp_path / 'run'}")
    assert code == 1
    assert "diverged: the loss is" in err
    assert "try a lower --learning_rate" in err


def test_compare_prints_and_saves_the_table_and_goes_on(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flags = [*QUICK, "--activations=relu,swish_beta", "--out=both"]
    code, printed, err = call("compare", *flags, "--seeds=1")
    assert code == 0, err
    assert "| swish_beta |" in printed
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
    assert (tmp_path / "both" / "curves.png").stat().st_size > 10_000


def test_by_default_results_go_to_a_new_folder_under_runs(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, printed, err = call("cifar", *QUICK)
    assert code == 0, err
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("cifar-digits-")
    assert f"results: runs/{folder.name}" in printed


def test_a_flagfile_gives_the_flags(call, tmp_path):
    (tmp_path / "flags").write_text("\n".join([*QUICK, "--activation=tanh"]))
    code, _, err = call("cifar", f"--flagfile={tmp_path / 'flags'}", f"--out={tmp_path / 'run'}")
    assert code == 0, err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["config"]["activation"] == "tanh"


def test_a_folder_that_another_process_writes_to_is_left_alone(call, tmp_path):
    fcntl = pytest.importorskip("fcntl")
    out = tmp_path / "run"
    assert call("cifar", *QUICK, f"--out={out}")[0] == 0
    with open(out / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = call("cifar", *QUICK, f"--out={out}")
        assert code == 2
        assert "another process is writing into this folder" in err
    assert call("cifar", *QUICK, f"--out={out}")[0] == 0


def test_compare_goes_on_after_a_run_that_diverged(call, tmp_path):
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


def test_plot_draws_names_and_formulas(call, tmp_path):
    out = tmp_path / "picture.png"
    code, printed, err = call("plot", "swish", "x * tanh(softplus(x))", f"--out={out}")
    assert code == 0, err
    assert printed.strip() == f"picture: {out}"
    assert out.read_bytes().startswith(b"\x89PNG")
    assert call("plot", f"--out={tmp_path / 'minus.svg'}", "--", "-x")[0] == 0
    code, _, err = call("plot", "swish", f"--out={out}")
    assert code == 2
    assert "exists; choose another name" in err
