"""`search_activations`: a search on a network of the user's, in one call."""

import copy
import dataclasses
import inspect
import numbers
import os
import pathlib
import shlex
from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_swish.search import algorithms, executors, functions
from keras_swish.search.algorithms import Algorithm
from keras_swish.search.child import Child, ChildConfig, Outcome
from keras_swish.search.children import data as datasets
from keras_swish.search.children.checks import check_model
from keras_swish.search.children.rewards import Reward
from keras_swish.search.display import VERBOSE, Display
from keras_swish.search.executors import Executor
from keras_swish.search.pruning import Pruner, check_rates
from keras_swish.search.result import Result, measure_of
from keras_swish.search.search import OnChild, Race, Search, is_whole
from keras_swish.search.space import Candidate, SearchSpace
from keras_swish.search.study import Study


def search_activations(
    model: keras.Model | Callable[[], keras.Model],
    x: Any = None,
    y: Any = None,
    *,
    validation_data: Any = None,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    objective: Any = None,
    max_trials: int | None = 100,
    epochs: int | None = None,
    batch_size: int | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    verbose: int | str = "auto",
    timeout: float | None = None,
    start: functions.Start | None = None,
    space: SearchSpace | None = None,
    algorithm: str | Algorithm = "surrogate",
    activations: Sequence[str] | None = None,
    loss: Any = None,
    reward: Reward | keras.metrics.Metric | None = None,
    child_config: ChildConfig | None = None,
    storage: str | os.PathLike | None = None,
    seed: int = 0,
    on_child: OnChild | None = None,
    executor: str | Executor = "local",
    pruner: str | None = None,
    race: Race | None = None,
) -> Result:
    """Searches for the activation function with which a network learns best.

    The network's activations are replaced by one that computes any candidate, and the network is
    trained from the start with each candidate that the algorithm proposes: with the optimizer,
    loss, loss weights and metrics that it is compiled with. ReLU and Swish are trained to compare
    with. Then the best get more seeds. A search that was interrupted resumes when it is called
    again with its storage.

    Args:
        model: A Keras model, built; it is left as it is. One with layers or a class of your own
            needs what Keras's files need: a `get_config` of all arguments of their constructors.
            Or a function without arguments that makes the model, compiled or not, each time the
            same but for what it draws: it needs none, and sets no random seed.
        x: Inputs as for `fit`: arrays, or lists or dictionaries of them, a `tf.data.Dataset`, a
            `keras.utils.PyDataset`. A dataset is read into memory once; one that shuffles needs a
            seed, or a search in another process does not know it again and does not resume.
        y: Labels, where `x` is no dataset.
        validation_data: `(x, y)`, `(x, y, sample_weight)`, or a dataset, for the objective.
        sample_weight: As for `fit`.
        class_weight: As for `fit`.
        objective: What to make as large or small as possible: the name of a metric that the model
            is compiled with, such as "val_auc", or "val_loss"; with the direction where it is not
            known, ("val_score", "max"). By default accuracy, for models of one output without a
            mask that are trained with a cross-entropy.
        max_trials: How many different candidates of the algorithm to train; 0 for none, so that
            `start` alone is trained; None for as many as the algorithm proposes. It is asked no
            more after 2,000 proposals without a new function.
        epochs: Passes over the data for each child; by default those of `child_config`, 3.
        batch_size: Examples a step; by default that of a dataset, or 128.
        callbacks: Keras's callbacks, of which each child gets copies, such as `EarlyStopping`.
            A storage is resumed with the same alone: classes, and the numbers in those of Keras.
        verbose: 0 for nothing, 1 for a bar, 2 for a line a function; "auto" is 1.
        timeout: Seconds after which no more children are begun but those of ReLU and Swish.
        start: Functions to train first, besides those of the algorithm: formulas and names of
            activations, or the path of a text file with one a line. Those that are no candidates
            of the space are trained in a network of their own.
        space: The search space; by default one core unit.
        algorithm: One of `keras_swish.search.algorithms.ALGORITHMS`, a sampler of Optuna such as
            "optuna:TPESampler", or an `Algorithm`.
        activations: What to replace: names of functions ("relu"), paths of activations or patterns
            of them ("block1_*"), or attributes ("recurrent_activation"). By default all
            activations but gates, softmax and the outputs. The softmax of attention is called with
            a mask, which nothing else takes: it stays.
        loss: As in `compile`; by default that which the model is compiled with.
        reward: Instead of an objective a function from labels and outputs to a number, higher being
            better, or a Keras metric. A storage knows a function by its name alone: give one that
            changes another storage.
        child_config: How the network is trained, where not as it is compiled.
        storage: Path of a journal file to keep the results in, or a database's URL; by default
            they are kept in memory, and a search that is interrupted is lost.
        seed: The first seed of children, and that of the algorithm.
        on_child: Called after each training of a candidate with it, seed and `Outcome`; not after
            those of ReLU, Swish and functions to begin with that are no candidates of the space.
        executor: "local" to train in this process, one candidate at a time; "ray" or a
            `keras_swish.search.Ray` for the workers of a Ray cluster.
        pruner: "halving" to stop children early that do worse than most, or None.
        race: How many seeds the best get, and how many are the best; by default `Race()`, four
            for the best tenth.

    Returns:
        A `Result`: `best.formula`, `table()`, `model()`.

    Raises:
        TypeError: If `model` is no Keras model, nor a function that makes one.
        ValueError: If the model has nothing to replace, the data cannot be trained on, the
            objective, algorithm, executor or pruner is unknown, there is a pruner and several
            learning rates, the algorithm is of another space or another search,
            no worker fits into the Ray cluster, or the storage is of another search or first seed,
            or in use by another process.

    Example:
        >>> import keras, keras_swish, numpy as np
        >>> from keras_swish.search import Race
        >>> x = np.random.default_rng(0).normal(size=(64, 2)).astype("float32")
        >>> y = (x[:, 0] * x[:, 1] > 0).astype("int32")
        >>> model = keras.Sequential(
        ...     [keras.Input((2,)), keras.layers.Dense(8, name="hidden"), keras.layers.ReLU(),
        ...      keras.layers.Dense(2, "softmax")]
        ... )
        >>> model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> result = keras_swish.search_activations(
        ...     model, x, y, validation_data=(x, y), objective="val_accuracy", max_trials=2,
        ...     epochs=1, batch_size=32, algorithm="random", race=Race(seeds=1), verbose=0,
        ... )
        >>> len(result.study), result.model().layers[1].formula == result.best.formula
        (2, True)

    Source: Ramachandran et al. 2017, section 2.
    """
    check_model(model)
    if isinstance(callbacks, keras.callbacks.Callback):
        callbacks = [callbacks]  # as `fit` takes it
    _check(max_trials, verbose, timeout, callbacks, storage, on_child)
    _check_kinds(space, algorithm, race)
    seed = _checked_seed(seed, race or Race())
    train = _training_data(x, y, sample_weight, validation_data)
    given = {"epochs": epochs, "batch_size": batch_size}
    given = {name: value for name, value in given.items() if value is not None}
    if child_config is None or isinstance(child_config, ChildConfig):  # else `Child` refuses it
        child_config = dataclasses.replace(child_config or ChildConfig(), **given)
        check_rates(pruner, child_config.rates)
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
    child = Child(
        model,
        train,
        validation_data,
        space,
        child_config,
        loss,
        reward,
        activations,
        objective,
        class_weight,
        callbacks or (),
    )
    display = Display(space, measure_of(child), verbose)
    study = Study(space, child.fingerprint(), storage)
    stops = Pruner(pruner, study) if pruner else None

    def count(candidate: Candidate, seed: int, outcome: Outcome) -> None:
        display.count(candidate, seed, outcome)
        if on_child:
            on_child(candidate, seed, outcome)

    def begin_race(trainings: int) -> None:
        display.end()
        display.begin("more seeds of the best", trainings)

    with executors.start_for(child, executor) as started:
        search = Search(
            child,
            study,
            algorithm,
            name,
            seed,
            count,
            started,
            stops,
            timeout,
            begin_race,
        )
        display.describe(f"searching for {', '.join(child.activations)}")
        given = sum(function.candidate is not None for function in started_with)
        display.begin("functions to begin with", given)
        search.begin(started_with, references)
        display.compare(study.reference_entries())
        left = None if max_trials is None else max(0, max_trials - search.progress.tried)
        display.begin("functions", left)
        search.explore(max_trials)
        search.race(race or Race())
        display.end()
    result = Result(study, child, search.progress, tuple(started_with))
    display.describe(result.summary())
    if storage is not None:
        file, out = str(storage), "report"
        if "://" not in file:
            out = str(pathlib.Path(file).with_suffix(""))
            out += "-report" * (out == file)
        display.describe(f"next: keras-swish report {shlex.quote(file)} --out={shlex.quote(out)}")
    return result


def _check(
    max_trials: Any, verbose: Any, timeout: Any, callbacks: Any, storage: Any, on_child: Any
) -> None:
    """Refuses at once what would fail after minutes."""
    if max_trials is not None and not (is_whole(max_trials) and max_trials >= 0):
        raise ValueError(
            "`max_trials` must be a whole number, 0 for `start` alone, or None for no limit. "
            f"Received: max_trials={max_trials!r}"
        )
    if verbose not in VERBOSE:
        raise ValueError(f"`verbose` must be 0, 1, 2 or 'auto'. Received: verbose={verbose!r}")
    is_number = isinstance(timeout, numbers.Real) and not isinstance(timeout, bool)
    if timeout is not None and not (is_number and float(timeout) > 0):
        raise ValueError(f"`timeout` must be positive seconds. Received: timeout={timeout!r}")
    given = callbacks if isinstance(callbacks, list | tuple) else [callbacks] if callbacks else []
    for callback in given:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ValueError(f"`callbacks` must be a list of Keras's. Received: {callback!r}")
    if on_child is not None and not _takes_child(on_child):
        raise ValueError(
            "`on_child` must be a function of candidate, seed and outcome. "
            f"Received: on_child={on_child!r}"
        )
    if storage is None or "://" in str(storage):
        return
    if not isinstance(storage, str | os.PathLike) or pathlib.Path(storage).expanduser().is_dir():
        raise ValueError(
            "`storage` must be the path of a file, such as 'study.log', or a database's URL. "
            f"Received: storage={storage!r}"
        )
    if not pathlib.Path(storage).expanduser().resolve().parent.is_dir():
        raise ValueError(
            f"The folder of `storage` does not exist: make it first. Received: {str(storage)!r}"
        )


def _takes_child(function: Any) -> bool:
    try:
        inspect.signature(function).bind(None, None, None)
    except ValueError:  # one of C has no signature
        return True
    except TypeError:
        return False
    return True


def _check_kinds(space: Any, algorithm: Any, race: Any) -> None:
    """Refuses objects of another kind."""
    if space is not None and not isinstance(space, SearchSpace):
        raise ValueError(
            "`space` must be a keras_swish.search.SearchSpace, such as SearchSpace(2) of two core "
            f"units. Received: space={space!r}"
        )
    if not isinstance(algorithm, str | Algorithm):
        raise ValueError(
            f"`algorithm` must be one of {', '.join(algorithms.ALGORITHMS)}, or an `Algorithm`. "
            f"Received: algorithm={algorithm!r}"
        )
    if race is not None and not isinstance(race, Race):
        raise ValueError(f"`race` must be a keras_swish.search.Race. Received: race={race!r}")


def _checked_seed(seed: Any, race: Race) -> int:
    """Returns the first seed, from which all children must have one that NumPy takes."""
    most = 2**32 - race.seeds
    if not (is_whole(seed) and 0 <= seed <= most):
        raise ValueError(f"`seed` must be a whole number from 0 to {most}. Received: seed={seed!r}")
    return int(seed)  # of NumPy's, which no storage holds


def _training_data(x: Any, y: Any, sample_weight: Any, validation_data: Any) -> Any:
    """Returns the data to train on, in the form of `validation_data`."""
    if validation_data is None:
        raise ValueError(
            "Pass `validation_data`, (x, y) or a dataset, on which the activations are judged."
        )
    if datasets.is_dataset(x):
        if y is not None or sample_weight is not None:
            raise ValueError("`x` is a dataset, which has its labels and weights in it.")
        return x
    if y is None:
        raise ValueError(
            "Pass the labels as `y`, or a tf.data.Dataset or keras.utils.PyDataset of both as `x`. "
            f"Received: x of type {type(x).__name__}, y=None"
        )
    return (x, y) if sample_weight is None else (x, y, sample_weight)
