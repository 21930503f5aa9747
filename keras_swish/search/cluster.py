"""A Ray cluster: connecting to it, and what fits into it."""

import contextlib
import logging
import math
import os
from collections.abc import Iterator
from typing import Any

import keras

# Lets several processes share a GPU.
SHARED_GPU = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
# How often a job is started again when its worker is lost.
RETRIES = 10


@contextlib.contextmanager
def connected() -> Iterator[Any]:
    """Gives the module `ray`, connected to the cluster that RAY_ADDRESS names.

    Without a cluster one is started on this machine, and stopped at the end.

    Raises:
        ModuleNotFoundError: If Ray is not installed.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Several processes or machines need Ray: pip install 'keras-swish[ray]'"
        ) from error
    is_ours = not ray.is_initialized()
    if is_ours:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        yield ray
    finally:
        if is_ours:
            ray.shutdown()


def worker_environment(cpus: float | None = None) -> dict:
    """Returns the `runtime_env` of workers, whose results do not depend on which they are.

    Args:
        cpus: CPU cores that a worker has, and TensorFlow threads; None for as many threads as the
            machine has cores, and the same bits as without Ray.
    """
    variables = {
        "KERAS_BACKEND": keras.backend.backend(),
        # Makes TensorFlow's operations give the same bits in every process.
        "TF_DETERMINISTIC_OPS": "1",
        **SHARED_GPU,
    }
    if cpus is not None:
        threads = str(max(1, int(cpus)))
        variables |= {"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads}
    return {"env_vars": variables}


def machines(ray: Any) -> list[dict]:
    """Returns what each machine of the cluster has: {"CPU": 8.0, "GPU": 2.0}."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def slots(machines: list[dict], needs: dict) -> int:
    """Returns how many jobs fit into a cluster at once.

    Args:
        machines: What each of them has, as `machines` returns it.
        needs: What each job needs, of one machine: {"CPU": 1.0, "GPU": 0.5}.

    Raises:
        ValueError: If not one fits.

    Example:
        >>> from keras_swish.search import cluster
        >>> cluster.slots([{"CPU": 3.0, "GPU": 1.0}, {"CPU": 3.0}], {"CPU": 2.0})
        2
    """
    needs = {name: amount for name, amount in needs.items() if amount}
    if not needs:
        return max(1, os.cpu_count() or 1)
    fitting = sum(
        min(_times(machine.get(n, 0), n, amount) for n, amount in needs.items())
        for machine in machines
    )
    if not fitting:
        present = ", ".join(f"{max(m.get(n, 0) for m in machines):g} {n}" for n in ("CPU", "GPU"))
        raise ValueError(f"no run fits into the Ray cluster, which has {present} on a machine")
    return fitting


def _times(present: float, name: str, amount: float) -> int:
    """Returns how often an amount fits; less than a GPU is a part of a single one."""
    if name == "GPU" and amount < 1:
        return int(present) * _times(1.0, "part of a GPU", amount)
    # Not the integer division of floats, by which 0.2 fits into 1 four times.
    return math.floor(present / amount + 1e-9)


def result(ray: Any, reference: Any) -> Any:
    """Returns what a reference stands for, or raises what its worker raised."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # Ray's own is a class made up from both, whose text is the worker's traceback.
        raise error.cause from None
