"""Builders of networks: those of the zoo, by name, and a user's own, as `package.module:function`.

A builder of the user's own is a function that returns a `keras.Model`. It is called with those of
these arguments that it has: `input_shape`, `classes`, `activation` (a name or a formula, as
`keras_swish.layer` takes), `classifier_activation=None`, `weights=None`, and the parts that a
recipe asks for, such as `dropout`. Where it has no `activation`, the activations of its network are
replaced. Where its module has a `preprocess_input`, as those of `keras.applications` have, the
network gets pixels through that.
"""

import importlib
import inspect
import os
import pathlib
import re
import sys
import tempfile
import types
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, cast

import keras

import keras_swish
from keras_swish import models
from keras_swish.keras_compat import symbolic
from keras_swish.messages import first_line, unknown
from keras_swish.search.children import data, networks
from keras_swish.search.children.sites import key, searched_sites

from ..datasets.base import normalization_up_to_255

if TYPE_CHECKING:
    from ..datasets.base import ImageDataset

Builder = Callable[..., keras.Model]
# What a network needs to begin with the weights of keras.applications.
_PRETRAINED = ("weights", "include_top", "pooling")


def is_own(model: str) -> bool:
    """Returns whether a network is named as a builder of the user's own.

    Example:
        >>> from keras_swish.train.trainer import builders
        >>> builders.is_own("keras.applications:EfficientNetB0"), builders.is_own("resnet20")
        (True, False)
    """
    return re.fullmatch(r"[\w.]+:\w+", model) is not None


def is_builder(model: str) -> bool:
    """Returns whether `find` may know a network, and not a file is named."""
    return model in models.BUILDERS or is_own(model)


def find(model: str) -> Builder:
    """Returns the builder of a network.

    Args:
        model: A name of the zoo, or `package.module:function`; modules are looked for in the
            current folder, too.

    Raises:
        ValueError: If there is none, or it needs arguments that no program has.

    Example:
        >>> from keras_swish.train.trainer import builders
        >>> builders.find("keras.applications:EfficientNetB0").__name__
        'EfficientNetB0'
    """
    if model in models.BUILDERS:
        return models.BUILDERS[model]
    if not is_own(model):
        valid = f"{', '.join(models.BUILDERS)}, and package.module:function, a builder of your own"
        raise ValueError(unknown("network", model, models.BUILDERS, valid))
    module_name, _, name = model.partition(":")
    module = _module(module_name)
    builder = getattr(module, name, None)
    if not callable(builder):
        names = [n for n, value in vars(module).items() if callable(value) and n[0] != "_"]
        raise ValueError(
            unknown(f"function of {module_name}", name, names)
            if builder is None
            else f"{name} of {module_name} is no function, but {type(builder).__name__}"
        )
    parameters = inspect.signature(builder).parameters.values()
    given = {"input_shape", "classes", "activation", "classifier_activation", "weights"}
    for parameter in parameters:
        has_value = parameter.default is not parameter.empty or parameter.name in given
        if not has_value and parameter.kind not in (
            parameter.VAR_KEYWORD,
            parameter.VAR_POSITIONAL,
        ):
            raise ValueError(
                f"it needs an argument {parameter.name!r}; given are {', '.join(sorted(given))}"
            )
    return cast(Builder, builder)


def _module(name: str) -> Any:
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ValueError(f"{name} cannot be imported ({first_line(error)})") from error
        raise ValueError(
            f"there is no module {error.name!r}, in the current folder or on PYTHONPATH"
        ) from error
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(f"{name} cannot be imported ({reason})") from error


def parameters(model: str) -> Collection[str]:
    """Returns the names of the arguments that the builder of a network spells out."""
    return inspect.signature(find(model)).parameters.keys()


def create(
    model: str,
    dataset: "ImageDataset",
    activation: str | None,
    weights: str | None = None,
    **parts: Any,
) -> keras.Model:
    """Builds a network of the user's own.

    Args:
        model: `package.module:function`.
        dataset: The images that it is for.
        activation: Its activation; None: as the builder has it.
        weights: "imagenet" for those that the builder loads, with a new classifier unless there
            are 1,000 classes; None for random ones.
        **parts: Further arguments of the builder.

    Returns:
        A functional model from images, as the programs read them, to its outputs.

    Raises:
        ValueError: If the builder fails, or returns something else than a network for this data,
            or one whose activations can neither be passed nor replaced.
    """
    builder, known = find(model), parameters(model)
    images: Any = keras.Input(dataset.input_shape)
    arguments = {
        "input_shape": dataset.input_shape,
        "classes": dataset.classes,
        "activation": "relu" if activation is None else activation,
        "classifier_activation": None,
        "weights": None,
    }
    preprocess = getattr(sys.modules.get(builder.__module__), "preprocess_input", None)
    if preprocess is not None and "input_tensor" in known:
        arguments["input_tensor"] = preprocess(pixels(images, dataset))
        arguments["input_shape"] = (*dataset.input_shape[:2], 3)
    headless = weights is not None and dataset.classes != 1000
    if weights is not None:
        missing = [name for name in _PRETRAINED if name not in known]
        if missing:
            raise ValueError(f"{model} has no weights of its own: it takes no {missing[0]!r}")
        arguments["weights"] = weights
        if headless:
            arguments |= {"include_top": False, "pooling": "avg"}
    if activation is None and inspect.signature(builder).parameters.get("activation"):
        default = inspect.signature(builder).parameters["activation"].default
        if default is not inspect.Parameter.empty:
            del arguments["activation"]
    arguments = {name: value for name, value in arguments.items() if name in known}
    try:
        network = builder(**arguments, **parts)
    except Exception as error:
        given = ", ".join(
            f"{name}={value!r}" for name, value in arguments.items() if name != "input_tensor"
        )
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(f"{model}({given}) cannot be built ({reason})") from error
    network = _functional(model, network, images)
    if headless:
        classify = keras.layers.Dense(dataset.classes, dtype="float32", name="classifier")
        network = keras.Model(network.inputs[0], classify(network.outputs[0]), name=network.name)
    _check(model, network, dataset, 1 + bool(parts.get("auxiliary")))
    if activation is not None and "activation" not in known:
        network = _replaced(model, network, activation)
    return network


def digest(model: str, dataset: "ImageDataset", dtype_policy: str) -> str | None:
    """Returns what tells the network of a builder of the user's own from a changed one.

    It is that of the network with the builder's own activation, so that it is the same for all.
    None where the builder makes none, and for a network of the zoo.
    """
    if not is_own(model):
        return None
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)  # which a layer's configuration may have
    keras.config.set_dtype_policy(dtype_policy)
    shape = dataset.input_shape
    # That of the images is computed, and may have other last bits on another machine.
    normalization = (0.0,) * shape[-1], (1.0,) * shape[-1]
    images: Any = types.SimpleNamespace(
        input_shape=shape, classes=dataset.classes, normalization=normalization, white=255.0
    )
    try:
        network = create(model, images, activation=None)
    except ValueError:  # it takes no ReLU, which is given where it names none
        return None
    shapes = [tuple(weight.shape) for weight in network.weights]
    text = networks.structure(network) + networks.own_models(network) + repr(shapes)
    return f"{network.count_params():,} weights, {data.digest(text.encode())}"


def pixels(images: keras.KerasTensor, dataset: "ImageDataset") -> keras.KerasTensor:
    """Returns the pixels, of three channels up to 255, of images that were normalised.

    Raises:
        ValueError: If channels come first, which `keras.applications` do not take.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError("keras.applications needs Keras's format 'channels_last'")
    mean, scale = normalization_up_to_255(dataset)
    rescaling = keras.layers.Rescaling(list(scale), list(mean), name="pixels")  # pyright: ignore[reportArgumentType]
    values = rescaling(images)
    if dataset.input_shape[-1] == 1:
        values = keras.layers.Concatenate(name="rgb")([values] * 3)
    return values


def _functional(model: str, network: Any, images: keras.KerasTensor) -> keras.Model:
    if not isinstance(network, keras.Model):
        raise ValueError(f"{model} returns no keras.Model, but {type(network).__name__}")
    if symbolic(network, "inputs") is not None:
        # A Sequential one, too.
        return keras.Model(network.inputs, network.outputs, name=network.name)
    try:
        return keras.Model(images, network(images), name=network.name)
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(
            f"the network of {model} does not take images of {images.shape} ({reason})"
        ) from error


def _check(model: str, network: keras.Model, dataset: "ImageDataset", outputs: int) -> None:
    wanted = [(None, *dataset.input_shape)], [(None, dataset.classes)] * outputs
    shapes = [tuple(t.shape) for t in network.inputs], [tuple(t.shape) for t in network.outputs]
    for name, ours, needed in zip(("inputs", "outputs"), shapes, wanted, strict=True):
        if len(ours) != len(needed) or not all(map(fits, ours, needed)):
            raise ValueError(f"the {name} of {model} are {ours}, the dataset needs {needed}")


def check_loads(model: str, network: keras.Model) -> None:
    """Refuses a network of the user's own that could not be loaded from its file.

    Raises:
        ValueError: If it cannot be saved or loaded.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "model.keras")
        try:
            network.save(file)
            keras.saving.load_model(file, compile=False)
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            if missing := re.search(r"Could not locate (class|function) '\w+'", str(error)):
                reason = f"{missing[0]}: has it @keras.saving.register_keras_serializable()?"
            raise ValueError(
                f"the network of {model} could not be loaded from the file that it would be saved "
                f"to ({reason})"
            ) from error


def _replaced(model: str, network: keras.Model, activation: str) -> keras.Model:
    try:
        sites = searched_sites(network)
    except ValueError as error:
        raise ValueError(
            f"{model} takes no `activation`, and its network has none to replace ({error})"
        ) from error
    chosen = set(map(key, sites))
    try:
        return keras_swish.replace_activations(
            network,
            dict.fromkeys((site.old for site in sites), activation),
            where=lambda site: key(site) in chosen,
        )
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{model} takes no `activation`, and those of its network cannot be replaced "
            f"({first_line(error)})"
        ) from error


def fits(shape: object, wanted: tuple[int | None, ...]) -> bool:
    """Returns whether a network's shape of inputs or outputs, where None is any, is that one.

    Example:
        >>> from keras_swish.train.trainer.builders import fits
        >>> fits((None, 8, 8, None), (None, 8, 8, 3)), fits((None, 10), (None, 100))
        (True, False)
    """
    return (
        isinstance(shape, tuple)
        and len(shape) == len(wanted)
        and all(a in (None, b) for a, b in zip(shape, wanted, strict=True))
    )
