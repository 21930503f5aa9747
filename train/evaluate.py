"""Tests a network that was trained: top-1 and top-5 accuracy, and the loss.

Examples:
  keras-swish evaluate runs/mine
      the network of a finished run, on its own test split.
  keras-swish evaluate runs/mine --checkpoint=best
      the checkpoint with the highest validation accuracy; --checkpoint=newest works in the
      middle of a run, too.
  keras-swish evaluate runs/mine/model.keras --dataset=/data/imagenet-v2 --test_split=val
      another dataset of the same classes.
  keras-swish evaluate flowers.keras --dataset=/data/flowers --test_split=test
      any Keras model of images that ends in logits or in a softmax.

The loss is the cross entropy alone: no penalty, no label smoothing. A run's network gets pictures
as it was trained, whatever the dataset; for a lone file, those of ImageNet's form are read as
`keras-swish imagenet` reads them, others as `keras-swish cifar` does. A run of a comparison is a
folder under its runs/.
"""

import contextlib
import dataclasses
import pathlib
import sys
import types

import keras
from absl import flags

from keras_swish import io, models
from keras_swish.messages import first_line

from .app import program
from .datasets import imagenet as imagenet_dataset
from .errors import ArgumentError
from .trainer import checkpoints, trainer
from .trainer import model as model_building

CHECKPOINT = flags.DEFINE_enum(
    "checkpoint",
    None,
    ["best", "newest"],
    "Evaluate this checkpoint of the run instead of its end.",
)
# Images in one go, for a file that no run has written.
BATCH_SIZE = 64


def main(arguments: list[str]) -> None:
    """Runs the program."""
    program.refuse_strategy()
    if len(arguments) != 1:
        program.fail("name one folder of a run, or one .keras file")
    path = pathlib.Path(arguments[0]).expanduser()
    if not path.exists():
        program.fail(f"{path} is not there")
    run = _run(path)
    if run is None and CHECKPOINT.value:
        raise ArgumentError("checkpoint", f"{path} is no folder of a run")
    model = None if CHECKPOINT.value else _load(path / trainer.MODEL if path.is_dir() else path)
    dataset = _data(run, model)
    if model is None:
        model = _checkpoint(run, dataset, path if path.is_dir() else path.parent)
    if not model_building.fits(model.input_shape, (None, *dataset.input_shape)):
        program.fail(f"{path} takes {model.input_shape}, the data is {dataset.input_shape}")
    if not model_building.fits(model.output_shape, (None, dataset.classes)):
        program.fail(f"{path} knows {model.output_shape[-1]} classes, the data {dataset.classes}")
    model_building.compile_for(model, dataset.input_shape)
    size = program.FLAGS.batch_size or (run.recipe.batch_size if run else BATCH_SIZE)
    with _clear_errors(dataset):
        found = trainer.evaluate(model, dataset, "test", size)
    print(f"top-1 accuracy {found['accuracy']:.2%}")
    if "top_5_accuracy" in found:
        print(f"top-5 accuracy {found['top_5_accuracy']:.2%}")
    print(f"loss {found['loss']:.4f}")


def _run(path) -> trainer.Run | None:
    """Returns the run that has written the network, or None for a lone file."""
    folder = path if path.is_dir() else path.parent
    try:
        record = io.read_json(folder / program.CONFIG)
        config = None if record is None else record["config"]
        # A comparison's folder, which may hold files of others, leaves the activation open.
        if config and {"activation", "seed", "recipe"} <= config.keys():
            # From before a run said so itself.
            old = {"pictures": {}} if config.get("program") == "imagenet" else {}
            return trainer.Run.from_config({**old, **config})
    except (OSError, ValueError, TypeError, KeyError) as error:
        program.fail(f"{folder / program.CONFIG} is not that of a run ({first_line(error)})")
    if path.is_file():
        return None
    if config is None:
        program.fail(f"{path} is no folder of a run: it has no {program.CONFIG}")
    program.fail(
        f"{path} is a folder of `keras-swish {config.get('program')}`, not of one run; those of a "
        "comparison are under its runs/"
    )


def _load(path):
    if not path.exists():
        program.fail(f"{path} is not there: the run has not ended; try --checkpoint=newest")
    try:
        return keras.saving.load_model(path, compile=False)
    except (ValueError, TypeError, OSError) as error:
        program.fail(f"{path} cannot be loaded ({first_line(error)})")


def _data(run, model):
    """Loads what the network was tested on, or what the flags name in place of that."""
    flag_values = program.FLAGS
    given = ("dataset", "train_split", "test_split", "image_size")
    changed = {name: flag_values[name].value for name in given if flag_values[name].present}
    if run is not None:
        settings = {**vars(run), **changed}
        of_pictures = run.pictures is not None
    else:
        settings = {name: flag_values[name].value for name in given} | {"pad": 0, "flip": False}
        of_pictures = imagenet_dataset.is_pictures(flag_values.dataset)
        if of_pictures:
            defaults = {"image_size": model.input_shape[2], "test_split": "validation"}
            settings |= defaults | changed
    load = imagenet_dataset.load_test if of_pictures else program.load_dataset
    return load(settings)


def _clear_errors(dataset):
    if not isinstance(dataset, imagenet_dataset.Pictures):
        return contextlib.nullcontext()
    from .datasets import pipeline

    return pipeline.as_data_errors()


def _checkpoint(run, dataset, folder) -> keras.Model:
    """Returns the network of a checkpoint, of the newest that can be read if it is to be that."""
    if run.model not in models.names():
        raise ArgumentError("checkpoint", "of a fine-tuned network only the end can be tested")
    # The penalty is no part of the test, and the schedule may be any, so its length too.
    recipe = dataclasses.replace(run.recipe, warmup_epochs=0.0, weight_decay=0.0)
    shapes = types.SimpleNamespace(
        input_shape=dataset.input_shape,
        classes=dataset.classes,
        training_images=1000 * recipe.batch_size,
    )
    model = model_building.build(dataclasses.replace(run, recipe=recipe), shapes)
    model_building.make_metrics(model)
    saved = checkpoints.Checkpoints(folder / trainer.CHECKPOINTS, run.config(), writes=False)
    paths = [saved.best()] if CHECKPOINT.value == "best" else saved.paths()
    if not any(_loaded(saved, path, model) for path in paths if path):
        raise ArgumentError("checkpoint", f"there is none that can be read in {saved.directory}")
    for variable, average in model_building.averages(model):
        variable.assign(keras.ops.convert_to_numpy(average))
    return model_building.classifier(model)


def _loaded(saved, path, model) -> bool:
    """Loads a checkpoint, unless it is damaged, or the run has removed it in between."""
    try:
        saved.load(path, model)
    except ArgumentError as error:
        raise ArgumentError("checkpoint", f"it does not fit this dataset: {error}") from error
    except checkpoints.BROKEN as error:
        print(f"{path} cannot be read ({first_line(error)})", file=sys.stderr, flush=True)
        return False
    return True


if __name__ == "__main__":
    program.run(main)
