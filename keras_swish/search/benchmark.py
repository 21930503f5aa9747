"""Look-up benchmarks: searches in milliseconds, from tables of functions that were all trained.

The rewards of a table stand in for the training of children, so that an algorithm can be tried a
hundred times. How each table was made, its columns, licence and known faults:
docs/benchmark.md.
"""

import collections
import csv
import dataclasses
import functools
import hashlib
import importlib.resources
import io
import json
import math
import operator
import time
from importlib.resources.abc import Traversable
from typing import Any

import numpy as np

from keras_swish.messages import unknown
from keras_swish.search import functions
from keras_swish.search.algorithms import Algorithm, check_proposal, name_of
from keras_swish.search.space import Candidate, SearchSpace

# Proposals since the last new function, after which an algorithm is given up.
PATIENCE = 2000
# Likewise those that a table of a part of the functions lacks: its fault, not the algorithm's.
PATIENCE_WITH_TABLE = 10 * PATIENCE
FILES = ("functions.csv", "spellings.csv", "trainings.csv")
CARD = "card.json"


@dataclasses.dataclass(frozen=True)
class Training:
    """What the training of a child came to.

    Attributes:
        reward: Its validation accuracy, 0 to 1; the best of all learning rates.
        status: "ok" or "diverged".
        seconds: What it took, on one core, at all learning rates.
        test_accuracy: On the test split after the last epoch; None where it was not recorded.
        loss: On the training data in the last epoch; None where it was not recorded.
        rates: The training at each learning rate, where there are several.
    """

    reward: float
    status: str
    seconds: float
    test_accuracy: float | None = None
    loss: float | None = None
    rates: dict[float, "Training"] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of a benchmark.

    Attributes:
        number: Its number in the table.
        formula: As the search writes it.
        name: For people: simplified, by name where it has one.
        betas: How many trainable weights it has.
        shape: The number of its shape: functions of one shape are equal up to a factor, and to
            mirroring, -x in place of x, while their betas have their initial values.
        mirror: The number of its mirror twin, -f(-x), of as many betas; its own if it is odd,
            None if the table has none.
        spellings: The candidates that compute it.
        trainings: By seed and epoch.
    """

    number: int
    formula: str
    name: str
    betas: int
    shape: int
    mirror: int | None
    spellings: tuple[Candidate, ...]
    trainings: dict[tuple[int, int], Training]

    @functools.cached_property
    def seeds(self) -> list[int]:
        """The seeds with which it was trained."""
        return sorted({seed for seed, _ in self.trainings})


class Benchmark:
    """A table of trained functions, as `load` returns it.

    Attributes:
        name: Its name.
        card: How it was made: dataset, child, command, licence, checksums.
        space: The search space; its survey lists the functions that were trained.
        functions: All functions that were trained; of some tables all different ones of the space.
        seeds: The seeds; functions that did badly with the first one have no other.
        epochs: The epoch after which children were stopped.
    """

    def __init__(self, name: str, folder: Traversable):
        texts = {file: (folder / file).read_text(encoding="utf-8") for file in FILES}
        self.name = name
        self.card: dict[str, Any] = json.loads((folder / CARD).read_text(encoding="utf-8"))
        for file, text in texts.items():
            if checksum(text) != self.card["sha256"][file]:
                raise ValueError(f"The table {name!r} is damaged: {folder / file} has changed.")
        self.space = SearchSpace(**self.card["space"])
        rows = {file: list(csv.DictReader(io.StringIO(text))) for file, text in texts.items()}
        spellings = collections.defaultdict(list)
        self._numbers: dict[Candidate, int] = {}
        self._reasons: dict[Candidate, str] = {}
        for row in rows["spellings.csv"]:
            candidate = self.space.candidate(u1=row["u1"], u2=row["u2"], b=row["b"])
            if row["function"]:
                self._numbers[candidate] = int(row["function"])
                spellings[int(row["function"])].append(candidate)
            elif row["reason"]:
                self._reasons[candidate] = row["reason"]
        trainings: dict[int, dict[tuple[int, int], Training]] = collections.defaultdict(dict)
        for row in rows["trainings.csv"]:
            of_function = trainings[int(row["function"])]
            key, training = (int(row["seed"]), int(row["epoch"])), _training(row)
            of_function[key] = _with_rate(of_function.get(key), row, training)
        self.functions = [
            Function(
                number,
                row["formula"],
                row["name"],
                int(row["betas"]),
                int(row["shape"]),
                int(row["mirror"]) if row["mirror"] else None,
                tuple(spellings[number]),
                trainings[number],
            )
            for number, row in enumerate(rows["functions.csv"])
        ]
        if len(self._numbers) + len(self._reasons) < len(self.space):
            self.space = self.space.confined(f.spellings[0] for f in self.functions)
        keys = {key for function in self.functions for key in function.trainings}
        self.seeds = sorted({seed for seed, _ in keys})
        self.epochs = max(epoch for _, epoch in keys)

    def __repr__(self):
        return f"<Benchmark {self.name!r}: {len(self.functions)} functions, seeds {self.seeds}>"

    def find(self, candidate: Candidate | str) -> Function:
        """Returns the function of a candidate, or of a formula or a name.

        Args:
            candidate: A candidate of `space`, in any spelling; or a text, such as
                "x * sigmoid(x)" or "swish".

        Raises:
            ValueError: If the space has no such function, or it was not trained, such as one that
                cannot be an activation.

        Example:
            >>> from keras_swish.search import benchmark
            >>> table = benchmark.load("fashion_mnist_resnet8")
            >>> table.find("x * sigmoid(x)").name
            'swish'
            >>> candidate = table.space.candidate(u1="x", u2="sigmoid(x)", b="x1*x2")
            >>> table.find(candidate) is table.find("x * sigmoid(x)")
            True
        """
        is_text = isinstance(candidate, str)
        found = functions.find(candidate, self.space).candidate if is_text else tuple(candidate)
        if found is None or found not in self.space:
            raise ValueError(f"The search space has no such function. Received: {candidate!r}")
        if found not in self._numbers:
            reason = self._reasons.get(found, f"{self.name} has a part of all functions")
            raise ValueError(f"{self.space.formula(found)} was not trained: {reason}")
        return self.functions[self._numbers[found]]

    def query(
        self, candidate: Candidate | str, seed: int | None = None, epochs: int | None = None
    ) -> Training:
        """Returns what a training came to.

        Args:
            candidate: As `find` takes it.
            seed: One of the seeds with which the function was trained; the first by default.
            epochs: After how many epochs; the last by default.

        Raises:
            ValueError: If the function was not trained so.

        Example:
            >>> from keras_swish.search import benchmark
            >>> table = benchmark.load("fashion_mnist_resnet8")
            >>> round(table.query("swish", seed=1).reward, 4)
            0.8482
        """
        function = self.find(candidate)
        seed = self.seeds[0] if seed is None else seed
        epochs = self.epochs if epochs is None else epochs
        if (seed, epochs) not in function.trainings:
            known = sorted({epoch for _, epoch in function.trainings})
            raise ValueError(
                f"{function.formula} was trained with the seeds {function.seeds}, and its reward "
                f"kept after the epochs {known}. Received: seed={seed}, epochs={epochs}"
            )
        return function.trainings[seed, epochs]

    def session(self, repetition: int) -> "Session":
        """Returns a search to be simulated.

        Args:
            repetition: The number of the repetition, which decides the seeds that are told.
        """
        return Session(self, repetition)


class Session:
    """One repetition of a search on a benchmark: what is told, what judges, and a clock.

    An algorithm is told the mean reward over one half of the seeds, and judged by the other half,
    which it never sees: a function with luck in the first half does not count. The repetition
    draws the halves, the same for all algorithms and functions. What was trained with one seed is
    told and judged by it.

    Attributes:
        told: The seeds that are told.
        judging: The seeds that judge.
        trained: The functions trained so far, each once, in their order.
        seconds: The simulated clock: what their trainings took. What repeats costs nothing, as in
            a search.
        proposals: How many candidates `train` was given.
        repeats: How many of these were trained before.
        thinking: The seconds of processor time that the algorithm itself took in `run`.

    Example:
        >>> from keras_swish.search import algorithms, benchmark
        >>> table = benchmark.load("fashion_mnist_resnet8")
        >>> session = table.session(repetition=0)
        >>> session.run(algorithms.create("random", table.space), 100)
        >>> len(session.trained)
        100
        >>> session.found(share=0.01), len(session.best(share=0.01))
        (0, 34)
    """

    def __init__(self, benchmark: Benchmark, repetition: int):
        self.benchmark = benchmark
        random = np.random.default_rng([1, operator.index(repetition)])
        order = [int(seed) for seed in random.permutation(benchmark.seeds)]
        self.told, self.judging = order[: len(order) // 2], order[len(order) // 2 :]
        self.trained: list[Function] = []
        self.seconds, self.thinking = 0.0, 0.0
        self.proposals, self.repeats = 0, 0
        self._seen: set[int] = set()

    def train(self, candidate: Candidate) -> float | None:
        """Returns the reward of a candidate as if it were trained, and lets the clock run on.

        What cannot be an activation, and so is not trained, has a reward of 0; what could be one
        and was not trained for this table, None.

        Raises:
            ValueError: If the table's space has no such candidate.
        """
        candidate = tuple(candidate)
        if candidate not in self.benchmark.space:
            raise ValueError(f"The search space has no such function. Received: {candidate!r}")
        self.proposals += 1
        if candidate in self.benchmark._reasons:
            return 0.0
        if candidate not in self.benchmark._numbers:
            return None
        function = self.benchmark.find(candidate)
        if function.number in self._seen:
            self.repeats += 1
        else:
            self._seen.add(function.number)
            self.trained.append(function)
            self.seconds += sum(one.seconds for one in self._trainings(function, self.told))
        return self._mean(function, self.told)

    def run(self, algorithm: Algorithm, evaluations: int) -> None:
        """Lets an algorithm search until so many different functions are trained.

        It ends earlier if the algorithm has nothing left to propose, or if 2,000 proposals that
        the table knows bring nothing new. Call it again for more. What the table lacks costs
        nothing, and the algorithm is not told of it; 20,000 such proposals without a new function
        end it, too.

        Args:
            algorithm: Made for the benchmark's space.
            evaluations: How many different functions.

        Raises:
            ValueError: If the algorithm is of another space, or of another session, or proposes
                no `Proposal`.
        """
        if algorithm.space.config() != self.benchmark.space.config():
            raise ValueError(
                f"The algorithm was made for another space: make it for that of {self.benchmark}, "
                "its attribute `space`."
            )
        algorithm.claim(self)
        idle = lacking = 0
        while len(self.trained) < evaluations and idle < PATIENCE and lacking < PATIENCE_WITH_TABLE:
            start, before = time.process_time(), len(self.trained)
            proposal = algorithm.ask()
            self.thinking += time.process_time() - start
            check_proposal(proposal, self.benchmark.space, name_of(algorithm))
            if proposal is None:
                return
            reward = self.train(proposal.candidate)
            if reward is None:
                lacking += 1
            else:
                idle += 1
                start = time.process_time()
                algorithm.tell(proposal, reward)
                self.thinking += time.process_time() - start
            if len(self.trained) > before:
                idle = lacking = 0

    @functools.cached_property
    def ranked(self) -> list[Function]:
        """All functions of the benchmark, the best by the judging seeds first."""
        return sorted(
            self.benchmark.functions, key=lambda function: -self._mean(function, self.judging)
        )

    def best(self, share: float = 0.01) -> list[Function]:
        """Returns the best share of all functions by the judging seeds."""
        return self.ranked[: max(1, round(share * len(self.ranked)))]

    def found(self, share: float = 0.01) -> int:
        """Returns how many of the best share were trained so far."""
        return len({function.number for function in self.best(share)} & self._seen)

    def first(self, targets: list[Function]) -> float:
        """Returns after how many functions the first of some was trained; inf if none was."""
        numbers = {function.number for function in targets}
        places = (i for i, one in enumerate(self.trained, 1) if one.number in numbers)
        return next(places, math.inf)

    def _mean(self, function: Function, seeds: list[int]) -> float:
        return float(np.mean([one.reward for one in self._trainings(function, seeds)]))

    def _trainings(self, function: Function, seeds: list[int]) -> list[Training]:
        last = self.benchmark.epochs
        own = [seed for seed in seeds if (seed, last) in function.trainings] or function.seeds
        return [function.trainings[seed, last] for seed in own]


def names() -> list[str]:
    """Returns the names of the benchmarks.

    Example:
        >>> from keras_swish.search import benchmark
        >>> benchmark.names()
        ['fashion_mnist_resnet56', 'fashion_mnist_resnet8']
    """
    return sorted(folder.name for folder in _tables().iterdir() if (folder / CARD).is_file())


def load(name: str) -> Benchmark:
    """Returns a benchmark.

    Args:
        name: One of `names()`.

    Raises:
        ValueError: If there is none of that name, or its files were changed.

    Example:
        >>> from keras_swish.search import benchmark
        >>> benchmark.load("fashion_mnist_resnet8")
        <Benchmark 'fashion_mnist_resnet8': 3358 functions, seeds [0, 1, 2, 3]>
    """
    if name not in names():
        raise ValueError(unknown("benchmark", name, names()))
    return Benchmark(name, _tables() / name)


def checksum(text: str) -> str:
    """Returns the SHA-256 of a text, whichever line ends a checkout gave it."""
    return hashlib.sha256(text.replace("\r\n", "\n").encode()).hexdigest()


def _training(row: dict[str, str]) -> Training:
    accuracy, loss = (
        float(row[key]) if row.get(key) else None for key in ("test_accuracy", "loss")
    )
    return Training(float(row["reward"]), row["status"], float(row["seconds"]), accuracy, loss)


def _with_rate(before: Training | None, row: dict[str, str], one: Training) -> Training:
    """Returns what a training came to at the learning rates before and that of a row."""
    if "learning_rate" not in row:
        return one
    rates = {**(before.rates if before else {}), float(row["learning_rate"]): one}
    best = max(rates.values(), key=lambda training: (training.status == "ok", training.reward))
    seconds = sum(training.seconds for training in rates.values())
    return dataclasses.replace(best, seconds=seconds, rates=rates)


def _tables() -> Traversable:
    return importlib.resources.files("keras_swish.search") / "tables"
