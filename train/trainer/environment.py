"""The environment that made a result: versions, git revision, hardware."""

import contextlib
import functools
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
from typing import Any

import keras

import keras_swish
from keras_swish import io

# The file that settings and environments are written to.
CONFIG = "config.json"


def environment() -> dict[str, Any]:
    """Returns versions, git revision and hardware, to be written next to a result."""
    return {
        "keras_swish": keras_swish.__version__,
        "git": _git_revision(),
        "python": platform.python_version(),
        **_versions("keras", "tensorflow", "jax", "torch", "numpy"),
        "backend": keras.backend.backend(),
        "devices": _devices(),
        "threads": threads(),
        "processor": _processor(),
        "system": platform.platform(),
    }


def read_record(folder: pathlib.Path) -> dict[str, Any] | None:
    """Returns the settings of a folder of results and the starts of its program; None without.

    Raises:
        DamagedFileError: If its file is damaged.
    """
    record = io.read_json(folder / CONFIG)
    if record is None:
        return None
    record.setdefault("starts", [])
    if not isinstance(record.get("config"), dict):
        raise io.DamagedFileError(folder / CONFIG, "it has no settings")
    starts, order = record["starts"], record.get("order", {})
    is_whole = (
        isinstance(starts, list)
        and all(isinstance(start, dict) for start in starts)
        and isinstance(order, dict)
        and all(map(_are_names, order.values()))
        and _are_names(record.get("class_names", []))
    )
    if not is_whole:
        raise io.DamagedFileError(folder / CONFIG, "its starts, order or class_names are none")
    return record


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def threads() -> int:
    """Returns the number of threads that an operation is computed on: other ones, other bits."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        count = tf.config.threading.get_intra_op_parallelism_threads() or count
    elif keras.backend.backend() == "torch":
        import torch  # pyright: ignore[reportMissingImports]

        count = torch.get_num_threads()
    return count or 1


def _versions(*packages: str) -> dict[str, str]:
    versions = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return versions


def _devices() -> list[str]:
    try:
        return [str(device) for device in keras.distribution.list_devices()]
    except AttributeError:  # Keras has no distribution on PyTorch
        return []


@functools.cache
def _git_revision() -> str | None:
    # Once: the results that a process writes make the tree "dirty", but do not change the code
    # that it runs.
    root = pathlib.Path(keras_swish.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip() or None
    except OSError:
        return None


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return f"{len(names)} x {names[0]}" if names else platform.processor()
