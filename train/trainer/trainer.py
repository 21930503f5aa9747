"""One training run, from the first step to the test accuracy; killed at any moment, it resumes."""

import contextlib
import dataclasses
import json
import pathlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_swish import io

from ..datasets.base import renamed_class
from ..errors import ArgumentError, DivergedError
from . import loggers, recipes
from .callbacks import (
    Preemption,
    ProgressBar,
    RunCallback,
    StepCounter,
    StopEvaluation,
    raise_if_not_finite,
)
from .checkpoints import Checkpoints
from .distribution import ONE_DEVICE, Devices
from .environment import CONFIG, environment, read_record
from .epoch_log import EpochLog
from .model import averaged, build, classifier, make_metrics
from .stopwatch import Stopwatch

if TYPE_CHECKING:
    from ..datasets.base import Dataset
    from ..datasets.in_memory import Normalization

CHECKPOINTS, MODEL, RESULT = "checkpoints", "model.keras", "result.json"
# What every result has, and of which type.
_COLUMNS = {
    "activation": str,
    "seed": int,
    "test_accuracy": float | int | None,
    "validation_accuracy": float | int | None,
    "epochs": int,
    "steps": int,
    "seconds": float | int,
    "status": str,
}
# What those of earlier versions have not.
_LATER_COLUMNS = {"model": str, "learning_rate": float | int}


@dataclasses.dataclass(frozen=True)
class Run:
    """Everything that determines the outcome of a training run.

    Attributes:
        dataset: Name of the dataset, and below it which part of it.
        model: Name of the network.
        activation: Name of its activation.
        seed: Seed of the kernels, the order of the images and their augmentation.
        recipe: The recipe of its training.
        train_split: Training split.
        test_split: Test split.
        validation_split: Split for validation, or the share of the training split that is held
            out; None: a tenth in memory, and of ImageNet's form the test split.
        image_size: Side that the images are scaled to, or None.
        pad: Pixels of padding before a random crop.
        flip: Whether half of the images are mirrored.
        color_distortion: What is changed in the colours of images of ImageNet's form; None in
            memory.
        dtype_policy: Keras's dtype policy: "float32", "mixed_bfloat16", "mixed_float16".
        backend: Keras's backend.
        weights: What its weights start from: "imagenet", those of keras.applications, or the
            .keras file of a trained network; None: random ones.
        weights_digest: What tells that file from another.
        image_files: Of ImageNet's form: how many classes there are, and images in each split; None
            for images in memory.
        normalization: Means and standard deviations of the channels of images in memory, where they
            are not those of the dataset: of the run whose network is trained on.
        bn_replicas: `Devices.bn_replicas` of the devices that it is trained on.
        model_digest: `builders.digest` of its network.
    """

    dataset: str
    model: str
    activation: str
    seed: int
    recipe: recipes.Recipe
    train_split: str = "train"
    test_split: str = "test"
    validation_split: str | None = None
    image_size: int | None = None
    pad: int = 4
    flip: bool = True
    color_distortion: str | None = None
    dtype_policy: str = "float32"
    backend: str = dataclasses.field(default_factory=keras.backend.backend)
    weights: str | None = None
    weights_digest: str | None = None
    image_files: dict[str, int] | None = None
    normalization: "Normalization | None" = None
    bn_replicas: int | None = None
    model_digest: str | None = None

    def config(self) -> dict[str, Any]:
        """Returns the settings in the form in which JSON returns them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Run":
        """Returns the run with these settings, as JSON has them or not; it ignores others."""
        fields = {field.name for field in dataclasses.fields(cls)}
        recipe: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in config["recipe"].items()
        }
        settings = {name: value for name, value in config.items() if name in fields}
        return cls(**{**settings, "recipe": recipes.Recipe(**recipe)})


def train(
    run: Run,
    dataset: "Dataset",
    directory: pathlib.Path,
    *,
    checkpoint_seconds: float = 30.0,
    keep_checkpoints: int = 2,
    tensorboard: bool = False,
    wandb: bool = False,
    deterministic: bool | None = None,
    title: str | None = None,
    build: Callable[..., keras.Model] = build,
    devices: Devices = ONE_DEVICE,
) -> dict[str, Any]:
    """Trains, tests and writes one run, or resumes it where it was interrupted.

    Args:
        run: The run.
        dataset: The data that it names, loaded.
        directory: Folder of the run: settings and hardware, the log, the checkpoints, at the end
            the model and the result. A finished run is not trained again, its result is read.
        checkpoint_seconds: A checkpoint is written, while training proceeds, when the last one is
            older than this; up to twenty times as old where writing one takes so long that it
            would take more than a twentieth of the time.
        keep_checkpoints: How many of the newest checkpoints to keep, in addition to the best.
        tensorboard: Whether to write a TensorBoard log as well.
        wandb: Whether to report to Weights & Biases.
        deterministic: As for `make_deterministic`.
        title: Name of the run above its progress bar.
        build: Function that returns the network of a run for its data, compiled; the same one each
            time.
        devices: The devices that `distribution.start` returned.

    Returns:
        The result, one row of a table. `test_loss` is the loss that was trained, with the
        L2 penalty and label smoothing and without the auxiliary classifier's; `seconds` are those
        of the epochs, validation and compilation included; `images_per_second` is that of the
        training steps alone, None where there were too few. Where the loss did not stay finite,
        `status` says "diverged: ..." and the test's numbers are None.

    Raises:
        ArgumentError: If a checkpoint in the folder is of another run, or its classes are others,
            or the network cannot be built for this data.
        PreemptedError: If SIGTERM came. A checkpoint was written, unless the disk is full.
        HostLostError: If another host was lost.
    """
    if (finished := finished_result(directory)) is not None:
        return finished
    title = title or f"{run.model}, {run.activation}, seed {run.seed}"
    _prepare(run, dataset, directory, devices, deterministic)
    with devices.scope():
        model = build(run, dataset)
        make_metrics(model)

    checkpoints = Checkpoints(
        directory / CHECKPOINTS, run.config(), keep_checkpoints, devices.writes
    )
    restored = checkpoints.restore(model) or {}
    counter = _counter(run, dataset, restored)
    about = f"resuming from step {counter.step}"
    if not counter.step:
        about = _summary(run.recipe, dataset.training_images, devices)
    preemption = Preemption()
    reports = (
        loggers.callbacks(model, run, dataset, directory, tensorboard, wandb)
        if devices.writes
        else []
    )
    callback = RunCallback(
        model,
        counter,
        Stopwatch(run.recipe.part, **restored.get("timed", {})),
        checkpoints,
        checkpoint_seconds,
        preemption,
        lambda split: _test(model, run, dataset, split, devices, preemption),
        getattr(dataset, "unreadable", lambda: None),
        EpochLog(directory, counter.epochs, devices.writes, restored.get("log")),
        ProgressBar(f"{title}: {about}", counter, devices.writes),
        reports,
    )

    status = "ok"
    try:
        with (
            preemption.watched(),
            contextlib.closing(checkpoints),
            devices.watching_hosts(),
            loggers.finishing(reports),
        ):
            _fit(model, run, dataset, devices, callback, restored.get("trained"))
            validated = _last_validation(callback, restored)
            # The training's loss can be finite to the end where that of other images is not: the
            # answers are then no answers. Not from the log, which one host alone has: all have to
            # come to the same status.
            if validated:
                raise_if_not_finite("validation", validated["loss"])
            is_known = getattr(dataset, "validates_on_test", False)
            # Saved in the test, the last step's checkpoint is written again: it may be the best.
            test = (is_known and validated) or callback.evaluate(
                "test", val_accuracy=validated.get("accuracy")
            )
            raise_if_not_finite("test", test["loss"])
    except DivergedError as error:
        status, test = f"diverged: {error}", {"accuracy": None, "loss": None}

    speed = callback.stopwatch.images_per_second
    result = _result(run, model, counter, callback.log.rows, test, speed, status)
    _write(directory, model, result, devices)
    checkpoints.keep_best()
    # After the last look at it: the program is to end all the same.
    preemption.raise_if_noticed(saved=True)
    return result


def read_result(directory: pathlib.Path) -> dict[str, Any] | None:
    """Returns the result of a run, or None where it is not finished.

    Raises:
        DamagedFileError: If it cannot be read.
    """
    result = io.read_json(directory / RESULT)
    if result is None:
        return None
    later = {name: kind for name, kind in _LATER_COLUMNS.items() if name in result}
    for name, kind in (_COLUMNS | later).items():
        if name not in result:
            raise io.DamagedFileError(directory / RESULT, f"it is no result of a run: no {name!r}")
        if not isinstance(result[name], kind):
            raise io.DamagedFileError(directory / RESULT, f"its {name!r} is {result[name]!r}")
    return result


def finished_result(directory: pathlib.Path) -> dict[str, Any] | None:
    """Returns what `read_result` does, and renames a damaged one, so that the run is repeated."""
    try:
        return read_result(directory)
    except io.DamagedFileError as error:
        io.set_aside(error, "the run is trained again")
        return None


def _prepare(
    run: Run,
    dataset: "Dataset",
    directory: pathlib.Path,
    devices: Devices,
    deterministic: bool | None,
) -> None:
    """Makes the folder of a run, and Keras ready for it."""
    if devices.writes:
        directory.mkdir(parents=True, exist_ok=True)
        io.remove_temporaries(directory)
        _record(run, directory, dataset)
    make_deterministic(deterministic)
    keras.utils.clear_session()


def _record(run: Run, directory: pathlib.Path, dataset: "Dataset") -> None:
    """Writes down what the classes are called; unless a program has, settings and machine too.

    Raises:
        ArgumentError: If they were called otherwise.
    """
    try:
        record = read_record(directory)
    except io.DamagedFileError as error:
        io.set_aside(error, "the settings are written again")
        record = None
    record = record or {"config": run.config(), "starts": []}
    written = json.dumps(record)
    names = getattr(dataset, "class_names", None)
    check_class_names(record, names)
    if "class_names" not in record and names:
        record["class_names"] = list(names)
    start = {"environment": environment()}
    if "program" not in record["config"] and start not in record["starts"]:
        record["starts"].append(start)
    if json.dumps(record) != written:
        io.write_json(directory / CONFIG, record)


def check_class_names(record: dict[str, Any], names: Sequence[str] | None) -> None:
    """Refuses data whose classes are others than those that a folder of results records.

    Raises:
        ArgumentError: It names the first one.
    """
    if other := renamed_class(record.get("class_names"), names):
        number, before, now = other
        found = f"class {number} {before!r}, now {now!r}"
        raise ArgumentError("out", f"holds results of other classes ({found}); choose another one")


def _summary(recipe: recipes.Recipe, images: int, devices: Devices) -> str:
    """Returns the line that says how a run is trained."""
    batch = f"{devices.count} x {recipe.part // devices.count} images"
    if recipe.accumulation_steps > 1:
        batch = f"{recipe.accumulation_steps} times {batch}"
    steps = recipes.parts(recipe, images)[0] // recipe.accumulation_steps
    return f"{batch} a step, learning rate {recipe.learning_rate:g}, {steps:,} steps"


def _counter(run: Run, dataset: "Dataset", restored: dict[str, Any]) -> StepCounter:
    """Returns how many steps and epochs the run has, and how many a checkpoint had done."""
    calls, calls_per_epoch = recipes.parts(run.recipe, dataset.training_images)
    done = {name: restored[name] for name in ("step", "epochs", "seconds") if name in restored}
    return StepCounter(calls, calls_per_epoch, run.recipe.accumulation_steps, **done)


def _fit(
    model: keras.Model,
    run: Run,
    dataset: "Dataset",
    devices: Devices,
    callback: RunCallback,
    trained: dict[str, Any] | None,
) -> None:
    """Trains the rest of a run.

    `trained` has the metrics of an epoch that a checkpoint was written behind the last step of.
    """
    counter, augmentation = callback.counter, recipes.augmentation(run.recipe)
    if trained:
        callback.set_model(model)
        callback.on_train_begin()
        callback.on_epoch_end(counter.epochs, trained)
        callback.on_train_end()
    for first, epochs, length in _stretches(counter):
        steps = epochs * length
        model.fit(
            dataset.training(run.recipe.part, run.seed, first, steps, devices.shard, augmentation),
            initial_epoch=counter.epochs,
            epochs=counter.epochs + epochs,
            steps_per_epoch=length,
            callbacks=[callback],
            shuffle=False,  # the batches are shuffled already
            verbose=0,  # pyright: ignore[reportArgumentType]
        )


def _last_validation(callback: RunCallback, restored: dict[str, Any]) -> dict[str, float]:
    """Returns the metrics of the last validation, which a checkpoint may have; or nothing."""
    if callback.validated is not None:
        return callback.validated
    last = [*(restored.get("log") or [{}])][-1]
    return {name[4:]: value for name, value in last.items() if name.startswith("val_")}


def _stretches(counter: StepCounter) -> Iterator[tuple[int, int, int]]:
    """Yields the calls of `fit`: first step, number of epochs, and their length.

    Usually it is one. The rest of an epoch that was interrupted is another, as is a last epoch
    that is shorter than the others.
    """
    step, length = counter.step, counter.steps_per_epoch
    rest = min(-step % length, counter.steps - step)
    if rest:
        yield step, 1, rest
        step += rest
    complete = (counter.steps - step) // length
    if complete:
        yield step, complete, length
        step += complete * length
    if step < counter.steps:
        yield step, 1, counter.steps - step


def _test(
    model: keras.Model,
    run: Run,
    dataset: "Dataset",
    split: str,
    devices: Devices,
    preemption: Preemption,
) -> dict[str, float]:
    """Evaluates the weights, or their moving averages, until SIGTERM comes."""
    with averaged(model):
        stop = StopEvaluation(preemption)
        return evaluate(model, dataset, split, run.recipe.part, devices, [stop])


def _result(
    run: Run,
    model: keras.Model,
    counter: StepCounter,
    log: list[dict[str, Any]],
    test: dict[str, Any],
    speed: float | None,
    status: str,
) -> dict[str, Any]:
    seconds = sum(row["seconds"] for row in log)
    calls = min(counter.steps, counter.epochs * counter.steps_per_epoch)
    return {
        "model": run.model,
        "learning_rate": run.recipe.learning_rate,
        "activation": run.activation,
        "seed": run.seed,
        **{f"test_{name}": value for name, value in test.items()},
        "validation_accuracy": log[-1]["val_accuracy"] if log and status == "ok" else None,
        "epochs": counter.epochs,
        "steps": calls // run.recipe.accumulation_steps,
        "parameters": classifier(model).count_params(),
        "seconds": round(seconds, 1),
        "images_per_second": speed,
        "status": status,
    }


def _write(
    directory: pathlib.Path, model: keras.Model, result: dict[str, Any], devices: Devices
) -> None:
    """Writes the network, unless it diverged, and at last the result: the run is finished."""
    if result["status"] == "ok":
        with averaged(model):  # on every host: in JAX they have to assign together
            if devices.writes:
                with io.atomic(directory / MODEL) as path:
                    classifier(model).save(path)
    if devices.writes:
        io.write_json(directory / RESULT, result)


def evaluate(
    model: keras.Model,
    dataset: "Dataset",
    split: str,
    batch_size: int,
    devices: Devices = ONE_DEVICE,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, float]:
    """Returns loss and metrics of a compiled network on the "validation" or "test" split."""
    batches = dataset.evaluation(split, batch_size, devices.shard, devices.even)
    with warnings.catch_warnings():
        # Data in files says how many batches have a good image by ending, of which Keras warns.
        warnings.filterwarnings("ignore", "Your input ran out of data")
        return model.evaluate(
            batches,
            callbacks=list(callbacks),
            verbose=0,  # pyright: ignore[reportArgumentType]
            return_dict=True,
        )


def make_deterministic(wanted: bool | None = None) -> None:
    """Makes TensorFlow's operations give the same bits in every run.

    Without it a convolution's gradient depends on which thread ends first, and a resumed
    run drifts from one never cut off. JAX on the CPU needs no such thing.

    Args:
        wanted: Whether to; by default where there is no GPU, on which it costs much.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    if wanted is None:
        wanted = not tf.config.list_physical_devices("GPU")
    if wanted:
        tf.config.experimental.enable_op_determinism()
