"""What all that runs on a Ray cluster has in common."""

import contextlib
import math
import os
from collections.abc import Iterator

import keras

# Lets several processes share a GPU.
SHARED_GPU = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
# How often a piece of work is begun again when its worker is lost.
RETRIES = 10


@contextlib.contextmanager
def connected() -> Iterator:
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
    here = not ray.is_initialized()
    if here:
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        yield ray
    finally:
        if here:
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


def machines(ray) -> list[dict]:
    """Returns what each machine of the cluster has: {"CPU": 8.0, "GPU": 2.0}."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def places(machines: list[dict], needs: dict) -> int:
    """Returns how many pieces of work fit into a cluster at once.

    Args:
        machines: What each of them has, as the function of that name gives it.
        needs: What each piece of work needs, of one machine: {"CPU": 1.0, "GPU": 0.5}.

    Raises:
        ValueError: If not one fits.

    Example:
        >>> from keras_swish.search import cluster
        >>> cluster.places([{"CPU": 3.0, "GPU": 1.0}, {"CPU": 3.0}], {"CPU": 2.0})
        2
    """
    needs = {name: amount for name, amount in needs.items() if amount}
    if not needs:
        return max(1, os.cpu_count() or 1)
    found = [
        min(_times(own.get(n, 0), n, amount) for n, amount in needs.items()) for own in machines
    ]
    if not sum(found):
        present = ", ".join(f"{max(m.get(n, 0) for m in machines):g} {n}" for n in ("CPU", "GPU"))
        raise ValueError(f"no run fits into the Ray cluster, which has {present} on a machine")
    return sum(found)


def _times(present: float, name: str, amount: float) -> int:
    """Returns how often an amount fits; less than a GPU is a part of a single one."""
    if name == "GPU" and amount < 1:
        return int(present) * _times(1.0, "part of a GPU", amount)
    # Not the integer division of floats, by which 0.2 fits into 1 four times.
    return math.floor(present / amount + 1e-9)


def result(ray, reference):
    """Returns what a reference stands for, or raises what its worker raised."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        # Ray's own is a class made up from both, whose text is the worker's traceback.
        raise error.cause from None
