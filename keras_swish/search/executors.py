"""Where children are trained: here, one by one, or by the workers of a Ray cluster.

An executor takes candidates with `submit` and gives them back with `wait`, the first to end
first. It knows neither algorithm nor study.
"""

import contextlib
from collections.abc import Callable

from keras_swish.messages import unknown
from keras_swish.search import cluster
from keras_swish.search.child import PRUNED, Child, Outcome
from keras_swish.search.space import Candidate

# Says of a child, from its outcome so far, whether to stop it.
Stop = Callable[[Candidate, int, Outcome], bool]


class Local:
    """Trains children in this process, one at a time.

    Args:
        child: What trains a candidate.

    Attributes:
        places: How many children are trained at once.
    """

    places = 1

    def __init__(self, child: Child):
        self._child = child
        self._job: tuple | None = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    @property
    def idle(self) -> int:
        """How many more children can be submitted."""
        return int(self._job is None)

    def submit(self, candidate: Candidate, seed: int, stop: Stop | None = None) -> None:
        """Takes a child to train; one that may be stopped early, if `stop` is given."""
        self._job = (candidate, seed, stop)

    def wait(self) -> tuple[Candidate, int, Outcome]:
        """Returns a submitted child that has ended, with its outcome."""
        candidate, seed, stop = self._job
        if stop is None:
            outcome = self._child.evaluate(candidate, seed)
        else:
            for outcome in self._child.train_by_epoch(candidate, seed):
                if outcome.status == PRUNED and stop(candidate, seed, outcome):
                    break
        self._job = None  # not before: one that is interrupted is still to be trained
        return candidate, seed, outcome


class Ray:
    """Trains children on a Ray cluster, by as many workers as its resources allow.

    Each worker builds and compiles the child once, and serves many candidates. A worker that is
    lost is started again, and with it the child that it trained.

    Args:
        child: What trains a candidate. Its parts are sent to the workers.
        cpus: CPU cores that a worker needs.
        gpus: GPUs that a worker needs; may be a fraction.

    Attributes:
        places: How many children are trained at once.

    Raises:
        ModuleNotFoundError: If Ray is not installed.
        ValueError: If no worker fits into the cluster.
    """

    def __init__(self, child: Child, cpus: float = 1.0, gpus: float = 0.0):
        with contextlib.ExitStack() as stack:
            self._ray = ray = stack.enter_context(cluster.connected())
            self.places = cluster.places(cluster.machines(ray), {"CPU": cpus, "GPU": gpus})
            options = ray.remote(
                num_cpus=cpus,
                num_gpus=gpus,
                max_restarts=-1,
                max_task_retries=cluster.RETRIES,
                # On two cores, two children with two threads each took 1.5 times as long.
                runtime_env=cluster.worker_environment(cpus),
            )
            # In a list, so that the worker makes the child, and not Ray for each call.
            self._shared = [ray.put(child)]
            worker = options(_worker())
            self._idle = [worker.remote() for _ in range(self.places)]
            self._running: dict = {}
            self._space = child.space
            self._closing = stack.pop_all()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with self._closing:
            for worker in [*self._idle, *(worker for worker, *_ in self._running.values())]:
                self._ray.kill(worker)

    @property
    def idle(self) -> int:
        """How many more children can be submitted."""
        return len(self._idle)

    def submit(self, candidate: Candidate, seed: int, stop: Stop | None = None) -> None:
        """Takes a child to train; one that may be stopped early, if `stop` is given."""
        self._start(self._idle.pop(), candidate, seed, stop, 1)

    def wait(self) -> tuple[Candidate, int, Outcome]:
        """Returns a submitted child that has ended, with its outcome.

        Raises:
            RuntimeError: If a child's worker was lost again and again.
            Exception: What the child raised, whatever that is.
        """
        while True:
            (reference, *_), _ = self._ray.wait(list(self._running))
            worker, candidate, seed, stop, stage = self._running.pop(reference)
            try:
                outcome = cluster.result(self._ray, reference)
            except self._ray.exceptions.RayActorError as error:
                raise RuntimeError(
                    f"The worker was lost {cluster.RETRIES} times while it trained "
                    f"{self._space.formula(candidate)} with seed {seed}."
                ) from error
            if outcome.status == PRUNED and not stop(candidate, seed, outcome):
                self._start(worker, candidate, seed, stop, stage + 1)
                continue
            self._idle.append(worker)
            return candidate, seed, outcome

    def _start(self, worker, candidate, seed, stop, stage) -> None:
        reference = worker.train.remote(self._shared, candidate, seed, stop and stage)
        self._running[reference] = (worker, candidate, seed, stop, stage)


def _worker() -> type:
    """Returns the class of a worker.

    Made here so that Ray sends its code: a worker then imports what its child needs and no more.
    """

    class Worker:
        def __init__(self):
            self.child = self.job = None

        def train(self, shared, candidate, seed, stage):
            """Trains a child to its end, or with a stage to the end of that."""
            import ray

            self.child = self.child or ray.get(shared[0])
            if stage is None:
                return self.child.evaluate(candidate, seed)
            # Also where this worker took over from one that was lost: all stages again.
            if self.job is None or self.job[:3] != (candidate, seed, stage):
                self.job = (candidate, seed, 1, self.child.train_by_epoch(candidate, seed))
            *_, reached, stages = self.job
            for _ in range(reached, stage + 1):
                outcome = next(stages)
            self.job = (candidate, seed, stage + 1, stages)
            return outcome

    return Worker


EXECUTORS = {"local": Local, "ray": Ray}


def create(name: str, child: Child, **options) -> Local | Ray:
    """Makes the executor of that name.

    Args:
        name: "local" or "ray".
        child: What trains a candidate.
        **options: What the executor's class takes beside it.

    Raises:
        ValueError: If there is no such executor.
    """
    if name not in EXECUTORS:
        raise ValueError(unknown("executor", name, EXECUTORS))
    return EXECUTORS[name](child, **options)
