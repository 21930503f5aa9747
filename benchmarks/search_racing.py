r"""How much sooner are the best ten known with racing and early stopping?

    python benchmarks/search_racing.py --out results/search_benchmarks --record runs/racing.log

Candidates drawn from all functions of one core unit are trained on Fashion-MNIST in the shallow
child (ResNet-8), each in full and with every seed, by a Ray worker for each core. That takes
most of an hour and is kept in a journal; interrupted and given again, it resumes. From this record
searches are replayed, by the package's own code, in which a child takes the time that it took. A
candidate's reward with a seed is the same in each.

* "all seeds": each candidate with every seed, one candidate after the other.
* "racing": each with one seed, then the best tenth with the others.
* "racing and stopping": as "racing", and of the children with the first seed two thirds are stopped
  after the first epoch.

The ten best are those with the highest mean over all seeds but the first, which chooses in a race,
and judges nowhere. They are known when eight of them are among the first ten of the search so far
and stay so to its end.
"""

import pathlib
import statistics

import numpy as np
import recording

from keras_swish.search import Pruner, Race, Search, SearchSpace, Study, algorithms, executors
from keras_swish.search.child import DIVERGED, OK, PRUNED, Child, ChildConfig, Outcome
from keras_swish.search.space import Candidate

TEN, KNOWN = 10, 8


def record(child: Child, study: Study, candidates: list[Candidate], seeds: int) -> None:
    """Trains what the study lacks: with the first seed by epochs, for the curve."""
    others = [(candidate, seed) for candidate in candidates for seed in range(1, seeds)]
    with executors.start_for(child, "ray") as executor:
        first = [(candidate, 0) for candidate in candidates]
        recording.complete(executor, study, first, lambda job, outcome: outcome.status != PRUNED)
        recording.complete(executor, study, others)


class Recorded:
    """A child that has been trained already, and the time that its searches take."""

    def __init__(self, study: Study, epochs: int):
        self.space, self.recorded, self.epochs = study.space, study.outcomes, epochs
        self.config, self.clock = ChildConfig(), 0.0

    def evaluate(self, candidate: Candidate, seed: int) -> Outcome:
        """Returns what became of the child."""
        outcome = self.recorded[candidate][seed]
        others = [o.seconds for s, o in self.recorded[candidate].items() if s]
        # The first seed was tested after each epoch.
        self.clock += outcome.seconds if seed else statistics.mean(others)
        return Outcome(outcome.reward, outcome.status, outcome.steps, outcome.seconds)

    def train_by_epoch(self, candidate: Candidate, seed: int):
        """Yields what there was after each epoch, in time with it."""
        outcome = self.recorded[candidate][seed]
        parts = len(outcome.curve) + (outcome.status == DIVERGED)
        for epoch, reward in enumerate(outcome.curve, 1):
            self.clock += outcome.seconds / parts
            status = outcome.status if epoch == self.epochs else PRUNED
            yield Outcome(reward, status, epoch, 0.0, outcome.curve[:epoch])
        if outcome.status == DIVERGED:
            self.clock += outcome.seconds / parts
            yield outcome


class Watched(Study):
    """A study that remembers how many of the ten were known at which time."""

    def __init__(self, child: Recorded, ten: set[Candidate]):
        super().__init__(child.space, {})
        self.clock, self.ten, self.known = child, ten, []

    def add(self, *arguments):
        """Writes a finished child, and looks."""
        super().add(*arguments)
        first = {entry.candidate for entry in self.entries()[:TEN]}
        self.known.append((self.clock.clock, len(first & self.ten)))


class Given(algorithms.Algorithm):
    """These candidates, in their order."""

    def __init__(self, space: SearchSpace, candidates: list[Candidate]):
        super().__init__(space)
        self.left = list(reversed(candidates))

    def ask(self):
        """Returns the next."""
        return algorithms.Proposal(self.left.pop()) if self.left else None


def replay(recorded: Study, candidates: list[Candidate], seeds: int, way: str, top: float) -> dict:
    """Searches once more."""
    epochs = max(len(by[0].curve) for by in recorded.outcomes.values())
    means = {
        c: np.mean([outcome.reward for seed, outcome in recorded.outcomes[c].items() if seed])
        for c in candidates
        if all(outcome.status == OK for outcome in recorded.outcomes[c].values())
    }
    ten = set(sorted(means, key=lambda c: -means[c])[:TEN])
    child = Recorded(recorded, epochs)
    study = Watched(child, ten)
    if way == "all seeds":
        for candidate in candidates:
            for seed in range(seeds):
                study.add(candidate, seed, child.evaluate(candidate, seed))
    else:
        pruner = Pruner("halving", study) if "stopping" in way else None
        found = Search(child, study, Given(child.space, candidates), "given", pruner=pruner)
        found.explore(None)
        found.race(Race(seeds, top))
    last = max((i for i, (_, count) in enumerate(study.known) if count < KNOWN), default=-1)
    is_known = last + 1 < len(study.known)
    return {
        "way": way,
        "children": len(study),
        "hours": round(child.clock / 3600, 3),
        "of the ten": study.known[-1][1],
        "known after, hours": round(study.known[last + 1][0] / 3600, 3) if is_known else "",
    }


def main() -> None:
    """Measures, prints and writes the table."""
    parser = recording.parser(__doc__)
    parser.add_argument("--record", type=pathlib.Path, required=True, help="journal of children")
    parser.add_argument("--data_dir", help="folder of TensorFlow Datasets")
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--top", type=float, default=0.1, help="which part is raced")
    parser.add_argument("--orders", type=int, default=20, help="in how many orders to replay")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error(f"argument --seeds: at least 2, received {arguments.seeds}")
    space = SearchSpace()
    found = algorithms.create("exhaustive", space, 0)
    candidates = [found.ask().candidate for _ in range(arguments.candidates)]
    child = recording.fashion_mnist_child(space, arguments.data_dir)
    arguments.record.parent.mkdir(parents=True, exist_ok=True)
    study = Study(space, child.fingerprint(), arguments.record)
    record(child, study, candidates, arguments.seeds)
    rows = []
    for way in ("all seeds", "racing", "racing and stopping"):
        replays = [
            replay(
                study,
                [candidates[i] for i in np.random.default_rng(order).permutation(len(candidates))],
                arguments.seeds,
                way,
                arguments.top,
            )
            for order in range(arguments.orders)
        ]
        rows.append(summary(replays, rows))
        print(rows[-1], flush=True)
    recording.write(arguments.out, "racing", rows, noise=study.noise()[0])


def summary(replays: list[dict], earlier: list[dict]) -> dict:
    """Returns the medians over the orders, and how much sooner than the first way."""
    row = {"way": replays[0]["way"], "orders": len(replays)}
    for key in ("children", "hours", "of the ten", "known after, hours"):
        # Not known counts as later than all others.
        values = [np.inf if found[key] == "" else found[key] for found in replays]
        row[key] = round(float(np.median(values)), 3)
    first = (earlier or [row])[0]
    row["times sooner"] = round(first["known after, hours"] / row["known after, hours"], 2)
    row["times less in all"] = round(first["hours"] / row["hours"], 2)
    return row


if __name__ == "__main__":
    main()
