"""Keras's private parts, used in this file and in no other: a new Keras is tried here.

The name of each function says what the rest of the package needs it for.
"""

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras

# A backend's tensor, a symbolic one, or what converts to one: no class is common to them.
Tensor = Any
# `keras.ops` has no annotations, and a type checker concludes that each may return None.
ops: Any = keras.ops

# What Keras itself keeps its layers in, besides the attributes that the user gave them;
# TensorFlow keeps them in `_self_unconditional_...` too.
_BOOKKEEPING = {"_layers", "_metrics", "_functional", "_operations", "_modules"}


def sublayers(layer: keras.Layer) -> list[keras.Layer]:
    """Returns the layers that a layer holds directly, also those that are no output's path.

    `model.layers` leaves out what other layers hold.
    """
    return list(layer._layers)


def all_layers(layer: keras.Layer, include_self: bool = True) -> list[keras.Layer]:
    """Returns a layer and all that it holds, at any depth, in Keras's order."""
    return list(layer._flatten_layers(include_self=include_self, recursive=True))


def producer(tensor: keras.KerasTensor) -> tuple[keras.Operation, int, int]:
    """Returns the operation that made a symbolic tensor, and the numbers of its call and output."""
    history = tensor._keras_history  # pyright: ignore[reportAttributeAccessIssue]
    return history.operation, history.node_index, history.tensor_index


def graph_nodes(model: keras.Model) -> list[Any]:
    """Returns the calls of which a Functional model consists, as Keras's nodes."""
    by_depth = model._nodes_by_depth  # pyright: ignore[reportAttributeAccessIssue]
    return [node for nodes in by_depth.values() for node in nodes]


def calls(operation: keras.Operation) -> list[Any]:
    """Returns the symbolic calls of a layer or operation, as Keras's nodes, oldest first."""
    return list(operation._inbound_nodes)


def run_graph(model: keras.Model, inputs: Any, operation_fn: Callable, call_fn: Callable) -> Any:
    """Walks a Functional model's graph from other inputs, and returns its outputs.

    Args:
        model: The Functional model.
        inputs: What to begin with, in the structure of `model.input`.
        operation_fn: Gives the operation to call in place of the model's.
        call_fn: Calls it, with its arguments.
    """
    run = model._run_through_graph  # pyright: ignore[reportAttributeAccessIssue]
    return run(inputs, operation_fn=operation_fn, call_fn=call_fn)


def call_symbolically(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Calls a function with symbolic tensors, which builds the layers that it calls."""
    from keras.src import backend

    return backend.compute_output_spec(function, *args, **kwargs)


def own_variables(layer: keras.Layer) -> list[keras.Variable]:
    """Returns the variables that a layer owns itself, seeds included, without its sublayers'."""
    seeds = [generator.state for generator in layer._seed_generators]
    variables = [*layer._trainable_variables, *layer._non_trainable_variables, *seeds]
    return list({id(variable): variable for variable in variables}.values())


def attributes(layer: keras.Layer) -> dict[str, Any]:
    """Returns the attributes of a layer without those in which Keras lists its sublayers."""
    # With PyTorch, a layer is a module, which keeps other modules apart.
    return {
        name: value
        for name, value in {**vars(layer), **_torch_modules(layer)}.items()
        if name not in _BOOKKEEPING and not name.startswith("_self_unconditional_")
    }


def set_attribute(layer: keras.Layer, name: str, value: Any, old: Any, new: Any) -> None:
    """Sets an attribute of a layer, which may be built, and keeps its order among the others.

    Args:
        layer: The layer.
        name: Name of the attribute.
        value: Its new value: `new`, or a container with `new` in place of `old`.
        old: The layer or function that goes.
        new: The layer or function that comes.
    """
    tracker = layer._tracker
    was_locked = tracker.locked
    # A built layer refuses new sublayers; Keras's own `quantize` opens it in the same way.
    tracker.unlock()
    try:
        if isinstance(old, keras.Layer) and tracker.is_in_store("layers", old):
            if isinstance(new, keras.Layer) and not tracker.is_in_store("layers", new):
                tracker.replace_tracked_value("layers", old, new)
            else:
                tracker.untrack(old)
        if value is new and isinstance(old, keras.Layer) and not isinstance(new, keras.Layer):
            delattr(layer, name)  # PyTorch refuses a function where a module was
        setattr(layer, name, value)
        modules = _torch_modules(layer)
        if not isinstance(old, keras.Layer) and name in modules:
            # To where the function was: the order tells which layer is the last.
            others = {key: module for key, module in modules.items() if key != name}
            modules.clear()
            modules.update({name: new, **others})
    finally:
        if was_locked:
            tracker.lock()


def bare_copy(operation: Any) -> Any:
    """Returns an object of the same class and attributes, made without its constructor.

    Its attributes can be set with `set_raw_attribute` without changing the original's.
    """
    new = object.__new__(type(operation))
    new.__dict__.update(operation.__dict__)
    if "_modules" in new.__dict__:
        new.__dict__["_modules"] = dict(new.__dict__["_modules"])
    return new


def set_raw_attribute(layer: keras.Layer, name: str, value: Any) -> None:
    """Sets an attribute without Keras's taking note, for a layer that is never called."""
    modules = _torch_modules(layer)
    (modules if name in modules else layer.__dict__)[name] = value


def forget_calls(operation: keras.Operation) -> None:
    """Makes an operation one that no graph contains."""
    operation._inbound_nodes, operation._outbound_nodes = [], []


def _torch_modules(layer: keras.Layer) -> dict[str, Any]:
    return vars(layer).get("_modules", {})


def lambda_output_shape(layer: keras.layers.Lambda) -> Any:
    """Returns the `output_shape` that a Lambda was made with."""
    return layer._output_shape


def has_constructor_of(model_class: type, plain: type) -> bool:
    """Says whether a class of models is constructed as `keras.Model` or `keras.Sequential` is."""
    from keras.src.models.functional import Functional

    plain = Functional if plain is keras.Model else plain
    ours, theirs = (inspect.getfullargspec(each.__init__) for each in (model_class, plain))
    return ours.args == theirs.args or bool(ours.varargs and ours.varkw)


def is_keras_operation(operation: keras.Operation) -> bool:
    """Says whether the class of an operation is one of Keras's own."""
    return type(operation).__module__.startswith("keras.src.")


@contextlib.contextmanager
def lambdas_allowed() -> Iterator[None]:
    """Lets a configuration made from a live layer, which nobody can have forged, hold code."""
    from keras.src.saving.serialization_lib import SafeModeScope

    with SafeModeScope(False):
        yield


def activation_module() -> Any:
    """Returns the module whose table and `get` give strings their activations.

    Returns:
        A module with `ALL_OBJECTS_DICT` and `get`; `None` where this Keras has no such module.
    """
    try:
        import keras.src.activations as module
    except ImportError:
        return None
    return module if hasattr(module, "ALL_OBJECTS_DICT") and hasattr(module, "get") else None


def patch_tf2onnx() -> None:
    """Lets tf2onnx work with NumPy 2, as `model.export` does: it asks for what that removed."""
    from keras.src.export.tf2onnx_lib import patch_tf2onnx as patch

    with warnings.catch_warnings(action="ignore", category=FutureWarning):
        patch()


class TensorFlow1Averages(keras.optimizers.Optimizer):
    """Makes an optimizer's moving average of the weights that of TensorFlow 1; clips globally.

    To be named as a base before one of Keras's optimizers, whose private hooks it overrides.

    The momentum starts low and rises to `ema_momentum`, so that the average of a short run is
    not mostly the initial weights. The average stays next to the weights: Keras would write it
    over them at the end of every `fit`, and a run may take several.

    Gradients are clipped after they are summed over the devices of a `tf.distribute.Strategy`;
    Keras clips each device's share.

    Source: `tf.train.ExponentialMovingAverage` with `num_updates`, as in TF-Slim's training.
    """

    @property
    def averages(self) -> list:
        """The moving averages, in the order of the trainable weights; empty without them."""
        return self._model_variables_moving_average if self.use_ema else []

    def _update_model_variables_moving_average(self, trainable_variables):
        if not self.use_ema:
            return
        step: Any = ops.cast(self.iterations, "float32")  # those before this one
        momentum: Any = ops.minimum(self.ema_momentum, (1.0 + step) / (10.0 + step))
        momentum = ops.where(step > 0, momentum, 0.0)  # nothing to average with yet
        for variable, average in zip(trainable_variables, self.averages, strict=True):
            share: Any = ops.cast(1.0 - momentum, average.dtype)
            average.assign_sub(share * (average - ops.cast(variable, average.dtype)))

    def finalize_variable_values(self, var_list: list) -> None:
        """Leaves the weights as they are."""

    def _clip_gradients(self, grads):
        context = _replica_context()
        if context is None or not (self.clipnorm or self.global_clipnorm or self.clipvalue):
            return super()._clip_gradients(grads)
        clipped = super()._clip_gradients(context.all_reduce("SUM", grads))
        # Keras sums over the devices after this.
        return [gradient / context.num_replicas_in_sync for gradient in clipped]


def _replica_context():
    """Returns TensorFlow's, where there are several devices."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None


def trained_variables(optimizer: keras.optimizers.Optimizer) -> list:
    """Returns the variables that an optimizer was built for."""
    return list(optimizer._trainable_variables)


def squared_gradients(optimizer: keras.optimizers.RMSprop) -> list:
    """Returns the moving averages of squared gradients that RMSprop divides by."""
    return list(optimizer._velocities)


def train_writer(callback: keras.callbacks.TensorBoard) -> Any:
    """Returns the writer of TensorBoard's log of the training, for what a callback adds to it."""
    return callback._train_writer


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Returns what a model was compiled with, as it was given; nothing for one that was not."""
    return dict(model._compile_config.config) if model.compiled else {}


def has_own_compile(model: keras.Model) -> bool:
    """Says whether the class of a model has a `compile` of its own."""
    return type(model).compile is not keras.Model.compile


def metric_function(metric: keras.metrics.Metric) -> Any:
    """Returns the function that a metric takes the mean of, or None."""
    return getattr(metric, "_fn", None)
