r"""Counts the images a second that a core prepares: ours, Keras's loader, TFDS with a map.

Examples:
  python benchmarks/input_pipeline.py
      2,000 images, five rounds: a few minutes on two quiet cores.
  python benchmarks/input_pipeline.py --images=64 --rounds=1 --out=/tmp/benchmark
      a trial.

The JPEGs, 500x375, are random parts of the photographs that scikit-learn and scikit-image ship
(pip install scikit-image). All contenders read the same files' bytes, from memory once they have
been read, and take turns in one process, so that a load of the machine that comes and goes slows
all of them. results.csv has each round, table.md the medians.
"""

import functools
import os
import pathlib
import shlex
import statistics
import sys
import tempfile
import time
from typing import Any

from absl import app, flags

# Run from a checkout as well as with the package installed.
ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

_IMAGES = flags.DEFINE_integer("images", 2000, "Images to make.", lower_bound=10)
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Rounds; their median counts.", lower_bound=1)
_BATCH = flags.DEFINE_integer("batch_size", 32, "Images in a batch.", lower_bound=1)
_SIZE = flags.DEFINE_integer("image_size", 224, "Side of the resulting images.")
_QUALITY = flags.DEFINE_integer("quality", 95, "Quality of the JPEGs.")
_OUT = flags.DEFINE_string("out", str(ROOT / "results" / "input_pipeline"), "Folder.")
_NOTE = flags.DEFINE_string("note", None, "Note next to the machine, on its other load.")

CLASSES = 10
WORK = {
    "scaled": "evaluation: the centre (ours, TFDS) or all of it (Keras's loader), scaled",
    "cropped": "training: a random crop, scaled, half of them mirrored",
    "coloured": "training, with brightness, saturation, hue and contrast changed",
}


def make_images(folder: pathlib.Path, count: int, quality: int) -> int:
    """Writes class folders of JPEGs, 500x375; returns their mean size in bytes."""
    import numpy as np
    import skimage.data
    from PIL import Image
    from sklearn.datasets import load_sample_image

    photographs = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    shipped = ("astronaut", "cat", "coffee", "hubble_deep_field", "retina", "rocket")
    photographs += [getattr(skimage.data, name)() for name in shipped]
    random = np.random.default_rng(0)
    total = 0
    for number in range(count):
        image = Image.fromarray(photographs[number % len(photographs)])
        # Parts of 4:3, from half of the photograph's side to all of it.
        side = random.uniform(0.5, 1) * min(image.width / 4, image.height / 3)
        width, height = 4 * side, 3 * side
        left, top = random.uniform(0, (image.width - width, image.height - height))
        part = image.resize(
            (500, 375), Image.Resampling.BICUBIC, (left, top, left + width, top + height)
        )
        path = folder / f"class{number % CLASSES}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        part.save(path, quality=quality)
        total += path.stat().st_size
    return total // count


def store_as_tfds(folder: pathlib.Path, data_dir: pathlib.Path) -> None:
    """Writes the same files as a dataset of TFDS, their bytes unchanged."""
    import tensorflow_datasets as tfds

    files = sorted(folder.glob("*/*"))
    tfds.dataset_builders.store_as_tfds_dataset(
        name="images",
        version="1.0.0",
        data_dir=data_dir,
        split_datasets={
            "train": [
                (number, {"image": str(path), "label": int(path.parent.name[5:])})
                for number, path in enumerate(files)
            ]
        },
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(encoding_format="jpeg"),
                "label": tfds.features.ClassLabel(num_classes=CLASSES),
            }
        ),
        disable_shuffling=True,
    )


def contenders(work: str, folder: pathlib.Path, data_dir: pathlib.Path) -> dict[str, Any]:
    """Returns the datasets of batches, each without end, by the name of their maker."""
    import keras
    import tensorflow as tf
    import tensorflow_datasets as tfds

    batch, size = _BATCH.value, _SIZE.value
    finish = functools.partial(_as_anyone_would, work=work, size=size)

    def batches(pairs):
        prepared = pairs.repeat().map(finish, num_parallel_calls=tf.data.AUTOTUNE)
        return prepared.batch(batch, drop_remainder=True).prefetch(tf.data.AUTOTUNE)

    # To be cropped, images must come from Keras's loader in their full size.
    load = functools.partial(
        keras.utils.image_dataset_from_directory,
        folder.parent / "train",
        label_mode="categorical",
        verbose=False,
    )
    if work == "scaled":
        by_keras = load(image_size=(size, size), batch_size=batch)
        by_keras = by_keras.repeat().map(lambda images, labels: (images / 127.5 - 1, labels))
    else:
        by_keras = batches(load(image_size=(375, 500), batch_size=None))
    # TFDS would keep so small a dataset in memory, decoded, which ImageNet is too large for.
    uncached = tfds.ReadConfig(try_autocache=False)
    by_tfds = tfds.load("images", split="train", data_dir=data_dir, read_config=uncached)
    one_hot = by_tfds.map(lambda read: (read["image"], tf.one_hot(read["label"], CLASSES)))
    return {
        "ours, folder": _ours(work, str(folder.parent), None),
        "ours, TFDS": _ours(work, "images", str(data_dir)),
        "image_dataset_from_directory": by_keras.prefetch(tf.data.AUTOTUNE),
        "tfds.load, map": batches(one_hot),
    }


def _as_anyone_would(image: Any, label: Any, work: str, size: int) -> tuple[Any, Any]:
    """Does the same work as ours on a decoded image, with `tf.image`."""
    import tensorflow as tf

    if work == "scaled":
        centre = tf.image.central_crop(image, 0.875)
        return tf.image.resize(centre, (size, size)) / 127.5 - 1, label
    begin, extent, _ = tf.image.sample_distorted_bounding_box(
        tf.shape(image),
        tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        min_object_covered=0.1,
        aspect_ratio_range=(0.75, 1.33),
        area_range=(0.05, 1.0),
        max_attempts=100,
        use_image_if_no_bounding_boxes=True,
    )
    image = tf.ensure_shape(tf.slice(image, begin, extent), (None, None, 3))
    image = tf.image.resize(image, (size, size)) / 255
    image = tf.image.random_flip_left_right(image)
    if work == "coloured":
        image = tf.image.random_brightness(image, 32 / 255)
        image = tf.image.random_saturation(image, 0.5, 1.5)
        image = tf.image.random_hue(image, 0.2)
        image = tf.clip_by_value(tf.image.random_contrast(image, 0.5, 1.5), 0, 1)
    return image * 2 - 1, label


def _ours(work: str, dataset: str, data_dir: str | None) -> Any:
    from keras_swish.train.datasets import inception_preprocessing, pipeline, sources

    source = sources.open_source(dataset, "train", data_dir=data_dir)
    batches = pipeline.batches(
        source,
        batch_size=_BATCH.value,
        image_size=_SIZE.value,
        training=work != "scaled",
        distortion=inception_preprocessing.Distortion(
            color="full" if work == "coloured" else "none"
        ),
    )
    return batches.repeat() if work == "scaled" else batches


def measure(folder: pathlib.Path, data_dir: pathlib.Path) -> list[dict[str, Any]]:
    """Times all contenders in turn; returns a row a contender, work and round."""
    steps = max(1, _IMAGES.value // _BATCH.value)
    rows = []
    for work in WORK:
        datasets = contenders(work, folder, data_dir)
        for round_ in range(_ROUNDS.value + 1):
            # There and back again, so that none is always the first.
            for name in list(datasets)[:: (-1) ** round_]:
                # A new stream: one that waits would keep reading ahead while the others run.
                stream = iter(datasets[name])
                for _ in range(3):
                    images, _ = next(stream)
                start, cpu = time.perf_counter(), time.process_time()
                for _ in range(steps):
                    next(stream)
                seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
                del stream
                if round_:  # the first reads the files and warms up
                    rows.append(
                        {
                            "work": work,
                            "contender": name,
                            "round": round_,
                            "images_per_s_and_core": steps * len(images) / seconds / os.cpu_count(),
                            "images_per_cpu_s": steps * len(images) / cpu,
                        }
                    )
        medians = _medians(rows, work)
        print(work, *(f"{name}: {value:.0f}" for name, value in medians.items()), sep="\n  ")
    return rows


def _medians(
    rows: list[dict[str, Any]], work: str, field: str = "images_per_s_and_core"
) -> dict[str, float]:
    by_contender: dict[str, list[float]] = {}
    for row in rows:
        if row["work"] == work:
            by_contender.setdefault(row["contender"], []).append(row[field])
    return {name: statistics.median(values) for name, values in by_contender.items()}


def table(rows: list[dict[str, Any]], field: str) -> str:
    """Returns the table: a row for each work: medians, and ours over the better peer."""
    names = list(dict.fromkeys(row["contender"] for row in rows))
    ours = [name for name in names if name.startswith("ours")]
    ratios = [f"{name} / better peer" for name in ours]
    lines = [["work", *names, *ratios], ["---"] * (1 + len(names) + len(ratios))]
    for work in dict.fromkeys(row["work"] for row in rows):
        medians = _medians(rows, work, field)
        peer = max(medians[name] for name in names if name not in ours)
        cells = [f"{medians[name]:.0f}" for name in names]
        lines.append([work, *cells, *(f"{medians[name] / peer:.2f}" for name in ours)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _report(rows: list[dict[str, Any]], size: int) -> str:
    from keras_swish.train.trainer.environment import environment

    machine = ", ".join(f"{key} {value}" for key, value in environment().items() if value)
    works = "\n".join(f"* {name}: {text}." for name, text in WORK.items())
    return f"""# The input pipeline compared with Keras's loader and TFDS with a map

Images a second and core, from {_IMAGES.value} JPEGs of 500x375, {size // 1000} kB each on
average, to batches of {_BATCH.value} of {_SIZE.value}x{_SIZE.value}, float32 in [-1, 1]; the
median of {_ROUNDS.value} rounds in which all take turns.

{table(rows, "images_per_s_and_core")}

The same by the processor time that they took, whatever else the machine did:

{table(rows, "images_per_cpu_s")}

{works}

The peers do the same work with `tf.image`, on as many threads. Ours gives the same batches from
the same seed and survives corrupt images; theirs do not. Keras's loader cannot crop before it
scales: for crops it gives the images in full size.

* Command: `{shlex.join(["python", *sys.argv])}`; every round is in results.csv.
* Machine: {machine}.{f" {_NOTE.value}" if _NOTE.value else ""}
"""


def main(argv: list[str]) -> None:
    """Runs the program."""
    from keras_swish import io

    out = pathlib.Path(_OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder, data_dir = pathlib.Path(temporary, "train"), pathlib.Path(temporary, "tfds")
        size = make_images(folder, _IMAGES.value, _QUALITY.value)
        data_dir.mkdir()
        store_as_tfds(folder, data_dir)
        rows = measure(folder, data_dir)
    io.write_csv(out / "results.csv", rows)
    io.write_text(out / "table.md", _report(rows, size))
    print(table(rows, "images_per_s_and_core"))


if __name__ == "__main__":
    app.run(main)
