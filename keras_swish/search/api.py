"""`search_activations`: a search on a network of the user's, in one call."""

import copy
import os
from typing import Any

import keras

from keras_swish.search import algorithms, executors, functions
from keras_swish.search.algorithms import Algorithm
from keras_swish.search.child import Child, ChildConfig
from keras_swish.search.children.rewards import Reward
from keras_swish.search.executors import Executor
from keras_swish.search.pruning import Pruner
from keras_swish.search.result import Result
from keras_swish.search.search import OnChild, Race, Search
from keras_swish.search.space import SearchSpace
from keras_swish.search.study import Study


def search_activations(
    model: keras.Model,
    train: tuple[Any, Any],
    validation: tuple[Any, Any],
    *,
    space: SearchSpace | None = None,
    algorithm: str | Algorithm = "rl",
    max_trials: int | None = 500,
    start: functions.Start | None = None,
    child_config: ChildConfig | None = None,
    loss: Any = None,
    reward: Reward | None = None,
    activations: list[str] | None = None,
    storage: str | os.PathLike | None = None,
    seed: int = 0,
    on_child: OnChild | None = None,
    executor: str | Executor = "local",
    pruner: str | None = None,
    race: Race | None = None,
) -> Result:
    """Searches for the activation function with which a network learns best.

    The network's activations are replaced by one that computes any candidate, and the network is
    trained from the start with each candidate that the algorithm proposes. Then the best get
    more seeds. A search that was interrupted resumes when it is called again with its storage.

    Args:
        model: A Keras model, built; it is left as it is.
        train: Inputs and labels to train on: arrays whose first axis is the examples.
        validation: Inputs and labels for the reward, in the same form.
        space: The search space; by default one core unit.
        algorithm: One of `keras_swish.search.algorithms.ALGORITHMS`, a sampler of Optuna such as
            "optuna:TPESampler", or an `Algorithm`.
        max_trials: How many different candidates of the algorithm to train; 0 for none, so that
            `start` alone is trained; None for as many as the algorithm proposes. It is asked no
            more after 2,000 proposals without a new function.
        start: Functions to train first, besides those of the algorithm: formulas and names of
            activations, or the path of a text file with one a line. Those that are no candidates
            of the space are trained in a network of their own.
        child_config: How the network is trained; by default `ChildConfig()`, three epochs of SGD,
            whatever optimizer the model is compiled with.
        loss: As in `compile`; by default that which the model is compiled with.
        reward: From labels and outputs to a number, higher being better; by default accuracy, for
            models of one output that are trained with a cross-entropy. A storage knows a function
            by its name alone: give one that changes another storage.
        activations: Names of the activations to replace; by default all but the output's.
        storage: Path of a journal file to keep the results in, or a database's URL; by default
            they are kept in memory, and a search that is interrupted is lost.
        seed: The first seed of children, and that of the algorithm.
        on_child: Called after each training with candidate, seed and `Outcome`.
        executor: "local" to train in this process, one candidate at a time; "ray" or a
            `keras_swish.search.Ray` for the workers of a Ray cluster.
        pruner: "halving" to stop children early that do worse than most, or None.
        race: How many seeds the best get, and how many are the best; by default `Race()`, four
            for the best tenth.

    Returns:
        A `Result`: `best.formula`, `table()`, `model()`.

    Raises:
        ValueError: If the model has nothing to replace, the data cannot be trained on, the
            algorithm, executor or pruner is unknown, the algorithm is of another space, no worker
            fits into the Ray cluster, or the storage is of another search or first seed, or in use
            by another process.

    Example:
        >>> import keras, keras_swish, numpy as np
        >>> from keras_swish.search import ChildConfig, Race
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        >>> y = (x[:, 0] * x[:, 1] > 0).astype("int32")
        >>> model = keras.Sequential(
        ...     [keras.Input((2,)), keras.layers.Dense(8, name="hidden"), keras.layers.ReLU(),
        ...      keras.layers.Dense(2, "softmax")]
        ... )
        >>> result = keras_swish.search_activations(
        ...     model, (x, y), (x, y), loss="sparse_categorical_crossentropy", max_trials=2,
        ...     algorithm="random", child_config=ChildConfig(batch_size=32), race=Race(seeds=1),
        ... )
        >>> len(result.study), result.model().layers[1].formula == result.best.formula
        (2, True)

    Source: Ramachandran et al. 2017, section 2.
    """
    if max_trials is not None and (not _is_whole(max_trials) or max_trials < 0):
        raise ValueError(
            "`max_trials` must be a whole number, 0 for `start` alone, or None for no limit. "
            f"Received: max_trials={max_trials!r}"
        )
    executor = executors.get(executor)
    if isinstance(algorithm, str):
        name, space = algorithm, space or SearchSpace()
        if space.core_units > 1:
            # Which candidate stands for a function depends there on what the space was asked.
            space = copy.copy(space)
        algorithm = algorithms.create(name, space, seed)
    else:
        name = algorithms.name_of(algorithm)
        if space is not None and space.config() != algorithm.space.config():
            raise ValueError("The algorithm was made for another `space`.")
        space = algorithm.space
    started_with = functions.read(start, space)
    if max_trials == 0 and not started_with:
        raise ValueError("`max_trials=0` trains the functions of `start` alone: there are none.")
    references = [functions.find(name, space) for name in functions.REFERENCES]
    child = Child(model, train, validation, space, child_config, loss, reward, activations)
    study = Study(space, child.fingerprint(), storage)
    stops = Pruner(pruner, study) if pruner else None
    with executors.start_for(child, executor) as started:
        search = Search(child, study, algorithm, name, seed, on_child, started, stops)
        search.begin(started_with, references)
        search.explore(max_trials)
        search.race(race or Race())
    return Result(study, child, search.progress, tuple(started_with))


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
