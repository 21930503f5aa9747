"""A model in another format, compared with the one it was made from."""

import contextlib
import importlib.util
import math
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_swish import activations, io
from keras_swish.elementwise.operation import plain_operations
from keras_swish.export import formats, serving
from keras_swish.keras_compat import all_layers, own_variables, without_new_calls
from keras_swish.kernels import portable
from keras_swish.messages import unknown
from keras_swish.recording.recorder import states_kept
from keras_swish.replacement.replace import find_activations, replace_activations
from keras_swish.replacement.watching.running import unchanged

# Without data: how many random examples a model is tried on, and of what size where it is open.
_EXAMPLES, _OPEN = 3, 96
# How many examples are compared.
_COMPARED = 32
_INT8_TOLERANCE = 0.1
# What a last bit of a layer in half precision, which any other order of operations changes, may
# make of the outputs: eight units in the last place.
_HALF_TOLERANCES = {"float16": 2**-7, "bfloat16": 2**-4}

Norm = Callable[[np.ndarray], Any]


class ExportError(ValueError):
    """A model that could not be exported, or whose file computes something else."""


def export(
    model: keras.Model,
    path: str | os.PathLike,
    format: str | None = None,
    *,
    preprocessing: keras.Model | None = None,
    classifier_activation: str | None = None,
    class_names: Sequence[str] | None = None,
    quantize: str | None = None,
    representative_data: Any = None,
    hard_swish: bool = False,
    tolerance: float | None = None,
) -> float:
    """Writes a model as TensorFlow SavedModel, LiteRT or ONNX file, runs it, and compares.

    The activations of this package are written as plain operations, which every runtime of the
    format has. What was written is loaded and run on some inputs, and its outputs are
    compared with the model's; where they differ, or where it does not run, nothing is left behind.

    It needs Keras's TensorFlow backend; a model trained with another one can be saved with
    `model.save("model.keras")` and loaded with TensorFlow.

    Args:
        model: A Keras model. A subclassed one must have been called, and needs
            `representative_data`.
        path: Where to write: a file, or for a SavedModel a folder. It must not exist.
        format: `"saved_model"`, `"litert"` or `"onnx"`; by default what the suffix says:
            `.tflite`, `.onnx`, none for a SavedModel.
        preprocessing: A model, for example of Keras's preprocessing layers, whose output is
            `model`'s input: it is written in front of it, so that the file takes what
            `preprocessing` takes, such as images in uint8, or for a SavedModel encoded ones.
        classifier_activation: `"softmax"`, for a model whose outputs are logits: the file gives
            probabilities.
        class_names: One name for each class. A SavedModel then returns a dictionary: `"scores"`,
            what the model returns, and `"classes"`, the name of the highest of them. An ONNX
            file has them as a JSON list under the key `class_names` of its metadata, a LiteRT
            file as `labels.txt`, which `unzip` takes out of it.
        quantize: `"int8"` quantises a LiteRT model after training: weights, and what has an
            8 bit form in LiteRT; inputs and outputs stay float32.
        representative_data: Inputs as `model.predict` (or `preprocessing`) takes them, an array or
            a list or dict of arrays, `(n, ...)`. For `quantize` they are needed, and fix the range
            of each tensor: about 100 typical examples. Else they are what outputs are compared
            on, by default random numbers. A model of a fixed batch size needs as many at least.
        hard_swish: Writes Swish, Keras's own too, as `x * relu6(beta * x + 3) / 6`, which is
            cheaper on phones and another function: outputs are compared with those of the model
            that computes so.
        tolerance: The largest difference from the model's outputs to accept, as a share of the
            largest of them; with `quantize`, the root mean square of one as a share of that of
            the other. By default 1e-5 for a SavedModel, 1e-4 for LiteRT and ONNX; 0.008 where
            layers compute in float16, 0.06 in bfloat16; 0.1 for `quantize`.

    Returns:
        The difference from the model's outputs, in the same measure.

    Raises:
        ValueError: If an argument is none of these, the path exists, or Keras has another backend.
        ExportError: A `ValueError`, if the exporter fails, what it wrote does not run, or its
            outputs differ by more than `tolerance`.
        ImportError: If a package is missing, with the line that installs it.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential([keras.Input((4,)), keras_swish.Swish()])
        >>> keras_swish.export(model, "swish.onnx")  # doctest: +SKIP
        5.8e-08
    """
    path = pathlib.Path(path).expanduser()
    class_names = _listed(class_names)
    _check(model, path, preprocessing, quantize, representative_data, tolerance)
    target = _format(path, format, quantize)
    _import(target.packages)
    in_graph = preprocessing is not None
    with _unchanged(model), _unchanged(preprocessing):
        model = _with_our_swish(model) if hard_swish else model
        names_are_outputs = class_names is not None and target.add_class_names is None
        original = model
        model = serving.surround(
            original, preprocessing, classifier_activation, class_names, names_are_outputs
        )
        inputs = _examples(model, representative_data)
        specs = keras.tree.flatten(formats.signature(model, inputs))
        _check_strings(specs, path, target)
        batches = _batches(model, inputs)
        if not model.built:  # what is built while it is compared could not be kept
            _computed(model, batches[0], in_graph)
        names = [spec.name for spec in specs]
        functions = target.functions
        if hard_swish:
            functions = {**functions, **portable.gates(portable.hard_sigmoid)}
        with plain_operations(functions) if hard_swish else contextlib.nullcontext():
            if classifier_activation is not None:
                logits = serving.surround(original, preprocessing, None, None, False)
                serving.check_logits(original, _computed(logits, batches[0], in_graph))
            expected = _concatenated(_computed(model, batch, in_graph) for batch in batches)
        if class_names is not None and not names_are_outputs:
            serving.check_class_names(original, expected, class_names)
        with io.atomic(path) as temporary:
            with plain_operations(functions), _one_line(f"{path} could not be written"):
                target.write(model, temporary, inputs, quantize)
                if class_names is not None and target.add_class_names is not None:
                    target.add_class_names(temporary, class_names)
            with _one_line(f"{path} was not kept, as it does not run"):
                outputs = _concatenated(target.run(temporary, batch, names) for batch in batches)
            difference = _difference(outputs, expected, _root_mean_square if quantize else np.max)
            if tolerance is None:
                tolerance = _INT8_TOLERANCE if quantize else _tolerance(model, target)
            if not difference <= tolerance:
                raise ExportError(
                    f"{path} was not kept: its outputs differ from the model's by {difference:.2g} "
                    f"times the {'root mean square' if quantize else 'largest'} of them, and "
                    f"`tolerance` is {tolerance:.2g}."
                )
    return difference


def _listed(class_names: Any) -> list[str] | None:
    if class_names is None:
        return None
    is_list = isinstance(class_names, Iterable) and not isinstance(class_names, str)
    names: list[Any] = list(class_names) if is_list else [class_names]
    if not is_list or not all(isinstance(name, str) for name in names):
        raise ValueError(f"`class_names` must be a list of strings. Received: {class_names!r}")
    return names


def _check(
    model: Any,
    path: pathlib.Path,
    preprocessing: Any,
    quantize: str | None,
    representative_data: Any,
    tolerance: Any,
) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a keras.Model. Received: {model!r} (of type {type(model).__name__})"
        )
    if not isinstance(preprocessing, keras.Model | None):
        raise TypeError(f"`preprocessing` must be a keras.Model. Received: {preprocessing!r}")
    if tolerance is not None and not (
        isinstance(tolerance, int | float | np.number) and tolerance >= 0
    ):
        raise ValueError(f"`tolerance` must be a number, at least 0. Received: {tolerance!r}")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "The exporters need Keras's TensorFlow backend: save the model with "
            "model.save('model.keras') and load it where KERAS_BACKEND=tensorflow. "
            f"Received: the backend {keras.backend.backend()!r}"
        )
    if path.exists():
        raise ValueError(f"{path} exists: choose another name.")
    if not path.parent.is_dir():
        raise ValueError(f"The folder {path.parent} is not there.")
    if quantize not in (None, "int8"):
        raise ValueError(f"`quantize` must be None or 'int8'. Received: {quantize!r}")
    if quantize and representative_data is None:
        raise ValueError("`quantize` needs `representative_data`: about 100 typical inputs.")


def _check_strings(specs: Sequence[Any], path: pathlib.Path, target: formats.Format) -> None:
    """Refuses strings, such as encoded images, where a format has none."""
    if target.add_class_names is not None and any(spec.dtype == "string" for spec in specs):
        raise ValueError(f"Strings can be inputs of a SavedModel alone. Received: {path}")


def _format(path: pathlib.Path, name: str | None, quantize: str | None) -> formats.Format:
    by_suffix = {entry.suffix: name for name, entry in formats.FORMATS.items()}
    name = name or by_suffix.get(path.suffix)
    if name not in formats.FORMATS:
        received = path.suffix if name is None else name
        valid = "'saved_model' (no suffix), 'litert' (.tflite), 'onnx' (.onnx)"
        raise ValueError(unknown("format", received, formats.FORMATS, valid))
    suffix = formats.FORMATS[name].suffix
    if suffix and path.suffix != suffix:
        raise ValueError(f"`path` must end in {suffix!r} for the format {name!r}. Received: {path}")
    if quantize and name != "litert":
        raise ValueError(f"`quantize` is for the format 'litert'. Received: format={name!r}")
    return formats.FORMATS[name]


def _import(packages: dict[str, str]) -> None:
    missing = [pip for name, pip in packages.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise ImportError(
            f"{' and '.join(missing)} not installed: pip install 'keras-swish[export]'"
        )


@contextlib.contextmanager
def _unchanged(model: keras.Model | None) -> Iterator[None]:
    """Lets a model keep the attributes and the list of calls that it had before."""
    if model is None or not model.built:  # it is built meanwhile, and stays so
        yield
        return
    with unchanged(model), without_new_calls(model):
        yield


@contextlib.contextmanager
def _one_line(failure: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0][:300] if lines else type(error).__name__
        raise ExportError(f"{failure}: {reason}") from error


def _with_our_swish(model: keras.Model) -> keras.Model:
    """Returns a model with this package's Swish where Keras's is, which stays what it is."""
    if not any(site.old == "swish" and not site.code for site in find_activations(model)):
        return model
    new = {"swish": activations.swish}
    # What a model's own code calls is told of in a warning.
    return replace_activations(model, new, where=lambda site: True, except_last=False, strict=False)


def _tolerance(model: keras.Model, target: formats.Format) -> float:
    """Returns what a format may differ by from a model that computes in some precision."""
    # What has no weights, as an input, may have got the policy of the process that loaded it.
    dtypes = {layer.compute_dtype for layer in all_layers(model) if own_variables(layer)}
    return max(target.tolerance, *(_HALF_TOLERANCES.get(str(dtype), 0.0) for dtype in dtypes), 0.0)


def _computed(model: keras.Model, arrays: Any, in_graph: bool) -> Any:
    """Returns the outputs of a model; in a graph where it has preprocessing layers of Keras.

    Those round images in uint8 when they are called eagerly, and not in graphs.
    """
    inputs = keras.tree.map_structure(keras.ops.convert_to_tensor, arrays)
    # What was written begins with these states, too, whenever it is loaded.
    with states_kept(model):
        if not in_graph:
            return model(inputs, training=False)
        import tensorflow as tf

        return tf.function(lambda x: model(x, training=False), autograph=False)(inputs)


def _examples(model: keras.Model, data: Any) -> Any:
    """Returns inputs to try the model on, in the structure that it takes."""
    symbolic = serving.structure(model)
    if data is not None:
        data = keras.tree.map_structure(np.asarray, data)
        shapes = [x.shape for x in keras.tree.flatten(data)]
        if not shapes or not all(shape and shape[0] for shape in shapes):
            raise ValueError(
                "`representative_data` must be an array, or a list or dict of arrays, of at least "
                f"one example. Received: what has the shapes {shapes}"
            )
        return _as_floats(data) if symbolic is None else _as_inputs(symbolic, data)
    if symbolic is None:
        raise ValueError(
            f"`representative_data` is needed: the inputs of {model.name!r}, a "
            f"{type(model).__name__}, are unknown."
        )
    if any(tensor.dtype == "string" for tensor in keras.tree.flatten(symbolic)):
        raise ValueError("`representative_data` is needed: the model takes strings.")
    return keras.tree.map_structure(_random, symbolic)


def _batches(model: keras.Model, inputs: Any) -> list[Any]:
    """Returns the examples to compare: one batch, or few of the only size that the model takes."""
    size = serving.batch_size(model)
    if size is None:
        return [keras.tree.map_structure(lambda x: x[:_COMPARED], inputs)]
    count = min(len(x) for x in keras.tree.flatten(inputs))
    if count < size:
        raise ValueError(
            f"`representative_data` needs {size} examples at least: {model.name!r} has inputs of "
            f"that fixed batch size. Received: {count}"
        )
    parts = [slice(i, i + size) for i in range(0, count - size + 1, size)[:_EXAMPLES]]
    return [keras.tree.map_structure(lambda x, part=part: x[part], inputs) for part in parts]


def _concatenated(batches: Iterable[Any]) -> list[np.ndarray]:
    """Returns the outputs of all batches, in the order of the model's outputs."""
    outputs = [[_as_array(one) for one in keras.tree.flatten(batch)] for batch in batches]
    return (
        outputs[0] if len(outputs) == 1 else [np.concatenate(x) for x in zip(*outputs, strict=True)]
    )


def _as_floats(data: Any) -> Any:
    """Casts floats as `predict` does for a model that does not tell what it takes."""

    def cast(x: np.ndarray) -> np.ndarray:
        return x.astype(keras.config.floatx()) if np.issubdtype(x.dtype, np.floating) else x

    return keras.tree.map_structure(cast, data)


def _as_inputs(symbolic: Any, data: Any) -> Any:
    """Brings data into the structure, rank and dtype of a model's inputs, as `predict` does."""
    tensors = keras.tree.flatten(symbolic)
    names = sorted(symbolic) if isinstance(symbolic, dict) else [x.name for x in tensors]
    if isinstance(data, dict) or (isinstance(symbolic, dict) and len(names) > 1):
        keys = sorted(data) if isinstance(data, dict) else None
        if keys is None or not set(names) <= set(keys):
            received = "no dict" if keys is None else f"a dict with the keys {keys}"
            raise ValueError(
                "`representative_data` must be a dict with an array for each of the inputs "
                f"{names}. Received: {received}"
            )
        data = [data[name] for name in names]
    arrays = keras.tree.flatten(data)
    if len(tensors) != len(arrays):
        raise ValueError(
            f"`representative_data` must be {len(tensors)} arrays, for the inputs {names}. "
            f"Received: {len(arrays)} arrays"
        )
    cast = [_as_input(x, array) for x, array in zip(tensors, arrays, strict=True)]
    return keras.tree.pack_sequence_as(symbolic, cast)


def _as_input(tensor: Any, array: np.ndarray) -> np.ndarray:
    rank = len(tensor.shape)
    if array.ndim == rank - 1 and tensor.shape[-1] == 1:
        array = array[..., np.newaxis]
    elif array.ndim == rank + 1 and array.shape[-1] == 1:
        array = array[..., 0]
    return array if tensor.dtype == "string" else array.astype(tensor.dtype)


def _random(tensor: Any) -> np.ndarray:
    batch, *rest = tensor.shape
    shape = [batch or _EXAMPLES, *(size or _OPEN for size in rest)]
    random = np.random.default_rng(0)
    if keras.backend.is_float_dtype(tensor.dtype):
        return random.standard_normal(shape).astype(tensor.dtype)
    # Pixels, or numbers of which 0 and 1 are valid.
    return random.integers(0, 256 if tensor.dtype == "uint8" else 2, shape).astype(tensor.dtype)


def _difference(outputs: Sequence[Any], expected: Sequence[Any], norm: Norm) -> float:
    """Returns how far outputs are from the expected ones, by that norm; of the worst output."""
    if len(outputs) != len(expected):
        return math.inf
    pairs = zip(map(_as_array, outputs), map(_as_array, expected), strict=True)
    return max(_distance(y, wanted, norm) for y, wanted in pairs)


def _as_array(x: Any) -> np.ndarray:
    array = np.asarray(keras.ops.convert_to_numpy(x))
    return array if array.dtype == object else array.astype("float64")


def _distance(y: np.ndarray, expected: np.ndarray, norm: Norm) -> float:
    if y.shape != expected.shape:
        return math.inf
    if object in (y.dtype, expected.dtype):  # strings
        return 0.0 if np.array_equal(y, expected) else math.inf
    finite = np.isfinite(expected)
    if not np.array_equal(y[~finite], expected[~finite], equal_nan=True):
        return math.inf
    y, expected = y[finite], expected[finite]
    if not np.all(np.isfinite(y)):
        return math.inf
    error = norm(np.abs(y - expected)) if y.size else 0.0
    if error == 0:
        return 0.0
    return float(error / max(norm(np.abs(expected)), np.finfo("float32").tiny))


def _root_mean_square(x: np.ndarray) -> float:
    return math.sqrt(np.mean(np.square(x)))
