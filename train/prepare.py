"""Makes Fashion-MNIST ready for TensorFlow Datasets and for Keras, without a network.

Debian's package dataset-fashion-mnist (apt-get install dataset-fashion-mnist, 31 MB) holds
the 60,000 + 10,000 original 28x28 images. This program
  * runs TFDS's own fashion_mnist builder over those files, so that
    tfds.load("fashion_mnist", data_dir=DATA_DIR) finds it prepared, and
  * links them into Keras's cache, so that keras.datasets.fashion_mnist.load_data() finds them.

Examples:
  keras-swish prepare
  keras-swish prepare --data_dir=/data/tfds --source=/mnt/fashion-mnist
"""

import gzip
import os
import pathlib
import shutil
import tempfile

from absl import flags

from .app import program
from .errors import ArgumentError

SOURCE = flags.DEFINE_string(
    "source", "/usr/share/datasets/fashion-mnist", "Folder that holds the four *-ubyte.gz files."
)
FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


def main() -> None:
    """Runs the program."""
    source = pathlib.Path(SOURCE.value).expanduser()
    missing = [name for name in FILES if not (source / name).is_file()]
    if missing:
        raise ArgumentError(
            "source",
            f"does not hold {', '.join(missing)}; on Debian: apt-get install dataset-fashion-mnist",
        )
    print("Keras:", _link(source))
    print("TFDS:", _prepare(source, program.FLAGS.data_dir))


def _link(source: pathlib.Path) -> pathlib.Path:
    home = os.environ.get("KERAS_HOME", "~/.keras")
    cache = pathlib.Path(home).expanduser() / "datasets" / "fashion-mnist"
    cache.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if not (cache / name).exists():
            (cache / name).unlink(missing_ok=True)  # a link whose target is gone
            os.symlink(source.resolve() / name, cache / name)
    return cache


def _prepare(source: pathlib.Path, data_dir: str | None) -> pathlib.Path:
    import tensorflow_datasets as tfds

    with tempfile.TemporaryDirectory() as scratch:

        def unpack(manager, urls):
            """Stands in for the download: the builder asks for the same four files by URL."""
            unpacked = {}
            for key, url in urls.items():
                name = url.rsplit("/", 1)[1]
                unpacked[key] = pathlib.Path(scratch, name.removesuffix(".gz"))
                with gzip.open(source / name) as packed, open(unpacked[key], "wb") as plain:
                    shutil.copyfileobj(packed, plain)
            return unpacked

        downloader = tfds.download.DownloadManager
        original, downloader.download_and_extract = downloader.download_and_extract, unpack
        try:
            builder = tfds.builder("fashion_mnist", data_dir=data_dir)
            builder.download_and_prepare()
        finally:
            downloader.download_and_extract = original
    return builder.data_path


if __name__ == "__main__":
    program.run(main)
