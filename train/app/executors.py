"""Where runs are computed: here, one by one, or as tasks of a Ray cluster.

An executor is a function that takes jobs and gives back each with its result, when it is done.
It asks for the next job only when one can be started, so the jobs may depend on the results.
"""

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator

from absl import flags
from absl.flags import FlagValues

from keras_swish.search import cluster

from ..errors import ArgumentError, PreemptedError, as_argument_error

Jobs = Iterable[dict]
Results = Iterator[tuple[dict, object]]


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


def local(function: Callable, jobs: Jobs, shared: dict) -> Results:
    """Computes the jobs in this process, one by one.

    Args:
        function: What computes a job, called as `function(**job, **shared)`.
        jobs: The arguments that are a job's own.
        shared: The arguments that all jobs have in common.

    Yields:
        Each job with its result.

    Example:
        >>> from keras_swish.train.app import executors
        >>> [power for _, power in executors.local(pow, [{"base": 2}, {"base": 3}], {"exp": 2})]
        [4, 9]
    """
    for job in jobs:
        yield job, function(**job, **shared)


def ray(
    function: Callable, jobs: Jobs, shared: dict, cpus: float = 1.0, gpus: float = 0.0
) -> Results:
    """Computes the jobs as tasks of a Ray cluster, as many at once as its resources allow.

    A job whose worker is lost is started again, so `function` has to go on where it was cut off
    or begin anew without harm. What a job raises is raised here, and ends the others.

    Args:
        function: As for `local`; it has to be importable, as it is called in other processes.
        jobs: As for `local`.
        shared: As for `local`; sent to each machine once.
        cpus: CPU cores that a job needs.
        gpus: GPUs that a job needs.

    Yields:
        Each job with its result, the first to end first.
    """
    with cluster.connected() as ray:
        places = _places(cluster.machines(ray), cpus, gpus)
        task = ray.remote(
            num_cpus=cpus,
            num_gpus=gpus,
            max_retries=cluster.RETRIES,
            retry_exceptions=[PreemptedError],
            runtime_env=cluster.worker_environment(),
        )(function)
        shared = {name: ray.put(value) for name, value in shared.items()}
        jobs, running = iter(jobs), {}
        try:
            while True:
                while len(running) < places and (job := next(jobs, None)) is not None:
                    running[task.remote(**job, **shared)] = job
                if not running:
                    return
                (done, *_), _ = ray.wait(list(running))
                yield running.pop(done), cluster.result(ray, done)
        finally:
            for reference in running:
                ray.cancel(reference, force=True)


def _places(machines: list[dict], cpus: float, gpus: float) -> int:
    with as_argument_error(
        "run_gpus" if max(m.get("GPU", 0) for m in machines) < gpus else "run_cpus"
    ):
        return cluster.places(machines, {"CPU": cpus, "GPU": gpus})


def from_flags(flag_values: FlagValues) -> Callable[[Callable, Jobs, dict], Results]:
    """Returns the executor that the flags name.

    Raises:
        ArgumentError: If its package is not installed.
    """
    check(flag_values)
    if flag_values.executor == "local":
        return local
    cpus, gpus = flag_values.run_cpus, flag_values.run_gpus
    return lambda function, jobs, shared: ray(function, jobs, shared, cpus, gpus)


def of_children(child, flag_values: FlagValues):
    """Returns the executor that the flags name, for the children of a search.

    Raises:
        ArgumentError: If no child fits into the cluster.
    """
    from keras_swish.search import executors

    if flag_values.executor == "local":
        return executors.Local(child)
    with as_argument_error("run_gpus" if flag_values.run_gpus else "run_cpus"):
        return executors.Ray(child, flag_values.run_cpus, flag_values.run_gpus)


def check(flag_values: FlagValues) -> None:
    """Looks whether the executor that the flags name can be had, and makes room for its workers.

    Raises:
        ArgumentError: If its package is not installed, or a flag is given that says nothing to it.
    """
    if flag_values.executor == "local":
        for flag in ("run_cpus", "run_gpus"):
            if flag_values[flag].present:
                raise ArgumentError(flag, "needs --executor=ray")
    else:
        if importlib.util.find_spec("ray") is None:
            raise ArgumentError("executor", "needs Ray: pip install 'keras-swish[ray]'")
        # Or this process, which trains nothing, would take the whole GPU.
        for name, value in cluster.SHARED_GPU.items():
            os.environ.setdefault(name, value)
