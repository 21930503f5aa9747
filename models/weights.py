"""Weights for the networks: from `keras.applications`, from a file, from one another."""

import contextlib
import os
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import h5py
import keras
import numpy as np

import keras_swish
from keras_swish.layers import weighted_layers as activation_layers
from keras_swish.messages import first_line
from keras_swish.registry import Identifier

if TYPE_CHECKING:
    from .network import Published

_WEIGHTED = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
    keras.layers.BatchNormalization,
    keras.layers.Dense,
)


def check(
    weights: str | os.PathLike[str] | None,
    published: "Published",
    include_top: bool,
    classes: int,
    channels: int,
) -> None:
    """Refuses weights that do not exist or cannot fit, before the network is built.

    Raises:
        ValueError: If `weights` is neither None, "imagenet" nor a file, or contradicts the
            other arguments.
    """
    if weights is None:
        return
    if weights != "imagenet":
        if not os.path.isfile(weights):
            raise ValueError(
                "`weights` must be None, 'imagenet' or the path of a file. "
                f"Received: weights={os.fspath(weights)!r}"
            )
        return
    if published.application is None:
        raise ValueError(
            "`weights` must be None or the path of a file: keras.applications has no weights of "
            "this network. Received: weights='imagenet'"
        )
    if channels != 3:
        raise ValueError(
            "`weights='imagenet'` needs images of 3 channels. "
            f"Received: input_shape with {channels} channels"
        )
    if include_top and classes != published.classes:
        raise ValueError(
            f"`classes` must be {published.classes} where `weights='imagenet'` and "
            f"`include_top=True`. Received: classes={classes}"
        )


def load(
    model: keras.Model,
    weights: str | os.PathLike[str] | None,
    published: "Published",
    include_top: bool,
    activation: Identifier,
) -> None:
    """Loads the weights that the argument `weights` of a network's builder names.

    Raises:
        ValueError: If the weights are those of another network.
    """
    if weights is None:
        return
    if weights != "imagenet":
        load_file(model, weights)
        return
    assert published.application is not None  # `check` has refused it
    application = getattr(keras.applications, published.application)
    # Kernels are the same in both formats, and some applications refuse channels_first.
    with _channels_last():
        source = application(
            weights="imagenet", include_top=include_top, **published.application_arguments
        )
    messages = []
    missing = transfer(source, model)
    if missing:
        messages.append(f"the file has no {_few(missing)}: initial values kept")
    if not _computes_the_same(activation, published.activation):
        messages.append(
            f"they were trained with {published.activation!r}, not with {activation!r}: fine-tune "
            "the network before using it, with the recipe 'finetune' of keras_swish.train"
        )
    if messages:
        warnings.warn(f"ImageNet weights of {model.name}: {'; '.join(messages)}", stacklevel=4)


def load_file(model: keras.Model, file: str | os.PathLike[str]) -> None:
    """Loads a file of weights that was saved from the same network.

    Raises:
        ValueError: If it is that of another one, or of other classes or another activation.
    """
    try:
        # Keras itself would pass over what the file has and the network has not.
        saved = _count_saved(file)
        if saved != len(model.weights):
            raise ValueError(f"{saved} weights, the network has {len(model.weights)}")
        model.load_weights(file)
    except Exception as error:
        raise ValueError(
            f"`weights` must be a file saved from this network, {model.name!r}, with the same "
            f"activation and classes. Received: weights={os.fspath(file)!r} "
            f"({first_line(error)})"
        ) from error


def transfer(source: keras.Model, target: keras.Model, new_classifier: bool = False) -> list[str]:
    """Copies the weights of a network into another one of the same architecture.

    Layers correspond by their position in the graph, not by their names: see `weighted_layers`.
    Weights of activations, and layers that only an auxiliary output needs, are left alone.

    Args:
        source: The network to copy from.
        target: The network to copy into; its main output is its first.
        new_classifier: Whether the last layer keeps its values where it is for other classes;
            otherwise that is an error.

    Returns:
        The names of the target's weights that the source does not have, which keep
        their values: gamma, where only the target has a scale, the auxiliary head, and the
        classifier, if it is a new one.

    Raises:
        ValueError: If the architectures differ; the target is then unchanged.

    Example:
        >>> from keras_swish import models
        >>> from keras_swish.models.weights import transfer
        >>> relu = models.create("resnet8", input_shape=(8, 8, 1))
        >>> swish = models.create("resnet8", input_shape=(8, 8, 1), activation="swish_beta")
        >>> transfer(relu, swish)
        []
    """
    from_layers, to_layers = weighted_layers(source), weighted_layers(target)
    if len(from_layers) != len(to_layers):
        raise ValueError(
            f"The weights must be of {target.name!r}, which has {len(to_layers)} layers with "
            f"weights. Received: {source.name!r} with {len(from_layers)}"
        )
    pairs, missing = [], []
    for from_layer, to_layer in zip(from_layers, to_layers, strict=True):
        if new_classifier and to_layer is to_layers[-1] and not _fits(from_layer, to_layer):
            missing += [f"{to_layer.name}/{variable.name}" for variable in to_layer.weights]
            continue
        values = {variable.name: variable for variable in from_layer.weights}
        for variable in to_layer.weights:
            value = values.pop(variable.name, None)
            if value is None and variable.name == "gamma":
                missing.append(f"{to_layer.name}/gamma")
            # A classifier may be a 1x1 convolution in one network and dense in the other.
            elif value is None or _as_dense(value.shape) != _as_dense(variable.shape):
                raise ValueError(
                    f"The weights must be of {target.name!r}: {to_layer.name!r} has "
                    f"{variable.name} of shape {tuple(variable.shape)}. Received: "
                    f"{from_layer.name!r} of {source.name!r} with {_shapes(from_layer)}"
                )
            else:
                pairs.append((variable, value))
        if values:
            raise ValueError(
                f"The weights must be of {target.name!r}, where {to_layer.name!r} has no "
                f"{', '.join(values)}. Received: {from_layer.name!r} of {source.name!r} with "
                f"{_shapes(from_layer)}"
            )
    for variable, value in pairs:
        # A copy: on JAX a step of one network would else delete the other one's weights.
        variable.assign(np.reshape(value.numpy(), variable.shape))
    targets = {id(layer) for layer in to_layers}
    for layer in target.layers:
        if isinstance(layer, _WEIGHTED) and id(layer) not in targets:
            missing += [f"{layer.name}/{variable.name}" for variable in layer.weights]
    return missing


def transfer_in_order(source: keras.Model, target: keras.Model) -> list[str]:
    """Copies the weights of any network into one that was built by the same code.

    Weights correspond by their order, as layers of any kind may have them. Those of activations
    are left alone; the last layer keeps its values where it is for other classes.

    Args:
        source: The network to copy from.
        target: The network to copy into.

    Returns:
        As `transfer` does.

    Raises:
        ValueError: If the networks differ; the target is then unchanged.

    Example:
        >>> import keras
        >>> from keras_swish.models.weights import transfer_in_order
        >>> networks = [keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"),
        ...             keras.layers.Dense(classes, name="head")]) for classes in (2, 3)]
        >>> [path.rpartition("head")[2] for path in transfer_in_order(*networks)]
        ['/kernel', '/bias']
    """
    theirs, ours = _layers_in_order(source), _layers_in_order(target)
    if len(theirs) != len(ours):
        raise ValueError(
            f"The weights must be of {target.name!r}, which has {len(ours)} layers with weights. "
            f"Received: {source.name!r} with {len(theirs)}"
        )
    pairs, missing = [], []
    for from_layer, to_layer in zip(theirs, ours, strict=True):
        values = {variable.name: variable for variable in from_layer}
        kept = {v.name for v in to_layer if v.name == "gamma" and v.name not in values}
        rest = [variable for variable in to_layer if variable.name not in kept]
        if [(v.name, tuple(v.shape)) for v in rest] != [
            (v.name, tuple(v.shape)) for v in from_layer
        ]:
            if to_layer is not ours[-1] or len(rest) != len(from_layer):
                raise ValueError(
                    f"The weights must be of {target.name!r}, which has {to_layer[0].path!r} of "
                    f"shape {tuple(to_layer[0].shape)}. Received: {from_layer[0].path!r} of "
                    f"{source.name!r} of shape {tuple(from_layer[0].shape)}"
                )
            rest, kept = [], {variable.name for variable in to_layer}
        missing += [variable.path for variable in to_layer if variable.name in kept]
        pairs += [(variable, values[variable.name]) for variable in rest]
    for variable, value in pairs:
        variable.assign(value.numpy())  # a copy, as in `transfer`
    return missing


def _layers_in_order(model: keras.Model) -> list[list[keras.Variable]]:
    """Returns the weights of each layer but activations, in their order."""
    activations = {id(v) for layer in activation_layers(model) for v in layer.weights}
    by_layer: dict[str, list[keras.Variable]] = {}
    for variable in model.weights:
        if id(variable) not in activations:
            by_layer.setdefault(variable.path.rpartition("/")[0], []).append(variable)
    return list(by_layer.values())


def _fits(source: keras.Layer, target: keras.Layer) -> bool:
    ours, theirs = ([_as_dense(v.shape) for v in layer.weights] for layer in (target, source))
    return ours == theirs


def weighted_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the convolutions, normalisations and dense layers that lead to the first output.

    They come in the order in which a walk from that output back to the inputs leaves them,
    the inputs of each layer in their order. So it depends on the graph alone: not on names,
    nor on the order in which layers were made.
    """
    producers = {
        id(tensor): operation
        for operation in model.operations
        for tensor in keras.tree.flatten(operation.output)
    }
    layers, seen = [], set()
    pending = [(producers[id(model.outputs[0])], False)]
    while pending:
        operation, is_done = pending.pop()
        if is_done:
            if isinstance(operation, _WEIGHTED):
                layers.append(operation)
        elif id(operation) not in seen:
            seen.add(id(operation))
            pending.append((operation, True))
            if isinstance(operation, keras.layers.InputLayer):
                continue
            inputs = [producers.get(id(tensor)) for tensor in keras.tree.flatten(operation.input)]
            pending += [(before, False) for before in reversed(inputs) if before is not None]
    return layers


def _count_saved(path: str | os.PathLike[str]) -> int:
    """Counts the weights of layers in a file that `save` or `save_weights` wrote."""
    names = []

    def collect(name: str, item: object) -> None:
        if name.startswith("layers/") and isinstance(item, h5py.Dataset):
            names.append(name)

    with contextlib.ExitStack() as stack:
        file = path
        if os.fspath(path).endswith(".keras"):
            archive = stack.enter_context(zipfile.ZipFile(path))
            file = stack.enter_context(archive.open("model.weights.h5"))
        stack.enter_context(h5py.File(file)).visititems(collect)
    return sum("seed_generator" not in name for name in names)


def _as_dense(shape: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(shape)
    return shape[2:] if len(shape) == 4 and shape[:2] == (1, 1) else shape


def _shapes(layer: keras.Layer) -> str:
    return ", ".join(f"{v.name} {tuple(v.shape)}" for v in layer.weights)


def _few(names: list[str]) -> str:
    first = ", ".join(names[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more such weights"


def _computes_the_same(activation: Identifier, other: Identifier) -> bool:
    x = np.linspace(-8, 8, 33, dtype="float32").reshape(1, 1, 1, -1)
    y, z = (
        np.asarray(keras.ops.convert_to_numpy(keras_swish.layer(identifier)(x)))
        for identifier in (activation, other)
    )
    return np.allclose(y, z, atol=1e-6)


@contextlib.contextmanager
def _channels_last() -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)
