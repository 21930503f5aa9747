"""Flags that say where runs, or the children of a search, are computed."""

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from absl import flags
from absl.flags import FlagValues

from keras_swish.search import cluster, executors

from ..errors import ArgumentError, PreemptedError, as_argument_error


def define_ray_flags(flag_values: FlagValues) -> None:
    """Defines where runs, or the children of a search, are computed."""
    flags.DEFINE_enum(
        "executor",
        "local",
        ["local", "ray"],
        "Where the runs, or the children of a search, are computed: on this machine one by one, "
        "or on the Ray cluster that RAY_ADDRESS names, where the --out of runs has to be a folder "
        "that all machines share; without a cluster, on this machine in as many processes as fit.",
        flag_values,
    )
    flags.DEFINE_float(
        "run_cpus",
        1.0,
        "CPU cores that Ray sets aside for a run.",
        lower_bound=0,
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "run_gpus",
        0.0,
        "GPUs that Ray sets aside for a run; may be a fraction.",
        lower_bound=0,
        flag_values=flag_values,
    )


def from_flags(flag_values: FlagValues, limit_threads: bool = False) -> executors.Executor:
    """Returns the executor that the flags name, and makes room for its workers.

    A run whose worker is lost or preempted is started again, so it has to resume, or to begin
    again without harm.

    Args:
        flag_values: The flags of the program.
        limit_threads: As for `keras_swish.search.executors.Ray`: runs give the same bits as
            without Ray, children of a search are trained faster.

    Raises:
        ArgumentError: If its package is not installed, or a flag is given that says nothing to it.
    """
    if flag_values.executor == "local":
        for flag in ("run_cpus", "run_gpus"):
            if flag_values[flag].present:
                raise ArgumentError(flag, "needs --executor=ray")
        return executors.Local()
    if importlib.util.find_spec("ray") is None:
        raise ArgumentError("executor", "needs Ray: pip install 'keras-swish[ray]'")
    # Or this process, which trains nothing, would take the whole GPU.
    for name, value in cluster.SHARED_GPU.items():
        os.environ.setdefault(name, value)
    return executors.Ray(
        flag_values.run_cpus, flag_values.run_gpus, limit_threads, (PreemptedError,)
    )


def as_flag_error(executor: executors.Executor) -> contextlib.AbstractContextManager[None]:
    """Names the flag if no worker of the executor fits into the cluster."""
    needs_gpus = isinstance(executor, executors.Ray) and executor.gpus
    return as_argument_error("run_gpus" if needs_gpus else "run_cpus")


def execute(
    executor: executors.Executor, function: Callable, jobs: Iterable[dict], shared: dict
) -> Iterator[tuple[dict, Any]]:
    """Yields each job with the result of `function(**job, **shared)`, the first to end first.

    What a job raises is raised here, and ends the others.

    Args:
        executor: Where the jobs are computed.
        function: What computes a job.
        jobs: The arguments in which jobs differ.
        shared: The arguments that all jobs have in common; sent to each worker once.

    Example:
        >>> from keras_swish.search.executors import Local
        >>> from keras_swish.train.app import executors
        >>> [power for _, power in executors.execute(Local(), pow, [{"base": 2}], {"exp": 3})]
        [8]
    """
    with as_flag_error(executor):
        executor.start(lambda job: function(**job, **shared))
    with executor:
        try:
            yield from executors.compute_all(executor, jobs)
        except executors.WorkerLostError as error:
            title = error.job.get("title", error.job)
            raise executors.WorkerLostError(error.job, f"computed {title}") from error
