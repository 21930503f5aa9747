"""Writes a trained network for other runtimes, with its preprocessing and its classes' names.

Examples:
  keras-swish export runs/mine mine.onnx
      the network of a finished run: normalised images in, logits out.
  keras-swish export runs/flowers served --inputs=encoded --outputs=probabilities
      a SavedModel that takes JPEGs and PNGs as they lie on disk, and returns probabilities and the
      name of each image's class.
  keras-swish export runs/mine mine.tflite --inputs=uint8
      pixels from 0 to 255 in.
  keras-swish export mine.keras mine
      any Keras model, as it is.

The format is that of the suffix: .onnx, .tflite (LiteRT), none for a SavedModel, a folder. What was
written is run and compared with the network. The names of the classes are in it, see
`keras_swish.export`; a file that no run has written has none.
"""

import pathlib

from absl import flags as absl_flags
from absl.flags import FlagValues

import keras_swish

from .app import data, flags, networks
from .app import main as app
from .app.folder import refuse_url
from .errors import ArgumentError, UsageError, as_usage_error
from .trainer import trainer
from .trainer.environment import read_record

_AS_TRAINED = "normalized"


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    absl_flags.DEFINE_enum(
        "inputs",
        _AS_TRAINED,
        [_AS_TRAINED, "uint8", "encoded"],
        "What the file takes: images as the network was trained on, pixels from 0 to 255, or (a "
        "SavedModel) encoded images.",
        flag_values,
    )
    absl_flags.DEFINE_enum(
        "outputs",
        "logits",
        ["logits", "probabilities"],
        "What the file gives for each class: what the network gives, or probabilities of a "
        "network that gives logits.",
        flag_values,
    )
    flags.define_data_dir_flag(flag_values)


def main(flag_values: FlagValues, arguments: list[str]) -> None:
    """Runs the program."""
    if len(arguments) != 2:
        raise UsageError("name a folder of a run, or a .keras file, and what to write")
    refuse_url("what to write", arguments[1], "files")
    path, out = (pathlib.Path(argument).expanduser() for argument in arguments)
    run = networks.run_of(path)
    model = networks.load(path)
    options = {}
    if flag_values.outputs == "probabilities":
        options["classifier_activation"] = "softmax"
    if run is not None:
        record = read_record(networks.network_file(path).parent) or {}
        options["class_names"] = record.get("class_names")
    if flag_values.inputs != _AS_TRAINED:
        if run is None:
            raise ArgumentError(
                "inputs", f"no run has written {path}: its preprocessing is unknown"
            )
        options |= _preprocessing(flag_values, run, model.input_shape)
    try:
        with as_usage_error():
            difference = keras_swish.export(model, out, **options)
    except ImportError as error:
        raise UsageError(str(error)) from error
    print(f"{out}: its outputs differ from the network's by {difference:.1g} of the largest")


def _preprocessing(flag_values: FlagValues, run: trainer.Run, input_shape: tuple[int, ...]) -> dict:
    """Returns the arguments of `export` for what the network's images were made of."""
    from .datasets import in_memory, serving  # they need TensorFlow

    form = flag_values.inputs
    if run.image_files is not None:
        size = input_shape[2]  # in both of Keras's image data formats
        shape, model = (size, size, 3), serving.of_image_files(form, size)
    else:
        dataset = data.load(flag_values, vars(run))
        assert isinstance(dataset, in_memory.ImageArrays)
        shape, model = dataset.train.images.shape[1:], serving.of_arrays(form, dataset)
    return {"preprocessing": model, "representative_data": serving.examples(form, shape)}


if __name__ == "__main__":
    app.run(main, define_flags)
