"""Checks of a network and its data before the first child is trained."""

import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_swish.keras_compat import first_names, has_settable_learning_rate, overrides
from keras_swish.messages import first_line
from keras_swish.search.children import rewards
from keras_swish.search.children.data import Data, for_evaluate, size, take_rows

# Losses whose labels have another shape than the outputs.
_OTHER_SHAPES = {"ctc", "circle"}
_RATE_SETTERS = (keras.callbacks.LearningRateScheduler, keras.callbacks.ReduceLROnPlateau)


def check_model(model: Any) -> None:
    """Refuses what is no built Keras model, nor a function that makes one.

    Raises:
        TypeError: If it is neither.
        ValueError: If it is a model that is not built, or has nothing to train.
    """
    if _is_function(model):
        return
    if not isinstance(model, keras.Model):
        raise TypeError(
            "`model` must be a keras.Model, or a function without arguments that makes one. "
            f"Received: {model!r} (of type {type(model).__name__})"
        )
    if not model.built:
        raise ValueError(
            f"The model {model.name!r} is not built: give it an input, or call it once on data."
        )
    if not model.trainable_variables:
        raise ValueError(
            f"The model {model.name!r} has no weights to train: set its `trainable` to True."
        )


def _is_function(model: Any) -> bool:
    """Says whether it is a function without arguments, or a class whose constructor takes none."""
    if not callable(model) or isinstance(model, keras.Operation):
        return False
    try:
        inspect.signature(model).bind()
    except (TypeError, ValueError):
        return False
    return True


def made(function: Callable[[], Any], inputs: Any, batch_size: int) -> keras.Model:
    """Returns the model that a function makes, built if need be by a call on the first batch.

    Its layers are named as those of the first model of a process, each time.

    Raises:
        TypeError: If it makes none.
        ValueError: If the model does not take the inputs, or has nothing to train.
    """
    with first_names():
        model = function()
        if not isinstance(model, keras.Model):
            raise TypeError(
                f"The function given as `model` must return a keras.Model. Received: {model!r}"
            )
        if not model.built:
            _called(model, take_rows(inputs, np.arange(batch_size)), "training data")
    check_model(model)
    return model


def check_callbacks(network: keras.Model, callbacks: Sequence[keras.callbacks.Callback]) -> None:
    """Refuses callbacks that set the learning rate of a compiled network where that is a schedule.

    Raises:
        ValueError: If one does, which Keras would say at the first plateau.
    """
    optimizer = getattr(network, "optimizer", None)
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return
    for callback in callbacks:
        if isinstance(callback, _RATE_SETTERS) and not has_settable_learning_rate(optimizer):
            raise ValueError(
                f"The callback {type(callback).__name__} sets the learning rate, and that of the "
                "children is a schedule: leave one of the two out. A `ChildConfig` with a "
                "`learning_rate` or an `optimizer`, and a model that is not compiled, make a "
                "schedule; else the learning rate is that which the model is compiled with."
            )


def try_out(
    network: keras.Model, loss: Any, data: Data, name: str, batch_size: int
) -> tuple[Data, Any]:
    """Returns a batch of examples and what a compiled network makes of them.

    Raises:
        ValueError: If it does not take them, or they are no labels for its outputs.
    """
    # Of the size of all others: a stateful layer takes no other.
    batch = take_rows(data, np.arange(batch_size) % size(data))
    outputs = _called(network, batch[0], name)
    _check_labels(network, loss, data, outputs, name)
    if loss is None:
        _check_own_loss(network, batch[0])
        return batch, outputs
    # A `compute_loss` of the user's may be as it was before Keras 3.3.
    parameters = inspect.signature(network.compute_loss).parameters
    training = {"training": False} if "training" in parameters else {}
    try:
        network.compute_loss(*_padded(batch, outputs), **training)
    except Exception as error:
        raise ValueError(
            f"The loss cannot be computed from the labels of the {name}, of shape "
            f"{_shapes(batch[1])}, and outputs of shape {_shapes(outputs)} ({_reason(error)})."
        ) from error
    return batch, outputs


def _called(network: keras.Model, inputs: Any, name: str) -> Any:
    try:
        return network(inputs, training=False)
    except Exception as error:
        raise ValueError(
            f"The model does not take the inputs of the {name}, of shape {_shapes(inputs)} "
            f"({_reason(error)})."
        ) from error


def logged_values(network: keras.Model, batch: Data, outputs: Any) -> dict[str, Any]:
    """Returns what a compiled network logs of validation data, by name."""
    if overrides(network, "test_step"):
        # Not `test_on_batch`, which adds None to data without weights.
        x, y, *weights = batch
        x = for_evaluate(x)
        silent: Any = 0  # Keras's annotation has its default's type
        logged: Any = network.evaluate(x, y, size(batch), silent, *weights, return_dict=True)
        return logged
    network.reset_metrics()
    try:
        logged = network.compute_metrics(*_padded(batch, outputs))
    except Exception as error:
        raise ValueError(
            f"The metrics cannot be computed from labels of shape {_shapes(batch[1])} and outputs "
            f"of shape {_shapes(outputs)} ({_reason(error)})."
        ) from error
    network.reset_metrics()
    return {"loss": 0.0, **logged}


def _padded(batch: Data, outputs: Any) -> tuple[Any, Any, Any, Any]:
    x, y, *weights = batch
    return x, y, outputs, weights[0] if weights else None


def _check_own_loss(network: keras.Model, inputs: Any) -> None:
    """Refuses a network that is compiled without a loss, where it has no other in training."""
    if overrides(network, "compile", "train_step", "compute_loss"):
        return
    network(inputs, training=True)  # what that changes, each child sets again
    regularized = [one for one in network.trainable_variables if one.regularizer]
    if len(network.losses) <= len(regularized):
        raise ValueError(
            "The model is compiled without a loss, and no layer adds one: pass its `loss`, or "
            "compile it with one."
        )


def _check_labels(network: keras.Model, loss: Any, data: Data, outputs: Any, name: str) -> None:
    labels, predicted, losses = _by_output(network, loss, data[1], outputs)
    if len(predicted) != len(labels):
        if loss is None:
            return
        raise ValueError(
            f"The model has {len(predicted)} outputs, and the {name} labels for {len(labels)}."
        )
    for y, output, one in zip(labels, predicted, losses, strict=True):
        if y is None:
            continue
        name_of_loss = rewards.name_of(one).replace("_", "").lower()
        if "sparsecategoricalcrossentropy" in name_of_loss:
            _check_classes(y, output.shape[-1], name, getattr(one, "ignore_class", None))
        elif (
            isinstance(one, str)
            and name_of_loss not in _OTHER_SHAPES
            and _without_ones(y.shape[1:]) != _without_ones(output.shape[1:])
        ):
            hint = ""
            if "categorical" in name_of_loss and np.issubdtype(y.dtype, np.integer):
                hint = "; numbers of classes need sparse_categorical_crossentropy"
            raise ValueError(
                f"The labels of the {name} have the shape {y.shape}, and the model's outputs "
                f"{(len(y), *output.shape[1:])}{hint}."
            )


def _check_classes(y: np.ndarray, classes: int, name: str, ignored: int | None) -> None:
    present = y[y != ignored] if ignored is not None else y
    if present.size and (present.min() < 0 or present.max() >= classes):
        raise ValueError(
            f"The labels of the {name} lie between {present.min():g} and {present.max():g}, and "
            f"the model has outputs for the classes 0 to {classes - 1}: number the classes from 0, "
            "as np.unique(labels, return_inverse=True)[1] does."
        )
    if np.issubdtype(present.dtype, np.floating) and (present != np.round(present)).any():
        raise ValueError(f"The labels of the {name} are no whole numbers, as classes are.")


def _by_output(
    network: keras.Model, loss: Any, y: Any, outputs: Any
) -> tuple[list[Any], list[Any], list[Any]]:
    """Returns labels, outputs and losses in one order; None for labels and losses without name."""
    predicted = keras.tree.flatten(outputs)
    if isinstance(outputs, dict):
        names = keras.tree.flatten({name: name for name in outputs})
    else:
        names = getattr(network, "output_names", None) or []
    if len(names) != len(predicted):
        names = list(loss) if isinstance(loss, dict) else []
    if isinstance(loss, dict):
        loss = [loss.get(name) for name in names]
    if isinstance(loss, list | tuple):
        losses = [*loss, *[None] * len(predicted)][: len(predicted)]
    else:
        losses = [loss] * len(predicted)
    if isinstance(y, dict) and y.keys() <= {*names}:
        return [y.get(name) for name in names], predicted, losses
    return keras.tree.flatten(y), predicted, losses


def _without_ones(shape: Any) -> tuple[int, ...]:
    return tuple(side for side in shape if side != 1)


def _shapes(data: Any) -> str:
    shapes = [tuple(array.shape) for array in keras.tree.flatten(data)]
    return str(shapes[0] if len(shapes) == 1 else shapes)


def _reason(error: BaseException) -> str:
    # Keras writes around what a layer raises: in which it was, and after that all arguments.
    text = re.sub(r"^(Exception encountered when calling .*|Error encountered:)\s+", "", str(error))
    line = first_line(ValueError(re.sub(r"\x1b\[\d*m", "", text)))
    return line if len(line) < 200 else f"{line[:200]}..."
