"""The formats that a model can be written in, as data: what writes each, and what runs it.

All through TensorFlow, Keras's backend here.
"""

import dataclasses
import functools
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from keras_swish.export import serving
from keras_swish.keras_compat import patch_tf2onnx
from keras_swish.kernels import portable


@dataclasses.dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        suffix: Of its files; empty where it is a folder.
        write: From a model, a path, example inputs and `quantize` to a file or folder.
        run: From its path, inputs in the structure that the model takes, and their names, to
            the outputs.
        functions: What float32 is computed with, by name, in place of the kernels.
        tolerance: Largest difference from Keras to accept, as a share of the largest output.
        add_class_names: Adds names of classes to a file; None: they become outputs.
        packages: Names of the modules that it needs besides TensorFlow, with those to install.
    """

    suffix: str
    write: Callable
    run: Callable
    functions: dict[str, Callable]
    tolerance: float
    add_class_names: Callable | None = None
    packages: dict[str, str] = dataclasses.field(default_factory=dict)


def write_saved_model(
    model: keras.Model, path: pathlib.Path, inputs: Any, quantize: str | None
) -> None:
    """Writes a SavedModel with the endpoint `serve`."""
    archive: Any = keras.export.ExportArchive()  # a class of each backend
    archive.track(model)
    # Not `model.export`, which lets augmentation work as in training.
    serve = functools.partial(model.__call__, training=False)
    archive.add_endpoint("serve", serve, input_signature=[signature(model, inputs)])
    archive.write_out(path, verbose=False)


def run_saved_model(path: pathlib.Path, inputs: Any, names: list[str]) -> list:
    """Runs the endpoint `serve`."""
    import tensorflow as tf

    served = tf.saved_model.load(str(path))  # kept: its functions do not keep its variables
    return keras.tree.flatten(served.serve(keras.tree.map_structure(tf.convert_to_tensor, inputs)))


def write_litert(model: keras.Model, path: pathlib.Path, inputs: Any, quantize: str | None) -> None:
    """Writes a `.tflite` file; quantised, what has no form in int8 stays float32."""
    import tensorflow as tf

    specs, options = signature(model, inputs), {}
    if quantize:
        size = serving.batch_size(model) or 1
        ops_set = tf.lite.OpsSet
        options = {
            "optimizations": [tf.lite.Optimize.DEFAULT],
            "representative_dataset": lambda: _batches(inputs, specs, size),
            "target_spec": {
                "supported_ops": [ops_set.TFLITE_BUILTINS_INT8, ops_set.TFLITE_BUILTINS]
            },
        }
    model.export(path, format="litert", input_signature=[specs], verbose=False, **options)


def _batches(inputs: Any, specs: Any, size: int) -> Iterator[dict[str, np.ndarray]]:
    names, arrays = [spec.name for spec in keras.tree.flatten(specs)], keras.tree.flatten(inputs)
    for start in range(0, len(arrays[0]) - size + 1, size):
        yield {name: x[start : start + size] for name, x in zip(names, arrays, strict=True)}


def run_litert(path: pathlib.Path, inputs: Any, names: list[str]) -> list:
    """Runs the file with the interpreter of ai-edge-litert, which has no TensorFlow in it."""
    from ai_edge_litert.interpreter import Interpreter  # pyright: ignore[reportMissingImports]

    runner = Interpreter(str(path)).get_signature_runner()
    outputs = runner(**_named(inputs, names, list(runner.get_input_details())))
    return [outputs[name] for name in sorted(outputs, key=_natural)]


def write_onnx(model: keras.Model, path: pathlib.Path, inputs: Any, quantize: str | None) -> None:
    """Writes an ONNX file of opset 18."""
    import tensorflow as tf
    import tf2onnx  # pyright: ignore[reportMissingImports]

    patch_tf2onnx()
    specs = [signature(model, inputs)]

    @tf.function(input_signature=specs, autograph=False)
    def serve(inputs):
        return model(inputs, training=False)

    tf2onnx.convert.from_function(
        serve,
        specs,
        opset=18,
        custom_op_handlers=_HANDLERS,
        output_path=str(path),
    )


def _choice(graph: Any, node: Any, name: str, arguments: Any) -> Any:
    # tf2onnx multiplies both sides by masks, but 0 * inf is NaN.
    node.type, node.domain = "Where", ""
    return node


def _minus(first: str | None, second: str | None) -> Callable:
    """Returns a handler for the difference of two operations; None means a 1."""

    def handle(graph, node, name, arguments):
        def side(operation):
            if operation is None:
                one = np.array(1, {1: "float32", 11: "float64"}[graph.get_dtype(node.input[0])])
                return graph.make_const(f"{name}_one", one).output[0]
            return graph.make_node(operation, node.input[:1]).output[0]

        inputs = [side(first), side(second)]
        node.type, node.domain = "Sub", ""
        graph.replace_inputs(node, inputs)
        return node

    return handle


# Of operations that tf2onnx lacks, those in Keras's own activations gelu and celu; ours have none.
_HANDLERS = {
    "SelectV2": (_choice, []),
    "Erfc": (_minus(None, "Erf"), []),
    "Expm1": (_minus("Exp", None), []),
}


def run_onnx(path: pathlib.Path, inputs: Any, names: list[str]) -> list:
    """Runs the file with ONNX Runtime, on the CPU."""
    import onnxruntime  # pyright: ignore[reportMissingImports]

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, _named(inputs, names, [x.name for x in session.get_inputs()]))


FORMATS = {
    "saved_model": Format("", write_saved_model, run_saved_model, portable.TENSORFLOW, 1e-5),
    "litert": Format(
        ".tflite",
        write_litert,
        run_litert,
        portable.LITERT,
        1e-4,
        serving.add_to_litert,
        {"ai_edge_litert": "ai-edge-litert"},
    ),
    "onnx": Format(
        ".onnx",
        write_onnx,
        run_onnx,
        portable.ONNX,
        1e-4,
        serving.add_to_onnx,
        {"tf2onnx": "tf2onnx", "onnx": "onnx", "onnxruntime": "onnxruntime"},
    ),
}


def signature(model: keras.Model, inputs: Any) -> Any:
    """Returns a named `tf.TensorSpec` for each input, its open sizes left open."""
    import tensorflow as tf

    symbolic = serving.structure(model)
    if symbolic is None:
        flat = keras.tree.flatten(inputs)
        specs = [
            tf.TensorSpec([None, *x.shape[1:]], x.dtype, f"input_{number}")
            for number, x in enumerate(flat)
        ]
        return keras.tree.pack_sequence_as(inputs, specs)
    return keras.tree.map_structure(lambda x: tf.TensorSpec(x.shape, x.dtype, x.name), symbolic)


def _named(inputs: Any, names: list[str], wanted: list[str]) -> dict:
    """Returns the inputs by the names that the file has for them: the model's, as a rule."""
    names = names if set(names) == set(wanted) else wanted
    return dict(zip(names, keras.tree.flatten(inputs), strict=True))


def _natural(name: str) -> list:
    """Returns a key that sorts output_10 behind output_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
