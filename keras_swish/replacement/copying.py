"""Copies of models: new layers, the same weights, and other activations where a plan says so.

Keras's own `clone_model` loses what does not survive the way through a layer's configuration:
functions of the user's own, lambdas, the state of preprocessing layers, sparse inputs.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

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
from keras_swish.replacement.lookups import Texts, set_inner_texts, set_texts
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
from keras_swish.replacement.state import CannotCopyError, carry_state, paired_variables

# Makes an activation: from the layer or operation that it replaces, or whose attribute it becomes.
Factory = Callable[[Any], Any]


class Copier:
    """Copies a model.

    In four steps: `copy` makes new layers from their configurations and calls them as the
    original does; `_adopt` gives them our copies of what passes through no configuration;
    `_carry` gives them weights, and other activations in their attributes; two checks and the
    flags `trainable` come last.

    Args:
        layer_factories: What makes the layer that replaces a layer or operation, by the id of the
            latter.
        attribute_factories: What makes the activation that a layer holds, by the id of the layer
            and the key of its attribute.
        rescaled: Ids of the batch normalisations that get a gamma.
        shared: Whether a shared activation layer stays shared; otherwise each call has its own.
        texts: The strings that name new activations in attributes of layers, see `lookups`.

    Attributes:
        activations: The new activation layers.
        carried: Each layer that is no model of layers in order, with its copy.
        changed_classes: A line for each model whose copy has another class.
    """

    def __init__(
        self,
        layer_factories: Mapping[int, Factory],
        attribute_factories: Mapping[tuple[int, Key], Factory],
        rescaled: set[int],
        shared: bool,
        texts: Texts | None = None,
    ):
        self.layer_factories = layer_factories
        self.attribute_factories = attribute_factories
        self.rescaled = rescaled
        self.shared = shared
        self.texts = texts or {}
        self.activations: list[keras.Layer] = []
        self.carried: list[tuple[keras.Layer, keras.Layer]] = []
        self.changed_classes: list[str] = []
        # Each layer or operation copied so far, with its copy.
        self._copied: list[tuple[Any, Any]] = []
        self._copies: dict[int, Any] = {}
        self._carried: set[int] = set()  # ids of the copies in `carried`
        self._call_counts: dict[int, int] = {}

    def copy_model(self, model: keras.Model) -> keras.Model:
        """Returns the copy of a model.

        Raises:
            CannotCopyError: If a layer cannot be made a second time, or a weight not be reached.
        """
        new = self.copy(model)
        for old, copy in self._copied:  # it grows: carrying one layer may copy another one
            if isinstance(old, keras.Layer) and id(old) not in self.layer_factories:
                self._carry(old, copy)
        self._check_all_carried(model)
        self._carry_trainable()
        return new

    # Copy: new layers, called as the original's are.

    def copy(self, operation: Any) -> Any:
        """Returns the copy of a layer or operation, at each call the same one."""
        if id(operation) not in self._copies:
            copy = self._new_copy(operation)
            self._copies[id(operation)] = copy
            self._copied.append((operation, copy))
        return self._copies[id(operation)]

    def _new_copy(self, operation: Any) -> Any:
        if id(operation) in self.layer_factories:
            return self._new_activation(self.layer_factories[id(operation)], operation)
        if is_sequence(operation):
            layers = [self.copy(layer) for layer in sublayers(operation)]
            return self._new_model(operation, keras.Sequential, layers)
        if is_graph(operation):
            return self._copy_graph(operation)
        if isinstance(operation, keras.layers.Lambda):
            return _copy_lambda(operation)
        if isinstance(operation, keras.Layer):
            return self._copy_layer(operation)
        return _copy_operation(operation)

    def _new_activation(self, factory: Factory, old: Any) -> Any:
        new = factory(old)
        if isinstance(new, keras.Layer):
            self.activations.append(new)
        return new

    def _copy_graph(self, model: keras.Model) -> keras.Model:
        inputs = keras.tree.map_structure(
            lambda tensor: self.copy(producer(tensor)[0]).output, model.input
        )
        outputs = run_graph(model, inputs, self.copy, self._call)
        return self._new_model(model, keras.Model, inputs, outputs)

    def _call(self, operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not any(operation is layer for layer in self.activations):
            return operation(*args, **kwargs)
        count = self._call_counts[id(operation)] = self._call_counts.get(id(operation), 0) + 1
        if count > 1 and not self.shared:
            config = {**operation.get_config(), "name": f"{operation.name}_{count}"}
            operation = type(operation).from_config(config)
            self.activations.append(operation)
        # What stood here may have taken more, such as a mask, which reaches layers by itself.
        return operation([*args, *kwargs.values()][0])

    def _new_model(self, old: keras.Model, plain: type[keras.Model], *args: Any) -> keras.Model:
        """Makes a model of the old one's class where that has Keras's own constructor."""
        model_class = type(old)
        # A constructor of its own would make its own layers again, and so would loading a file.
        if not has_constructor_of(model_class, plain):
            self.changed_classes.append(
                f"{old.name} ({model_class.__name__}) is now a {plain.__name__}"
            )
            model_class = plain
        return model_class(*args, name=old.name)

    def _copy_layer(self, layer: keras.Layer) -> keras.Layer:
        classes = {type(part).__name__: type(part) for part in all_layers(layer)}
        custom_objects = {name: each for name, each in classes.items() if not is_keras(each)}
        try:
            with keras.saving.custom_object_scope(custom_objects), lambdas_allowed():
                config = type(layer).get_config(_readable_twin(layer, self.texts))
                if id(layer) in self.rescaled:
                    config["scale"] = True
                new = type(layer).from_config(config)
        except Exception as error:
            raise CannotCopyError(
                f"The layer {layer.name!r} of class {type(layer).__name__} cannot be made again "
                f"from its configuration ({first_line(error)}): "
                "give it `get_config` and `from_config`."
            ) from error
        if self.texts:
            set_inner_texts(layer, new, self.texts)
        self._adopt(layer, new)
        return new

    # Adopt: what passes through no configuration.

    def _adopt(self, old: keras.Layer, new: keras.Layer) -> None:
        """Gives a layer's copy our copies of the models and Lambda layers that it holds."""
        new_members = dict(members(new))
        for key, member in members(old):
            if key in new_members and _is_copied_by_itself(member):
                copy = self.copy(member)
                if new_members[key] is not copy:
                    put(new, key, copy)

    # Carry: weights, and other activations in attributes.

    def _carry(self, old: keras.Layer, new: keras.Layer) -> None:
        """Carries a layer's weights, and those of the layers that it holds, into its copy."""
        if is_graph(old) or is_sequence(old) or id(new) in self._carried:
            return
        self._carried.add(id(new))
        self.carried.append((old, new))
        if old.built and not new.built:
            new.build_from_config(old.get_build_config() or {})
            new.built = True  # as Keras sets it when it loads a model
        self._adopt(old, new)
        if id(old) in self.rescaled and isinstance(new, keras.layers.BatchNormalization):
            new.gamma.assign(keras.ops.ones(new.gamma.shape))
        carry_state(old, new)
        new_members = dict(members(new))
        for key, member in members(old):
            if key not in new_members:
                raise CannotCopyError(
                    f"The layer {old.name!r} of class {type(old).__name__} cannot be made again "
                    f"from its configuration: the copy has no {'.'.join(map(str, key))}."
                )
            new_member = self._carry_member(old, key, member, new_members[key])
            if new_member is not new_members[key]:
                put(new, key, new_member)
        self._build_new_activations(old, new)

    def _carry_member(self, host: keras.Layer, key: Key, member: Any, counterpart: Any) -> Any:
        """Returns what the copy of a layer holds in place of a member, the latter's state in it.

        Args:
            host: The original layer.
            key: Where it holds the member.
            member: A layer or function.
            counterpart: What the copy of `host`, made from its configuration, holds there.
        """
        factory = self.attribute_factories.get((id(host), key))
        if factory is not None:
            return self._built(self._new_activation(factory, host), host)
        if not isinstance(member, keras.Layer):
            return member
        if id(member) in self.layer_factories:
            return self.copy(member)
        if id(member) in self._copies:
            self._carry(member, self.copy(member))
            return counterpart
        if type(member) is type(counterpart):
            self._carry(member, counterpart)
            return counterpart
        return self.copy(member)  # put there after the original was made

    def _built(self, activation: Any, host: keras.Layer) -> Any:
        """Builds an activation that a layer holds, which would never build it."""
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

    def _build_new_activations(self, old: keras.Layer, new: keras.Layer) -> None:
        """Builds the activations in a layer of which only a call tells the shapes."""
        inner = {id(layer) for layer in all_layers(new, include_self=False)}
        if all(layer.built for layer in self.activations if id(layer) in inner):
            return
        if isinstance(new, keras.layers.Wrapper):  # its `call` may pass by its layer's `build`
            new.build_from_config(old.get_build_config() or {})
            return
        node = next(iter(calls(old)), None)
        if node is not None:
            args, kwargs = node.arguments.args, node.arguments.kwargs
        else:
            shapes = old.get_build_config() or {}
            args, kwargs = [_symbolic(shapes.get("input_shape"), old)], {}
        call_symbolically(new.call, *args, **kwargs)

    # Check, and the flags that say what is trained.

    def _check_all_carried(self, model: keras.Model) -> None:
        """Raises where a weight was reached through no attribute: its copy would be random."""
        replaced = [old for old, _ in self._copied if id(old) in self.layer_factories]
        for old, _ in self.carried:
            replaced += [m for key, m in members(old) if (id(old), key) in self.attribute_factories]
        dropped = [v for old in replaced if isinstance(old, keras.Layer) for v in old.variables]
        carried = [variable for old, _ in self.carried for variable in own_variables(old)]
        accounted = {id(variable) for variable in [*dropped, *carried]}
        missing = [v.path for v in model.variables if id(v) not in accounted]
        if missing:
            raise CannotCopyError(
                f"The model {model.name!r} cannot be copied: no attribute of its layers leads to "
                f"the weights {', '.join(missing[:5])}{' and more' if missing[5:] else ''}."
            )

    def _carry_trainable(self) -> None:
        trainable_activations = [layer.trainable for layer in self.activations]
        models = [pair for pair in self._copied if isinstance(pair[0], keras.Model)]
        # From the outside in: setting it on a model sets it on all that the model holds.
        for old, copy in [*reversed(models), *self.carried]:
            if copy.trainable != old.trainable:
                copy.trainable = old.trainable
        for old, copy in self.carried:
            for variable, copied in paired_variables(old, copy):
                if copied.trainable != variable.trainable:
                    copied.trainable = variable.trainable
        for layer, trainable in zip(self.activations, trainable_activations, strict=True):
            layer.trainable = trainable


def _is_copied_by_itself(member: Any) -> bool:
    """Says whether a member is copied by us, as its host's configuration may not carry it."""
    return is_sequence(member) or is_graph(member) or isinstance(member, keras.layers.Lambda)


def _symbolic(shape: Any, layer: keras.Layer) -> Any:
    return keras.tree.map_shape_structure(
        lambda one: keras.KerasTensor(one, dtype=layer.compute_dtype), shape
    )


def _activated_shape(host: keras.Layer) -> Any:
    """Returns the shape of what a layer applies its activation to, where that is known."""
    shape = (host.get_build_config() or {}).get("input_shape")
    units = getattr(host, "units", None) or getattr(host, "filters", None)
    if hasattr(host, "state_size") and units:  # the cell of a recurrent layer
        return (None, *[None] * getattr(host, "rank", 0), units)
    if not is_keras(type(host)) or shape is None:
        return None
    return host.compute_output_shape(shape)


def _readable_twin(layer: keras.Layer, texts: Texts) -> keras.Layer:
    """Returns a twin of a layer, never called, whose configuration can be read again.

    Functions that no configuration can carry are replaced by the linear one, models by a layer
    that does nothing; the real ones are put into the copy afterwards.
    """
    twin = bare_copy(layer)
    set_texts(twin, texts.get(id(layer), {}), raw=True)
    for key, member in members(layer):
        if _is_copied_by_itself(member):
            new = keras.layers.Identity(name=member.name)
        elif isinstance(member, keras.Layer):
            new = _readable_twin(member, texts)
        elif recognise(member) is None or isinstance(member, functools.partial):
            new = keras.activations.linear
        else:
            continue
        name, *rest = key
        set_raw_attribute(twin, name, with_value(attributes(twin)[name], rest, new))
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
