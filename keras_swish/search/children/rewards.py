"""The default reward of a child: accuracy."""

import functools
import inspect
import json
import numbers
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from keras_swish.keras_compat import arguments_of_loss, is_keras_own, mask_of, symbolic
from keras_swish.replacement.members import plain_class

# From labels and outputs to a number; higher is better.
Reward = Callable[[Any, Any], float]


def accuracy(y: np.ndarray, predicted: np.ndarray, threshold: float = 0.5) -> float:
    """Returns the share of the examples, or of their positions, whose class was predicted.

    Args:
        y: Labels, `(n, ...)` or `(n, ..., 1)`, or one-hot, `(n, ..., classes)`; or a dictionary or
            list of one such array.
        predicted: Outputs, `(n, ..., classes)`, or `(n, ..., 1)` or `(n,)` for two classes; or a
            dictionary or list of one such array.
        threshold: Where the second of two classes begins: 0 for logits.

    Example:
        >>> import numpy as np
        >>> from keras_swish.search.children.rewards import accuracy
        >>> accuracy(np.array([0, 1]), np.array([[0.1, 2.0], [0.1, 2.0]]))
        0.5
    """
    y, predicted = np.asarray(only_part(y)), only_part(predicted)
    if predicted.ndim == 1 or predicted.shape[-1] == 1:
        return float(np.mean((predicted.ravel() > threshold) == (y.ravel() > 0.5)))
    if y.shape == predicted.shape:
        y = y.argmax(-1)
    return float(np.mean(predicted.argmax(-1).ravel() == y.ravel()))


def only_part(structure: Any) -> Any:
    """Returns the array in a dictionary or list of one array; anything else as it is.

    Example:
        >>> from keras_swish.search.children.rewards import only_part
        >>> only_part({"out": 0.5}), only_part([0.5, 0.25])
        (0.5, [0.5, 0.25])
    """
    parts = keras.tree.flatten(structure)
    return parts[0] if len(parts) == 1 else structure


def default(model: keras.Model, loss: Any, y: Any) -> Reward:
    """Returns the accuracy for a model and its loss, or says why there is none."""
    name = name_of(loss).replace("_", "").lower()
    if isinstance(loss, dict | list | tuple) or "crossentropy" not in name:
        raise ValueError(
            "Accuracy is the reward of a cross-entropy: pass an `objective` such as 'val_loss', or "
            "pass another `reward`. "
            f"Received: loss={loss!r}"
        )
    outputs = _outputs(model)
    if len(outputs) > 1:
        raise ValueError(
            f"The model has {len(outputs)} outputs: pass a `reward` of them all, or an `objective` "
            "such as 'val_loss'."
        )
    check_mask(model)
    y = keras.tree.flatten(y)[0]
    if "binary" in name and (y.min() < 0 or y.max() > 1):
        raise ValueError(
            "The labels of a binary cross-entropy must lie between 0 and 1: number the two classes "
            "0 and 1, or pass a `reward`, or an `objective` such as 'val_loss'. "
            f"Received: labels between {y.min():g} and {y.max():g}"
        )
    is_one_hot = y.ndim > 1 and y.shape[-1] > 1 and "sparse" not in name
    if is_one_hot and not np.allclose(y.sum(-1), 1, atol=1e-3):
        raise ValueError(
            "An example can have several labels, or none: pass a `reward` for them, or an "
            "`objective` such as 'val_loss'."
        )
    given: dict[str, Any] = getattr(loss, "keywords", {})  # of a functools.partial
    if isinstance(loss, keras.losses.Loss):
        given = arguments_of_loss(loss)
    lasts = [output.ndim - 1 for output in outputs]
    if given.get("axis", -1) not in (-1, *lasts):
        raise ValueError(
            "Accuracy looks for the classes along the last axis: pass an `objective` such as "
            f"'val_loss', or a `reward`. Received: a loss with axis={given['axis']}"
        )
    has_logits = "binary" in name and given.get("from_logits")
    return functools.partial(accuracy, threshold=0.0) if has_logits else accuracy


def check_mask(model: keras.Model) -> None:
    """Refuses a model whose output has a mask, of which the arrays that it predicts know nothing.

    Raises:
        ValueError: If it has one: what is masked, such as padding, would count.
    """
    if any(mask_of(output) is not None for output in _outputs(model)):
        raise ValueError(
            "The output of the model has a mask, and what it leaves out, such as padding, would "
            "count in the reward: pass an `objective`, such as 'val_accuracy', which knows the "
            "mask, or a function as `reward`."
        )


def _outputs(model: keras.Model) -> Sequence[Any]:
    return symbolic(model, "outputs") or ()  # which a subclass does not know


def name_of(function: Any) -> str:
    """Returns the name of a loss, reward or the like, with what distinguishes it if that is known.

    What a function of the user's computes, it does not say. Of a loss, metric or optimizer whose
    class has no `get_config` of its own it knows numbers and texts, and lists of them, alone.
    """
    if isinstance(function, dict):
        return str({key: name_of(value) for key, value in function.items()})
    if isinstance(function, list | tuple):
        return str([*map(name_of, function)])
    array = array_of(function)
    if array is not None:
        return str(array.tolist())
    if isinstance(function, str | int | float):
        return str(function)
    if isinstance(function, keras.metrics.Metric | keras.optimizers.Optimizer):
        config = without_number(_config(function))
        return f"{type(function).__name__} {as_text(config)}"
    if isinstance(getattr(function, "metric", None), keras.metrics.Metric):
        return name_of(function.metric)
    if isinstance(function, functools.partial):
        return _text(f"{name_of(function.func)} {function.args} {function.keywords}")
    if isinstance(function, keras.losses.Loss):
        config = {k: v for k, v in _config(function).items() if k not in ("name", "fn")}
        return f"{type(function).__name__} {as_text(config)}"
    if isinstance(function, keras.callbacks.Callback) and is_keras_own(function):
        # It has no config: the numbers that its constructor took, and no paths, nor what it counts.
        taken = inspect.signature(type(function)).parameters.keys() - {"verbose"}
        held: dict[str, Any] = vars(function)
        kept = {
            name: abs(value) if name == "min_delta" else value  # which a `fit` gives its sign
            for name, value in held.items()
            if name in taken and (name == "monitor" or isinstance(value, int | float | np.number))
        }
        return f"{type(function).__name__} {as_text(kept)}"
    return getattr(function, "__name__", type(function).__name__)


def array_of(value: Any) -> np.ndarray | None:
    """Returns the numbers of an array, a tensor or a number of NumPy's; None for all else."""
    if isinstance(value, np.generic | np.ndarray) or keras.ops.is_tensor(value):
        return np.asarray(keras.ops.convert_to_numpy(value))
    return None


def as_text(config: Any) -> str:
    """Returns a configuration as text that is the same in every process.

    Example:
        >>> from keras_swish.search.children.rewards import as_text
        >>> as_text({"rate": 0.5, "of": object()})
        '{"of": "<object object>", "rate": 0.5}'
    """
    return json.dumps(config, sort_keys=True, default=_text)


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):  # all of it
        return np.array2string(value, threshold=sys.maxsize)
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


def lacks_config(thing: Any) -> bool:
    """Says whether a loss or the like has its `get_config` of a class before its constructor."""
    maker, writer = (
        next(one for one in plain_class(thing).__mro__ if name in vars(one))
        for name in ("__init__", "get_config")
    )
    return not issubclass(writer, maker)


def _config(thing: Any) -> dict[str, Any]:
    config = thing.get_config()
    if lacks_config(thing):
        makers = [one.__init__ for one in type(thing).__mro__]
        taken = {name for maker in makers for name in inspect.signature(maker).parameters}
        held = plain_attributes(thing)
        held.pop("dtype", None)
        # Not whether it was updated before, which no argument of a constructor is called like.
        kept = {
            name: value
            for name, value in held.items()
            if name in taken or not isinstance(value, bool)
        }
        config = {**kept, **config}
    return config


def plain_attributes(thing: Any) -> dict[str, Any]:
    """Returns the numbers, texts and lists of them in attributes, named as arguments are."""
    return {name.lstrip("_"): value for name, value in vars(thing).items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    """Says whether a value is a number or a text, or a list of them that is not empty."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(map(_is_plain, value))
    return isinstance(value, str | numbers.Number)


def without_number(config: dict[str, Any]) -> dict[str, Any]:
    """Returns a configuration without the number of its name, which counts a process's objects.

    Example:
        >>> from keras_swish.search.children.rewards import without_number
        >>> without_number({"name": "adam_1", "learning_rate": 0.1})
        {'name': 'adam', 'learning_rate': 0.1}
    """
    if not isinstance(config.get("name"), str):
        return config
    return {**config, "name": re.sub(r"_\d+$", "", config["name"])}
