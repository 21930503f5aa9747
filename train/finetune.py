r"""Replaces the activations of a trained network, and trains it a little more.

The network is tested as it is, right after the replacement, and at the end.

Examples:
  keras-swish finetune runs/mine --replace=relu:swish_beta
      the network of a finished run of `keras-swish cifar`, on its own data.
  keras-swish finetune mine.keras --dataset=cifar10 \
      --replace="relu:swish_beta, relu6:swish" --beta_learning_rate=0.1
      your own network; the betas learn faster than the other weights.
  keras-swish finetune MobileNet --dataset=cifar10 --image_size=96 --replace=relu6:swish
      a network of keras.applications with its weights of ImageNet and a new classifier.
  keras-swish finetune mine.keras --dataset=/data/flowers --image_size=96 --strategy=data_parallel
      on images larger than memory, as `keras-swish imagenet` reads them, on all devices.
  keras-swish finetune mine.keras --replace=relu:swish_beta --beta_initializer=relu_like
      betas so large at first that Swish is close to ReLU.

A network is named as for `keras-swish evaluate`, or by its name in keras.applications. The one of a
file gets images as the programs here do, normalized, and returns a number for each class. The
folder --out gets the files of `keras-swish cifar`, and stages.json with the two tests before the
training.
"""

import dataclasses
import math
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import keras
from absl import flags as absl_flags
from absl.flags import FlagValues

import keras_swish
from keras_swish import io
from keras_swish.keras_compat import all_layers
from keras_swish.layers import weighted_layers
from keras_swish.messages import first_line, unknown

from .app import data, flags, folder, networks, settings
from .app import main as app
from .datasets.base import ImageDataset
from .errors import ArgumentError, DivergedError, UsageError, as_argument_error, as_usage_error
from .trainer import builders, distribution, recipes, trainer
from .trainer import model as model_building

STAGES = "stages.json"
# Flags of the data by which images in memory are normalised.
_NORMALIZING = ("dataset", "train_split", "validation_split", "image_size")
# Fields of a recipe for parts that a trained network has already, or for several learning rates.
_OTHER_FIELDS = (
    "dropout",
    "auxiliary_weight",
    "drop_path",
    "swish_learning_rate",
    "learning_rates",
)


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    absl_flags.DEFINE_string(
        "replace",
        "relu:swish_beta",
        "Old activations and their new ones, by name or formula: 'relu:swish_beta, relu6:swish'.",
        flag_values,
    )
    absl_flags.DEFINE_string(
        "beta_initializer",
        None,
        "What new betas start from: a number, or 'relu_like' for where Swish is close to ReLU. By "
        "default the activation's own.",
        flag_values,
    )
    absl_flags.DEFINE_float(
        "beta_learning_rate",
        None,
        "Highest learning rate of the betas; by default that of the other weights.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.define_data_flags(flag_values)
    flags.define_validation_flag(flag_values)
    flags.define_image_file_flags(flag_values)
    flags.define_augmentation_flags(flag_values)
    flags.define_seed_flag(flag_values)
    flags.define_recipe_flags(flag_values, without=_OTHER_FIELDS)
    flags.define_training_flags(flag_values)
    flags.define_device_flags(flag_values, multi_host=False)
    flags.define_output_flags(flag_values)


@dataclasses.dataclass(frozen=True)
class Finetuning(trainer.Run):
    """A training run that starts from a trained network.

    `model` is its file or its name in `keras.applications`; `activation` is the text of the
    replacements.

    Attributes:
        beta_initializer: What new betas start from.
        beta_learning_rate: Their highest learning rate; None for the recipe's.
        digest: Of the file.
        builder: The builder of the user's own that made the network, whose module has its classes.
    """

    beta_initializer: str | None = None
    beta_learning_rate: float | None = None
    digest: str | None = None
    builder: str | None = None


def replacements(text: str) -> dict[str, str]:
    """Reads what --replace says.

    Example:
        >>> from keras_swish.train.finetune import replacements
        >>> replacements("relu:swish_beta, relu6:max(x, sigmoid(x))")
        {'relu': 'swish_beta', 'relu6': 'max(x, sigmoid(x))'}
    """
    pairs = [[side.strip() for side in part.partition(":")[::2]] for part in flags.split(text)]
    if not pairs or not all(old and new for old, new in pairs):
        raise ArgumentError("replace", "name an old and a new activation, as 'relu:swish_beta'")
    olds = [old for old, _ in pairs]
    for old in olds:
        if olds.count(old) > 1:
            raise ArgumentError("replace", f"replaces {old!r} twice")
    return dict(pairs)


def load(run: Finetuning, dataset: ImageDataset) -> keras.Model:
    """Loads the network that a run starts from.

    Raises:
        UsageError: If there is none of that name, or it does not fit the dataset.
    """
    if run.model.endswith(".keras"):
        model = networks.load_classifier(pathlib.Path(run.model))
        shapes = model.input_shape, model.output_shape
        wanted = (None, *dataset.input_shape), (None, dataset.classes)
        if not all(map(builders.fits, shapes, wanted)):
            raise UsageError(
                f"{run.model} is from {shapes[0]} to {shapes[1]}, the dataset needs {wanted}"
            )
        return model
    application = getattr(keras.applications, run.model, None)
    if not run.model[:1].isupper() or application is None:
        names = [name for name in dir(keras.applications) if name[0].isupper()]
        valid = "a folder of a run, a .keras file, and the names of keras.applications"
        raise UsageError(unknown("network", run.model, names, valid))
    return _with_new_classifier(application, dataset)


def _with_new_classifier(application: Callable, dataset: ImageDataset) -> keras.Model:
    """Returns a network of `keras.applications` that takes our images and returns logits."""
    images: Any = keras.Input(dataset.input_shape)
    with as_usage_error():
        pixels = builders.pixels(images, dataset)
    try:
        body = application(
            weights="imagenet",
            include_top=False,
            pooling="avg",
            input_shape=(*dataset.input_shape[:2], 3),
        )
    except Exception as error:
        name = application.__name__
        raise UsageError(f"{name} cannot be loaded ({first_line(error)})") from error
    prepared = sys.modules[application.__module__].preprocess_input(pixels)
    features = body(prepared)
    classify = keras.layers.Dense(dataset.classes, dtype="float32", name="classifier")
    return keras.Model(images, classify(features))


def prepare(run: Finetuning, dataset: ImageDataset) -> tuple[keras.Model, keras.Model, str]:
    """Returns the network as it was, the one with other activations, and what was replaced."""
    keras.utils.set_random_seed(run.seed)
    keras.config.set_dtype_policy(run.dtype_policy)
    original = load(run, dataset)
    keras.config.set_dtype_policy(model_building.dtype_policy(original))
    initializer = run.beta_initializer
    if initializer not in (None, "relu_like"):
        try:
            initializer = float(initializer)
        except ValueError:
            raise ArgumentError("beta_initializer", "is no number and not 'relu_like'") from None
        if not math.isfinite(initializer):
            raise ArgumentError("beta_initializer", "is not a finite number")
    with as_argument_error("replace"):
        model, report = keras_swish.replace_activations(
            original,
            replacements(run.activation),  # pyright: ignore[reportArgumentType]
            beta_initializer=initializer,
            return_report=True,
        )
    if run.beta_learning_rate is not None and not weighted_layers(model):
        raise ArgumentError("beta_learning_rate", "is for betas, and no new activation has one")
    words = f"{len(report.replaced)} activations replaced"
    if report.scaled:
        words += f", {len(report.scaled)} batch normalisations given a gamma"
    return original, model, words


def _prepare_on(
    devices: distribution.Devices, run: Finetuning, dataset: ImageDataset
) -> tuple[keras.Model, keras.Model, str]:
    """Returns what `prepare` does, on the devices of the training."""
    keras.utils.clear_session()  # not within the scope, which it ends
    with devices.scope():
        return prepare(run, dataset)


def compile_for(model: keras.Model, run: Finetuning, dataset: ImageDataset) -> keras.Model:
    """Compiles the network for its training."""
    recipe = run.recipe
    steps_per_pass = dataset.training_images // recipe.batch_size
    model = model_building.for_training(model, recipe)
    momentum = recipes.bn_momentum(recipe, recipes.parts(recipe, dataset.training_images)[0])
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    factors = {}
    if run.beta_learning_rate is not None:
        factor = run.beta_learning_rate / recipe.learning_rate
        betas = [beta for layer in weighted_layers(model) for beta in layer.trainable_weights]
        factors = {beta.path: factor for beta in betas}
    optimizer = recipes.optimizer(recipe, steps_per_pass, factors)
    model_building.apply_weight_decay(model, recipe, optimizer)
    model_building.compile_for(model, dataset.input_shape, recipe.label_smoothing, optimizer)
    model.optimizer.build(model.trainable_variables)
    return model


def finetune(
    run: Finetuning,
    dataset: ImageDataset,
    directory: pathlib.Path,
    prepared: tuple[keras.Model, keras.Model, str] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Tests, replaces, tests, trains and tests, or resumes where it was cut off.

    Args:
        run: What to train.
        dataset: The data that it names.
        directory: Folder of the run.
        prepared: The outcome of `prepare`, if it was called already.
        **options: Those of `trainer.train`.

    Returns:
        The row that `trainer.train` returns, with `before` and `replaced`: the test accuracy before
        and right after the replacement.
    """
    result = trainer.finished_result(directory)
    stages = _stages(directory)
    if result is None or stages is None:
        trainer.make_deterministic(options.get("deterministic"))
        devices = options.get("devices", distribution.ONE_DEVICE)
        original, model, _ = prepared or _prepare_on(devices, run, dataset)
        if stages is None:
            stages = {
                "before": _accuracy(original, dataset, run.recipe.part, devices),
                "replaced": _accuracy(model, dataset, run.recipe.part, devices),
            }
            directory.mkdir(parents=True, exist_ok=True)
            io.write_json(directory / STAGES, stages)
        result = trainer.train(
            run,
            dataset,
            directory,
            build=lambda run, dataset: compile_for(model, run, dataset),
            **options,
        )
    return {**result, **stages}


def _stages(directory: pathlib.Path) -> dict[str, float] | None:
    """Returns what the tests before the training found; None where they have to be made."""
    path = directory / STAGES
    try:
        stages = io.read_json(path)
        if stages is not None and not stages.keys() >= {"before", "replaced"}:
            raise io.DamagedFileError(path, "it has no test before the training")
    except io.DamagedFileError as error:
        io.set_aside(error, "the network is tested again")
        return None
    return stages


def _accuracy(
    model: keras.Model, dataset: ImageDataset, batch_size: int, devices: distribution.Devices
) -> float:
    with devices.scope():
        model_building.compile_for(model, dataset.input_shape)
    return trainer.evaluate(model, dataset, "test", batch_size, devices)["accuracy"]


def _check(recipe: recipes.Recipe, beta_learning_rate: float | None) -> None:
    """Refuses a recipe that a network which is there already cannot follow."""
    for field in ("dropout", "auxiliary_weight", "drop_path"):
        if getattr(recipe, field):
            message = f"a trained network keeps the parts that it has, the recipe changes {field}"
            raise ArgumentError("recipe", message)
    if recipe.optimizer != "sgd" and beta_learning_rate is not None:
        raise ArgumentError("beta_learning_rate", "needs --optimizer=sgd")
    if not recipe.learning_rate and beta_learning_rate is not None:
        # Theirs is a multiple of it.
        message = "must be above 0 where the betas have their own; 1e-9 leaves the others alone"
        raise ArgumentError("learning_rate", message)


def _named_network(arguments: list[str]) -> tuple[str, trainer.Run | None]:
    """Returns the .keras file or the name that the arguments are, and the run that wrote the file.

    Raises:
        UsageError: If there is no such file or folder.
    """
    if len(arguments) != 1:
        raise UsageError("name a folder of a run, a .keras file, or one of keras.applications")
    path = pathlib.Path(arguments[0]).expanduser()
    if not path.exists() and path.suffix != ".keras":
        return arguments[0], None
    run = networks.run_of(path)
    return str(networks.network_file(path)), run


def _settings(flag_values: FlagValues, name: str, run: trainer.Run | None) -> data.Settings:
    """Returns the settings; where the network has a run, the data is by default the run's."""
    settings_of, facts = data.settings_for(flag_values.dataset), {}
    if run is not None:
        of_files = run.image_files is not None
        settings_of = data.image_file_settings if of_files else data.in_memory_settings
        if not flag_values["dataset"].present:
            names = ["dataset", "train_split", "test_split", "validation_split"]
            names += ["image_size", "flip"]
            names += ["color_distortion"] if of_files else ["pad"]
            flags.set_unless_given(flag_values, **{name: getattr(run, name) for name in names})
            facts = {"image_files": run.image_files} if of_files else {}
    chosen = {**settings_of(flag_values, name, recipe="finetune"), **facts}
    if run is not None:
        chosen["builder"] = run.model if builders.is_own(run.model) else networks.builder(name)
        is_other = run.normalization or any(flag_values[flag].present for flag in _NORMALIZING)
        if is_other and chosen.get("image_files") is None:
            # The network is still to get images as in its training.
            chosen["normalization"] = data.normalization_of(flag_values, run)
    return chosen


def main(flag_values: FlagValues, arguments: list[str]) -> None:
    """Runs the program."""
    devices = settings.started_devices(flag_values)
    name, origin = _named_network(arguments)
    settings.check_activations("replace", list(replacements(flag_values.replace).values()))
    chosen = _settings(flag_values, name, origin)
    if flag_values.print_recipe:
        settings.print_recipes({name: chosen["recipe"]})
        return
    _check(chosen["recipe"], flag_values.beta_learning_rate)
    dataset = data.load(flag_values, chosen)
    if dataset.facts is not None:
        chosen["image_files"] = dataset.facts
    run = Finetuning(
        activation=flag_values.replace,
        seed=flag_values.seed,
        beta_initializer=flag_values.beta_initializer,
        beta_learning_rate=flag_values.beta_learning_rate,
        digest=networks.digest(file) if (file := pathlib.Path(name)).is_file() else None,
        bn_replicas=devices.bn_replicas(chosen["recipe"]),
        **chosen,
    )
    settings.check_fits(run.recipe, dataset.training_images, devices)
    options = settings.training_options(flag_values)
    # Before the folder is made: a network that does not fit, or would be lost, leaves none.
    prepared = _prepare_on(devices, run, dataset)
    with as_argument_error("replace"):
        builders.check_loads(name, prepared[1])
    run = dataclasses.replace(run, dtype_policy=model_building.dtype_policy(prepared[0]))
    if flag_values["dtype_policy"].present and flag_values.dtype_policy != run.dtype_policy:
        message = f"a trained network keeps its dtype policy, {run.dtype_policy}"
        raise ArgumentError("dtype_policy", message)
    names = dataset.class_names
    out = folder.out_directory(flag_values, "finetune", run.config(), class_names=names)
    print(prepared[2], flush=True)
    with dataset.errors():
        result = finetune(run, dataset.for_run(run, out), out, prepared, devices=devices, **options)
    if result["status"] != "ok":
        raise DivergedError(result["status"])
    print(
        f"test accuracy: before {result['before']:.2%}, after the replacement "
        f"{result['replaced']:.2%}, at the end {result['test_accuracy']:.2%}"
    )
    print(f"results: {out}")


if __name__ == "__main__":
    app.run(main, define_flags)
