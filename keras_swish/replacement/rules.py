"""The entries of a replacement: what is replaced, and what makes its successor."""

import functools
import numbers
from collections.abc import Collection
from typing import Any

import keras
import numpy as np

from keras_swish import registry
from keras_swish.keras_compat import call_symbolically, calls, set_scope
from keras_swish.layers import TrainableActivation
from keras_swish.registry import Identifier, is_homogeneous
from keras_swish.replacement.masks import StopMask
from keras_swish.replacement.places import NOWHERE, Place
from keras_swish.replacement.recognise import describe, function_of, matcher, recognise

BetaInitializer = str | float | keras.initializers.Initializer | None

# The beta with which a function is as close to ReLU as it gets, by the function's name. Swish
# is within 0.28 / beta of it; this is the largest power of two that float16 has.
RELU_LIKE = {"swish_beta": 2.0**15, "prelu": 0.0}


# Functions over an axis, which is the last one of what a name or a function makes.
_OVER_AN_AXIS = {"softmax", "log_softmax", "sparsemax", "glu"}


class Rule:
    """An old activation, and what replaces it.

    Args:
        old: What to replace, as a key of `replace_activations`'s `replacements`.
        new: What replaces it, as `keras_swish.layer` takes it.
        beta_initializer: What its betas start from.
        printed: Further strings that `old` may be, see `matcher`.

    Attributes:
        matches: Says whether an activation is the old one.
        name: What reports call the new one.
        takes_masks: Whether the new one can stand where a softmax is called with a mask.
        homogeneous: Whether the new one is positively homogeneous.
        is_ours: Whether the new one is a function or layer of this package.
        has_betas: Whether it has weights that a `beta_initializer` is for.
        change_of_shape: The shapes between which the new one changes, if it does, see below.
    """

    def __init__(
        self,
        old: Identifier,
        new: Identifier,
        beta_initializer: BetaInitializer,
        printed: Collection[str] = (),
    ):
        self.old = old
        self.matches = matcher(old, printed)
        self.new = new
        self.homogeneous = is_homogeneous(new)
        template = registry.layer(new)
        self.name = describe(template)
        self.takes_masks = self.name == "softmax"
        self.is_ours = getattr(function_of(template), "__module__", "").startswith("keras_swish.")
        self._means_function = not isinstance(template, keras.layers.Softmax)
        self.has_betas = _has_betas(function_of(template))
        self.change_of_shape = change_of_shape(template)
        # Of a layer that was given one; all others take that of what they replace, and have got
        # the global policy itself from Keras, not one that is like it.
        given = new if isinstance(new, keras.layers.Layer) else template
        is_own = given.dtype_policy is not keras.config.dtype_policy()
        self._policy = template.dtype_policy if is_own else None
        self.beta_initializer = _initializer(beta_initializer, self.name)

    def make_layer(self, old: Any, place: Place = NOWHERE, name: str | None = None) -> keras.Layer:
        """Makes the layer that replaces a layer or operation, by default of its name."""
        name = name or old.name
        if self.keeps_softmax(old):
            new = type(old).from_config({**old.get_config(), "name": name})
        elif self.takes_masks and self._means_function and not _is_over_the_last(old):
            new = keras.layers.Softmax(axis=old.axis, name=name)
        else:
            new = registry.layer(self.new, name=name)
        if isinstance(old, keras.Layer) and new.activity_regularizer is None:
            new.activity_regularizer = old.activity_regularizer
        return self._prepared(new, _policy(old), place)

    def make_attribute(self, host: keras.Layer, place: Place = NOWHERE) -> Any:
        """Makes the activation for a layer's attribute: a function, where that will do."""
        new = registry.layer(self.new, name=place.name)
        function = function_of(new)
        if not isinstance(function, keras.Layer):
            return function
        policy = _policy(host)
        if place.dtype and place.dtype != host.compute_dtype:
            policy = _policy_of(place.dtype)
        return self._prepared(function, policy, place)

    def keeps_softmax(self, old: Any) -> bool:
        """Says whether a softmax layer is replaced by its function: its axes and mask stay."""
        is_softmax = isinstance(old, keras.layers.Softmax) and recognise(old) == "softmax"
        return is_softmax and self.takes_masks and self._means_function

    def loses_axis(self, old: Any) -> bool:
        """Says whether an activation is over an axis that the new one would not be over."""
        return self.name in _OVER_AN_AXIS and not self.takes_masks and not _is_over_the_last(old)

    def is_identity(self, name: str) -> bool:
        """Says whether an activation's name is replaced by itself, which changes nothing.

        Keras's function of a name may be another one than ours, or round otherwise; a function
        or layer as the new activation says which is meant.
        """
        return isinstance(self.new, str) and self.name == name

    def _prepared(self, new: keras.Layer, policy: keras.DTypePolicy, place: Place) -> keras.Layer:
        new.dtype_policy = self._policy or policy
        if place.path is not None:
            set_scope(new, place.path)
        if isinstance(new, keras.layers.PReLU) and self.beta_initializer is not None:
            new.alpha_initializer = self.beta_initializer
        if isinstance(new, TrainableActivation):
            new.scope = place.scope
            if place.channels and new.shared_axes is None and new.data_format is None:
                place.channels.tell(new)
            if self.beta_initializer is not None:
                new.beta_initializer = self.beta_initializer
        return _without_mask(new, place) if place.stops_mask and new.supports_masking else new


def change_of_shape(activation: Any) -> str:
    """Returns between which shapes an activation changes, empty where it keeps one that it takes.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.rules import change_of_shape
        >>> change_of_shape(keras.activations.glu), change_of_shape(keras.layers.ReLU())
        ('from (2, 4) to (2, 2)', '')
    """
    function, change = function_of(activation), ""
    compute: Any = functools.partial(call_symbolically, function)
    if isinstance(function, keras.Operation):
        # This neither builds a layer nor goes through its call, if it says its shape.
        compute = function.compute_output_spec
    for shape in ((2, 4), (2, 4, 4), (2, 4, 4, 4)):  # some take images alone
        try:
            y = compute(keras.KerasTensor(shape))
            if y.shape == shape:
                return ""
            change = change or f"from {shape} to {tuple(y.shape)}"
        except Exception:  # not of this number of axes, or not before it is built
            continue
    return change


def _without_mask(activation: keras.Layer, place: Place) -> StopMask:
    new = StopMask(activation, name=activation.name, dtype=activation.dtype_policy)
    if place.path is not None:
        set_scope(new, place.path)
        set_scope(activation, f"{place.path}/{new.name}")
    if isinstance(activation, TrainableActivation):
        activation.scope = "/".join(filter(None, [place.scope, new.name]))
    return new


def _initializer(
    beta_initializer: BetaInitializer, name: str
) -> keras.initializers.Initializer | None:
    if beta_initializer == "relu_like":
        if name not in RELU_LIKE:
            raise ValueError(
                "`beta_initializer='relu_like'` needs an activation whose beta can make it ReLU: "
                f"{', '.join(RELU_LIKE)}. Received: {name!r}"
            )
        beta_initializer = RELU_LIKE[name]
    if isinstance(beta_initializer, np.ndarray) and beta_initializer.ndim == 0:
        beta_initializer = beta_initializer.item()
    if isinstance(beta_initializer, (numbers.Real, np.number)):
        return keras.initializers.Constant(float(beta_initializer))
    initializer: Any = None
    if beta_initializer is not None:
        initializer = keras.initializers.get(beta_initializer)
    return initializer


def _has_betas(new: Any) -> bool:
    if isinstance(new, TrainableActivation):
        return bool(new.initial_values)
    return isinstance(new, keras.layers.PReLU)


def _is_over_the_last(old: Any) -> bool:
    """Says whether a softmax, or the like, is over the last axis; True for all else."""
    axis = getattr(old, "axis", -1)
    if recognise(old) not in _OVER_AN_AXIS or axis == -1:
        return True
    node = next(iter(calls(old)), None)
    return node is not None and axis == len(node.input_tensors[0].shape) - 1


def _policy(old: Any) -> keras.DTypePolicy:
    if not isinstance(old, keras.Layer):
        return _policy_of(old.output.dtype)
    # Not its policy itself, which may be a map of paths, or one of a quantised layer, whose
    # activation computes in a float.
    return _policy_of(old.compute_dtype, old.variable_dtype)


def _policy_of(compute: str, variable: str | None = None) -> keras.DTypePolicy:
    """Returns the policy that computes in a dtype, with weights of float32 where that is short."""
    if not keras.backend.is_float_dtype(compute):  # of integers, which betas cannot be
        compute = variable = keras.config.floatx()
    if variable is None:
        variable = "float32" if compute in ("float16", "bfloat16") else compute
    return keras.DTypePolicy(compute if compute == variable else f"mixed_{compute}")
