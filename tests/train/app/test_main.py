"""Running a program: its help, what it refuses, and how it ends."""

import errno
import json
import os
import sys

import numpy as np
import pytest

from keras_swish.search import executors
from keras_swish.train import cli
from keras_swish.train.errors import PreemptedError
from keras_swish.train.trainer import trainer

QUICK = ["--epochs=1", "--train_split=train[:200]", "--batch_size=32"]


@pytest.mark.parametrize("command", list(cli.COMMANDS))
def test_help_of_a_command_teaches(call, command):
    code, out, _ = call(command, "--help")
    assert code == 0
    assert "Examples:" in out
    assert f"keras-swish {command}" in out
    assert "--verbosity" not in out  # nor any other flag that is not ours


@pytest.mark.parametrize("command", ["plot", "models", "report", "prepare"])
def test_a_small_program_lists_few_flags(call, command):
    _, out, _ = call(command, "--help")
    assert out.count("\n  --") <= 12


@pytest.mark.parametrize("command", ["cifar", "imagenet", "compare"])
def test_a_training_program_has_the_common_flags(call, command):
    _, out, _ = call(command, "--help")
    for flag in ("dataset", "data_dir", "model", "epochs", "learning_rate", "seed", "out"):
        assert f"\n  --{flag}" in out


def test_flags_of_a_run_are_gone_in_the_next(call):
    assert call("cifar", "--epochs=3", "--print_recipe")[1].splitlines()[1] == "epochs: 3"
    assert call("cifar", "--print_recipe")[1].splitlines()[1] == "epochs: 24"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compar"], "Unknown command 'compar'. Did you mean 'compare'"),
        (["cifar", "--model=resnet21"], "--model=resnet21: Unknown network 'resnet21'."),
        (["cifar", "--activation=swsh"], "--activation=swsh: Unknown activation 'swsh'."),
        (["compare", "--activations=relu,swsh"], "Unknown activation 'swsh'. Did you mean 'swish'"),
        (["compare", "--activations="], "name at least one"),
        *(
            (["cifar", f"--{flag}="], f"--{flag}=: is empty; leave the flag out for its default")
            for flag in ("model", "recipe", "test_split", "validation_split", "out", "weights")
        ),
        (["search", "--start= "], "--start= : is empty; leave the flag out for its default"),
        (["evaluate", ""], "an argument is empty"),
        *(
            (arguments, f"{name}: ~nobody-of-ours is no home folder: there is no such user, or")
            for arguments, name in (
                (["cifar", "--out=~nobody-of-ours/x"], "--out=~nobody-of-ours/x"),
                (["search", "--start=~nobody-of-ours"], "--start=~nobody-of-ours"),
                (["compare", "--data_dir=~nobody-of-ours/"], "--data_dir=~nobody-of-ours/"),
                (["report", "~nobody-of-ours/x"], "~nobody-of-ours/x"),
            )
        ),
        (["cifar", "--noflip=true"], "--noflip=true does not take an argument"),
        *(
            (["cifar", f"--{flag}={10**30}"], f"{10**30} is not an integer in the range [")
            for flag in ("epochs", "steps", "batch_size", "pad", "image_size")
        ),
        (["cifar", "--warmup_epochs=1e308"], "1e+308 is not a number in the range [0, 1000000000]"),
        (["cifar", f"--train_split=train[:{10**400}%]"], "%]: Not a split: 'train[:1000"),
        (["export", ".", ""], "an argument is empty"),
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
        (["cifar", "--epochs=3", "--steps=2"], "--steps=2: stands in place of --epochs; give one"),
        (["cifar", "--epochs=0"], "--epochs=0"),
        (["compare", "--learning_rate=nan"], "--learning_rate=nan: is not a finite number"),
        (["plot", "swish", "--low=-inf"], "--low=-inf: is not a finite number"),
        (["cifar", "--steps=2", "--warmup_epochs=1"], "--warmup_epochs=0 is none"),
        (["cifar", "--milestones=0.5,soon"], "--milestones=0.5,soon"),
        (["cifar", "--milestones=0.7,0.5"], "must be increasing shares of the run"),
        (["cifar", "--decay_factor=0.2"], "is for --schedule=step or exponential, and not for 'co"),
        (["compare", "--rho=0.5", "--optimizer=adamw"], "--rho=0.5: is for --optimizer=rmsprop, a"),
        (["finetune", "MobileNet", "--beta_2=0.9"], "--beta_2=0.9: is for --optimizer=adamw, and"),
        (["cifar", "--auxiliary_weight=0.4"], "--auxiliary_weight=0.4: resnet8 has no auxiliary"),
        (["cifar", "--strategy=data"], "--strategy=data: value should be one of"),
        (["cifar", "--strategy=multi_host"], "--out: --strategy=multi_host needs a folder"),
        (["cifar", "--strategy=multi_host", "--out=x"], "'multi_host' needs KERAS_BACKEND=jax"),
        (["compare", "--strategy=multi_host"], "value should be one of <none|data_parallel>"),
        (["imagenet", "--dataset=/not/there"], "--dataset=/not/there: "),
        (["imagenet", "--pad=4"], "Unknown flag 'pad'."),
        (
            ["compare", "--pad=4", "--dataset=imagenet2012"],
            "--pad=4: images of ImageNet's form are",
        ),
        (["compare", "--classes=3"], "--classes=3: is for images of ImageNet's form"),
        (["imagenet", "--model=inception_v5"], "Unknown network 'inception_v5'. Did you mean"),
        (["evaluate"], "name one folder of a run, or one .keras file"),
        (["evaluate", "/not/there"], "/not/there is not there"),
        (["cifar", "--out=gs://bucket/run"], "--out=gs://bucket/run: results go to a folder that"),
        (["imagenet", "--out=hdfs://a/run"], "--out=hdfs://a/run: results go to a folder that"),
        (
            ["compare", "--out=s3://bucket/run"],
            "--out=s3://bucket/run: results go to a folder that",
        ),
        (["search", "--out=gs://bucket/run"], "--out=gs://bucket/run: results go to a folder that"),
        (
            ["plot", "swish", "--out=gs://b/a.png"],
            "--out=gs://b/a.png: results go to a folder that",
        ),
        (["report", ".", "--out=gs://b/a"], "--out=gs://b/a: results go to a folder that"),
        (["prepare", "--data_dir=gs://b/a"], "--data_dir=gs://b/a: datasets go to a folder that"),
        (
            ["cifar", "--data_dir=s3://b/a"],
            "--data_dir=s3://b/a: The data directory 's3://b/a' can",
        ),
        (["cifar", "--data_dir=hdfs://b/a"], "or, with TensorFlow, gs:// and s3://"),
        (["imagenet", "--dataset=s3://b/a"], "--dataset=s3://b/a: 's3://b/a' cannot be read (File"),
        (
            ["imagenet", "--data_dir=s3://b"],
            "--data_dir=s3://b: The data directory 's3://b' cannot",
        ),
        (["evaluate", "gs://bucket/run"], "gs:/bucket/run is not there"),
        (["evaluate", ".", "--strategy=data_parallel"], "Unknown flag 'strategy'."),
        (["cifar", "--epoch=3"], "Unknown flag 'epoch'. Did you mean 'epochs'"),
        (["cifar", "--learning_rate=fast"], "--learning_rate=fast: 'fast' is not a number"),
        (["cifar", "--epochs=many"], "--epochs=many: 'many' is not a whole number"),
        (["cifar", "--seed=4294967296"], "--seed=4294967296: 4294967296 is not an integer in"),
        (["compare", "--seed=4294967294"], "--seed=4294967294: the last of 3 seeds would be"),
        (["cifar", "resnet20"], "unexpected argument 'resnet20'"),
        (["cifar", "--verbosity=1"], "Unknown flag 'verbosity'."),
        (["plot", "--epochs=3"], "Unknown flag 'epochs'. Valid: high, low, out."),
        (["plot", "swsh"], "Unknown activation 'swsh'. Did you mean 'swish'"),
        (["plot", "x +"], "Not a formula, at position"),
        (
            ["plot", "swish", "--out=figure.doc"],
            "--out=figure.doc: Format 'doc' is not supported",
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


def test_interrupted_it_says_how_to_resume(call, monkeypatch, tmp_path):
    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_swish.train.trainer.trainer.train", interrupt)
    code, _, err = call("cifar", f"--out={tmp_path / 'run'}")
    assert code == 130
    assert f"the same command with --out={tmp_path / 'run'} resumes" in err


def test_a_lost_worker_ends_with_one_line(call, monkeypatch, tmp_path):
    def lost(self):
        raise executors.WorkerLostError(self._submitted[0][0])

    monkeypatch.setattr(executors.Local, "wait", lost)
    code, _, err = call("compare", "--activations=relu", f"--out={tmp_path / 'out'}")
    assert code == 1
    assert err == (
        "keras-swish compare: The worker was lost 10 times while it computed [1/3] resnet8, relu, "
        f"learning rate 0.1, seed 0; the same command with --out={tmp_path / 'out'} resumes\n"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode")
def test_names_of_files_need_not_be_utf_8(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9")
    assert call("plot", "swish", f"--out={name}.svg") == (0, "figure: caf\\udce9.svg\n", "")
    for split in ("train", "validation"):
        for one in (name, "bee"):
            (tmp_path / "data" / split / one).mkdir(parents=True)
    # Those of TensorFlow do.
    for dataset in ("./data", f"./{name}"):
        code, _, err = call("imagenet", f"--dataset={dataset}", "--model=resnet8", "--recipe=cifar")
        assert code == 2
        assert "cannot be read: TensorFlow takes names in UTF-8 alone" in err
        assert err.count("\n") == 1


@pytest.mark.slow
def test_a_mistake_in_a_process_of_its_own_shows_no_traceback(python):
    outcome = python("-m", "keras_swish.train.cifar", "--model=resnet21", check=False)
    assert outcome.returncode == 2
    assert "Traceback" not in outcome.stderr
    last = outcome.stderr.strip().splitlines()[-1]
    assert last.startswith("python -m keras_swish.train.cifar: --model=resnet21: Unknown network")


def test_sigterm_ends_with_one_line_and_code_143(call, tmp_path, monkeypatch):
    def preempted(*arguments, **keywords):
        raise PreemptedError("stopped by SIGTERM, and saved")

    monkeypatch.setattr(trainer, "train", preempted)
    code, _, err = call("cifar", f"--out={tmp_path / 'run'}")
    assert code == 143
    assert "stopped by SIGTERM, and saved; the same command with" in err


@pytest.mark.slow
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
    assert err.strip().splitlines()[-1].endswith(f"the same command with --out={out} resumes")
    names = sorted(path.name for path in (out / "checkpoints").iterdir())
    assert names == ["step-0000000001.npz", "step-0000000002.npz"]
    assert call("cifar", *flags)[0] == 0


def test_a_flagfile_gives_the_flags(call, tmp_path):
    (tmp_path / "flags").write_text("\n".join([*QUICK, "--activation=tanh"]))
    code, _, err = call("cifar", f"--flagfile={tmp_path / 'flags'}", f"--out={tmp_path / 'run'}")
    assert code == 0, err
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["config"]["activation"] == "tanh"


def test_memory_of_an_accelerator_that_ran_out_is_one_line(call, tmp_path, monkeypatch):
    class ResourceExhaustedError(Exception):
        """As TensorFlow's."""

    def train(*arguments, **options):
        raise ResourceExhaustedError("OOM when allocating a tensor\nof this shape")

    monkeypatch.setattr(trainer, "train", train)
    code, _, err = call("cifar", *QUICK, f"--out={tmp_path / 'run'}")
    assert code == 1
    assert err.strip().endswith(
        "OOM when allocating a tensor (try a smaller --batch_size); "
        f"the same command with --out={tmp_path / 'run'} resumes"
    )


def test_a_program_that_makes_a_file_does_not_say_that_it_resumes(call, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("keras_swish.train.plot.gallery", interrupt)
    code, _, err = call("plot", f"--out={tmp_path / 'a.svg'}")
    assert (code, err) == (130, "keras-swish plot: interrupted\n")
