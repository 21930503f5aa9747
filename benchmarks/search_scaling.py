r"""Does a search with more workers take less time?

    python benchmarks/search_scaling.py --out results/search_benchmarks

Simulated: children that sleep, for times drawn from a log-normal distribution, on as many Ray
workers as are asked for, all on this machine, through the whole search (random proposals of two
core units, identities, Optuna's journal). A search of W workers can at best take the sum of the
children's times over W; and as the last children end one after the other, at best what a
schedule without any overhead takes, which is computed. Shares of both are reported.

Real: the command line's child of the digits, trained in this process with all cores ("local"), by
one worker of one core, and by two, after each worker has trained every candidate untimed, so that
everything is compiled. Two workers share what one had alone: memory and caches.

Workers are started before the clock is. Needs `pip install 'keras-swish[ray,search]'`, minutes,
and about 80 MB of memory a sleeping worker.
"""

import collections
import heapq
import pathlib
import random
import tempfile
import time

import numpy as np
import recording

from keras_swish.search import ChildConfig, Search, SearchSpace, Study, algorithms, executors
from keras_swish.train import search
from keras_swish.train.datasets import in_memory

Outcome = collections.namedtuple(
    "Outcome", "reward status steps seconds curve logs rates", defaults=({}, ())
)
SIGMA = 0.5


class Sleep:
    """A child that sleeps. Its workers import nothing: they are many."""

    def __init__(self, mean: float, space: SearchSpace | None = None):
        self.mean, self.space = mean, space
        self.config = space and ChildConfig()

    def __reduce__(self):
        return Sleep, (self.mean,)

    def seconds(self, candidate) -> float:
        """Returns how long this candidate takes, always the same."""
        return self.mean * random.Random(str(candidate)).lognormvariate(-(SIGMA**2) / 2, SIGMA)

    def evaluate(self, candidate, seed):
        """Sleeps, but for a negative seed."""
        seconds = self.seconds(candidate) if seed >= 0 else 0.0
        time.sleep(seconds)
        return Outcome(random.Random(str(candidate)).random(), "ok", 1, seconds, ())


class Recorder(executors.Ray):
    """Workers that keep in mind the order in which they were given candidates."""

    def __init__(self):
        super().__init__()
        self.submitted = []

    def submit(self, job, done=None):
        """Takes a child to train."""
        self.submitted.append(job[0])
        super().submit(job, done)


def schedule(lengths: list[float], workers: int) -> float:
    """Returns when all are done if each begins, in this order, as soon as a worker is free."""
    free = [0.0] * workers
    for length in lengths:
        heapq.heapreplace(free, free[0] + length)
    return max(free)


def simulated(workers: int, children: int, mean: float) -> dict:
    """Searches with sleeping children."""
    import ray

    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
    space = SearchSpace(2)
    child = Sleep(mean, space)
    try:
        recorder = executors.start_for(child, Recorder())
        with recorder as executor, tempfile.TemporaryDirectory() as directory:
            study = Study(space, {}, pathlib.Path(directory) / "study.log")
            pass_through(executor, [(space.from_index(i), -1) for i in range(workers)])
            executor.submitted = []
            algorithm = algorithms.create("random", space)
            found = Search(child, study, algorithm, "random", executor=executor)
            begun = time.perf_counter()
            found.explore(children)
            took = time.perf_counter() - begun
    finally:
        ray.shutdown()
    lengths = [child.seconds(candidate) for candidate in executor.submitted]
    ideal = sum(lengths) / workers
    return {
        "children": "simulated",
        "workers": workers,
        "trained": len(lengths),
        "mean, s": round(float(np.mean(lengths)), 3),
        "took, s": round(took, 2),
        "ideal, s": round(ideal, 2),
        "share of ideal": round(ideal / took, 3),
        "share of the best schedule": round(schedule(lengths, workers) / took, 3),
    }


def pass_through(executor, jobs: list) -> dict:
    """Trains these children; returns their rewards by candidate and seed."""
    return {job: outcome.reward for job, outcome in executors.compute_all(executor, jobs)}


def real(counts: list[int], children: int) -> list[dict]:
    """Trains the same children in this process, with one worker and with more."""
    import ray

    child = search.build(in_memory.load("digits"), search.CHILDREN["digits"], SearchSpace())
    rows, rewards = [], []
    found = algorithms.create("exhaustive", child.space)
    jobs = [(found.ask().candidate, 0) for _ in range(children)]

    def timed(name, executor):
        begun = time.perf_counter()
        rewards.append(pass_through(executor, jobs))
        took = time.perf_counter() - begun
        one = next((row["took, s"] for row in rows if row["workers"] == 1), took)
        rows.append(
            {
                "children": "digits",
                "workers": name,
                "trained": children,
                "took, s": round(took, 2),
                "faster than one worker": "" if name == "local" else round(one / took, 2),
            }
        )
        print(rows[-1], flush=True)

    local = executors.start_for(child)
    pass_through(local, jobs)
    timed("local", local)
    for workers in counts:
        ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
        try:
            with executors.start_for(child, "ray") as executor:
                warm(executor, jobs)
                timed(workers, executor)
        finally:
            ray.shutdown()
        # Not those of "local": sums over several threads are rounded otherwise.
        assert rewards[-1] == rewards[1], "other rewards with another number of workers"
    return rows


def warm(executor: executors.Ray, jobs: list) -> None:
    """Has each worker train all the children."""
    workers, executor._idle = executor._idle, []
    for worker in workers:
        executor._idle = [worker]
        for job in jobs:
            executor.submit(job)
            executor.wait()
    executor._idle = workers


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("--workers", default="8,32,64,128", help="of simulated children")
    parser.add_argument("--children", type=int, default=50, help="simulated, a worker")
    parser.add_argument("--mean", type=float, default=2.0, help="seconds a simulated child sleeps")
    parser.add_argument("--real_workers", default="1,2")
    parser.add_argument("--real_children", type=int, default=40, help="0 for none")
    arguments = parser.parse_args()
    rows = []
    for workers in map(int, filter(None, arguments.workers.split(","))):
        rows.append(simulated(workers, workers * arguments.children, arguments.mean))
        print(rows[-1], flush=True)
    if arguments.real_children:
        counts = [int(count) for count in arguments.real_workers.split(",")]
        rows += real(counts, arguments.real_children)
    recording.write(arguments.out, "scaling", rows)


if __name__ == "__main__":
    main()
