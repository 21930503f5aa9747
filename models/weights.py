"""Weights for the networks: from `keras.applications`, from a file, from one another."""

import contextlib
import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import h5py
import keras
import numpy as np

import keras_swish
from keras_swish.keras_compat import all_layers, graph_nodes, own_variables
from keras_swish.layers import TrainableActivation
from keras_swish.messages import first_line
from keras_swish.registry import Identifier
from keras_swish.replacement.recognise import describe

from .drop_path import DropPath

if TYPE_CHECKING:
    from .network import Published

_Activation = TrainableActivation | keras.layers.PReLU
# A layer with its own weights, in the order in which networks correspond.
_Weighted = tuple[keras.Layer, list[keras.Variable]]


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
        # Numbers are open files to `isfile`.
        if not isinstance(weights, str | os.PathLike) or not os.path.isfile(weights):
            raise ValueError(
                "`weights` must be None, 'imagenet' or the path of a file. "
                f"Received: weights={weights!r}"
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
    image: keras.KerasTensor,
) -> None:
    """Loads the weights that the argument `weights` of a network's builder names.

    Layers before `image`, on which the network was built, keep theirs, unless a file has them too.
    A warning says what the file lacks, and that it was trained with another activation; which one,
    "imagenet" and a .keras file tell, and of a .weights.h5 file only how many weights that has.

    Raises:
        ValueError: If the weights are those of another network.
    """
    if weights is None:
        return
    part = _part_from(image, model)
    if weights != "imagenet":
        with_front = part is not model and _count_saved(weights) == _count(model)
        load_file(model if with_front else part, weights)
        trained = _saved_activation(weights, model, activation)
        if trained is not None:
            message = _trained_with(trained, activation)
            warnings.warn(f"Weights of {model.name}: {message}", stacklevel=4)
        return
    assert published.application is not None  # `check` has refused it
    application = getattr(keras.applications, published.application)
    # Kernels are the same in both formats, and some applications refuse channels_first.
    with _channels_last():
        source = application(
            weights="imagenet", include_top=include_top, **published.application_arguments
        )
    messages = []
    missing = transfer(source, part)
    if missing:
        messages.append(f"the file has no {few(missing)}: initial values kept")
    if not _computes_the_same(activation, published.activation):
        messages.append(_trained_with(published.activation, activation))
    if messages:
        warnings.warn(f"ImageNet weights of {model.name}: {'; '.join(messages)}", stacklevel=4)


def _part_from(image: keras.KerasTensor, model: keras.Model) -> keras.Model:
    """Returns the part of a model from a tensor on; the model, if no weights are before that."""
    if not _walk(model, [image]):
        return model
    outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
    return keras.Model(image, outputs, name=model.name)


def _trained_with(trained: Identifier, activation: Identifier) -> str:
    return (
        f"they were trained with {trained!r}, not with {activation!r}: fine-tune "
        "the network before using it, with the recipe 'finetune' of keras_swish.train"
    )


def _saved_activation(
    file: str | os.PathLike[str], model: keras.Model, activation: Identifier
) -> str | None:
    """Returns the activation of the network in a .keras file, if it computes something else."""
    if not os.fspath(file).endswith(".keras"):
        return None
    with zipfile.ZipFile(file) as archive:
        config = json.loads(archive.read("config.json"))["config"]
    saved = {layer["config"].get("name"): layer for layer in config.get("layers", ())}
    # The activations of a network are the same everywhere: one tells.
    kind = type(keras_swish.layer(activation))
    ours = next((v for v in model.layers if type(v) is kind and v.name in saved), None)
    if ours is None:
        return None
    try:
        theirs: Any = keras.saving.deserialize_keras_object(saved[ours.name])
        # Two formulas may differ only when their weights have been trained.
        if describe(theirs) == describe(ours) or not ours.weights:
            return None if _computes_the_same(theirs, ours) else describe(theirs)
        return describe(theirs)
    except Exception:  # a function of the user's own, which is not registered
        return None


def load_file(model: keras.Model, file: str | os.PathLike[str]) -> None:
    """Loads a file of weights that was saved from the same network.

    The steps that drop path has counted may be in the file or not. The activation is not compared,
    except that it must have as many weights.

    Raises:
        ValueError: If it is that of another one, of one with other parts or classes, or a whole
            model as HDF5.
    """
    try:
        # Keras itself would pass over what the file has and the network has not.
        saved = _count_saved(file)
        if saved != (count := _count(model)):
            raise ValueError(f"{saved} weights, the network has {count}")
        model.load_weights(file)
    except Exception as error:
        raise ValueError(
            f"`weights` must be a file saved from this network, {model.name!r}, with the same "
            "`activation`, `classes`, `include_top`, `bn_scale` and `auxiliary`, where it has "
            f"them. Received: weights={os.fspath(file)!r} "
            f"({first_line(error)})"
        ) from error


def transfer(source: keras.Model, target: keras.Model, new_classifier: bool = False) -> list[str]:
    """Copies the weights of a network into another one of the same architecture.

    Layers correspond by their position in the graph, not by their names: see `weighted_layers`.
    Weights of activations are copied where both networks have the same activation at the same
    position. Layers that only an auxiliary output needs are left alone.

    Args:
        source: The network to copy from, functional or a built Sequential.
        target: The network to copy into; its main output is its first.
        new_classifier: Whether the last layer keeps its values where it is for other classes;
            otherwise that is an error.

    Returns:
        The paths of the target's weights that the source does not have, which keep
        their values: gamma, where only the target has a scale, the auxiliary head, those of other
        activations, and the classifier, if it is a new one.

    Raises:
        ValueError: If the architectures differ, or a network has no graph; the target is then
            unchanged.

    Example:
        >>> from keras_swish import models
        >>> from keras_swish.models.weights import transfer
        >>> relu = models.create("resnet8", input_shape=(8, 8, 1))
        >>> swish = models.create("resnet8", input_shape=(8, 8, 1), activation="swish_beta")
        >>> transfer(swish, relu)
        []
        >>> transfer(relu, swish)[0]
        'act/beta'
    """
    layers, pairs = _corresponding(source, target, _in_graph)
    for (from_layer, theirs), (to_layer, ours) in layers:
        is_last = to_layer is layers[-1][1][0]
        if new_classifier and is_last and not _fit(theirs, ours):
            continue
        values = _by_name(theirs)
        for name, variable in _by_name(ours).items():
            value = values.pop(name, None)
            if value is None and variable.name == "gamma":
                continue
            # A classifier may be a 1x1 convolution in one network and dense in the other.
            if value is None or _as_dense(value.shape) != _as_dense(variable.shape):
                raise ValueError(
                    f"The weights must be of {target.name!r}: {to_layer.name!r} has "
                    f"{variable.name} of shape {tuple(variable.shape)}. Received: "
                    f"{from_layer.name!r} of {source.name!r} with {_shapes(theirs)}"
                )
            pairs.append((variable, value))
        if values:
            raise ValueError(
                f"The weights must be of {target.name!r}, where {to_layer.name!r} has no "
                f"{', '.join(name for name, _ in values)}. Received: {from_layer.name!r} of "
                f"{source.name!r} with {_shapes(theirs)}"
            )
    return _copy(pairs, target)


def transfer_in_order(source: keras.Model, target: keras.Model) -> list[str]:
    """Copies the weights of any network into one that was built by the same code.

    Weights correspond by their order, as layers of any kind may have them. Those of activations
    are copied where both networks have the same activation at the same position; the last layer
    keeps its values where it is for other classes.

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
    layers, pairs = _corresponding(source, target, _in_order)
    for (_, theirs), (to_layer, ours) in layers:
        has_gamma = any(v.name == "gamma" for v in theirs)
        rest = [v for v in ours if has_gamma or v.name != "gamma"]
        if [(v.name, tuple(v.shape)) for v in rest] == [(v.name, tuple(v.shape)) for v in theirs]:
            pairs += zip(rest, theirs, strict=True)
        elif to_layer is not layers[-1][1][0] or len(rest) != len(theirs):
            raise ValueError(
                f"The weights must be of {target.name!r}, which has {ours[0].path!r} of "
                f"shape {tuple(ours[0].shape)}. Received: {theirs[0].path!r} of "
                f"{source.name!r} of shape {tuple(theirs[0].shape)}"
            )
    return _copy(pairs, target)


def weighted_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Returns the layers with weights, but activations, that lead to the first output.

    They come in the order in which a walk from that output back to the inputs leaves them,
    the inputs of each layer in their order. So it depends on the graph alone: not on names,
    nor on the order in which layers were made. In the place of a nested model are its layers.

    Raises:
        ValueError: If the model has no graph: if it is subclassed, or a Sequential not yet built.
    """
    return [layer for layer, _ in _split(_in_graph(model))[0]]


def _in_graph(model: keras.Model) -> list[_Weighted]:
    """Returns the layers with weights that lead to the first output, activations too."""
    if not graph_nodes(model):
        raise ValueError(
            "The model must be functional, or a Sequential that is built. Received: "
            f"{model.name!r} of class {type(model).__name__}"
        )
    weighted: list[_Weighted] = []
    for layer in _walk(model, model.outputs[:1]):
        held = [one for one in all_layers(layer) if isinstance(one, _Activation) and one.weights]
        others = {id(v) for one in held if one is not layer for v in one.weights}
        weighted.append((layer, [v for v in layer.weights if id(v) not in others]))
        weighted += [(one, one.weights) for one in held if one is not layer]
    return weighted


def _walk(model: Any, outputs: Sequence[keras.KerasTensor]) -> list[keras.Layer]:
    made_by = {id(tensor): node for node in graph_nodes(model) for tensor in node.outputs}
    layers: dict[int, keras.Layer] = {}
    seen = set()
    pending = [(made_by[id(tensor)], False) for tensor in reversed(outputs)]
    while pending:
        node, is_done = pending.pop()
        operation = node.operation
        if not is_done:
            if id(node) not in seen:
                seen.add(id(node))
                pending.append((node, True))
                inputs = [made_by.get(id(tensor)) for tensor in node.input_tensors]
                pending += [(before, False) for before in reversed(inputs) if before is not None]
        elif graph_nodes(operation):
            layers.update(
                {id(v): v for v in _walk(operation, operation.outputs) if id(v) not in layers}
            )
        elif isinstance(operation, keras.Layer) and operation.weights:
            layers.setdefault(id(operation), operation)
    return list(layers.values())


def _in_order(model: keras.Model) -> list[_Weighted]:
    """Returns all layers that own weights, activations too, in the order of the weights."""
    # Not by path: layers of two nested models may share one.
    owners = {id(v): layer for layer in all_layers(model) for v in own_variables(layer)}
    weighted: dict[int, _Weighted] = {}
    for variable in model.weights:
        owner = owners[id(variable)]
        weighted.setdefault(id(owner), (owner, []))[1].append(variable)
    return list(weighted.values())


def _split(
    weighted: list[_Weighted],
) -> tuple[list[_Weighted], dict[tuple[int, int], _Activation]]:
    """Returns the layers, and the activations by how many layers and activations are before."""
    layers: list[_Weighted] = []
    activations: dict[tuple[int, int], _Activation] = {}
    since = 0
    for layer, variables in weighted:
        if isinstance(layer, _Activation):
            activations[len(layers), since] = layer
            since += 1
        elif variables and not isinstance(layer, DropPath):  # whose step is that of its training
            layers.append((layer, variables))
            since = 0
    return layers, activations


def _corresponding(
    source: keras.Model, target: keras.Model, listed: Callable[[keras.Model], list[_Weighted]]
) -> tuple[list[tuple[_Weighted, _Weighted]], list[tuple[keras.Variable, keras.Variable]]]:
    """Returns the pairs of layers, and of weights of activations that are the same in both.

    Raises:
        ValueError: If one network has more layers than the other.
    """
    from_layers, from_activations = _split(listed(source))
    to_layers, to_activations = _split(listed(target))
    if len(from_layers) != len(to_layers):
        raise ValueError(
            f"The weights must be of {target.name!r}, which has {len(to_layers)} layers with "
            f"weights. Received: {source.name!r} with {len(from_layers)}"
        )
    pairs = []
    for place in from_activations.keys() & to_activations.keys():
        theirs, ours = from_activations[place], to_activations[place]
        first, second = (
            (type(each), getattr(each, "formula", None), [tuple(v.shape) for v in each.weights])
            for each in (theirs, ours)
        )
        if first == second:
            pairs += zip(ours.weights, theirs.weights, strict=True)
    return list(zip(from_layers, to_layers, strict=True)), pairs


def _copy(pairs: list[tuple[keras.Variable, keras.Variable]], target: keras.Model) -> list[str]:
    """Assigns the second of each pair to the first; returns what of the target is in none."""
    for variable, value in pairs:
        # A copy: on JAX a step of one network would else delete the other one's weights.
        variable.assign(np.reshape(value.numpy(), variable.shape))
    for layer in all_layers(target):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with constants that it makes from its weights
    copied = {id(variable) for variable, _ in pairs}
    copied |= {id(variable) for variable in _steps(target)}
    return [v.path for v in target.weights if id(v) not in copied]


def _by_name(variables: list[keras.Variable]) -> dict[tuple[str, int], keras.Variable]:
    """Returns variables by name and number: a layer that holds others has names several times."""
    by_name: dict[tuple[str, int], keras.Variable] = {}
    for variable in variables:
        same = sum(name == variable.name for name, _ in by_name)
        by_name[variable.name, same] = variable
    return by_name


def _fit(theirs: list[keras.Variable], ours: list[keras.Variable]) -> bool:
    return [_as_dense(v.shape) for v in theirs] == [_as_dense(v.shape) for v in ours]


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
        weights = stack.enter_context(h5py.File(file))
        if "model_config" in weights.attrs:
            raise ValueError("a whole model as HDF5: save it as .keras, or its weights alone")
        weights.visititems(collect)
    return sum(not re.search(r"seed_generator|/drop_path(_\d+)?/", name) for name in names)


def _count(model: keras.Model) -> int:
    """Counts the weights of a model as `_count_saved` does."""
    return len(model.weights) - len(_steps(model))


def _steps(model: keras.Model) -> list[keras.Variable]:
    """Returns the counters of steps of drop path, which belong to a training."""
    paths = [layer for layer in all_layers(model) if isinstance(layer, DropPath)]
    return [variable for layer in paths for variable in layer.weights]


def _as_dense(shape: Sequence[int]) -> tuple[int, ...]:
    shape = tuple(shape)
    return shape[2:] if len(shape) == 4 and shape[:2] == (1, 1) else shape


def _shapes(variables: list[keras.Variable]) -> str:
    return ", ".join(f"{v.name} {tuple(v.shape)}" for v in variables)


def few(names: list[str]) -> str:
    """Returns the first names of a list, and how many more there are."""
    first = ", ".join(names[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more such weights"


def _computes_the_same(activation: Identifier, other: Identifier) -> bool:
    x = np.linspace(-8, 8, 33, dtype="float32").reshape(1, 1, 1, -1)
    y, z = (
        np.asarray(keras.ops.convert_to_numpy(keras_swish.layer(identifier)(x)))
        for identifier in (activation, other)
    )
    return np.allclose(y, z, atol=1e-6, equal_nan=True)


@contextlib.contextmanager
def _channels_last() -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_last")
    try:
        yield
    finally:
        keras.config.set_image_data_format(before)
