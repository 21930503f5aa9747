r"""What does the search itself cost, next to the training of children?

    python benchmarks/search_overhead.py --out results/search_benchmarks

A child that answers at once stands in for training, in the space of two core units, which no
search exhausts; the study is a journal file. Reported is the time a trial takes when there are so
many, over the tenth of the trials before, with all the proposals that it took: asking the
algorithm and telling it, finding out whether a function is new and fit, writing the trial to
Optuna's journal with the proposals before it, and what is left. Snapshots of an algorithm that is
slow to replay are timed apart. Then the study is opened again and the algorithm replayed, in new
objects of the same process. With --pruner=halving the child has three epochs, and Optuna's pruner,
which looks through all trials, is asked after each.

Takes a minute for 10,000 trials, and about ten for 100,000.
"""

import collections
import dataclasses
import pathlib
import resource
import tempfile
import time

import recording

from keras_swish.search import ChildConfig, Outcome, Pruner, Search, SearchSpace, Study, algorithms
from keras_swish.search.child import OK, PRUNED


class Instant:
    """A child whose reward is there at once."""

    def __init__(self, space: SearchSpace):
        self.space, self.config = space, ChildConfig()

    def evaluate(self, candidate, seed):
        """Returns some reward, always the same."""
        *_, outcome = self.train_by_epoch(candidate, seed)
        return dataclasses.replace(outcome, curve=())

    def train_by_epoch(self, candidate, seed):
        """Yields what there is after each epoch."""
        reward, curve = self.space.index(candidate) * 0.618 % 1, ()
        for status in (PRUNED, PRUNED, OK):
            curve = (*curve, reward)
            yield Outcome(reward, status, len(curve), 0.0, curve)


class Clock:
    """Seconds spent in some methods of some objects."""

    def __init__(self):
        self.seconds = collections.Counter()

    def watch(self, part: str, thing: object, *methods: str) -> None:
        """Counts what these methods take under the part's name."""
        for method in methods:
            setattr(thing, method, self._timed(part, getattr(thing, method)))

    def _timed(self, part, function):
        def timed(*arguments):
            start = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                self.seconds[part] += time.perf_counter() - start

        return timed


def start(name: str, pruner: str, path: pathlib.Path) -> Search:
    """Returns a search, new or resumed."""
    space = SearchSpace(2)
    study = Study(space, {}, path)
    stops = None if pruner == "none" else Pruner(pruner, study)
    return Search(Instant(space), study, algorithms.create(name, space), name, pruner=stops)


def measure(name: str, pruner: str, sizes: list[int], path: pathlib.Path) -> list[dict]:
    """Searches until each size, and measures there."""
    search, clock, rows = start(name, pruner, path), Clock(), []
    clock.watch("ask and tell", search.algorithm, "ask", "tell")
    clock.watch("identity", search.child.space, "reason", "canonical")
    clock.watch("journal", search.study, "add")
    if search.pruner:
        clock.watch("pruner", search.pruner, "stops", "finish")
    clock.watch("snapshot", search, "_save_snapshot")
    for size in sizes:
        window = max(50, size // 10)
        search.explore(size - window)
        clock.seconds.clear()
        asked = search.progress.asked
        begun, busy = time.perf_counter(), time.process_time()
        search.explore(size)
        whole, busy = time.perf_counter() - begun, time.process_time() - busy
        snapshots = clock.seconds.pop("snapshot", 0.0)
        whole -= snapshots
        parts = {**clock.seconds, "rest": whole - clock.seconds.total()}
        begun = time.perf_counter()
        again = start(name, pruner, path)
        opened = time.perf_counter() - begun
        assert again.progress == search.progress
        rows.append(
            {
                "algorithm": name,
                "pruner": pruner,
                "trials": size,
                "proposals a trial": round((search.progress.asked - asked) / window, 2),
                "ms a trial": round(1000 * whole / window, 2),
                "of the processor": round(1000 * (busy - snapshots) / window, 2),
                **{f"{k}, ms": round(1000 * v / window, 2) for k, v in parts.items()},
                "snapshots, ms": round(1000 * snapshots, 1),
                "opened again, s": round(opened, 1),
                "journal, MB": round(path.stat().st_size / 1e6, 1),
                # The largest so far, of this process, which opened the study twice.
                "memory, MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("--algorithms", default="random", help="names, separated by commas")
    parser.add_argument("--pruner", default="none", choices=["none", "halving"])
    parser.add_argument("--trials", default="100,1000,10000,100000")
    parser.add_argument("--directory", help="where to keep the journal; by default a temporary one")
    arguments = parser.parse_args()
    sizes, rows = sorted(map(int, arguments.trials.split(","))), []
    for name in arguments.algorithms.split(","):
        with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
            rows += measure(name, arguments.pruner, sizes, pathlib.Path(directory) / "study.log")
    recording.write(arguments.out, "overhead", rows)


if __name__ == "__main__":
    main()
