"""Activation layers with weights."""

import collections
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from keras import constraints, initializers, regularizers

from keras_swish import activations
from keras_swish.elementwise.operation import apply_formula
from keras_swish.formulas.language import initial_value, parse, weights
from keras_swish.keras_compat import Tensor, set_scope, sublayers

# What Keras takes for each: an object, its name, or its configuration.
Initializer = initializers.Initializer | str | dict[str, Any]
Regularizer = regularizers.Regularizer | str | dict[str, Any]
Constraint = constraints.Constraint | str | dict[str, Any]
Shape = tuple[int | None, ...]


class TrainableActivation(keras.layers.Layer):
    """An activation with trainable weights, each shared over all but some axes.

    Attributes:
        initial_values: The initial value of each weight, by name.
        data_format: Where the channels are; None before the layer is built, unless it is known,
            and after that for an input of two axes.
        given_data_format: The argument `data_format`, whatever was found out later: where this
            layer is a template, other layers get no more than that.
        scope: Path of the layer that holds it as an attribute, under which the paths of its
            weights are; None where Keras finds the path.
    """

    initial_values: Mapping[str, float]
    scope: str | None = None

    def __init__(
        self,
        beta_initializer: Initializer | None = None,
        beta_regularizer: Regularizer | None = None,
        beta_constraint: Constraint | None = None,
        shared_axes: int | Sequence[int] | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        self.beta_initializer = None
        if beta_initializer is not None:
            self.beta_initializer = initializers.get(beta_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.shared_axes = None if shared_axes is None else _axes(shared_axes)
        self.data_format = self.given_data_format = data_format
        if data_format not in (None, "channels_last", "channels_first"):
            raise ValueError(
                "`data_format` must be 'channels_last' or 'channels_first'. "
                f"Received: data_format={data_format!r}"
            )

    def add_betas(self, input_shape: Shape) -> dict[str, keras.Variable]:
        """Creates the weights for inputs of this shape."""
        # Not before: until then somebody who knows what comes before this layer may say it.
        rank = len(input_shape)
        if rank > 2:
            self.data_format = self.data_format or keras.config.image_data_format()
        if not self.initial_values:
            return {}
        sizes = self._unshared_sizes(input_shape)
        self.input_spec = keras.layers.InputSpec(ndim=rank, axes=sizes)
        return {
            name: self.add_weight(
                name=name,
                shape=[sizes.get(axis, 1) for axis in range(1, rank)],
                initializer=self._initializer(number, value),
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )
            for number, (name, value) in enumerate(self.initial_values.items())
        }

    def _initializer(self, number: int, initial_value: float) -> Any:
        initializer: Any = self.beta_initializer
        if initializer is None:
            return initializers.Constant(initial_value)
        # A Keras initializer draws the same values at each call, unless its seed is a generator:
        # each weight needs another one, and of an integer another seed.
        has_generator = isinstance(getattr(initializer, "seed", None), keras.random.SeedGenerator)
        if has_generator or not hasattr(initializer, "clone"):
            return initializer
        config = initializer.get_config()
        if number and isinstance(config.get("seed"), int):
            return type(initializer).from_config({**config, "seed": config["seed"] + number})
        return initializer.clone()

    def _unshared_sizes(self, input_shape: Shape) -> dict[int, int]:
        """Returns the axes that a weight is not shared over, with their sizes."""
        rank = len(input_shape)
        if self.shared_axes is None:
            channel = 1 if self.data_format == "channels_first" else rank - 1
            shared = set(range(1, rank)) - {channel}
        else:
            shared = {axis + rank if axis < 0 else axis for axis in self.shared_axes}
            if not shared <= set(range(1, rank)):
                raise ValueError(
                    f"`shared_axes` must lie between 1 and {rank - 1} for an input of shape "
                    f"{tuple(input_shape)}. Received: shared_axes={self.shared_axes}"
                )
        sizes = {}
        for axis in sorted(set(range(1, rank)) - shared):
            size = sizes[axis] = input_shape[axis]
            if size is None:
                raise ValueError(
                    f"Axis {axis} of the input {tuple(input_shape)} has no fixed size, so beta "
                    "cannot have one value for each of its elements: put the axis into "
                    "`shared_axes`, or say with `data_format` where the channels are. Received: "
                    f"shared_axes={self.shared_axes}, data_format={self.data_format!r}"
                )
        return sizes

    def get_build_config(self) -> dict[str, Any] | None:
        """Returns what `build_from_config` needs to make the weights, with their paths."""
        config = super().get_build_config()
        return {**config, "scope": self.scope} if config and self.scope else config

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Makes the weights, which have the paths that they had."""
        self.scope = config.get("scope")
        if self.scope:
            set_scope(self, self.scope)
        super().build_from_config(config)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """Returns the input's shape: the function is elementwise."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same layer."""
        initializer = self.beta_initializer
        return {
            **super().get_config(),
            "beta_initializer": initializer and initializers.serialize(initializer),
            "beta_regularizer": regularizers.serialize(self.beta_regularizer),
            "beta_constraint": constraints.serialize(self.beta_constraint),
            "shared_axes": self.shared_axes,
            "data_format": self.data_format,
        }


def _axes(shared_axes: Any) -> list[int]:
    """Returns the axes as a list."""
    axes = [shared_axes] if isinstance(shared_axes, int | np.integer) else shared_axes
    try:
        return [*map(operator.index, axes)]
    except TypeError:
        raise TypeError(
            f"`shared_axes` must be a whole number, or several. Received: {shared_axes!r}"
        ) from None


@keras.saving.register_keras_serializable(package="keras_swish")
class Swish(TrainableActivation):
    """Swish with a trainable beta: `x * sigmoid(beta * x)`.

    By default each channel has one beta, shared over all spatial axes, as in the
    paper. `shared_axes` shares differently, as that of `keras.layers.PReLU`:
    for images, `shared_axes=[1, 2, 3]` makes one beta for the layer and
    `shared_axes=[]` one for each element. `trainable=False` keeps beta fixed until, as with any
    Keras layer, `trainable` is set again.

    Args:
        beta_initializer: Initializer of beta; by default ones.
        beta_regularizer: Regularizer of beta, or `None`.
        beta_constraint: Constraint on beta, or `None`.
        shared_axes: Axes along which beta is shared (the batch axis, 0, is not
            counted among them), or `None`: all but the channel axis.
        data_format: `"channels_last"` or `"channels_first"`, which says where the
            channel axis is when `shared_axes` is `None`; by default Keras's
            image data format when the layer is built.
        **kwargs: Those of every Keras layer, such as `name`, `dtype`, `trainable`.

    Input shape:
        Any, of two dimensions or more; the axes that beta is not shared over must
        be of fixed size.

    Output shape:
        That of the input, in the layer's compute dtype.

    Raises:
        ValueError: If an entry of `shared_axes` is no axis of the input, or an axis
            that needs a beta of its own has no fixed size.

    Example:
        >>> import keras, keras_swish
        >>> layer = keras_swish.Swish()
        >>> y = layer(keras.ops.ones((2, 8, 8, 3)))
        >>> tuple(layer.beta.shape)
        (1, 1, 3)

    Source: Ramachandran et al. 2017, section 4: "beta is either a constant or a
    trainable parameter".
    """

    initial_values: ClassVar[dict[str, float]] = {"beta": 1.0}

    def build(self, input_shape: Shape) -> None:
        """Creates beta for inputs of this shape."""
        self.beta = self.add_betas(input_shape)["beta"]

    def call(self, inputs: Tensor) -> Tensor:
        """Returns `inputs * sigmoid(beta * inputs)`."""
        return activations.swish(inputs, self.beta)


@keras.saving.register_keras_serializable(package="keras_swish")
class SearchedActivation(TrainableActivation):
    """Any formula as an activation layer; its betas are trainable weights.

    A name that occurs again is the same weight. Weights are shared as in `Swish`: by default each
    channel has its own.

    Args:
        formula: The function, in the language of `keras_swish.formulas.language`, such as
            `"x * sigmoid(beta * x)"` or `"max(x, beta1 * x + beta2)"`.
        beta_initializer: Initializer of all the weights, or `None`: each starts from the
            value that its role in the formula calls for (a factor from 1, a summand from
            0, a blend from 0.5).
        beta_regularizer: Regularizer of the weights, or `None`.
        beta_constraint: Constraint on the weights, or `None`.
        shared_axes: As in `Swish`.
        data_format: As in `Swish`.
        **kwargs: Those of every Keras layer, such as `name`, `dtype`, `trainable`.

    Input shape:
        Any; with weights, of two dimensions or more.

    Output shape:
        That of the input, in the layer's compute dtype.

    Raises:
        FormulaError: A `ValueError`, if the text is no formula.

    Example:
        >>> import keras, keras_swish
        >>> layer = keras_swish.SearchedActivation("max(x, beta * x)", beta_initializer="zeros")
        >>> y = layer(keras.ops.array([[1.0, 2.0]]))
        >>> [float(value) for value in y[0]]
        [1.0, 2.0]

    Source: Ramachandran et al. 2017, section 2.
    """

    def __init__(
        self,
        formula: str,
        beta_initializer: Initializer | None = None,
        beta_regularizer: Regularizer | None = None,
        beta_constraint: Constraint | None = None,
        shared_axes: int | Sequence[int] | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(
            beta_initializer, beta_regularizer, beta_constraint, shared_axes, data_format, **kwargs
        )
        self.tree = parse(formula)
        self.formula = str(self.tree)
        self.initial_values = {name: initial_value(self.tree, name) for name in weights(self.tree)}
        self.betas: dict[str, keras.Variable] = {}
        if not self.initial_values:
            self.built = True  # as Keras's activations are: `quantize` refuses others

    def build(self, input_shape: Shape) -> None:
        """Creates the formula's weights for inputs of this shape."""
        self.betas = self.add_betas(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """Returns the formula's value at the inputs."""
        return apply_formula(self.tree, inputs, **self.betas)

    def compute_output_spec(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Returns the shape of a symbolic input, with the dtype that `call` returns."""
        spec = super().compute_output_spec(inputs)
        keeps_dtype = not self.autocast and keras.backend.is_float_dtype(inputs.dtype)
        return keras.KerasTensor(spec.shape, inputs.dtype) if keeps_dtype else spec

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs to make the same layer."""
        # Keras's own configuration leaves it out.
        autocast = {} if self.autocast else {"autocast": False}
        return {"formula": self.formula, **super().get_config(), **autocast}


def weighted_layers(model: keras.Layer) -> list[TrainableActivation]:
    """Returns each built activation with weights in a model, inside other layers too."""
    layers = dict.fromkeys(_walk(model))
    return [layer for layer in layers if isinstance(layer, TrainableActivation) and layer.weights]


def _walk(layer: keras.Layer) -> Iterator[keras.Layer]:
    # Not `model.layers`, which leaves out what other layers hold.
    yield layer
    for inner in sublayers(layer):
        yield from _walk(inner)


def betas(model: keras.Layer) -> dict[str, keras.Variable]:
    """Returns the weights of a model's activations by path, in the order of its layers.

    Args:
        model: A built model or layer.

    Raises:
        ValueError: If there are none.

    Example:
        >>> import keras, keras_swish
        >>> from keras_swish.layers import betas
        >>> model = keras.Sequential([keras.Input((3,)), keras_swish.Swish(name="act")])
        >>> {path: tuple(beta.shape) for path, beta in betas(model).items()}
        {'act/beta': (3,)}
    """
    by_path: dict[str, keras.Variable] = {}
    seen: collections.Counter[str] = collections.Counter()
    for layer in weighted_layers(model):
        for variable in layer.weights:
            path = variable.path.removeprefix(f"{model.name}/")
            # Two inner models may each have an "act/beta".
            seen[path] += 1
            by_path[f"{path} {seen[path]}" if seen[path] > 1 else path] = variable
    if not by_path:
        raise ValueError(
            f"The model {model.name!r} has no activation with weights, such as keras_swish.Swish, "
            "or is not built yet."
        )
    return by_path
