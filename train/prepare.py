"""Makes Fashion-MNIST ready for TensorFlow Datasets and for Keras, offline.

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
import hashlib
import importlib.util
import os
import pathlib
import shutil
import tempfile
import zlib
from typing import Any

from absl import flags
from absl.flags import FlagValues

from .app import folder
from .app import main as app
from .errors import ArgumentError

# The files, with the start of the SHA-256 of what is in them: packed by Debian, they differ.
FILES = {
    "train-images-idx3-ubyte.gz": "c59f468a2f672dc8",
    "train-labels-idx1-ubyte.gz": "bad3541b69d91243",
    "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91e",
    "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663",
}
# Without them, only Keras is served.
_OF_TFDS = ("tensorflow", "tensorflow_datasets")


def define_flags(flag_values: FlagValues) -> None:
    """Defines the flags of the program."""
    flags.DEFINE_string(
        "source",
        "/usr/share/datasets/fashion-mnist",
        "Folder that holds the four *-ubyte.gz files.",
        flag_values,
    )
    flags.DEFINE_string(
        "data_dir",
        None,
        "Folder for the datasets that TensorFlow Datasets prepares; by default its own.",
        flag_values,
    )


def main(flag_values: FlagValues) -> None:
    """Runs the program."""
    folder.refuse_url("data_dir", flag_values.data_dir, "datasets")
    source = pathlib.Path(flag_values.source).expanduser()
    missing = [name for name in FILES if not (source / name).is_file()]
    if missing:
        raise ArgumentError(
            "source",
            f"does not hold {', '.join(missing)}; on Debian: apt-get install dataset-fashion-mnist",
        )
    lacking = " and ".join(name for name in _OF_TFDS if importlib.util.find_spec(name) is None)
    if lacking and flag_values.data_dir is not None:
        raise ArgumentError("data_dir", f"is for TensorFlow Datasets, which needs {lacking}")
    data_dir = flag_values.data_dir and os.path.expanduser(flag_values.data_dir)
    _check_whole(source)
    print("Keras:", _link(source))
    if lacking:
        print(f"TFDS: left out, needs {lacking}")
    else:
        print("TFDS:", _prepare(source, data_dir))


def _check_whole(source: pathlib.Path) -> None:
    """Reads all files before anything is made of them.

    Raises:
        ArgumentError: If one is damaged, or of another dataset.
    """
    for name, checksum in FILES.items():
        try:
            with gzip.open(source / name) as packed:
                found = hashlib.file_digest(packed, "sha256").hexdigest()[:16]
        except (OSError, EOFError, zlib.error) as error:
            raise ArgumentError("source", f"{name} is damaged ({error})") from error
        if found != checksum:
            message = f"{name} is not that of Fashion-MNIST; MNIST's files have the same names"
            raise ArgumentError("source", message)


def _link(source: pathlib.Path) -> pathlib.Path:
    home = os.environ.get("KERAS_HOME", "~/.keras")
    cache = pathlib.Path(home).expanduser() / "datasets" / "fashion-mnist"
    cache.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if not (cache / name).exists():
            (cache / name).unlink(missing_ok=True)  # a link whose target is gone
            try:
                os.symlink(source.resolve() / name, cache / name)
            except OSError:  # Windows lets few users make links
                shutil.copyfile(source / name, cache / name)
    return cache


def _prepare(source: pathlib.Path, data_dir: str | None) -> pathlib.Path:
    import tensorflow_datasets as tfds

    with tempfile.TemporaryDirectory() as scratch:

        def unpack(manager: Any, urls: dict[str, str]) -> dict[str, pathlib.Path]:
            """Stands in for the download: the builder asks for the same four files by URL."""
            unpacked = {}
            for key, url in urls.items():
                name = url.rsplit("/", 1)[1]
                unpacked[key] = pathlib.Path(scratch, name.removesuffix(".gz"))
                with gzip.open(source / name) as packed, open(unpacked[key], "wb") as plain:
                    shutil.copyfileobj(packed, plain)
            return unpacked

        downloader = tfds.download.DownloadManager
        original = downloader.download_and_extract
        downloader.download_and_extract = unpack  # pyright: ignore[reportAttributeAccessIssue]
        try:
            builder = tfds.builder("fashion_mnist", data_dir=data_dir)
            builder.download_and_prepare()
        finally:
            downloader.download_and_extract = original
    return pathlib.Path(builder.data_path)


if __name__ == "__main__":
    app.run(main, define_flags)
