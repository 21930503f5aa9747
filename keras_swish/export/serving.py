"""What surrounds a model in its file: preprocessing in front, the names of its classes behind."""

import json
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_swish.keras_compat import producer, symbolic

_ACTIVATIONS = (None, "softmax")


def surround(
    model: keras.Model,
    preprocessing: keras.Model | None,
    classifier_activation: str | None,
    class_names: Sequence[str] | None,
    names_are_outputs: bool,
) -> keras.Model:
    """Returns the model that a file is to hold.

    Args:
        model: The model.
        preprocessing: As for `export`, as are the next two.
        classifier_activation: What makes probabilities of its outputs.
        class_names: Names of its classes.
        names_are_outputs: Whether it returns them.

    Raises:
        ValueError: If they do not fit the model.
    """
    if classifier_activation not in _ACTIVATIONS:
        raise ValueError(
            "`classifier_activation` must be None or 'softmax'. "
            f"Received: {classifier_activation!r}"
        )
    if preprocessing is None and classifier_activation is None and not names_are_outputs:
        return model
    inputs = structure(preprocessing or model)
    if inputs is None:
        unknown = preprocessing or model
        raise ValueError(
            f"The inputs of {unknown.name!r}, a {type(unknown).__name__}, are unknown: give a "
            "`preprocessing` that is a Sequential or functional model."
        )
    # Named, as Keras's preprocessing layers, which train by default, make what follows train too.
    prepared = inputs if preprocessing is None else preprocessing(inputs, training=False)
    outputs: Any = model(prepared, training=False)
    if class_names is not None:
        check_class_names(model, outputs, class_names)
    if classifier_activation is not None:
        if (already := _output_activation(model)) is not None:
            raise ValueError(
                f"`classifier_activation` is for a model whose outputs are logits; those of "
                f"{model.name!r} are of {already} already. Received: {classifier_activation!r}"
            )
        logits = keras.tree.flatten(outputs)
        if len(logits) != 1:
            raise ValueError(
                "`classifier_activation` is for a model of one output, its logits. Received: "
                f"{model.name!r}, which has {len(logits)}"
            )
        if logits[0].shape[-1] == 1:
            raise ValueError(
                "`classifier_activation` is for a model with a logit for each class: a softmax of "
                f"one is always 1. Received: {model.name!r}, which has one"
            )
        activation = keras.layers.Activation(classifier_activation, dtype="float32")
        outputs = keras.tree.map_structure(activation, outputs)
    if names_are_outputs and class_names is not None:
        (scores,) = keras.tree.flatten(outputs)
        outputs = {"scores": scores, "classes": ClassNames(class_names)(scores)}
    return keras.Model(inputs, outputs, name=model.name)


def _output_activation(model: Any) -> str | None:
    """Returns which activation makes probabilities of a model's first output, if one does."""
    while outputs := symbolic(model, "outputs"):
        model = producer(outputs[0])[0]
    # A layer or an operation that is one, or a layer that has one.
    held = getattr(model, "activation", None)
    names = type(model).__name__.lower(), getattr(held, "__name__", "")
    return next((name for name in names if name in ("softmax", "sigmoid")), None)


def check_logits(model: keras.Model, outputs: Any) -> None:
    """Refuses a model whose outputs are probabilities, whatever in it makes them.

    Args:
        model: The model.
        outputs: Its outputs at some examples.

    Raises:
        ValueError: If all rows of an output are non-negative and sum to 1.
    """
    for output in keras.tree.flatten(outputs):
        y = np.asarray(keras.ops.convert_to_numpy(output))
        if y.dtype == object or y.ndim < 2 or not y.size:
            continue
        y = y.astype("float64")
        # A sum as exact as that of float16 or bfloat16.
        if np.all(y >= 0) and np.allclose(y.sum(-1), 1, atol=0.02):
            raise ValueError(
                "`classifier_activation` is for a model whose outputs are logits; those of "
                f"{model.name!r} are probabilities already: they sum to 1."
            )


def structure(model: Any) -> Any:
    """Returns the model's symbolic inputs in the structure that it takes; None if unknown."""
    inputs = symbolic(model, "inputs")
    return inputs and (inputs[0] if isinstance(model, keras.Sequential) else model.input)


def batch_size(model: Any) -> int | None:
    """Returns the number of examples that a model takes, where that is fixed."""
    tensors = keras.tree.flatten(structure(model))
    return next((tensor.shape[0] for tensor in tensors if tensor is not None), None)


def check_class_names(model: keras.Model, outputs: Any, class_names: Sequence[str]) -> None:
    """Refuses names that are not those of the classes of a model's one output.

    Args:
        model: The model.
        outputs: Its outputs, symbolic or at some examples.
        class_names: As for `export`.

    Raises:
        ValueError: If they are not one for each class.
    """
    shapes = [(None, *output.shape[1:]) for output in keras.tree.flatten(outputs)]
    if shapes != [(None, len(class_names))]:
        raise ValueError(
            f"`class_names` has {len(class_names)} names, {model.name!r} gives outputs of the "
            f"shape {', '.join(map(str, shapes))}."
        )


class ClassNames(keras.layers.Layer):
    """Gives the name of the class with the highest score."""

    def __init__(self, class_names: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.class_names = list(class_names)

    def call(self, inputs: Any) -> Any:
        """Returns a string for each example."""
        import tensorflow as tf

        return tf.gather(tf.constant(self.class_names), tf.argmax(inputs, -1))

    def compute_output_spec(self, inputs: Any) -> keras.KerasTensor:
        """Returns its shape."""
        return keras.KerasTensor(inputs.shape[:-1], dtype="string")


def add_to_onnx(path: pathlib.Path, class_names: Sequence[str]) -> None:
    """Writes names into the metadata of an ONNX file."""
    import onnx  # pyright: ignore[reportMissingImports]

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"class_names": json.dumps(list(class_names))})
    onnx.save(model, path)


def add_to_litert(path: pathlib.Path, class_names: Sequence[str]) -> None:
    """Appends names to a LiteRT file, as its metadata has files: in a ZIP archive at its end."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "".join(f"{name}\n" for name in class_names))
