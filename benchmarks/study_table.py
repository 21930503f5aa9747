"""The table of the deep child: "Table of the deep child" of docs/study.md.

    python benchmarks/study_table.py --data_dir=DIR --out results/study/table

Functions drawn at random, then others led by the surrogate, are trained with each of the learning
rates, of which the better counts; then those that the surrogate's mean likes best, one of each
shape, with further seeds. ReLU, Swish and the functions of --references are trained with all seeds
to compare with; the surrogate hears of one only if it proposes it.

functions.csv ranks the functions by the mean of the further seeds, then by their first reward;
trainings.csv has a row for each function, seed and rate: the validation accuracy after each epoch,
test accuracy and loss of the last one, status and seconds. A command that is stopped writes both.
Kept in a journal, study.log: given again, the command resumes, also with a larger --led or --best.
"""

import dataclasses
import pathlib
import signal
from typing import Any

import keras
import numpy as np
import recording
import search_table
from scipy import stats

from keras_swish import io
from keras_swish.search import Search, SearchSpace, Study, algorithms, executors, functions
from keras_swish.search.algorithms import surrogate
from keras_swish.search.child import OK, Child, Outcome
from keras_swish.search.insight.naming import readable
from keras_swish.search.space import Candidate
from keras_swish.train import search
from keras_swish.train.app import folder
from keras_swish.train.datasets import in_memory
from keras_swish.train.errors import ArgumentError
from keras_swish.train.trainer import trainer

# Of the plan: the seed of all, and those that judge the best.
SEED, JUDGING = 400, range(401, 404)
RATES = (0.1, 0.03)
REFERENCES = pathlib.Path("results/study/proxy/functions.txt")
# What functions are in the table for: drawn at random, led to by the surrogate, to compare with.
DRAWN, LED, REFERENCE = "drawn", "led", "reference"
# Divides the 10,000 images of the test split.
TEST_BATCH = 500


class TestAccuracy(keras.callbacks.Callback):
    """Adds the accuracy on test images to what the last epoch logs."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, epochs: int):
        super().__init__()
        self.images, self.labels, self.epochs = images, labels, epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Tests after the last epoch."""
        if epoch + 1 == self.epochs and logs is not None:
            logits = self.model.predict(self.images, TEST_BATCH, verbose=0)
            logs["test_accuracy"] = float(np.mean(logits.argmax(-1) == self.labels))


def build(settings: search.DatasetChild, space: SearchSpace, data_dir: str | None) -> Child:
    """Returns the child, which also tests itself."""
    trainer.make_deterministic()
    dataset = in_memory.load("fashion_mnist", data_dir, image_size=settings.image_size)
    test = TestAccuracy(*search.arrays(dataset, dataset.test), settings.config.epochs)
    return search.build(dataset, settings, space, [test])


def likeliest(study: Study, count: int) -> list[Candidate]:
    """Returns the functions that the surrogate's mean likes best, of those trained.

    One of each shape: those of one shape lie side by side, and the best shapes are looked for.
    """
    first = {c: o[SEED] for c, o in study.outcomes.items() if SEED in o and o[SEED].status == OK}
    if not first:
        return []
    candidates = sorted(first)
    features = surrogate.shape_features(study.space, candidates)
    process = surrogate.GaussianProcess(features, surrogate.LENGTH, surrogate.NOISE)
    for place in range(len(candidates)):
        process.observe(place)
    rewards = [first[candidate].reward for candidate in candidates]
    means = process.mean(surrogate.normal_scores(stats.rankdata(rewards)))
    ranked = [candidates[place] for place in np.argsort(-means, kind="stable")]
    places = search_table.one_of_each_shape(study.space, ranked)
    return [ranked[place] for place in places[:count]]


def judge(
    study: Study,
    executor: executors.Executor,
    best: list[Candidate],
    references: list[functions.Function],
) -> None:
    """Trains the best and the references with the further seeds."""
    compared = {one.candidate or one.text: one for one in references}
    jobs = [
        (function, seed)
        for seed in JUDGING
        for function in dict.fromkeys([*compared, *best])
        if (function in compared and seed not in study.references[compared[function].text])
        or (function in best and seed not in study.outcomes[function])
    ]
    # A reference that is among the best is trained once, and counts as both.
    for (function, seed), outcome in executors.compute_all(executor, jobs):
        if function in compared:
            study.add_reference(compared[function].text, compared[function].formula, seed, outcome)
        if function in best:
            study.add(function, seed, outcome, "judged")


def rows(study: Study, drawn: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the rows of functions.csv, the best first, and those of trainings.csv.

    Args:
        study: The study.
        drawn: How many of its proposals were drawn at random.
    """
    proposed = [one.same for trial in study.trials() for one in trial.proposals]
    kinds = {candidate: LED for candidate in study.outcomes} | dict.fromkeys(
        proposed[:drawn], DRAWN
    )
    rates = study.child["config"]["learning_rate"]
    ranked, trainings = [], []
    found: list[tuple[str, Candidate, dict[int, Outcome]]] = [
        (str(study.space.formula(candidate)), candidate, outcomes)
        for candidate, outcomes in study.outcomes.items()
    ] + [(text, (), outcomes) for text, outcomes in study.references.items()]
    for formula, candidate, outcomes in found:
        judged = [outcomes[seed].reward for seed in JUDGING if seed in outcomes]
        kind = kinds[candidate] if candidate else REFERENCE
        name = readable(formula) if candidate else formula
        ranked.append(
            {
                "formula": formula,
                "function": name,
                "kind": kind,
                **(study.space.choices(candidate) if candidate else {}),
                "reward": round(outcomes[SEED].reward, 5) if SEED in outcomes else "",
                "judged": round(float(np.mean(judged)), 5) if judged else "",
                "judging seeds": len(judged),
            }
        )
        for seed, outcome in sorted(outcomes.items()):
            for rate, one in zip(rates, outcome.rates, strict=True):
                trainings.append(
                    {
                        "formula": formula,
                        "kind": kind,
                        "seed": seed,
                        "learning_rate": rate,
                        "reward": round(one.reward, 5),
                        "epochs": " ".join(f"{reward:.5f}" for reward in one.curve),
                        "test_accuracy": one.logs.get("test_accuracy", ""),
                        "loss": round(one.logs["loss"], 5) if "loss" in one.logs else "",
                        "status": one.status,
                        "seconds": round(one.seconds, 1),
                    }
                )
    ranked.sort(key=lambda row: (row["judging seeds"] == 0, -worth(row)))
    return ranked, trainings


def worth(row: dict[str, Any]) -> float:
    """Returns what ranks a function: the mean of the judging seeds, or its first reward."""
    known = [row[key] for key in ("judged", "reward") if row[key] != ""]
    return known[0] if known else 0.0


def main() -> None:
    """Trains what is missing, and writes the tables."""
    parser = recording.parser(__doc__)
    parser.add_argument("--data_dir", help="folder of TensorFlow Datasets")
    parser.add_argument("--model", default="resnet56", help="the child's network")
    parser.add_argument("--filters", type=int, nargs=3, help="of its stages; by default its own")
    parser.add_argument("--images", type=int, default=search.DEFAULT_CHILD.images)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES, help="learning rates")
    parser.add_argument("--random", type=int, default=100, help="functions drawn at random")
    parser.add_argument("--led", type=int, default=300, help="functions led by the surrogate")
    parser.add_argument("--best", type=int, default=60, help="shapes that get more seeds")
    parser.add_argument("--references", type=pathlib.Path, default=REFERENCES)
    parser.add_argument("--executor", default="local", choices=executors.EXECUTORS)
    arguments = parser.parse_args()
    if arguments.out is None:
        parser.error("--out: name a folder, in which the command resumes")
    if len(set(arguments.rates)) < 2:
        parser.error("--rates: name two or more")
    if not arguments.references.is_file():
        parser.error(f"--references: there is no file {arguments.references}")
    config = dataclasses.replace(search.DEFAULT_CHILD.config, learning_rate=arguments.rates)
    settings = dataclasses.replace(
        search.DEFAULT_CHILD,
        model=arguments.model,
        filters=arguments.filters and tuple(arguments.filters),
        images=arguments.images,
        config=config,
    )
    space = SearchSpace()
    named = [one.text for one in functions.read(arguments.references, space)]
    references = functions.read([*functions.REFERENCES, *named], space)
    described = {**dataclasses.asdict(settings), "filters": settings.filters or ()}
    try:
        # As a search's, which `keras-swish report` reports on.
        made_by = {"dataset": "fashion_mnist", "child": io.as_json(described), "core_units": 1}
        folder.claim(arguments, "search", made_by)
    except ArgumentError as error:
        parser.error(str(error))
    child = build(settings, space, arguments.data_dir)
    folder.record_start(arguments.out)
    study = Study(space, child.fingerprint(), arguments.out / "study.log")

    def tell(candidate: Candidate, seed: int, outcome: Outcome) -> None:
        of_rates = ", ".join(f"{one.reward:.4f}" for one in outcome.rates)
        name = readable(space.formula(candidate))
        print(f"{len(study):4}  {of_rates}  {name}  ({outcome.seconds:.0f} s)", flush=True)

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    algorithm = algorithms.create("surrogate", space, SEED, initial=arguments.random)
    try:
        with executors.start_for(child, arguments.executor) as executor:
            searching = Search(child, study, algorithm, "surrogate", SEED, tell, executor)
            searching.begin((), references)
            searching.explore(arguments.random + arguments.led)
            judge(study, executor, likeliest(study, arguments.best), references)
    finally:
        ranked, trainings = rows(study, arguments.random)
        io.write_csv(arguments.out / "functions.csv", ranked)
        io.write_csv(arguments.out / "trainings.csv", trainings)
    for row in ranked[:10]:
        print(worth(row), row["function"])


if __name__ == "__main__":
    main()
