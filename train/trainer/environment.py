"""The environment that made a result: versions, git revision, hardware."""

import contextlib
import functools
import importlib.metadata
import pathlib
import platform
import re
import subprocess
from typing import Any

import keras

import keras_swish

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
        "processor": _processor(),
        "system": platform.platform(),
    }


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
