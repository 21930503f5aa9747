"""Where jobs are computed: in this process, one by one, or by the workers of a Ray cluster.

An executor takes jobs with `submit` and gives each back with its result by `wait`, the first to end
first. It does not know what a job is: the children of a search and the runs of a comparison are
computed by the same executors.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from keras_swish.messages import first_line, unknown
from keras_swish.search import cluster

if TYPE_CHECKING:
    from keras_swish.search.child import Child

Job = Any
Result = Any
# Computes a job.
Compute = Callable[[Job], Result]
# Computes a job in stages, and yields the result so far after each.
ComputeByStage = Callable[[Job], Iterator[Result]]
# Says of a job that is computed in stages, from its result so far, whether it is done.
Done = Callable[[Job, Result], bool]

# The seconds that Ray's workers have to end their last jobs.
_ENDING = 60


class Local:
    """Computes jobs in this process, one at a time.

    Attributes:
        slots: How many jobs are computed at once.
    """

    slots = 1

    def start(self, compute: Compute, compute_by_stage: ComputeByStage | None = None) -> "Local":
        """Makes the executor, which is a context manager, ready for jobs.

        Args:
            compute: What computes a job.
            compute_by_stage: What computes a job that may be done after a stage.
        """
        self._compute, self._compute_by_stage = compute, compute_by_stage
        self._submitted: list[tuple[Job, Done | None]] = []
        return self

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    @property
    def idle(self) -> int:
        """How many more jobs can be submitted."""
        return self.slots - len(self._submitted)

    def submit(self, job: Job, done: Done | None = None) -> None:
        """Takes a job; one that is computed in stages until it is done, if `done` is given."""
        self._submitted.append((job, done))

    def wait(self) -> tuple[Job, Result]:
        """Returns a submitted job that has ended, with its result."""
        job, done = self._submitted[0]
        if done is None:
            result = self._compute(job)
        else:
            stages = (self._compute_by_stage or _no_stages)(job)
            result = next(result for result in stages if done(job, result))
        self._submitted.clear()  # not before: a job that is interrupted is still to be computed
        return job, result


class Ray:
    """Computes jobs on the Ray cluster that RAY_ADDRESS names, as many at once as fit.

    Without a cluster, in several processes of this machine. A worker that is lost is started
    again, and with it the job that it computed. What computes jobs in stages, such as a child, is
    kept by its worker for many jobs; other jobs go to any process, also of a machine that joins
    the cluster later.

    Args:
        cpus: CPU cores that a worker needs.
        gpus: GPUs that a worker needs; may be a fraction. This process must leave them room: set
            TF_FORCE_GPU_ALLOW_GROWTH to true, or XLA_PYTHON_CLIENT_PREALLOCATE to false.
        limit_threads: Whether a worker has threads for its own cores only. On two cores, two
            children with two threads each took 1.5 times as long; but with as many threads as
            without Ray, results are the same to the bit.
        retried: What a job may raise without being given up: it is started again.

    Attributes:
        slots: How many jobs are computed at once.
    """

    def __init__(
        self,
        cpus: float = 1.0,
        gpus: float = 0.0,
        limit_threads: bool = True,
        retried: tuple[type[Exception], ...] = (),
    ):
        self.cpus, self.gpus, self.limit_threads, self.retried = cpus, gpus, limit_threads, retried

    def start(self, compute: Compute, compute_by_stage: ComputeByStage | None = None) -> "Ray":
        """Does what `Local.start` does; what computes is sent to each worker once.

        Raises:
            ModuleNotFoundError: If Ray is not installed.
            ValueError: If no worker fits into the cluster.
        """
        with contextlib.ExitStack() as stack:
            self._ray = ray = stack.enter_context(cluster.connected())
            self.slots = cluster.slots(cluster.machines(ray), {"CPU": self.cpus, "GPU": self.gpus})
            environment = cluster.worker_environment(self.cpus if self.limit_threads else None)
            remote = {"num_cpus": self.cpus, "num_gpus": self.gpus, "runtime_env": environment}
            # In a list, so that the worker fetches it once, and not Ray for each call.
            self._work = [ray.put((compute, compute_by_stage))]
            self._running: dict[Any, tuple[Any, Job, Done | None, int]] = {}
            self._workers: list[Any] = []
            self._ending: dict[Any, Any] = {}
            if compute_by_stage is None:
                retries = {"max_retries": cluster.RETRIES, "retry_exceptions": [*self.retried]}
                self._idle = [ray.remote(**remote, **retries)(_free_worker())] * self.slots
            else:
                retries = {"max_restarts": -1, "max_task_retries": cluster.RETRIES}
                make_worker = ray.remote(**remote, **retries)(_keeping_worker()).remote
                self._workers = [make_worker() for _ in range(self.slots)]
                self._idle = [worker.compute for worker in self._workers]
            self._closing = stack.pop_all()
        return self

    def __enter__(self) -> "Ray":
        return self

    def __exit__(self, *error: object) -> None:
        with self._closing:
            if self._ending:
                ending = list(self._ending.values())
                self._ray.wait(ending, num_returns=len(ending), timeout=_ENDING)
            for worker in self._workers:
                self._ray.kill(worker)
            for reference in () if self._workers else self._running:
                self._ray.cancel(reference, force=True)

    @property
    def idle(self) -> int:
        """How many more jobs can be submitted."""
        return len(self._idle)

    def submit(self, job: Job, done: Done | None = None) -> None:
        """Takes a job; one that is computed in stages until it is done, if `done` is given."""
        self._start(self._idle.pop(), job, done, 1)

    def wait(self) -> tuple[Job, Result]:
        """Returns a submitted job that has ended, with its result.

        Raises:
            WorkerLostError: If a job's worker was lost again and again.
            Exception: What the job raised, whatever that is.
        """
        while True:
            (reference, *_), _ = self._ray.wait(list(self._running))
            worker, job, done, stage = self._running.pop(reference)
            try:
                result = cluster.result(self._ray, reference)
            except _lost(self._ray) as error:
                raise WorkerLostError(job) from error
            if done is None or done(job, result):
                self._idle.append(worker)
                if done:  # perhaps before its last stage
                    self._ending[worker] = worker.remote(self._work, None, None)
                return job, result
            self._start(worker, job, done, stage + 1)

    def _start(self, worker: Any, job: Job, done: Done | None, stage: int) -> None:
        reference = worker.remote(self._work, job, stage if done else None)
        self._running[reference] = (worker, job, done, stage)


class WorkerLostError(RuntimeError):
    """A job whose worker was lost again and again.

    Args:
        job: The job.
        work: What the worker did, in words.
    """

    def __init__(self, job: Job, work: str | None = None):
        work = work or f"computed {job}"
        super().__init__(f"The worker was lost {cluster.RETRIES} times while it {work}.")
        self.job = job


Executor = Local | Ray
EXECUTORS: dict[str, type[Local] | type[Ray]] = {"local": Local, "ray": Ray}


def get(executor: str | Executor) -> Executor:
    """Returns the executor of that name, or the executor itself.

    Raises:
        ValueError: If there is no such executor.
    """
    if not isinstance(executor, str):
        if isinstance(executor, type) or not hasattr(executor, "start"):
            raise ValueError(
                "`executor` must be 'local', 'ray', or an object such as "
                f"keras_swish.search.Ray(cpus=2). Received: {executor!r}"
            )
        return executor
    if executor not in EXECUTORS:
        raise ValueError(unknown("executor", executor, EXECUTORS))
    return EXECUTORS[executor]()


def start_for(child: "Child", executor: str | Executor = "local") -> Executor:
    """Starts an executor for the children of a search: jobs are pairs of candidate and seed.

    Each of Ray's workers builds and compiles the child once.
    """

    def evaluate(job: Job) -> Result:
        with _naming(child, job):
            return child.evaluate(*job)

    def train_by_epoch(job: Job) -> Iterator[Result]:
        with _naming(child, job):
            yield from child.train_by_epoch(*job)

    return get(executor).start(evaluate, train_by_epoch)


@contextlib.contextmanager
def _naming(child: "Child", job: Job) -> Iterator[None]:
    """Says which child it was that ran out of memory, of the machine or of the accelerator."""
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        function, seed = job
        if not isinstance(function, str):
            function = child.space.formula(function)
        raise MemoryError(
            f"No memory was left to train {function} with seed {seed} ({first_line(error)})."
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Says whether memory ran out, by the error that NumPy or a backend raises of it.

    Example:
        >>> from keras_swish.search import executors
        >>> executors.is_out_of_memory(MemoryError())
        True
    """
    names = {base.__name__ for base in type(error).__mro__}
    # TensorFlow's, PyTorch's, and what JAX says in an error of all kinds.
    is_backends = names & {"ResourceExhaustedError", "OutOfMemoryError"}
    return (
        isinstance(error, MemoryError)
        or bool(is_backends)
        or ("JaxRuntimeError" in names and "RESOURCE_EXHAUSTED" in str(error))
    )


def compute_all(
    executor: Executor, jobs: Iterable[Job], done: Done | None = None
) -> Iterator[tuple[Job, Result]]:
    """Yields each job with its result, the first to end first.

    The next job is asked for only when one can be started, so the jobs may depend on the results.

    Example:
        >>> from keras_swish.search import executors
        >>> with executors.Local().start(lambda job: job**2) as executor:
        ...     list(executors.compute_all(executor, [2, 3]))
        [(2, 4), (3, 9)]
    """
    left, none_left = iter(jobs), object()
    while True:
        while executor.idle and (job := next(left, none_left)) is not none_left:
            executor.submit(job, done)
        if executor.idle == executor.slots:
            return
        yield executor.wait()


def _lost(ray: Any) -> tuple[type[Exception], ...]:
    """Returns what Ray raises when a worker is lost again and again, or has no memory left."""
    names = ("RayActorError", "WorkerCrashedError", "OutOfMemoryError")
    return tuple(getattr(ray.exceptions, name) for name in names)


def _no_stages(job: Job) -> Iterator[Result]:
    raise TypeError(f"Nothing computes {job} in stages.")


# Made in functions, so that Ray sends their code: a worker imports what its jobs need and no more.


def _free_worker() -> Callable:
    def compute(work: list, job: Job, stage: None) -> Result:
        import ray

        return ray.get(work[0])[0](job)

    return compute


def _keeping_worker() -> type:
    class Worker:
        def __init__(self) -> None:
            self.work: Any = None
            self.next: Any = None
            self.stages: Any = None

        def compute(self, work: list, job: Job, stage: int | None) -> Result:
            """Computes a job to its end, or with a stage to the end of that; None is no job."""
            import ray

            if self.next != (job, stage):
                self.stages = None  # ends a job that was done before its last stage
            if job is None:
                return None
            self.work = self.work or ray.get(work[0])
            compute, compute_by_stage = self.work
            if stage is None:
                return compute(job)
            count = 1
            if self.next != (job, stage):
                # Also where this worker took over from one that was lost: all stages again.
                count, self.stages = stage, compute_by_stage(job)
            *_, result = (next(self.stages) for _ in range(count))
            self.next = (job, stage + 1)
            return result

    return Worker
