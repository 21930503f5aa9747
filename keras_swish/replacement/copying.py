"""Copies of models: new layers, the same weights, and other activations where a plan says so.

Keras's own `clone_model` loses what does not survive the way through a layer's configuration:
functions of the user's own, lambdas, the state of preprocessing layers, sparse inputs.
"""

import functools
import itertools
import tempfile
from collections.abc import Callable

import keras

from keras_swish.keras_compat import (
    all_layers,
    attributes,
    bare_copy,
    call_symbolically,
    calls,
    forget_calls,
    has_constructor_of,
    lambda_output_shape,
    lambdas_allowed,
    own_variables,
    producer,
    run_graph,
    set_raw_attribute,
    sublayers,
)
from keras_swish.messages import first_line
from keras_swish.replacement.members import (
    Key,
    is_graph,
    is_keras,
    is_sequence,
    members,
    put,
    with_value,
)
from keras_swish.replacement.recognise import recognise


class CannotCopyError(ValueError):
    """A layer that cannot be made a second time."""


class Copier:
    """Copies a model.

    Args:
        whole: What makes the layer to put in place of a layer or operation, by the id of the
            latter: called with the old one.
        inside: What makes the activation for a place inside a layer, by the id of the layer
            and the key of the place.
        scaled: Ids of the batch normalisations to switch the scale on in.
        shared: Whether a shared activation layer stays shared, or is made anew at each call.
    """

    def __init__(self, whole, inside, scaled, shared: bool):
        self.whole: dict[int, Callable] = whole
        self.inside: dict[tuple[int, Key], Callable] = inside
        self.scaled: set[int] = scaled
        self.shared = shared
        self.copies: dict[int, tuple[object, object]] = {}
        self.activations: list[keras.Layer] = []
        self.changed_classes: list[str] = []
        self._calls: dict[int, int] = {}
        self._carried: dict[int, tuple[keras.Layer, keras.Layer]] = {}

    def run(self, model: keras.Model) -> keras.Model:
        """Returns the copy."""
        new = self.copy(model)
        done = 0
        while done < len(self.copies):  # carrying one layer may copy another one
            old, copy = list(self.copies.values())[done]
            done += 1
            if isinstance(old, keras.Layer) and id(old) not in self.whole:
                self._carry(old, copy)
        self._check_all_carried(model)
        self._carry_trainable()
        return new

    def _check_all_carried(self, model: keras.Model) -> None:
        """Raises where a weight was reached through no attribute: its copy would be random."""
        replaced = [old for old, _ in self.copies.values() if id(old) in self.whole]
        for old, _ in self._carried.values():
            replaced += [value for key, value in members(old) if (id(old), key) in self.inside]
        replaced = [old for old in replaced if isinstance(old, keras.Layer)]
        known = {id(variable) for old in replaced for variable in old.variables}
        known |= {id(v) for old, _ in self._carried.values() for v in own_variables(old)}
        missing = [v.path for v in model.variables if id(v) not in known]
        if missing:
            raise CannotCopyError(
                f"The model {model.name!r} cannot be copied: no attribute of its layers leads to "
                f"the weights {', '.join(missing[:5])}{' and more' if missing[5:] else ''}."
            )

    def _carry_trainable(self) -> None:
        trained = [layer.trainable for layer in self.activations]
        models = [pair for pair in self.copies.values() if isinstance(pair[0], keras.Model)]
        # From the outside in: setting it on a model sets it on all that the model holds.
        for old, copy in [*reversed(models), *self._carried.values()]:
            if copy.trainable != old.trainable:
                copy.trainable = old.trainable
        for old, copy in self._carried.values():
            for variable, copied in _pairs(old, copy):
                if copied.trainable != variable.trainable:
                    copied.trainable = variable.trainable
        for layer, trainable in zip(self.activations, trained, strict=True):
            layer.trainable = trainable

    def carried(self) -> list[tuple[keras.Layer, keras.Layer]]:
        """Returns each layer that is no model of layers in order, with its copy."""
        return list(self._carried.values())

    def copy(self, operation):
        """Returns the copy of a layer or operation, at each call the same one."""
        if id(operation) not in self.copies:
            self.copies[id(operation)] = (operation, self._copy(operation))
        return self.copies[id(operation)][1]

    def _copy(self, operation):
        if id(operation) in self.whole:
            return self._new_activation(self.whole[id(operation)], operation)
        if is_sequence(operation):
            layers = [self.copy(layer) for layer in sublayers(operation)]
            return self._model(operation, keras.Sequential, layers)
        if is_graph(operation):
            return self._copy_graph(operation)
        if isinstance(operation, keras.layers.Lambda):
            return _copy_lambda(operation)
        if isinstance(operation, keras.Layer):
            return self._copy_layer(operation)
        return _copy_operation(operation)

    def _new_activation(self, make: Callable, old) -> keras.Layer | Callable:
        new = make(old)
        if isinstance(new, keras.Layer):
            self.activations.append(new)
        return new

    def _copy_graph(self, model):
        inputs = keras.tree.map_structure(
            lambda tensor: self.copy(producer(tensor)[0]).output, model.input
        )
        outputs = run_graph(model, inputs, self.copy, self._call)
        return self._model(model, keras.Model, inputs, outputs)

    def _call(self, operation, *args, **kwargs):
        if not any(operation is layer for layer in self.activations):
            return operation(*args, **kwargs)
        calls = self._calls[id(operation)] = self._calls.get(id(operation), 0) + 1
        if calls > 1 and not self.shared:
            config = {**operation.get_config(), "name": f"{operation.name}_{calls}"}
            operation = type(operation).from_config(config)
            self.activations.append(operation)
        # What stood here may have taken more, such as a mask, which reaches layers by itself.
        return operation([*args, *kwargs.values()][0])

    def _model(self, old, plain: type[keras.Model], *args):
        """Makes a model of the old one's class where that has Keras's own constructor."""
        kind = type(old)
        # A constructor of its own would make its own layers again, and so would loading a file.
        if not has_constructor_of(kind, plain):
            self.changed_classes.append(f"{old.name} ({kind.__name__}) is now a {plain.__name__}")
            kind = plain
        return kind(*args, name=old.name)

    def _copy_layer(self, layer):
        custom = {type(part).__name__: type(part) for part in all_layers(layer)}
        custom = {name: kind for name, kind in custom.items() if not is_keras(kind)}
        try:
            with keras.saving.custom_object_scope(custom), lambdas_allowed():
                config = type(layer).get_config(_stand_in(layer))
                if id(layer) in self.scaled:
                    config["scale"] = True
                new = type(layer).from_config(config)
        except Exception as error:
            raise CannotCopyError(
                f"The layer {layer.name!r} of class {type(layer).__name__} cannot be made anew "
                f"from its configuration ({first_line(error)}): "
                "give it `get_config` and `from_config`."
            ) from error
        self._adopt(layer, new)
        return new

    def _adopt(self, old: keras.Layer, new: keras.Layer) -> None:
        """Gives the new layer our copies of what passes through no configuration."""
        places = dict(members(new))
        for key, value in members(old):
            if is_sequence(value) or is_graph(value) or isinstance(value, keras.layers.Lambda):
                copy = self.copy(value)
                if key in places and places[key] is not copy:
                    put(new, key, copy)

    def _carry(self, old: keras.Layer, new: keras.Layer) -> None:
        """Carries a layer's weights, and those of the layers that it holds."""
        if id(new) in self._carried or is_graph(old) or is_sequence(old):
            return
        self._carried[id(new)] = (old, new)
        if old.built and not new.built:
            new.build_from_config(old.get_build_config())
            new.built = True  # as Keras sets it when it loads a model
        self._adopt(old, new)
        if id(old) in self.scaled:
            new.gamma.assign(keras.ops.ones(new.gamma.shape))
        _carry_own(old, new)
        places = dict(members(new))
        for key, value in members(old):
            if key not in places:
                raise CannotCopyError(
                    f"The layer {old.name!r} of class {type(old).__name__} cannot be made anew "
                    f"from its configuration: the copy has no {'.'.join(map(str, key))}."
                )
            make = self.inside.get((id(old), key))
            if make:
                put(new, key, self._built(self._new_activation(make, old), old))
            elif id(value) in self.whole:
                put(new, key, self.copy(value))
            elif id(value) in self.copies:
                self._carry(value, self.copy(value))
            elif isinstance(value, keras.Layer) and type(value) is type(places[key]):
                self._carry(value, places[key])
            elif isinstance(value, keras.Layer):  # put there after the original was made
                put(new, key, self.copy(value))
            elif value is not places[key]:
                put(new, key, value)
        self._build_new_ones(old, new)

    def _built(self, activation, host: keras.Layer):
        """Builds an activation that stands inside its host, which would never build it."""
        if isinstance(activation, keras.Layer) and not activation.built:
            if not host.built:
                raise ValueError(
                    f"The layer {host.name!r} is not built, so the weights of its new activation "
                    "cannot be made: call the model, or give it an Input, before."
                )
            shape = _activated_shape(host)
            if shape is not None:
                activation.build(shape)
        return activation

    def _build_new_ones(self, old: keras.Layer, new: keras.Layer) -> None:
        """Builds activations that stand inside a layer of which only a call tells the shapes."""
        inside = {id(layer) for layer in all_layers(new, include_self=False)}
        unbuilt = [a for a in self.activations if not a.built and id(a) in inside]
        if not unbuilt:
            return
        if isinstance(new, keras.layers.Wrapper):  # its `call` may pass by its layer's `build`
            new.build_from_config(old.get_build_config())
            return
        node = next(iter(calls(old)), None)
        if node is not None:
            args, kwargs = node.arguments.args, node.arguments.kwargs
        else:
            shapes = old.get_build_config() or {}
            args, kwargs = [_tensors(shapes.get("input_shape"), old)], {}
        call_symbolically(new.call, *args, **kwargs)


def _tensors(shape, layer):
    return keras.tree.map_shape_structure(
        lambda one: keras.KerasTensor(one, dtype=layer.compute_dtype), shape
    )


def _activated_shape(host: keras.Layer):
    """Returns the shape of what a layer applies its activation to, where that is known."""
    shape = (host.get_build_config() or {}).get("input_shape")
    units = getattr(host, "units", None) or getattr(host, "filters", None)
    if hasattr(host, "state_size") and units:  # the cell of a recurrent layer
        return (None, *[None] * getattr(host, "rank", 0), units)
    if not is_keras(type(host)) or shape is None:
        return None
    return host.compute_output_shape(shape)


def _stand_in(layer: keras.Layer) -> keras.Layer:
    """Returns an unreal twin of a layer, to ask for a configuration that can be read again.

    Functions that no configuration can carry are replaced by the linear one, models by a layer
    that does nothing; the real ones are put into the copy afterwards.
    """
    twin = bare_copy(layer)
    for key, value in members(layer):
        if is_sequence(value) or is_graph(value) or isinstance(value, keras.layers.Lambda):
            new = keras.layers.Identity(name=value.name)
        elif isinstance(value, keras.Layer):
            new = _stand_in(value)
        elif recognise(value) is None or isinstance(value, functools.partial):
            new = keras.activations.linear
        else:
            continue
        name, *rest = key
        set_raw_attribute(twin, name, with_value(attributes(twin)[name], tuple(rest), new))
    return twin


def _copy_lambda(layer: keras.layers.Lambda) -> keras.layers.Lambda:
    return type(layer)(
        layer.function,
        output_shape=lambda_output_shape(layer),
        mask=layer.mask,
        arguments=layer.arguments,
        name=layer.name,
        dtype=layer.dtype_policy,
    )


def _copy_operation(operation: keras.Operation) -> keras.Operation:
    new = bare_copy(operation)
    forget_calls(new)
    return new


def _pairs(old: keras.Layer, new: keras.Layer):
    """Pairs the variables that two layers of one class own.

    By name where names tell: a quantised layer makes its variables in another order when it is
    made from its configuration. In order where they do not, as where Keras numbers them.
    """
    olds, news = own_variables(old), own_variables(new)
    by_name = {variable.name: variable for variable in news}
    if len(by_name) == len(news) and {variable.name for variable in olds} <= set(by_name):
        return [(variable, by_name[variable.name]) for variable in olds]
    return list(itertools.zip_longest(olds, news))


def _shapes(layer: keras.Layer) -> str:
    return ", ".join(f"{v.name} {tuple(v.shape)}" for v in own_variables(layer)) or "none"


def _carry_own(old: keras.Layer, new: keras.Layer) -> None:
    """Copies the state that a layer owns itself.

    Variable by variable: `save_own_variables` of a layer with LoRA would merge its kernels.
    """
    for variable, copy in _pairs(old, new):
        if copy is None or variable is None or tuple(copy.shape) != tuple(variable.shape):
            raise CannotCopyError(
                f"The layer {old.name!r} of class {type(old).__name__} cannot be made anew from "
                f"its configuration: it has the variables {_shapes(old)}, the copy {_shapes(new)}."
            )
        # A copy: on JAX a step of one model would else delete the other one's weights.
        copy.assign(keras.ops.copy(variable.value))
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
    if hasattr(old, "finalize_state") and old.built:
        new.finalize_state()
