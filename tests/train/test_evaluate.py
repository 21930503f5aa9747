"""What `keras-swish evaluate` reads, and what it refuses."""

import dataclasses
import json
import re
import types

import image_files
import keras
import pytest

from keras_swish import io
from keras_swish.train import evaluate
from keras_swish.train.datasets import imagenet, in_memory
from keras_swish.train.errors import UsageError
from keras_swish.train.trainer import recipes, trainer

pytest.importorskip("tensorflow")

QUICK = ["--epochs=1", "--train_split=train[:200]", "--batch_size=32"]
TINY = ["--image_size=32", "--batch_size=4", "--steps=2", "--model=resnet8", "--recipe=mobilenet"]
TINY += ["--dropout=0", "--checkpoint_seconds=0"]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """TFRecords of both splits, whose first label is 0; gives their pattern."""
    path = tmp_path_factory.mktemp("records")
    for split, per_class in (("train", 2), ("validation", 1)):
        image_files.make_folder(path / split, classes=12, per_class=per_class)
        image_files.write_records(path / split, path / "shards", name=split, first_label=0)
    return f"{path}/shards/{{split}}-*"


@pytest.fixture
def run(call, tmp_path):
    """The folder of a short run on the digits."""
    out = tmp_path / "run"
    code, _, err = call("cifar", *QUICK, "--checkpoint_seconds=0", f"--out={out}")
    assert code == 0, err
    return out


def refused(call, *arguments):
    """Returns the one line that a mistake ends with."""
    code, _, err = call("evaluate", *arguments)
    assert code == 2
    assert len(err.strip().splitlines()) == 1, err
    return err


@pytest.mark.slow
def test_a_run_says_how_its_images_are_read(call, shards, tmp_path, monkeypatch):
    out = tmp_path / "run"
    flags = [*TINY, f"--dataset={shards}", "--classes=12", f"--out={out}"]
    code, _, err = call("imagenet", *flags, "--first_label=0")
    assert code == 0, err
    config = json.loads((out / "config.json").read_text())["config"]
    facts = {"classes": 12, "training": 24, "test": 12, "first_label": 0}
    assert config["image_files"] == facts

    # Another meaning of the labels is another run.
    seen = []
    monkeypatch.setattr(
        trainer, "evaluate", lambda *_: seen.append(_) or {"accuracy": 1, "cross_entropy": 0}
    )
    code, _, err = call("imagenet", *flags[:-2], "--classes=13", "--first_label=0", flags[-1])
    assert code == 2
    assert "classes 12, now 13" in err

    # The number of classes and the first label are the run's, and so is the way to read.
    monkeypatch.setattr(imagenet, "is_image_files", lambda dataset: False)
    code, _, err = call("evaluate", out, "--batch_size=4096")
    assert code == 0, err
    dataset, batch_size = seen[0][1], seen[0][3]
    assert isinstance(dataset, imagenet.ImageFiles)
    assert (dataset.classes, dataset.test.records.first_label) == (12, 0)
    assert batch_size == 4096  # more than there are to train on
    code, _, err = call("evaluate", out, "--first_label=1")
    assert code == 2
    assert "--first_label=1: " in err

    # A test needs no training split.
    other = image_files.make_folder(tmp_path / "v2" / "val", classes=12, per_class=1).parent
    code, _, err = call("evaluate", out, f"--dataset={other}", "--test_split=val")
    assert code == 0, err


def test_too_many_corrupt_images_end_a_test_with_one_line(call, shards, tmp_path, monkeypatch):
    lone = tmp_path / "lone.keras"
    layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(12)]
    keras.Sequential(layers).save(lone)
    folder = image_files.make_folder(tmp_path / "data/validation", classes=12, per_class=1).parent
    for path in folder.glob("*/*/*"):
        path.write_bytes(b"no image")
    code, _, err = call("evaluate", lone, f"--dataset={folder}", "--max_corrupt=3")
    assert code == 1
    assert "Too many corrupt images: " in err.strip().splitlines()[-1]


@pytest.mark.slow
def test_a_checkpoint_is_tested_on_another_split_and_in_other_batches(call, run):
    for flags in (["--test_split=test[:100]"], ["--batch_size=7"], ["--batch_size=5000"]):
        code, printed, err = call("evaluate", run, "--checkpoint=newest", *flags)
        assert code == 0, err
        assert printed == call("evaluate", run, *flags)[1]


@pytest.mark.slow
def test_a_damaged_checkpoint_is_passed_over(call, run):
    (best,) = (run / trainer.CHECKPOINTS).iterdir()
    printed = call("evaluate", run, "--checkpoint=newest")[1]
    damaged = best.with_name("step-0000000099.npz")
    damaged.write_bytes(best.read_bytes()[:-100])
    code, again, err = call("evaluate", run, "--checkpoint=newest")
    assert (code, again) == (0, printed)
    assert f"{damaged} cannot be read (" in err
    best.unlink()
    code, _, err = call("evaluate", run, "--checkpoint=newest")
    assert code == 2
    assert "--checkpoint=newest: there is none that can be read in" in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_run_of_a_comparison_is_tested(call, tmp_path):
    out = tmp_path / "out"
    flags = ["--activations=relu", "--seeds=1", f"--out={out}"]
    code, _, err = call("compare", *QUICK, *flags)
    assert code == 0, err
    (folder,) = (out / "runs").iterdir()
    record = json.loads((folder / "config.json").read_text())
    assert record["config"]["activation"] == "relu"
    assert record["config"]["recipe"]["batch_size"] == 32
    assert record["starts"][0]["environment"]["keras_swish"]
    result = json.loads((folder / trainer.RESULT).read_text())
    for checkpoint in ([], ["--checkpoint=best"]):
        code, printed, err = call("evaluate", folder, *checkpoint)
        assert code == 0, err
        assert f"top-1 accuracy {result['test_accuracy']:.2%}" in printed
    assert "is a folder of `keras-swish compare`, not of one run" in refused(call, out)


def test_what_cannot_be_tested_is_refused_in_one_line(call, tmp_path):
    lone = tmp_path / "lone.keras"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(
        lone
    )
    assert "(None, 8, 8, 3), the data is (8, 8, 1)" in refused(call, lone)
    assert "is no folder of a run" in refused(call, lone, "--checkpoint=best")
    assert "Unknown flag 'strategy'." in refused(call, lone, "--strategy=data_parallel")
    assert "--classes=3: is for images of ImageNet's form" in refused(call, lone, "--classes=3")
    for dataset in ("digits", "/flowers"):
        asked = [lone, f"--dataset={dataset}", "--train_split=train[:9]"]
        assert "--train_split=train[:9]: is not read" in refused(call, *asked)
    config = {"config": {"activation": "relu", "seed": 0, "recipe": None}}
    for content in ([], config, {"config": {}, "class_names": 3}):
        (tmp_path / "config.json").write_text(json.dumps(content))
        assert "is not that of a run" in refused(call, tmp_path)


@pytest.mark.parametrize(
    ("model", "remedy"), [("resnet8", "; try --checkpoint=newest"), ("mine.keras", "")]
)
def test_a_run_without_a_network_names_a_checkpoint_where_one_can_be_tested(
    call, tmp_path, model, remedy
):
    one = trainer.Run("digits", model, "swish", 0, recipes.RECIPES["short"])
    (tmp_path / "config.json").write_text(json.dumps({"config": one.config()}))
    assert refused(call, tmp_path).endswith(f": the run has not ended{remedy}\n")
    result = {"activation": "swish", **dict.fromkeys(["seed", "epochs", "steps", "seconds"], 1)}
    result |= dict.fromkeys(["test_accuracy", "validation_accuracy"])
    for status, why in (
        ("ok", "model.keras was taken away"),
        ("diverged: nan", "the run diverged"),
    ):
        (tmp_path / "result.json").write_text(json.dumps({**result, "status": status}))
        assert f": {why}" in refused(call, tmp_path)
        for command in (("finetune", tmp_path), ("cifar", f"--weights={tmp_path}")):
            code, _, err = call(*command)
            assert code == 2
            assert f"model.keras is not there: {why}" in err


@pytest.mark.parametrize(
    ("ours", "theirs", "differs"),
    [
        (["cat", "dog"], ["cat", "eel"], ["1", "'dog'", "'eel'"]),
        (["cat", "dog"], ["dog", "cat"], ["0", "'cat'", "'dog'"]),
        # Sorted as text, folders with numbers are in another order.
        (["n01440764", "n01443537", "n01484850"], ["0", "1", "10"], ["2", "'n01484850'", "'10'"]),
        (["0", "1", "2"], ["0", "1", "10"], ["2", "'2'", "'10'"]),
        (["0", "1", "10"], ["0", "1", "2"], ["2", "'10'", "'2'"]),
        (["0", "1"], ["00", "01"], None),
        (["cat", "dog"], ["cat", "dog"], None),
        (["cat", "dog"], ["0", "1"], None),
        (["cat", "1"], ["cat", "dog"], None),
        (["n01440764", "n01443537"], ["tench", "goldfish"], None),
        (None, ["cat", "dog"], None),
        (["cat", "dog"], None, None),
    ],
)
def test_data_of_other_classes_than_the_runs_is_refused(tmp_path, ours, theirs, differs):
    record = {"config": {}} if ours is None else {"config": {}, "class_names": ours}
    (tmp_path / "config.json").write_text(json.dumps(record))
    dataset = types.SimpleNamespace(class_names=theirs)
    if differs is None:
        return evaluate._check_class_names(tmp_path, dataset)
    number, *names = differs
    message = f"class {number} of {tmp_path} is {names[0]}, that of the data {names[1]}"
    with pytest.raises(UsageError, match=re.escape(message)):
        evaluate._check_class_names(tmp_path, dataset)


@pytest.mark.slow
def test_a_run_is_not_tested_on_data_of_other_classes(call, run, monkeypatch):
    names, load = [f"letter {letter}" for letter in "abcdefghij"], in_memory.load
    monkeypatch.setattr(
        in_memory, "load", lambda *_, **__: dataclasses.replace(load(*_, **__), class_names=names)
    )
    assert call("evaluate", run)[0] == 0  # the digits' names are numbers
    record = json.loads((run / "config.json").read_text())
    record["class_names"] = [*names[:8], "letter j", "letter i"]
    (run / "config.json").write_text(json.dumps(record))
    assert "class 8 of " in refused(call, run)


@pytest.mark.parametrize("content", ["[]", '{"model_type": "x"}', '{"config": [1]}', "no JSON"])
def test_a_lone_file_next_to_a_file_of_another_program(call, tmp_path, content):
    model = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    model.save(tmp_path / "net.keras")
    (tmp_path / "config.json").write_text(content)
    code, printed, err = call("evaluate", tmp_path / "net.keras", "--dataset=digits")
    assert code == 0, err
    assert "top-1 accuracy" in printed


def test_logits_and_probabilities_have_the_same_loss(call, tmp_path):
    keras.utils.set_random_seed(0)
    logits = keras.Sequential(
        [keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(10)]
    )
    logits.save(tmp_path / "logits.keras")
    keras.Sequential([logits, keras.layers.Softmax()]).save(tmp_path / "softmax.keras")
    # The loss is the cross entropy alone.
    penalised = keras.models.clone_model(logits)
    penalised.layers[-1].kernel_regularizer = keras.regularizers.L2(0.1)
    penalised.layers[-1].activity_regularizer = keras.regularizers.L2(0.1)
    penalised.set_weights(logits.get_weights())
    penalised.save(tmp_path / "penalised.keras")
    names = "logits", "softmax", "penalised"
    printed = [call("evaluate", tmp_path / f"{name}.keras")[1] for name in names]
    assert printed[0] == printed[1] == printed[2]
    assert "loss" in printed[0]


def test_a_runs_network_is_tested_in_parts_as_it_was_trained(call, tmp_path, monkeypatch):
    recipe = dataclasses.replace(recipes.RECIPES["short"], batch_size=64, accumulation_steps=4)
    config = trainer.Run("digits", "resnet8", "relu", 0, recipe).config()
    io.write_json(tmp_path / "config.json", {"config": config})
    layers = [keras.layers.Flatten(), keras.layers.Dense(10)]
    keras.Sequential([keras.Input((8, 8, 1)), *layers]).save(tmp_path / trainer.MODEL)
    sizes, evaluated = [], trainer.evaluate

    def record(model, dataset, split, batch_size):
        sizes.append(batch_size)
        return evaluated(model, dataset, split, batch_size)

    monkeypatch.setattr(trainer, "evaluate", record)
    for flags in ([], ["--batch_size=100"]):
        code, _, err = call("evaluate", tmp_path, *flags)
        assert code == 0, err
    assert sizes == [16, 100]


@pytest.mark.slow
def test_a_runs_network_gets_another_dataset_as_it_was_trained(call, tmp_path, monkeypatch):
    # 12 pixels: the mean is computed, of the run's training images.
    sizes = ["--image_size=12", f"--out={tmp_path / 'run'}"]
    assert call("cifar", *QUICK, *sizes)[0] == 0
    seen, load = [], in_memory.load

    def loaded(name, data_dir, train_split, test_split, *others, **keywords):
        # Another dataset that has no split to train on.
        if name == "fashion_mnist":
            train_split = "nowhere"
        return load("digits", data_dir, train_split, test_split, *others, **keywords)

    monkeypatch.setattr(in_memory, "load", loaded)
    monkeypatch.setattr(
        trainer, "evaluate", lambda *_: seen.append(_[1]) or {"accuracy": 1, "cross_entropy": 0}
    )
    for flags in ([], ["--dataset=fashion_mnist"]):
        code, _, err = call("evaluate", tmp_path / "run", *flags)
        assert code == 0, err
    own, other = seen
    assert other.normalization == own.normalization
    assert own.normalization[0] != in_memory.SPECS["digits"].mean


def test_a_file_that_takes_images_of_any_size_needs_one(call, shards, tmp_path):
    any_size = tmp_path / "any.keras"
    layers = [keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D()]
    keras.Sequential([*layers, keras.layers.Dense(12)]).save(any_size)
    flags = [any_size, f"--dataset={shards}", "--classes=12", "--first_label=0"]
    assert "--image_size: has to be given" in refused(call, *flags)
    code, _, err = call("evaluate", *flags, "--image_size=32")
    assert code == 0, err


def test_a_file_that_is_no_classifier_of_images_is_refused_in_one_line(call, tmp_path):
    two = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    outputs = keras.layers.Dense(10)(keras.layers.Flatten()(keras.layers.Add()(two)))
    keras.Model(two, outputs).save(tmp_path / "two.keras")
    assert "of one input and one output" in refused(call, tmp_path / "two.keras")
    whole = (tmp_path / "two.keras").read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        flipped = bytearray(whole)
        flipped[place] ^= 0xFF
        (tmp_path / "two.keras").write_bytes(flipped)
        refused(call, tmp_path / "two.keras")


@pytest.mark.slow
def test_a_checkpoint_needs_no_file_that_its_run_started_from(call, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert call("cifar", *QUICK, f"--out={first}")[0] == 0
    flags = [f"--weights={first / 'model.keras'}", f"--out={second}", "--checkpoint_seconds=0"]
    assert call("cifar", *QUICK, *flags)[0] == 0
    (first / "model.keras").unlink()
    code, printed, err = call("evaluate", second, "--checkpoint=newest")
    assert code == 0, err
    assert printed == call("evaluate", second)[1]


def test_a_run_is_tested_on_its_own_validation_split(call, tmp_path):
    splits = ["--train_split=train[:200]", "--validation_split=train[200:300]"]
    flags = ["--epochs=1", "--batch_size=32", f"--out={tmp_path / 'run'}"]
    assert call("cifar", *splits, *flags)[0] == 0
    code, _, err = call("evaluate", tmp_path / "run", "--test_split=train[200:300]")
    assert code == 0, err
    assert "--test_split names what is tested" in refused(call, tmp_path / "run", splits[0])
