"""Keras's private parts, used in this file and in no other: a new Keras is tried here.

The name of each function says what the rest of the package needs it for.
"""

import base64
import collections
import contextlib
import io
import itertools
import marshal
import random
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras.src.ops.function import map_graph
from keras.src.ops.node import KerasHistory, Node
from keras.src.utils.python_utils import is_default, pythonify_logs
from keras.src.utils.tracking import DotNotTrackScope
from keras.src.utils.tracking import Tracker as Tracker

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


def graph_nodes(model: Any) -> list[Any]:
    """Returns the calls of which a Functional model, or a built Sequential, consists, as nodes."""
    functional = getattr(model, "_functional", None) or model
    by_depth = getattr(functional, "_nodes_by_depth", {})
    return [node for nodes in by_depth.values() for node in nodes]


def has_graph(operation: keras.Operation) -> bool:
    """Says whether an operation is a Functional model or a `keras.Function`."""
    return hasattr(operation, "_nodes_by_depth")


def symbolic(model: Any, name: str) -> Any:
    """Returns the `inputs` or `outputs` of a model's graph of layers; None where there is none."""
    # Where there is none, an attribute of that name is the user's own.
    has_one = isinstance(model, keras.Sequential) or has_graph(model)
    return getattr(model, name, None) if has_one else None


def calls(operation: keras.Operation) -> list[Any]:
    """Returns the symbolic calls of a layer or operation, as Keras's nodes, oldest first."""
    return list(operation._inbound_nodes)


def call_symbolically(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Calls a function with symbolic tensors, which builds the layers that it calls."""
    from keras.src import backend

    return backend.compute_output_spec(function, *args, **kwargs)


@contextlib.contextmanager
def both_branches() -> Iterator[None]:
    """Lets `keras.ops.cond` call both functions of symbolic tensors on PyTorch, as others do."""
    if keras.backend.backend() != "torch":
        yield
        return
    from keras.src.backend.torch import core

    cond = core.cond

    def both(pred: Any, true_fn: Callable, false_fn: Callable) -> Any:
        if core.get_device() == "meta":
            false_fn()
        return cond(pred, true_fn, false_fn)

    core.cond = both
    try:
        yield
    finally:
        core.cond = cond


def mask_of(tensor: Any) -> Any:
    """Returns the mask that goes with a symbolic tensor, or None."""
    return getattr(tensor, "_keras_mask", None)


def own_variables(layer: keras.Layer) -> list[keras.Variable]:
    """Returns the variables that a layer owns itself, seeds included, without its sublayers'."""
    seeds = [generator.state for generator in layer._seed_generators]
    variables = [*layer._trainable_variables, *layer._non_trainable_variables, *seeds]
    return list({id(variable): variable for variable in variables}.values())


def trainable_flags(layer: keras.Layer) -> tuple[bool, list[bool]]:
    """Returns whether a layer is trained, and each of its own variables that are for training."""
    return layer._trainable, [variable.trainable for variable in layer._trainable_variables]


def set_trainable_flags(layer: keras.Layer, is_trained: bool, of_variables: list[bool]) -> None:
    """Sets on a layer, but on no sublayer, what `trainable_flags` returned of another one."""
    # The property would set the sublayers too, which may be shared or have other flags.
    layer._trainable = is_trained
    for variable, flag in zip(layer._trainable_variables, of_variables, strict=False):
        variable.trainable = flag


def copy_trainable(old: keras.Layer, new: keras.Layer) -> None:
    """Lets a layer and its own variables be trained as those of another one, but no sublayer."""
    set_trainable_flags(new, *trainable_flags(old))


def frozen_variables(layer: keras.Layer) -> list[keras.Variable]:
    """Returns the variables of a layer itself that are for training, and are not trained."""
    return [variable for variable in layer._trainable_variables if not variable.trainable]


def state_variables(layer: keras.Layer) -> list[keras.Variable]:
    """Returns what calls of a layer may change, sublayers too: states, seeds, metrics, weights."""
    variables = {}
    for each in all_layers(layer):
        # Weights too: a spectral normalisation divides them.
        metrics = [variable for metric in each._metrics for variable in metric.variables]
        for variable in [*own_variables(each), *metrics, *recurrent_states(each)]:
            variables[id(variable)] = variable
    return list(variables.values())


def recurrent_states(layer: keras.Layer) -> list[keras.Variable]:
    """Returns the states of a stateful recurrent layer, which Keras lists nowhere."""
    is_stateful = isinstance(layer, keras.layers.RNN) and layer.states is not None
    return keras.tree.flatten(layer.states) if is_stateful else []


# By which a recurrent layer calls the cells of a stack once before its first step, for the shapes
# of their dropout masks.
PREPARES_CELLS = "_maybe_config_dropout_masks"


@contextlib.contextmanager
def without_new_calls(layer: keras.Layer) -> Iterator[None]:
    """Takes what symbolic calls made meanwhile out of a layer and its sublayers again."""
    nodes = [
        nodes for each in all_layers(layer) for nodes in (each._inbound_nodes, each._outbound_nodes)
    ]
    counts = [len(of_one) for of_one in nodes]
    try:
        yield
    finally:
        for of_one, count in zip(nodes, counts, strict=True):
            del of_one[count:]


def noted_losses(layer: keras.Layer) -> list[Any]:
    """Returns the containers in which a layer notes the losses that its last call added."""
    return [layer._losses, layer._loss_ids]


def batches(x: Any, batch_size: int | None, steps: int | None) -> Iterator[Any]:
    """Yields the inputs of batches as `model.predict` takes them, without targets.

    Args:
        x: Arrays or tensors in any structure, a `tf.data.Dataset`, a PyDataset, a PyTorch
            DataLoader, or a generator.
        batch_size: For arrays; `None` is 32, as in Keras.
        steps: The number of batches; `None`: all that there are.
    """
    from keras.src.trainers.data_adapters import get_data_adapter

    adapter = get_data_adapter(x, batch_size=batch_size)
    adapter.on_epoch_begin()
    try:
        for batch in itertools.islice(adapter.get_numpy_iterator(), steps):
            yield keras.utils.unpack_x_y_sample_weight(batch)[0]
    finally:
        adapter.on_epoch_end()


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
    with _unlocked(tracker):
        if isinstance(old, keras.Layer) and tracker.is_in_store("layers", old):
            if isinstance(new, keras.Layer) and not tracker.is_in_store("layers", new):
                tracker.replace_tracked_value("layers", old, new)
            else:
                tracker.untrack(old)
        if name in _torch_modules(layer) and value is new and not isinstance(new, keras.Layer):
            delattr(layer, name)  # PyTorch refuses a function where a module was
        setattr(layer, name, value)
        if isinstance(new, keras.Layer):
            _list_in_order(layer, name, new)
        modules = _torch_modules(layer)
        if not isinstance(old, keras.Layer) and name in modules:
            # To where the function was: the order tells which layer is the last.
            others = {key: module for key, module in modules.items() if key != name}
            modules.clear()
            modules.update({name: new, **others})


@contextlib.contextmanager
def _unlocked(tracker: Any) -> Iterator[None]:
    """Lets a built layer take what it refuses; Keras's own `quantize` opens it in the same way."""
    was_locked = tracker.locked
    tracker.unlock()
    try:
        yield
    finally:
        if was_locked:
            tracker.lock()


def path_of(layer: keras.Layer) -> str | None:
    """Returns the path under which a layer makes weights; None if it was never built or called."""
    parent = layer._parent_path
    if layer.path or parent is None:
        return layer.path
    return f"{parent}/{layer.name}".lstrip("/")


def set_scope(layer: keras.Layer, path: str) -> None:
    """Puts the weights of a layer under this path, wherever it is built.

    Left to Keras, their path is of the place where the layer is built or called first.
    """
    layer._parent_path = path


def track_torch_parameters(model: keras.Layer) -> None:
    """Lets PyTorch see all variables of layers that were changed after they were built.

    Keras lists them when it builds a layer. Two variables of one path, as in two nested models
    with layers of one name, are both listed here.
    """
    if keras.backend.backend() != "torch":
        return
    import torch  # pyright: ignore[reportMissingImports]

    for layer in all_layers(model):
        if not layer.built:
            continue
        by_name: dict[str, Any] = {}
        counts = collections.Counter()
        for variable in layer.variables:
            counts[variable.path] += 1
            number = f" {counts[variable.path]}" if counts[variable.path] > 1 else ""
            by_name[variable.path + number] = variable.value
        layer._torch_params = torch.nn.ParameterDict(by_name)


# Objects that hold state, besides the tensors in them.
STATEFUL = (keras.Layer, keras.Variable, keras.random.SeedGenerator)


def _backend_classes() -> tuple[tuple, tuple, tuple]:
    """Returns the backend's classes of mutable values, immutable ones, and compiled functions."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        compiled = type(tf.function(lambda: None))
        return (tf.Variable,), (tf.Tensor, tf.SparseTensor, tf.RaggedTensor), (compiled,)
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        return (torch.Tensor,), (), ()
    if backend == "jax":
        import jax

        # Of a variable's array a step of training takes the memory.
        return (jax.Array,), (), ()
    return (), (), ()


VALUES, IMMUTABLE, COMPILED_FUNCTIONS = _backend_classes()


def raw_value(variable: keras.Variable) -> Any:
    """Returns the backend's own variable, parameter or array in a variable of Keras's."""
    return variable._value


def copy_value(value: Any) -> Any:
    """Returns a copy of a backend's variable, parameter or array."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.Variable(
            value.read_value(),
            dtype=value.dtype,
            trainable=value.trainable,
            name=value.name.partition(":")[0],
            aggregation=value.aggregation,
            synchronization=value.synchronization,
        )
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        new = value.detach().clone()
        if isinstance(value, torch.nn.Parameter):
            return torch.nn.Parameter(new, requires_grad=value.requires_grad)
        return new.requires_grad_(value.requires_grad)
    return value.copy()


def content_of_array(value: Any) -> Any:
    """Returns a copy of what a NumPy array, or a tensor that can be written to, holds.

    None for all else, and for the variables that Keras keeps.
    """
    if isinstance(value, np.ndarray):
        return value.copy()
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        return value.numpy() if isinstance(value, tf.Variable) else None
    if backend == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        is_plain = isinstance(value, torch.Tensor) and not isinstance(value, torch.nn.Parameter)
        return value.detach().clone() if is_plain else None
    return None


def write_array(array: Any, content: Any) -> None:
    """Writes into an array what `content_of_array` has returned of it."""
    if isinstance(array, np.ndarray):
        array[...] = content
    elif hasattr(array, "assign"):
        array.assign(content)
    else:
        array.detach().copy_(content)


def torch_buffers(layer: keras.Layer) -> list[Any]:
    """Returns the buffers of PyTorch's modules in a layer."""
    return list(layer.buffers()) if keras.backend.backend() == "torch" else []


def compiled_again(function: Any, copy: Callable) -> Any:
    """Returns a compiled function like another one, of the copy of its Python function."""
    return function._clone(copy(function.python_function))


def blank(operation_class: type) -> Any:
    """Returns a layer or operation without attributes, made without its constructor."""
    is_layer = issubclass(operation_class, keras.Layer)
    new = (keras.Layer if is_layer else object).__new__(operation_class)
    vars(new).update(_inbound_nodes=[], _outbound_nodes=[])
    if is_layer:
        vars(new).update(_losses=[], _loss_ids=set(), _losses_override=[])
    return new


# What belongs to one layer alone: what its `__new__` makes, its calls, what a call left, and what
# PyTorch is told of its variables.
_OF_ONE_LAYER = {"build", "quantize", "_inbound_nodes", "_outbound_nodes"}
_OF_ONE_LAYER |= {"_losses", "_loss_ids", "_losses_override", "_torch_params"}
_OF_ONE_LAYER |= {"_nodes", "_nodes_by_depth", "_operations", "_operations_by_depth"}

# What `compile` sets.
_COMPILED = {"optimizer", "_compile_config", "_compile_loss", "_compile_metrics", "_loss_tracker"}


def kept_attributes(operation: keras.Operation) -> dict[str, Any]:
    """Returns the attributes that the copy of a layer or operation has too, uncompiled."""
    skipped = set(_OF_ONE_LAYER)
    if isinstance(operation, keras.Model):
        # `make_train_function` keeps what it made in `train_function`.
        made = {name for name in vars(operation) if hasattr(operation, f"make_{name}")}
        skipped |= _COMPILED | made
        new = {name: None for name in made}
    else:
        new = {}
    kept = {name: value for name, value in vars(operation).items() if name not in skipped}
    if "_torch_params" in (modules := kept.get("_modules", {})):
        kept["_modules"] = {key: one for key, one in modules.items() if key != "_torch_params"}
    # TensorFlow lists what is in the attributes a second time.
    listed, names = (
        "_self_unconditional_checkpoint_dependencies",
        "_self_unconditional_dependency_names",
    )
    if listed in kept:
        kept[listed] = [one for one in kept[listed] if one.name not in skipped]
        kept[names] = {key: one for key, one in kept[names].items() if key not in skipped}
    return {**kept, **new}


def after_copy(new: Any) -> None:
    """Makes the copy of a model uncompiled."""
    if isinstance(new, keras.Model):
        from keras.src.models.model import Trainer

        with DotNotTrackScope():
            Trainer.__init__(new)


def map_graph_again(graph: Any) -> None:
    """Lists the calls, operations and layers of a model's graph, which are not what they were."""
    with DotNotTrackScope():
        parts = map_graph(graph._inputs, graph._outputs)
        graph._nodes, graph._nodes_by_depth, graph._operations, graph._operations_by_depth = parts
    if isinstance(graph, keras.Layer):
        _list_layers(graph, graph.layers)


def list_layers_of_graph(model: Any) -> None:
    """Lists the layers that the graph of a Sequential model has besides the model's own."""
    if model._functional is not None:
        _list_layers(model, model._functional.layers)


def _list_layers(model: Any, layers: list[Any]) -> None:
    listed = model._layers
    for index in reversed(range(len(layers))):
        if any(layers[index] is one for one in listed):
            continue
        following = layers[index + 1] if index + 1 < len(layers) else None
        places = [place for place, one in enumerate(listed) if one is following]
        listed.insert(places[0] if places else len(listed), layers[index])
        model._tracker.stored_ids["layers"].add(id(layers[index]))


def count_again(tracker: Any) -> None:
    """Lets a copied tracker know what it tracks, which it does by id."""
    tracker.stored_ids = {
        name: {id(one) for one in store} for name, (_, store) in tracker.config.items()
    }


def new_node(operation: Any, args: Any, kwargs: Any, outputs: list[Any]) -> Any:
    """Notes a call of a layer or operation, as a symbolic call does, and returns the node."""
    return Node(operation, call_args=args, call_kwargs=kwargs, outputs=outputs)


def producing_node(tensor: keras.KerasTensor) -> Any:
    """Returns the call that made a symbolic tensor."""
    operation, index, _ = producer(tensor)
    return operation._inbound_nodes[index]


def reorder_calls(operation: Any, nodes: list[Any]) -> None:
    """Puts the calls of an operation into another order."""
    nodes = [node for node in nodes if node.operation is operation]
    operation._inbound_nodes[:] = nodes
    for node_index, node in enumerate(nodes):
        for tensor_index, tensor in enumerate(node.outputs):
            tensor._keras_history = KerasHistory(operation, node_index, tensor_index)


def add_gamma(layer: Any) -> keras.Variable:
    """Gives a built batch normalisation a gamma of ones, and returns it."""
    layer.scale = True
    with _unlocked(layer._tracker), layer._open_name_scope():
        layer.gamma = layer.add_weight(
            shape=layer.moving_mean.shape,
            name="gamma",
            initializer="ones",
            regularizer=layer.gamma_regularizer,
            constraint=layer.gamma_constraint,
            autocast=False,
        )
    layer.gamma.trainable = layer.trainable
    # To where `build` makes it: files know weights by their order.
    variables = layer._trainable_variables
    variables.insert(0, variables.pop())
    return layer.gamma


def _list_in_order(layer: keras.Layer, name: str, new: keras.Layer) -> None:
    """Puts a new sublayer where a constructor that makes the attributes in order has it."""
    listed = layer._layers
    places = {id(one): place for place, one in enumerate(listed)}
    held = vars(layer)
    names = list(held) if name in held else []
    later = [held[other] for other in names[names.index(name) + 1 :]] if names else [*listed]
    following = [
        places[id(one)]
        for one in keras.tree.flatten([value for value in later if value is not listed])
        if isinstance(one, keras.Layer) and one is not new and id(one) in places
    ]
    if following and places.get(id(new), 0) > min(following):
        listed.insert(min(following), listed.pop(places[id(new)]))


def is_root_of_hdf5() -> bool:
    """Says whether the configuration that is being asked for is that of a whole HDF5 file."""
    frame = sys._getframe(2)  # what asks the layer
    return frame.f_code.co_name == "model_metadata"


def set_raw_attribute(layer: keras.Layer, name: str, value: Any) -> None:
    """Sets an attribute without Keras's taking note."""
    modules = _torch_modules(layer)
    (modules if name in modules else layer.__dict__)[name] = value


def constructor_arguments(layer: keras.Layer) -> dict[str, Any] | None:
    """Returns the arguments that Keras kept for a layer without `get_config`; None without."""
    kept = getattr(layer, "_auto_config", None)
    return None if kept is None else kept.config


def set_constructor_arguments(layer: keras.Layer, arguments: dict[str, Any]) -> None:
    """Sets the arguments with which Keras makes a layer without `get_config` again."""
    kept = type(vars(layer)["_auto_config"])(**arguments)
    object.__setattr__(layer, "_auto_config", kept)


def _torch_modules(layer: keras.Layer) -> dict[str, Any]:
    return vars(layer).get("_modules", {})


def is_keras_own(thing: keras.Operation | keras.callbacks.Callback) -> bool:
    """Says whether the class of an operation, layer or callback is one of Keras's own."""
    return type(thing).__module__.startswith("keras.src.")


@contextlib.contextmanager
def readable(classes: dict[str, type], layers: Iterable[keras.Layer] = ()) -> Iterator[None]:
    """Lets the configuration of a live layer, which nobody can have forged, be made a layer again.

    Args:
        classes: Classes by name, which need not be registered.
        layers: Layers whose lambdas are used again: a configuration has their code, but not the
            modules and variables that this refers to.
    """
    from keras.src.backend.common import global_state
    from keras.src.saving.serialization_lib import SafeModeScope

    known: Any = global_state.get_global_attribute("custom_objects_scope_dict", {})
    with (
        keras.saving.custom_object_scope({**known, **classes}),
        SafeModeScope(False),
        _lambdas_again([one for one in layers if isinstance(one, keras.layers.Lambda)]),
    ):
        yield


@contextlib.contextmanager
def _lambdas_again(layers: list[Any]) -> Iterator[None]:
    from keras.src.utils import python_utils

    held = [held for one in layers for held in (one.function, one._output_shape, one.mask)]
    by_code: dict[str, set[Any]] = {}
    for one in held:
        if getattr(one, "__name__", "") == "<lambda>":
            by_code.setdefault(python_utils.func_dump(one)[0], set()).add(one)
    load = python_utils.func_load

    def load_again(code: str, **others: Any) -> Any:
        found = [*by_code.get(code, ())]
        if len(found) == 1:
            return found[0]
        # Of one place in a code, with other defaults or closures.
        return load(code, **others, globs=found[0].__globals__ if found else None)

    python_utils.func_load = load_again
    try:
        yield
    finally:
        python_utils.func_load = load


def lambda_code(config: Any) -> types.CodeType | None:
    """Returns the code of a lambda in the configuration of a layer; None for anything else."""
    if not isinstance(config, dict) or config.get("class_name") != "__lambda__":
        return None
    return marshal.loads(base64.b64decode(config["config"]["code"]))


@contextlib.contextmanager
def unallocated(without_weights: bool = True) -> Iterator[None]:
    """Lets layers be made and built whose weights have shapes, but no values and no memory."""
    if not without_weights:
        yield
        return
    from keras.src.backend.common import global_state

    waiting = global_state.get_global_attribute("uninitialized_variables") or []
    state = random.getstate()  # from which initializers draw their seeds
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        random.setstate(state)
        # Keras would give them values later.
        global_state.set_global_attribute("uninitialized_variables", waiting)


@contextlib.contextmanager
def first_names() -> Iterator[None]:
    """Lets Keras number the names of what is made as in a new process, from the first."""
    from keras.src.backend.common import global_state

    name = "object_name_uids"
    numbers: Any = global_state.get_global_attribute(name)
    global_state.set_global_attribute(name, None)
    try:
        yield
    finally:
        global_state.set_global_attribute(name, numbers)


def name_for_files(layer_class: type, name: str) -> None:
    """Lets files name a class otherwise than it is called: as one that is registered already."""
    from keras.src.saving.object_registration import GLOBAL_CUSTOM_NAMES

    GLOBAL_CUSTOM_NAMES[layer_class] = name


def written_as_bytes(layer: Any) -> bytes:
    """Returns a layer or model as the content of a file."""
    from keras.src.saving import saving_lib

    file = io.BytesIO()
    saving_lib._save_model_to_fileobj(layer, file, "h5")
    return file.getvalue()


def read_from_bytes(content: bytes) -> Any:
    """Returns the layer or model in the content of a file, which must be trusted."""
    return keras.Model._unpickle_model(io.BytesIO(content))


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


def ema_momentum(largest: float, steps: Any) -> Any:
    """Returns the momentum of TensorFlow 1's moving averages, which is lower at first.

    Args:
        largest: The momentum that it rises to.
        steps: How many steps there were before.
    """
    before: Any = ops.cast(steps, "float32")
    momentum = ops.minimum(largest, (1.0 + before) / (10.0 + before))
    return ops.where(before > 0, momentum, 0.0)  # nothing to average with yet


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

    def _get_current_learning_rate(self):
        if isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            # Keras counts the parts of a step, where gradients are accumulated.
            return self._learning_rate(self.iterations)
        return super()._get_current_learning_rate()

    def _update_model_variables_moving_average(self, trainable_variables):
        if not self.use_ema:
            return
        momentum: Any = ema_momentum(self.ema_momentum, self.iterations)
        if self.gradient_accumulation_steps:  # most steps change no weight
            changes: Any = (self._iterations + 1) % self.gradient_accumulation_steps == 0
            momentum = ops.where(changes, momentum, 1.0)
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


class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Skips a step whose gradients overflow on any device of a `tf.distribute.Strategy`.

    Keras asks the first device alone, whose gradients are those of its share of the batch, and
    would take the others' infinities into the weights.
    """

    def check_finite(self, grads):
        """Returns whether the gradients of all devices are finite."""
        finite, context = super().check_finite(grads), _replica_context()
        if context is None:
            return finite
        count = context.all_reduce("SUM", ops.cast(finite, "float32"))
        return ops.equal(count, context.num_replicas_in_sync)


def _replica_context():
    """Returns TensorFlow's, where there are several devices."""
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    return context if context and context.num_replicas_in_sync > 1 else None


def trained_variable(optimizer: keras.optimizers.Optimizer, variable: Any) -> Any:
    """Returns the variable that an optimizer was built for and now updates, maybe by its value."""
    return optimizer._trainable_variables[optimizer._get_variable_index(variable)]


def squared_gradients(optimizer: keras.optimizers.RMSprop) -> list:
    """Returns the moving averages of squared gradients that RMSprop divides by."""
    return list(optimizer._velocities)


def unscaled(optimizer: Any) -> Any:
    """Returns the optimizer inside one that scales the loss; any other as it is."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def spared_from_weight_decay(
    optimizer: Any, variables: Iterable[keras.Variable] = ()
) -> tuple[re.Pattern | None, list[keras.Variable]]:
    """Returns what an optimizer excludes from weight decay, which its configuration does not have.

    Args:
        optimizer: The optimizer.
        variables: Variables that it may have been given.

    Returns:
        A pattern of names, or None; and those of the variables that it was given to exclude.
    """
    inner = unscaled(optimizer)
    keys = getattr(inner, "_exclude_from_weight_decay", ())
    pattern = getattr(inner, "_exclude_from_weight_decay_pattern", None)
    return pattern, [one for one in variables if keys and inner._var_key(one) in keys]


def spare_from_weight_decay(
    optimizer: Any, pattern: re.Pattern | None, variables: Iterable[keras.Variable] = ()
) -> None:
    """Lets an optimizer, which may be built, exclude this from weight decay."""
    inner = unscaled(optimizer)
    inner._exclude_from_weight_decay_pattern = pattern
    inner._exclude_from_weight_decay = set(map(inner._var_key, variables))
    inner._exclude_from_weight_decay_cache = {}


def since_made(optimizer: Any) -> tuple[re.Pattern | None, float | None]:
    """Returns what was set after an optimizer was made, of which its name or a file may not know.

    Returns:
        What it excludes from weight decay, and its learning rate, which is None for a schedule.
    """
    rate = unscaled(optimizer)._learning_rate
    number = float(ops.convert_to_numpy(rate)) if isinstance(rate, keras.Variable) else None
    return spared_from_weight_decay(optimizer)[0], number


def set_since_made(optimizer: Any, pattern: re.Pattern | None, rate: float | None) -> None:
    """Sets on an optimizer, which may be built, what `since_made` returned of another."""
    spare_from_weight_decay(optimizer, pattern)
    if rate is not None:
        unscaled(optimizer).learning_rate = rate


def train_writer(callback: keras.callbacks.TensorBoard) -> Any:
    """Returns the writer of TensorBoard's log of the training, for what a callback adds to it."""
    return callback._train_writer


@contextlib.contextmanager
def without_model(callbacks: Sequence[keras.callbacks.Callback]) -> Iterator[None]:
    """Takes callbacks the model that they were in a `fit` with, and gives it back."""
    held = [(vars(callback), vars(callback).get("_model")) for callback in callbacks]
    for attributes, _ in held:
        attributes["_model"] = None
    try:
        yield
    finally:
        for attributes, model in held:
            attributes["_model"] = model


def hears_batches(callback: keras.callbacks.Callback) -> bool:
    """Says whether a callback does something before or after batches of training."""
    if is_keras_own(callback) and getattr(callback, "save_freq", None) == "epoch":
        return False  # it looks at each batch, and saves after none
    names = ("on_train_batch_begin", "on_train_batch_end", "on_batch_begin", "on_batch_end")
    return not all(is_default(getattr(callback, name)) for name in names)


def has_settable_learning_rate(optimizer: Any) -> bool:
    """Says whether the learning rate of an optimizer can be set, as that of no schedule can."""
    inner = unscaled(optimizer)
    parts = getattr(inner, "optimizers", [inner])  # of a `MultiOptimizer`, whose own does nothing
    return all(isinstance(part._learning_rate, keras.Variable) for part in parts)


def compile_arguments(model: keras.Model) -> dict[str, Any]:
    """Returns what a model was compiled with, as it was given; nothing for one that was not."""
    if not model.compiled:
        return {}
    return model._compile_config.config


def overrides(model: keras.Model, *methods: str) -> bool:
    """Says whether the class of a model has one of these methods, such as `compile`, as its own."""
    return any(getattr(type(model), name) is not getattr(keras.Model, name) for name in methods)


def train_on_batch(network: Any, data: Any) -> dict[str, Any]:
    """Trains on a batch as `fit` does, and returns what the step logs, as numbers.

    The method of that name resets the metrics, and adds None to data without weights.
    """
    network.make_train_function()
    backend = keras.backend.backend()
    if backend == "jax":
        from keras.src.backend.jax.trainer import _distribute_data

        data = _distribute_data(data)
    else:
        data = keras.tree.map_structure(ops.convert_to_tensor, data)
    if backend != "tensorflow":  # which builds in the first step
        network._symbolic_build(data_batch=data)
    if backend != "jax":
        return pythonify_logs(network.train_function([data]))
    kinds = ("trainable", "non_trainable", "optimizer", "metrics")
    names = [f"{kind}_variables" for kind in kinds]
    state = network._get_jax_state(**dict.fromkeys(names, True))
    network._jax_state_synced = False
    logs, state = network.train_function(state, iter([data]))
    network._jax_state = dict(zip(names, state, strict=True))
    network.jax_state_sync()
    return pythonify_logs(logs)


def fit_logs(network: keras.Model, logs: dict[str, Any]) -> dict[str, Any]:
    """Returns what `fit` logs of an epoch whose last step has logged this.

    Those are the metrics, or where a step of the user's logs something else, just that.
    """
    return network._get_metrics_result_or_logs(logs)


def metric_function(metric: keras.metrics.Metric) -> Any:
    """Returns the function that a metric takes the mean of, or None."""
    return getattr(metric, "_fn", None)


def mean_of_function_again(metric: keras.metrics.MeanMetricWrapper) -> keras.metrics.Metric:
    """Returns a metric of the same function, which need not be registered, with its own state."""
    return type(metric)(metric._fn, metric.name, metric.dtype, **metric._fn_kwargs)


def arguments_of_loss(loss: keras.losses.Loss) -> dict[str, Any]:
    """Returns what a loss was made with, with the axis that not every configuration has."""
    return {**loss.get_config(), **getattr(loss, "_fn_kwargs", {})}
