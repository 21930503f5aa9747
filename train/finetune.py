r"""Replaces the activations of a trained network, and trains it a little more.

The network is tested as it is, right after the replacement, and at the end.

Examples:
  keras-swish finetune --model=runs/mine/model.keras --replace=relu:swish_beta
      a network that `keras-swish cifar` has saved, on the digits.
  keras-swish finetune --model=mine.keras --dataset=cifar10 \
      --replace="relu:swish_beta, relu6:swish" --beta_learning_rate=0.1
      your own network; the betas learn faster than the other weights.
  keras-swish finetune --model=MobileNet --dataset=cifar10 --image_size=96 --replace=relu6:swish
      a network of keras.applications with its weights of ImageNet and a new classifier.
  keras-swish finetune --model=mine.keras --replace=relu:swish_beta --beta_initializer=relu_like
      betas so large at first that Swish is close to ReLU.

A network in a file gets images as the programs here do, of mean 0 and deviation 1 over the training
split, and gives a number for each class. The folder --out gets what that of `keras-swish
cifar` gets, and stages.json with the two tests before the training.
"""

import dataclasses
import hashlib
import pathlib
import sys

import keras
from absl import flags

import keras_swish
from keras_swish import io, optimizers
from keras_swish.keras_compat import all_layers
from keras_swish.layers import weighted_layers
from keras_swish.messages import first_line, unknown

from .app import program
from .datasets.in_memory import Dataset
from .errors import ArgumentError, DivergedError, as_argument_error
from .trainer import model as model_building
from .trainer import recipes, trainer

STAGES = "stages.json"
REPLACE = flags.DEFINE_string(
    "replace",
    "relu:swish_beta",
    "Old activations and their new ones, by name or formula: 'relu:swish_beta, relu6:swish'.",
)
BETA_INITIALIZER = flags.DEFINE_string(
    "beta_initializer",
    None,
    "What new betas start from: a number, or 'relu_like' for where Swish is close to ReLU. By "
    "default the activation's own.",
)
BETA_LEARNING_RATE = flags.DEFINE_float(
    "beta_learning_rate",
    None,
    "Highest learning rate of the betas; by default that of the other weights.",
    lower_bound=0,
)


@dataclasses.dataclass(frozen=True)
class Finetuning(trainer.Run):
    """A training run that starts from a trained network.

    `model` is its file or its name in `keras.applications`; `activation` is the text of the
    replacements.

    Attributes:
        beta_initializer: What new betas start from.
        beta_learning_rate: Their highest learning rate; None for the recipe's.
        digest: Of the file.
    """

    beta_initializer: str | None = None
    beta_learning_rate: float | None = None
    digest: str | None = None


def replacements(text: str) -> dict[str, str]:
    """Reads what --replace says.

    Example:
        >>> from keras_swish.train.finetune import replacements
        >>> replacements("relu:swish_beta, relu6:max(x, sigmoid(x))")
        {'relu': 'swish_beta', 'relu6': 'max(x, sigmoid(x))'}
    """
    pairs = [[side.strip() for side in part.partition(":")[::2]] for part in program.split(text)]
    if not pairs or not all(old and new for old, new in pairs):
        raise ArgumentError("replace", "name an old and a new activation, as 'relu:swish_beta'")
    return dict(pairs)


def load(run: Finetuning, dataset: Dataset) -> keras.Model:
    """Loads the network that a run starts from.

    Raises:
        ArgumentError: If there is none of that name, or it does not fit the dataset.
    """
    if run.model.endswith(".keras"):
        try:
            model = keras.saving.load_model(run.model, compile=False)
        except Exception as error:
            raise ArgumentError("model", f"cannot be loaded ({first_line(error)})") from error
        shapes = model.input_shape, model.output_shape
        wanted = (None, *dataset.input_shape), (None, dataset.classes)
        if not all(map(model_building.fits, shapes, wanted)):
            raise ArgumentError(
                "model", f"is from {shapes[0]} to {shapes[1]}, the dataset needs {wanted}"
            )
        return model
    application = getattr(keras.applications, run.model, None)
    if not run.model[:1].isupper() or application is None:
        names = [name for name in dir(keras.applications) if name[0].isupper()]
        valid = "a .keras file, and the names of keras.applications"
        raise ArgumentError("model", unknown("network", run.model, names, valid))
    return _with_new_classifier(application, dataset)


def _with_new_classifier(application, dataset) -> keras.Model:
    """Returns a network of `keras.applications` that takes our images and gives logits."""
    if keras.config.image_data_format() != "channels_last":
        raise ArgumentError("model", "keras.applications needs Keras's format 'channels_last'")
    images = keras.Input(dataset.input_shape)
    spec = dataset.spec
    pixels = keras.layers.Rescaling(list(spec.std), list(spec.mean), name="pixels")(images)
    if dataset.input_shape[-1] == 1:
        pixels = keras.layers.Concatenate(name="rgb")([pixels] * 3)
    try:
        body = application(
            weights="imagenet",
            include_top=False,
            pooling="avg",
            input_shape=(*dataset.input_shape[:2], 3),
        )
    except Exception as error:
        raise ArgumentError("model", f"cannot be had ({first_line(error)})") from error
    prepared = sys.modules[application.__module__].preprocess_input(pixels)
    features = body(prepared)
    classify = keras.layers.Dense(dataset.classes, dtype="float32", name="classifier")
    return keras.Model(images, classify(features))


def prepare(run: Finetuning, dataset: Dataset) -> tuple[keras.Model, keras.Model, str]:
    """Returns the network as it was, the one with other activations, and what was replaced."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(run.seed)
    keras.config.set_dtype_policy(run.dtype_policy)
    original = load(run, dataset)
    initializer = run.beta_initializer
    if initializer not in (None, "relu_like"):
        try:
            initializer = float(initializer)
        except ValueError:
            raise ArgumentError("beta_initializer", "is no number and not 'relu_like'") from None
    with as_argument_error("replace"):
        model, report = keras_swish.replace_activations(
            original,
            replacements(run.activation),
            beta_initializer=initializer,
            return_report=True,
        )
    words = f"{len(report.replaced)} activations replaced"
    if report.scaled:
        words += f", {len(report.scaled)} batch normalisations given a gamma"
    return original, model, words


def compile_for(model: keras.Model, run: Finetuning, dataset: Dataset) -> keras.Model:
    """Compiles the network for its training."""
    recipe = run.recipe
    steps_per_pass = dataset.training_images // recipe.batch_size
    momentum = recipe.bn_momentum
    if momentum is None:
        momentum = optimizers.converged_bn_momentum(recipes.total_steps(recipe, steps_per_pass))
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = momentum
    model_building.apply_weight_decay(model, recipe)
    factors = {}
    if run.beta_learning_rate is not None:
        factor = run.beta_learning_rate / recipe.learning_rate
        factors = {v.path: factor for layer in weighted_layers(model) for v in layer.weights}
    optimizer = recipes.optimizer(recipe, steps_per_pass, factors)
    model_building.compile_for(model, dataset.input_shape, recipe.label_smoothing, optimizer)
    model.optimizer.build(model.trainable_variables)
    return model


def finetune(
    run: Finetuning, dataset: Dataset, directory: pathlib.Path, prepared=None, **options
) -> dict:
    """Tests, replaces, tests, trains and tests, or goes on where it was cut off.

    Args:
        run: What to train.
        dataset: The data that it names.
        directory: Folder of the run.
        prepared: What `prepare` gave, if it was called already.
        **options: Those of `trainer.train`.

    Returns:
        The row that `trainer.train` gives, with `before` and `replaced`: the test accuracy before
        and right after the replacement.
    """
    result = io.read_json(directory / trainer.RESULT)
    stages = io.read_json(directory / STAGES)
    if result is None or stages is None:
        trainer.make_deterministic()
        original, model, _ = prepared or prepare(run, dataset)
        if stages is None:
            stages = {
                "before": _accuracy(original, dataset, run.recipe.batch_size),
                "replaced": _accuracy(model, dataset, run.recipe.batch_size),
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


def _accuracy(model, dataset, batch_size) -> float:
    model_building.compile_for(model, dataset.input_shape)
    return trainer.evaluate(model, dataset, "test", batch_size)["accuracy"]


def digest(path: str) -> str | None:
    """Returns what tells a network's file from another; None for a name."""
    file = pathlib.Path(path)
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file.is_file() else None


def _check(recipe: recipes.Recipe) -> None:
    """Refuses what cannot be asked of a network that is there already."""
    for field in ("dropout", "auxiliary_weight", "drop_path"):
        if getattr(recipe, field):
            raise ArgumentError(field, "a trained network keeps the parts that it has")
    if recipe.optimizer != "sgd" and BETA_LEARNING_RATE.value is not None:
        raise ArgumentError("beta_learning_rate", "needs --optimizer=sgd")


def main() -> None:
    """Runs the program."""
    program.refuse_strategy()
    name = program.FLAGS.model
    if not name:
        raise ArgumentError("model", "name a .keras file, or a network of keras.applications")
    new = list(replacements(REPLACE.value).values())
    settings = program.settings({"replace": new}, model=name, recipe="finetune")
    _check(settings["recipe"])
    run = Finetuning(
        activation=REPLACE.value,
        seed=program.FLAGS.seed,
        beta_initializer=BETA_INITIALIZER.value,
        beta_learning_rate=BETA_LEARNING_RATE.value,
        digest=digest(name),
        **settings,
    )
    dataset = program.load_dataset(settings)
    program.check_fits(run.recipe, dataset.training_images)
    options = program.fitting_options()
    # Before the folder is made: a network that does not fit leaves none.
    prepared = prepare(run, dataset)
    out = program.out_directory("finetune", run.config())
    print(prepared[2], flush=True)
    result = finetune(run, dataset, out, prepared, **options)
    if result["status"] != "ok":
        raise DivergedError(result["status"])
    print(
        f"test accuracy: before {result['before']:.2%}, after the replacement "
        f"{result['replaced']:.2%}, at the end {result['test_accuracy']:.2%}"
    )
    print(f"results: {out}")


if __name__ == "__main__":
    program.run(main)
