"""Networks: their structure, and their weights, read, written and drawn again."""

import functools
import inspect
import json
import types
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_swish.keras_compat import (
    all_layers,
    attributes,
    compile_arguments,
    copy_trainable,
    frozen_variables,
    graph_nodes,
    has_graph,
    lambda_code,
    producer,
    readable,
)
from keras_swish.replacement.copying.errors import reason
from keras_swish.replacement.copying.saving import CannotSaveError
from keras_swish.replacement.members import is_graph, is_keras, own_classes, plain_class
from keras_swish.search.children import rewards


def inner_layers(model: keras.Model) -> list[keras.Layer]:
    """Returns all layers of a model, those within others too."""
    return all_layers(model, include_self=False)


def all_optimizers(network: keras.Model) -> list[keras.optimizers.Optimizer]:
    """Returns the optimizers of a compiled network: that of `compile`, and what else it has.

    Those may be in lists and dictionaries, and models within the network may have some too.
    """
    models = [one for one in all_layers(network) if isinstance(one, keras.Model)]
    unique = {id(one): one for model in models for one in _optimizers(vars(model))}
    return list(unique.values())


def _optimizers(held: Any) -> Iterator[keras.optimizers.Optimizer]:
    # Not by Keras's `tree`, which sorts the keys, also where they are layers.
    if isinstance(held, keras.optimizers.Optimizer):
        yield held
    elif isinstance(held, dict | list | tuple):
        for part in held.values() if isinstance(held, dict) else held:
            yield from _optimizers(part)


# What files know by the name of its class.
_NAMED_IN_FILES = (
    keras.Layer,
    keras.Loss,
    keras.Metric,
    keras.Optimizer,
    keras.Initializer,
    keras.Regularizer,
    keras.constraints.Constraint,
    keras.optimizers.schedules.LearningRateSchedule,
)


def own_objects(model: keras.Model, *others: Any) -> dict[str, Any]:
    """Returns the user's classes and functions that files have the names of alone, by these names.

    Args:
        model: A model: its layers, what they hold, and what it is compiled with.
        *others: Losses, metrics and the like, also in lists and dictionaries.
    """
    return _named([all_layers(model), all_optimizers(model), compile_arguments(model), others])


def _named(held: Any) -> dict[str, Any]:
    found: dict[int, Any] = {}
    _gather(held, found, set())
    return {keras.saving.get_registered_name(one): one for one in found.values()}


def _gather(held: Any, found: dict[int, Any], seen: set[int]) -> None:
    if isinstance(held, dict | list | tuple):
        for part in held.values() if isinstance(held, dict) else held:
            _gather(part, found, seen)
    elif isinstance(held, _NAMED_IN_FILES) and id(held) not in seen:
        seen.add(id(held))
        _keep(plain_class(held), found)
        inner = attributes(held) if isinstance(held, keras.Layer) else vars(held)
        for name, part in inner.items():
            # Wrapped methods of the layer are in its attributes, too; its layers were listed.
            if not callable(getattr(type(held), name, None)) and not isinstance(part, keras.Layer):
                _gather(part, found, seen)
    elif isinstance(held, types.FunctionType) and held.__name__ != "<lambda>":
        _keep(held, found)  # of a lambda, files have the code


def _keep(one: Any, found: dict[int, Any]) -> None:
    if not is_keras(one):
        found[id(one)] = one


def read_values(variables: Iterable[Any]) -> list[np.ndarray]:
    """Returns copies of the values of variables."""
    # Copies: PyTorch gives views, which training changes.
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign_values(variables: Iterable[Any], values: Iterable[np.ndarray]) -> None:
    """Gives variables these values."""
    for variable, value in zip(variables, values, strict=True):
        # A copy again: PyTorch would train in the array itself.
        variable.assign(value.copy())


def reinitialize(model: keras.Model) -> keras.Model:
    """Returns the model with new weights, drawn in the order in which its layers were built.

    What is not trained stays: frozen layers and variables, the statistics of `Normalization`, and
    vocabularies, such as those of `TextVectorization`.

    Raises:
        ValueError: If a model or layer in it cannot be made again, or would be with other
            arguments, or without its vocabulary.
    """
    # Of a class of the user's, `clone_model` makes a plain model, without its `train_step`.
    if type(model) is keras.Sequential or type(model).__name__ == "Functional":
        new = _cloned(model)
    else:
        new = _of_its_config(model)
        _check_arguments(model, new)  # before it is built, which others may prevent
        new.build_from_config(model.get_build_config())
        _set_vocabularies(model, new)
    for old, layer in zip(all_layers(model), all_layers(new), strict=True):
        _check_arguments(old, layer)
        if _keeps_weights(old):
            kept: dict = {}
            old.save_own_variables(kept)
            layer.load_own_variables(kept)
        # A configuration does not know what was frozen after a layer was made.
        copy_trainable(old, layer)
        assign_values(frozen_variables(layer), read_values(frozen_variables(old)))
    return new


def _check_arguments(old: keras.Layer, new: keras.Layer) -> None:
    """Refuses a layer of the user's own that is made again with other arguments.

    Of a model without `get_config`, Keras knows only the defaults of its arguments. Only attributes
    that are called like arguments are compared: training may change others, such as counters.
    """
    if not rewards.lacks_config(old):
        return
    arguments, others_have = _held_arguments(old), _held_arguments(new)
    others = [
        name
        for name, value in arguments.items()
        if not (name in others_have and _is_same(value, others_have[name]))
    ]
    if others:
        raise ValueError(
            f"The layer {old.name!r} would be made again for each child with other arguments "
            f"({', '.join(others)}): give {plain_class(old).__name__} a `get_config` of all "
            "arguments of its constructor, or pass as `model` a function that makes the model."
        )


def _held_arguments(layer: keras.Layer) -> dict[str, Any]:
    """Returns what a layer of the user's own class was made with, but for defaults.

    That is the numbers, texts and lists of them in attributes that arguments are called.
    """
    own = [
        one for one in plain_class(layer).__mro__ if "__init__" in vars(one) and not is_keras(one)
    ]
    taken: dict[str, Any] = {}
    for one in reversed(own):
        taken |= inspect.signature(one.__init__).parameters
    taken = {name: one for name, one in taken.items() if name not in ("name", "trainable", "dtype")}
    return {
        name: value
        for name, value in rewards.plain_attributes(layer).items()
        if name in taken and not _is_same(value, taken[name].default)
    }


def _is_same(value: Any, other: Any) -> bool:
    # Configurations may make lists of tuples.
    return keras.tree.flatten(value) == keras.tree.flatten(other)


def _cloned(model: keras.Model) -> keras.Model:
    """Returns a clone whose layers are made in the order of the model's, which draws their seeds.

    Keras makes those of parallel branches in another order than the code that a user writes.
    """
    waiting = [one for one in model.layers if not isinstance(one, keras.layers.InputLayer)]
    made: dict[int, keras.Layer] = {}

    def clone(layer: keras.Layer) -> keras.Layer:
        # Each is made just before it is called, as some draw seeds when they are built.
        while id(layer) not in made and layer in waiting:
            one = waiting.pop(0)
            made[id(one)] = _made_again(one)
        new = made.get(id(layer))
        return _made_again(layer) if new is None else new

    return keras.models.clone_model(model, clone_function=clone)


def _of_its_config(layer: Any) -> Any:
    # It is no file's: nothing need be registered, and lambdas are the user's own.
    layers = all_layers(layer) if isinstance(layer, keras.Layer) else []
    try:
        with readable({**_named(layers), **(own_classes(layer) if layers else {})}, layers):
            return type(layer).from_config(layer.get_config())
    except Exception as error:
        is_replaced = isinstance(error, CannotSaveError)  # whose advice is on files
        why = (is_replaced and error.reason) or reason(error)
        raise ValueError(
            f"The layer {layer.name!r} cannot be made again for each child ({why}): give "
            f"{plain_class(layer).__name__} a `get_config` of all arguments of its constructor, "
            "which also takes the `**kwargs` of Keras's own; or pass as `model` a function that "
            "makes the model."
        ) from error


def _made_again(layer: Any) -> Any:
    new = _of_its_config(layer)
    if isinstance(layer, keras.Layer):  # and no operation
        # Before it is called, as the shape of what it makes may be that of its vocabulary.
        _set_vocabularies(layer, new)
    return new


def _set_vocabularies(old: keras.Layer, new: keras.Layer) -> None:
    """Gives the lookups in a layer what those in another one have learned.

    Raises:
        ValueError: If the layer does not have the same lookups.
    """
    olds, news = _lookups(old), _lookups(new)
    if len(olds) != len(news):  # of a layer that makes its own when it is built
        new.build_from_config(old.get_build_config())
        news = _lookups(new)
    if len(olds) != len(news):
        raise ValueError(
            f"The vocabulary of the layer {old.name!r} cannot be given to children: make its "
            f"lookup in the `__init__` or the `build` of {type(old).__name__}."
        )
    for one, other in zip(olds, news, strict=True):
        if _is_adapted(one):
            other.set_vocabulary(*_vocabulary(one))


def _lookups(layer: keras.Layer) -> list[Any]:
    lookups = keras.layers.StringLookup | keras.layers.IntegerLookup
    return [one for one in all_layers(layer) if isinstance(one, lookups)]


def _is_adapted(lookup: Any) -> bool:
    return lookup.get_config()["vocabulary"] is None


def _vocabulary(lookup: Any) -> list[Any]:
    """Returns the vocabulary of a lookup, and the weights of its words where it has them."""
    words, kept = lookup.get_vocabulary(), {}
    lookup.save_own_variables(kept)
    return [words, *(weights[: len(words)] for weights in kept.values())]  # which may be padded


def kept_weights(model: keras.Model) -> list[np.ndarray]:
    """Returns the weights and vocabularies that `reinitialize` keeps."""
    weights = [
        value
        for layer in all_layers(model)
        for value in read_values(
            layer.weights if _keeps_weights(layer) else frozen_variables(layer)
        )
    ]
    lookups = filter(_is_adapted, _lookups(model))
    return weights + [np.array(part) for lookup in lookups for part in _vocabulary(lookup)]


def structure(model: keras.Model) -> str:
    """Returns what distinguishes a network: its layers, and which is called with whose outputs.

    Not the names, which count the layers that a process has made, nor the weights. Nor what models
    of the user's own are: see `own_models`.
    """
    layers = [
        [type(layer).__name__, {**_without_names(_config(layer)), "name": None}]
        for layer in inner_layers(model)
        if not isinstance(layer, keras.Model)
    ]
    calls = [_calls(part) for part in (model, *inner_layers(model)) if is_graph(part)]
    return json.dumps([layers, calls], sort_keys=True, default=for_json)


def _config(layer: keras.Layer) -> dict[str, Any]:
    """Returns the configuration of a layer, or what it holds and its weights tell without one."""
    try:
        return layer.get_config()
    except (NotImplementedError, CannotSaveError):  # of what a function makes
        weights = [variable.shape for variable in layer.variables]
        return {**_held_arguments(layer), "weights": weights}


def own_models(model: keras.Model) -> str:
    """Returns the classes of a user's own among a model and those in it, with their arguments.

    Empty for models of Keras's classes, which their `structure` tells apart.
    """
    models = [one for one in all_layers(model) if isinstance(one, keras.Model)]
    found = [
        [plain_class(one).__name__, {**_arguments(one), "name": None}]
        for one in models
        if not is_keras(plain_class(one))
    ]
    return json.dumps(found, sort_keys=True, default=for_json) if found else ""


def _arguments(model: keras.Model) -> dict[str, Any]:
    held = _held_arguments(model) if rewards.lacks_config(model) else {}
    try:
        return {**held, **_without_names(_without_layers(plain_class(model).get_config(model)))}
    except NotImplementedError:  # of a model that another one makes, or a function
        return held


def _without_layers(config: Any) -> Any:
    """Returns a configuration with names of classes for the layers in it."""
    if isinstance(config, list | tuple):
        return [*map(_without_layers, config)]
    if not isinstance(config, dict):
        return config
    made, of_layer = config.get("class_name"), config.get("config")
    if isinstance(of_layer, dict) and ("trainable" in of_layer or made == "InputLayer"):
        return made
    names = {"input_layers", "output_layers"}  # by which a graph refers to them
    return {key: _without_layers(value) for key, value in config.items() if key not in names}


def for_json(value: Any) -> Any:
    """Returns what stands in JSON for a value that it cannot hold, or the name of its class.

    That is its numbers, the bounds of a slice, and the name of a function, or what a lambda does.
    """
    array = rewards.array_of(value)
    if array is not None:
        return array.tolist()
    if isinstance(value, slice):
        return ["slice", value.start, value.stop, value.step]
    if isinstance(value, types.FunctionType):
        return value.__name__ if value.__name__ != "<lambda>" else _of_code(value.__code__)
    return type(value).__name__


def _keeps_weights(layer: keras.Layer) -> bool:
    is_frozen = bool(layer.weights) and not layer.trainable
    return is_frozen or isinstance(layer, keras.layers.Normalization)


def _without_names(config: Any) -> Any:
    code = lambda_code(config)
    if code is not None:
        # Not the file and the lines that it is written in.
        return [_of_code(code), _without_names({**config["config"], "code": None})]
    if isinstance(config, dict):
        names = {"scope", *(["name"] if "trainable" in config else [])}  # a layer's own
        return {k: _without_names(v) for k, v in config.items() if k not in names}
    return [*map(_without_names, config)] if isinstance(config, list | tuple) else config


def _of_code(value: Any) -> Any:
    """Returns the instructions, constants and names of a code, as JSON can hold them."""
    if isinstance(value, types.CodeType):
        return [value.co_code.hex(), [*map(_of_code, value.co_consts)], [*value.co_names]]
    if isinstance(value, frozenset):
        return sorted(map(repr, value))  # whose order another process has otherwise
    return [*map(_of_code, value)] if isinstance(value, tuple) else repr(value)


def _calls(model: keras.Layer) -> list:
    numbers = {id(operation): number for number, operation in enumerate(model.operations)}
    nodes, readers = graph_nodes(model), {}
    for node in nodes:
        for tensor in node.input_tensors:
            kinds = readers.setdefault(id(producer(tensor)[0]), set())
            kinds.add(type(node.operation).__name__)

    def describe(argument: Any) -> Any:
        if not isinstance(argument, keras.KerasTensor):
            return argument
        operation, _, output = producer(argument)
        return ["tensor", numbers[id(operation)], output]

    def held(operation: keras.Operation) -> dict[str, Any]:
        is_told = _is_told_by(operation, readers.get(id(operation), set()))
        return {} if is_told else _made_with(operation)

    return [
        [
            numbers[id(node.operation)],
            type(node.operation).__name__,
            keras.tree.map_structure(describe, [node.arguments.args, node.arguments.kwargs]),
            *filter(None, [held(node.operation)]),
        ]
        for node in nodes
    ]


def _made_with(operation: keras.Operation) -> dict[str, Any]:
    """Returns what an operation holds, such as the axis of a `roll`.

    What a layer holds is in its configuration.
    """
    if isinstance(operation, keras.Layer) or has_graph(operation):
        return {}
    return {name: value for name, value in vars(operation).items() if name not in _of_all()}


@functools.cache
def _of_all() -> frozenset[str]:
    """Returns the names of the attributes that every operation has."""
    return frozenset(vars(keras.Operation()))


def _is_told_by(operation: Any, readers: set[str]) -> bool:
    """Says whether those that take an operation's output tell what it was made with.

    So does a sum of zeros put after one axis, which has to have its shape. Studies that are stored,
    of residual networks with such shortcuts, keep their fingerprints.
    """
    if type(operation).__name__ != "Pad" or readers != {"Add"}:
        return False
    padded = [tuple(sides) for sides in operation.pad_width if any(sides)]
    return operation.mode == "constant" and len(padded) == 1 and padded[0][0] == 0
