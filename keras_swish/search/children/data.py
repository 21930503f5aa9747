"""The data of a child: whatever `fit` takes, read into arrays once.

A child must meet the same examples in every process, in the order that its seed draws, so that a
dataset is read before the first of them: it has to fit into memory.
"""

import hashlib
import sys
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_swish.messages import first_line

# Inputs and labels, or inputs, labels and weights of the examples.
Data = tuple[Any, ...]

_FORMS = (
    "pass arrays, as (x, y) or (x, y, sample_weight), a tf.data.Dataset, or a keras.utils.PyDataset"
)
_KINDS = ("inputs", "labels", "sample weights")


def take_rows(data: Any, rows: np.ndarray) -> Any:
    """Returns these rows of all arrays."""
    return keras.tree.map_structure(lambda array: array[rows], data)


def size(data: Data) -> int:
    """Returns how many examples there are."""
    return len(keras.tree.flatten(data[0])[0])


def for_evaluate(inputs: Any) -> Any:
    """Returns inputs as `evaluate` takes them: it refuses NumPy's texts, and takes tensors."""

    def convert(array: np.ndarray) -> Any:
        return keras.ops.convert_to_tensor(array) if array.dtype.kind in "SU" else array

    return keras.tree.map_structure(convert, inputs)


def digest(*arrays: Any) -> str:
    """Returns a few characters that change with any of the arrays' bytes."""
    hashed = hashlib.sha256()
    for array in arrays:
        hashed.update(array if isinstance(array, bytes) else np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()[:16]


def is_dataset(data: Any) -> bool:
    """Says whether something yields batches: inputs, labels and weights at once."""
    return isinstance(data, keras.utils.PyDataset) or any(
        base.__module__.startswith(("tensorflow.python.data", "torch.utils.data"))
        for base in type(data).__mro__
    )


def read(
    name: str, data: Any, class_weight: dict[int, float] | None = None
) -> tuple[Data, int | None]:
    """Returns data as arrays, and the size of its batches, where it has batches.

    Args:
        name: What messages call it.
        data: `(x, y)`, `(x, y, sample_weight)`, or a dataset of batches of these:
            `tf.data.Dataset`, `keras.utils.PyDataset`, or PyTorch's `DataLoader`. Inputs, and
            labels of models with several outputs, may be lists or dictionaries of arrays; pandas
            counts as arrays.
        class_weight: By class, what its examples weigh.

    Raises:
        ValueError: If it has another form, is endless, empty, uneven or not finite.

    Example:
        >>> from keras_swish.search.children import data
        >>> (x, y), batch_size = data.read("training data", ([[1.0], [2.0]], [0, 1]))
        >>> x.shape, y.tolist(), batch_size
        ((2, 1), [0, 1], None)
    """
    batch_size = None
    if is_dataset(data):
        data, batch_size = _joined(name, data)
    if isinstance(data, list) and len(data) in (2, 3) and not _is_one_array(data):
        data = tuple(data)  # as `fit` does
    if not isinstance(data, tuple) or len(data) not in (2, 3):
        raise ValueError(
            f"The {name} must be a pair (inputs, labels): {_FORMS}. Received: {_described(data)}"
        )
    if len(data) == 3 and data[2] is None:
        data = data[:2]
    data = tuple(
        _arrays(f"the {kind} of the {name}", part) for kind, part in zip(_KINDS, data, strict=False)
    )
    _check(name, data)
    if class_weight is not None:
        data = _weighted(name, data, class_weight)
    return data, batch_size


def _described(data: Any) -> str:
    if isinstance(data, tuple | list):
        return f"a {type(data).__name__} of {len(data)}"
    if data is None or isinstance(data, str | int | float):
        return repr(data)
    return f"{type(data).__module__}.{type(data).__qualname__}"


def _joined(name: str, dataset: Any) -> tuple[Data, int]:
    """Returns all batches of a dataset as one, and the size of the first."""
    batches = []
    try:
        for batch in _batches(name, dataset):
            parts = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
            if len(parts) not in (2, 3):
                raise ValueError(
                    f"The {name} must yield (inputs, labels) or (inputs, labels, sample weights). "
                    f"Received: {_described(batch)}"
                )
            batches.append(keras.tree.map_structure(_numpy, parts))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"The {name} cannot be read ({first_line(error)}): {_FORMS}.") from error
    if not batches:
        raise ValueError(f"The {name} is an empty dataset.")
    first = keras.tree.flatten(batches[0])
    if any(np.ndim(array) == 0 for array in first):
        raise ValueError(f"The {name} yields single examples: put them in batches, `.batch(32)`.")
    try:
        joined: Any = keras.tree.map_structure(lambda *parts: np.concatenate(parts), *batches)
    except ValueError as error:
        raise ValueError(
            f"The batches of the {name} are of different shapes, and have to be of one: pad them "
            f"to one length ({first_line(error)})."
        ) from error
    return joined, len(first[0])


def _batches(name: str, dataset: Any) -> Iterator[Any]:
    endless = f"The {name} is endless: pass a finite dataset, such as dataset.take(100)."
    if isinstance(dataset, keras.utils.PyDataset):
        if dataset.num_batches is None or dataset.num_batches == float("inf"):
            raise ValueError(endless)
        return (dataset[number] for number in range(int(dataset.num_batches)))
    if hasattr(dataset, "cardinality") and int(dataset.cardinality()) == -1:
        raise ValueError(endless)
    return iter(dataset)


def _arrays(name: str, value: Any) -> Any:
    """Returns a structure of arrays: lists and dictionaries of them stay such."""
    if isinstance(value, dict):
        return {key: _arrays(name, part) for key, part in value.items()}
    if isinstance(value, list | tuple) and not _is_one_array(value):
        # The class of a named tuple takes its parts one by one.
        make: Any = getattr(value, "_make", type(value))
        return make(_arrays(name, part) for part in value)
    try:
        array = _numpy(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"A part of {name} is no array ({first_line(error)}): {_FORMS}; sequences of different "
            "lengths need keras.utils.pad_sequences."
        ) from error
    if array.dtype == object and all(isinstance(item, str | bytes) for item in array.ravel()):
        array = _texts(name, array)
    if array.dtype == object or not array.ndim:
        raise ValueError(f"{name} must be arrays: {_FORMS}. Received: {_described(value)}")
    if np.issubdtype(array.dtype, np.floating):
        return array.astype(keras.config.floatx())
    return array


def _texts(name: str, array: np.ndarray) -> np.ndarray:
    """Returns an array of texts, of which TensorFlow makes bytes in UTF-8."""
    try:
        texts = [one.decode() if isinstance(one, bytes) else one for one in array.ravel()]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A part of {name} is bytes that are no text in UTF-8 ({error}): decode them to text "
            "or numbers."
        ) from error
    return np.array(texts, str).reshape(array.shape)


def _is_one_array(value: list | tuple) -> bool:
    """Says whether lists in lists end in numbers or texts, and not in arrays."""
    return bool(value) and all(
        _is_one_array(part)
        if isinstance(part, list | tuple)
        else isinstance(part, bool | int | float | str | bytes | np.generic)
        for part in value
    )


def _numpy(value: Any) -> np.ndarray:
    if hasattr(value, "iloc") and hasattr(value, "to_numpy"):  # pandas
        array = _of_pandas(value)
        return array[:, None] if array.ndim == 1 else array  # as `fit` takes a column
    if hasattr(value, "todense"):
        return np.asarray(value.todense())
    if "tensorflow" in sys.modules and type(value).__name__ == "RaggedTensor":
        raise TypeError("it is ragged, and has to be padded, with .to_tensor()")
    if hasattr(value, "detach"):  # PyTorch
        return value.detach().cpu().numpy()
    return np.asarray(value)


def _of_pandas(value: Any) -> np.ndarray:
    array = value.to_numpy()
    if array.dtype != object:
        return array
    # Columns of several types; or those that may lack values, of which pandas makes objects.
    types = dict(value.dtypes) if array.ndim > 1 else {value.name: value.dtype}
    others = [name for name, dtype in types.items() if dtype.kind not in "iufb"]
    if not others:
        return value.to_numpy(dtype=keras.config.floatx(), na_value=np.nan)
    if len(others) < len(types):
        raise TypeError(f"the column {others[0]!r} is no number, as others are")
    return array


def _check(name: str, data: Data) -> None:
    arrays = keras.tree.flatten(data)
    if not arrays or len({len(array) for array in arrays}) != 1 or not len(arrays[0]):
        raise ValueError(
            f"The {name} must hold as many inputs as labels, and at least one. "
            f"Received: {[len(array) for array in arrays]}"
        )
    for kind, part in zip(_KINDS, data, strict=False):
        for array in keras.tree.flatten(part):
            if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all():
                raise ValueError(
                    f"The {name} holds numbers that are not finite, in its {kind}: fill them in, "
                    "or leave these examples out."
                )
    for array in keras.tree.flatten(data[1]):
        if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool):
            raise ValueError(
                f"The labels of the {name} are text, {str(array.ravel()[0])!r}: number the classes "
                "from 0, as np.unique(labels, return_inverse=True)[1] does."
            )


def _weighted(name: str, data: Data, class_weight: dict[int, float]) -> Data:
    """Returns data whose examples weigh what their class does, as `fit` makes it."""
    labels = data[1]
    if len(data) == 3:
        raise ValueError(
            f"The {name} has sample weights, so that `class_weight` cannot be given: multiply them."
        )
    if not isinstance(class_weight, dict) or not all(
        isinstance(key, int | np.integer) and isinstance(weight, int | float | np.number)
        for key, weight in class_weight.items()
    ):
        raise ValueError(
            "`class_weight` must be a dictionary from classes to numbers, {0: 1.0, 1: 5.0}. "
            f"Received: {class_weight!r}"
        )
    if not isinstance(labels, np.ndarray):
        raise ValueError("`class_weight` is for models of one output: pass `sample_weight`.")
    if labels.ndim > 2:  # as `fit` does
        raise ValueError(
            "`class_weight` is for one class an example, labels of shape (n,), (n, 1) or (n, "
            "classes): pass `sample_weight` to weigh the positions of an example. "
            f"Received: labels of shape {labels.shape}"
        )
    if labels.ndim > 1:
        labels = labels.argmax(-1) if labels.shape[-1] > 1 else labels[:, 0]
    classes = np.round(labels).astype(int)
    if class_weight and not set(class_weight) & set(classes.tolist()):
        raise ValueError(
            f"`class_weight` weighs none of the classes in the {name}, "
            f"{classes.min()} to {classes.max()}. Received: {class_weight!r}"
        )
    weights = np.array([class_weight.get(int(one), 1.0) for one in classes], "float32")
    return (*data, weights)
