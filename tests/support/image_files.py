"""Small datasets of JPEGs in the forms in which ImageNet comes."""

import pathlib
import tarfile

import numpy as np
from PIL import Image

# Some of ImageNet's own names, as TFDS's builder wants them.
CLASSES = ("n01440764", "n01443537", "n01484850", "n01491361")


def make_folder(
    path: pathlib.Path, *, classes: int = 3, per_class: int = 8, seed: int = 0, suffix=".JPEG"
) -> pathlib.Path:
    """Writes a folder of class folders of images that differ in size, colour by class.

    Args:
        path: Folder to make, such as ".../train".
        classes: Number of classes.
        per_class: Images in each.
        seed: Seed of the images.
        suffix: Format of the images: ".JPEG", ".png".

    Returns:
        `path`.
    """
    random = np.random.default_rng(seed)
    for label in range(classes):
        folder = path / (CLASSES[label] if label < len(CLASSES) else f"n9{label:07}")
        folder.mkdir(parents=True)
        for number in range(per_class):
            small = random.integers(0, 120, (4, 5, 3))
            small[..., label % 3] += 40 + 20 * (label // 3)
            width, height = (int(side) for side in random.integers(40, 80, 2))
            image = Image.fromarray(small.astype("uint8")).resize((width, height))
            # The name is ImageNet's: class, number.
            image.save(folder / f"{folder.name}_{number}{suffix}", quality=90)
    return path


def write_records(
    folder: pathlib.Path,
    out: pathlib.Path,
    *,
    name="train",
    shards=3,
    first_label=1,
    texts=None,
) -> str:
    """Writes the images of class folders into TFRecord shards as TF-Slim does.

    `texts` are what the classes are called.

    Returns:
        The pattern that the files match.
    """
    import tensorflow as tf

    out.mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in folder.iterdir())
    files = sorted(folder.glob("*/*"))
    for shard in range(shards):
        path = out / f"{name}-{shard:05}-of-{shards:05}"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for file in files[shard::shards]:
                example = tf.train.Example()
                features = example.features.feature
                features["image/encoded"].bytes_list.value.append(file.read_bytes())
                label = names.index(file.parent.name) + first_label
                features["image/class/label"].int64_list.value.append(label)
                if texts is not None:
                    text = texts[label - first_label].encode()
                    features["image/class/text"].bytes_list.value.append(text)
                writer.write(example.SerializeToString())
    return str(out / f"{name}-*")


def prepare_imagenet2012(folder: pathlib.Path, data_dir: pathlib.Path) -> None:
    """Runs TFDS's own imagenet2012 builder over class folders, as its training split.

    Four of the images are its validation split.
    """
    import tensorflow_datasets as tfds

    manual = data_dir / "manual"
    manual.mkdir(parents=True)
    with tarfile.open(manual / "ILSVRC2012_img_train.tar", "w") as outer:
        for class_folder in sorted(folder.iterdir()):
            inner = manual / f"{class_folder.name}.tar"
            with tarfile.open(inner, "w") as tar:
                for file in sorted(class_folder.iterdir()):
                    tar.add(file, arcname=file.name)
            outer.add(inner, arcname=inner.name)
    # The builder gives them the labels of ImageNet's own first images, whatever they show.
    with tarfile.open(manual / "ILSVRC2012_img_val.tar", "w") as tar:
        for number, file in enumerate(sorted(folder.glob("*/*"))[:4], start=1):
            tar.add(file, arcname=f"ILSVRC2012_val_{number:08}.JPEG")
    tfds.builder("imagenet2012", data_dir=data_dir).download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=manual)
    )
