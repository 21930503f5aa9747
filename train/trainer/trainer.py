"""One training run, from the first step to the test accuracy; it survives being killed."""

import csv
import dataclasses
import hashlib
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence

import keras

from keras_swish import io

from ..errors import ArgumentError, DivergedError, PreemptedError
from . import callbacks, loggers, recipes
from .checkpoints import Checkpoints
from .distribution import ONE_DEVICE, Devices
from .environment import CONFIG, environment
from .model import averaged, build, classifier, make_metrics

CHECKPOINTS, LOG, MODEL, RESULT = "checkpoints", "log.csv", "model.keras", "result.json"


@dataclasses.dataclass(frozen=True)
class Run:
    """All that determines the outcome of a training run.

    Attributes:
        dataset: Name of the dataset, and below it which part of it.
        model: Name of the network.
        activation: Name of its activation.
        seed: Seed of the kernels, the order of the images and their augmentation.
        recipe: How it is trained.
        train_split: Training split.
        test_split: Test split.
        image_size: Side that the images are scaled to, or None.
        pad: Pixels of padding before a random crop.
        flip: Whether half of the images are mirrored.
        dtype_policy: Keras's dtype policy: "float32", "mixed_bfloat16", "mixed_float16".
        backend: Keras's backend.
        pictures: Of ImageNet's form: `picture_dataset.Pictures.facts`; None for images in memory.
    """

    dataset: str
    model: str
    activation: str
    seed: int
    recipe: recipes.Recipe
    train_split: str = "train"
    test_split: str = "test"
    image_size: int | None = None
    pad: int = 4
    flip: bool = True
    dtype_policy: str = "float32"
    backend: str = dataclasses.field(default_factory=keras.backend.backend)
    pictures: dict | None = None

    def config(self) -> dict:
        """Returns the settings in the form in which JSON gives them back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_config(cls, config: dict) -> "Run":
        """Returns the run with these settings, in whichever form."""
        known = {field.name for field in dataclasses.fields(cls)}
        recipe = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config["recipe"].items()
        }
        given = {name: value for name, value in config.items() if name in known}
        return cls(**{**given, "recipe": recipes.Recipe(**recipe)})


def slug(activation: str, seed: int) -> str:
    """Returns the name of a run's folder within a comparison, another one for each activation."""
    readable = re.sub(r"\W+", "_", activation).strip("_")
    if readable != activation:
        # Different formulas may read alike: x + 1 and x - 1.
        readable += "-" + hashlib.sha256(activation.encode()).hexdigest()[:8]
    return f"{readable}-seed{seed}"


def train(
    run: Run,
    dataset,
    directory: pathlib.Path,
    *,
    checkpoint_seconds: float = 30.0,
    keep_checkpoints: int = 2,
    tensorboard: bool = False,
    wandb: bool = False,
    title: str | None = None,
    build: Callable[..., keras.Model] = build,
    devices: Devices = ONE_DEVICE,
) -> dict:
    """Trains, tests and writes one run, or goes on with it where it was cut off.

    Args:
        run: What to train.
        dataset: The data that `run` names, loaded: a `data.Dataset`, or anything else with its
            `classes`, `input_shape`, `training_images`, `training` and `evaluation`.
        directory: Folder of the run: settings and hardware, the log, the checkpoints, at the end
            the model and the result. A finished run is not trained again, its result is read.
        checkpoint_seconds: A checkpoint is written when the last one is older than this.
        keep_checkpoints: How many of the newest checkpoints to keep, beside the best.
        tensorboard: Whether to write a TensorBoard log as well.
        wandb: Whether to report to Weights & Biases.
        title: What to call the run above its progress bar.
        build: Gives the network of a run for its data, compiled; the same one each time.
        devices: What `distribution.start` gave.

    Returns:
        The result, one row of a table. `test_loss` is the loss that was trained, with the
        L2 penalty and label smoothing and without the auxiliary classifier's; `seconds` are those
        of the epochs, validation and compilation included. Where the loss did not stay
        finite, `status` says "diverged: ..." and the test's figures are None.

    Raises:
        ArgumentError: If a checkpoint in the folder is of another run, or the network cannot be
            built for this data.
        PreemptedError: If SIGTERM came. A checkpoint was written, unless the disk is full.
        HostLostError: If another host was lost.
    """
    result = io.read_json(directory / RESULT)
    if result is not None:
        return result
    if devices.writes:
        directory.mkdir(parents=True, exist_ok=True)
        io.remove_temporaries(directory)
        _record(run, directory)
    make_deterministic()
    recipe = run.recipe
    if recipe.batch_size % devices.count:
        raise ArgumentError("batch_size", f"must be a multiple of the {devices.count} devices")
    keras.utils.clear_session()
    with devices.scope():
        model = build(run, dataset)
        make_metrics(model)
    steps_per_pass = dataset.training_images // recipe.batch_size
    steps = recipes.total_steps(recipe, steps_per_pass)
    steps_per_epoch = min(steps, recipe.steps_per_epoch or steps_per_pass)
    preemption = callbacks.Preemption()

    def tested(split):
        with averaged(model):
            watchers = [callbacks.Stop(preemption)]
            metrics = evaluate(model, dataset, split, recipe.batch_size, devices, watchers)
        preemption.stop()
        return metrics

    checkpoints = Checkpoints(
        directory / CHECKPOINTS, run.config(), keep_checkpoints, devices.writes
    )
    saved = checkpoints.restore(model) or {"step": 0, "epochs": 0, "seconds": 0.0}
    title = title or f"{run.model}, {run.activation}, seed {run.seed}"
    if saved["step"] and devices.writes:
        print(f"{title}: going on from step {saved['step']}", flush=True)
    trained = saved.pop("trained", None)
    position = callbacks.Position(
        steps, steps_per_epoch, saved["step"], saved["epochs"], saved["seconds"]
    )
    if position.is_within_epoch:
        position.keep_metrics(model)
    checkpoint = callbacks.Checkpoint(checkpoints, position, preemption, checkpoint_seconds)
    checkpoint.set_model(model)
    watchers = [
        position,
        callbacks.StopWhenDiverged(position),
        callbacks.Validate(lambda: tested("validation"), checkpoint),
    ]
    if devices.writes:
        cut_log(directory, position.epochs)
        watchers.append(keras.callbacks.CSVLogger(directory / LOG, append=True))
        watchers.append(callbacks.Progress(title, position))
        watchers += loggers.callbacks(model, run, dataset, directory, tensorboard, wandb)
    watchers.append(checkpoint)

    status, test = "ok", {"accuracy": None, "loss": None}
    try:
        with preemption.watched(), devices.together(), loggers.finishing():
            if trained:
                _end_epoch(model, watchers, position.epochs, trained)
            _fit(model, run, dataset, devices, watchers)
            try:
                test = tested("test")
            except PreemptedError:
                checkpoint.save()
                raise
    except DivergedError as error:
        status = f"diverged: {error}"
    log = read_log(directory) if devices.writes else []
    result = _result(run, model, position, log, test, status)
    if status == "ok":
        with averaged(model):  # on every host: in JAX they have to assign together
            if devices.writes:
                with io.atomic(directory / MODEL) as path:
                    classifier(model).save(path)
    if devices.writes:
        io.write_json(directory / RESULT, result)
    checkpoints.keep_best()
    return result


def _record(run, directory) -> None:
    """Writes down the settings, and where it is trained, unless a program has done so there."""
    record = io.read_json(directory / CONFIG) or {"config": run.config(), "starts": []}
    if "program" in record["config"]:
        return
    start = {"environment": environment()}
    if start not in record["starts"]:
        record["starts"].append(start)
        io.write_json(directory / CONFIG, record)


def _fit(model, run, dataset, devices, watchers) -> None:
    position = watchers[0]
    for first, epochs, length in _stretches(position):
        steps = epochs * length
        model.fit(
            dataset.training(run.recipe.batch_size, run.seed, first, steps, devices.shard),
            initial_epoch=position.epochs,
            epochs=position.epochs + epochs,
            steps_per_epoch=length,
            callbacks=watchers,
            shuffle=False,  # the batches are shuffled already
            verbose=0,
        )


def _result(run, model, position, log, test, status) -> dict:
    seconds = sum(row["seconds"] for row in log)
    steps = min(position.steps, position.epochs * position.steps_per_epoch)
    speed = round(steps * run.recipe.batch_size / seconds, 1) if seconds else None
    return {
        "model": run.model,
        "learning_rate": run.recipe.learning_rate,
        "activation": run.activation,
        "seed": run.seed,
        **{f"test_{name}": value for name, value in test.items()},
        "validation_accuracy": log[-1]["val_accuracy"] if log and status == "ok" else None,
        "epochs": position.epochs,
        "steps": steps,
        "parameters": classifier(model).count_params(),
        "seconds": round(seconds, 1),
        "images_per_second": speed,
        "status": status,
    }


def _stretches(position: callbacks.Position) -> Iterator[tuple[int, int, int]]:
    """Gives the calls of `fit`: first step, number of epochs, and their length.

    Usually it is one. The rest of an epoch that was cut off is another, as is a last epoch
    that is shorter than the others.
    """
    step, length = position.step, position.steps_per_epoch
    rest = min(-step % length, position.steps - step)
    if rest:
        yield step, 1, rest
        step += rest
    whole = (position.steps - step) // length
    if whole:
        yield step, whole, length
        step += whole * length
    if step < position.steps:
        yield step, 1, position.steps - step


def _end_epoch(model, watchers, epoch, logs):
    """Does what `fit` does behind an epoch's last step, which is as far as the checkpoint went."""
    watched = keras.callbacks.CallbackList(watchers, model=model)
    watched.on_train_begin()
    watched.on_epoch_end(epoch, logs)
    watched.on_train_end()


def evaluate(
    model: keras.Model,
    dataset,
    split: str,
    batch_size: int,
    devices: Devices = ONE_DEVICE,
    watchers: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, float]:
    """Returns loss and metrics of a compiled network on the "validation" or "test" split."""
    batches = dataset.evaluation(split, batch_size, devices.shard, devices.even)
    return model.evaluate(batches, callbacks=list(watchers), verbose=0, return_dict=True)


def cut_log(directory: pathlib.Path, epochs: int) -> None:
    """Leaves the rows of the first epochs in the log: the others will be logged again."""
    log = [row for row in read_log(directory) if row["epoch"] < epochs]
    if log:
        io.write_csv(directory / LOG, [{**row, "epoch": int(row["epoch"])} for row in log])
    else:
        (directory / LOG).unlink(missing_ok=True)


def read_log(directory: pathlib.Path) -> list[dict[str, float]]:
    """Reads a run's log: a row an epoch (from 0), with the metrics and the seconds it took."""
    path = directory / LOG
    if not path.exists():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    # A kill may have cut the last row.
    whole = [row for row in rows if None not in row.values() and None not in row]
    return [{key: float(value) for key, value in row.items()} for row in whole]


def make_deterministic() -> None:
    """Makes TensorFlow's operations give the same bits in every run.

    Without it a convolution's gradient depends on which thread ends first, and a resumed
    run drifts from one never cut off. JAX on the CPU needs no such thing.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
