import numpy as np
import pytest

import keras_swish
from keras_swish.search import (
    ChildConfig,
    Pruner,
    Race,
    Search,
    SearchSpace,
    Study,
    algorithms,
    pruning,
)
from keras_swish.search.child import DIVERGED, OK, PRUNED, Outcome
from keras_swish.search.result import Result

pytestmark = pytest.mark.usefixtures("without_graph_optimizer")

optuna = pytest.importorskip("optuna")
EPOCHS = 6


class Staged:
    """A child whose rewards grow with each epoch towards what its candidate is worth."""

    def __init__(self, space, stop_after=None):
        self.space, self.config, self.stop_after = space, ChildConfig(epochs=EPOCHS), stop_after
        self.epochs = {}

    def worth(self, candidate, seed):
        return np.random.default_rng([self.space.index(candidate), seed]).uniform(0.2, 1)

    def evaluate(self, candidate, seed):
        *_, last = self.train_by_epoch(candidate, seed)
        return Outcome(last.reward, last.status, last.steps, last.seconds)

    def train_by_epoch(self, candidate, seed):
        if len(self.epochs) == self.stop_after:
            raise KeyboardInterrupt
        index, curve = self.space.index(candidate), ()
        for epoch in range(1, EPOCHS + 1):
            self.epochs[candidate, seed] = epoch
            if index % 10 == 0 and epoch == 2:
                yield Outcome(0.0, DIVERGED, epoch, 0.1, curve)
                return
            curve = (*curve, float(self.worth(candidate, seed) * (1 - 0.5**epoch)))
            yield Outcome(curve[-1], OK if epoch == EPOCHS else PRUNED, epoch, 0.1, curve)


def search(child, storage=None):
    study = Study(child.space, {}, storage)
    algorithm = algorithms.create("evolution", child.space, population=12, sample=4)
    return Search(child, study, algorithm, "evolution", pruner=Pruner("halving", study))


@pytest.fixture(scope="module")
def halved():
    done = search(Staged(SearchSpace()))
    done.explore(120)
    return done


def test_the_better_a_child_the_longer_it_may_train(halved):
    child = halved.child
    reached = {1: [], 3: [], EPOCHS: []}
    for (candidate, seed), epochs in child.epochs.items():
        if halved.study.outcomes[candidate][0].status != DIVERGED:
            reached[epochs].append(child.worth(candidate, seed))
    assert np.mean(reached[1]) < np.mean(reached[3]) < np.mean(reached[EPOCHS])
    # A third of a third, and those that came before there was much to compare with.
    assert 0.05 < len(reached[EPOCHS]) / 120 < 0.25
    assert sum(child.epochs.values()) < 0.45 * 120 * EPOCHS


def test_the_decisions_are_those_of_optimizing_with_optuna_itself(halved):
    child, order = halved.child, list(halved.child.epochs)
    study = optuna.create_study(
        direction="maximize",
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3),
    )

    def objective(trial):
        for outcome in child.train_by_epoch(*order[trial.number]):
            if outcome.status == PRUNED:
                trial.report(outcome.reward, len(outcome.curve))
                if trial.should_prune():
                    raise optuna.TrialPruned
        return outcome.reward

    study.optimize(objective, n_trials=len(order))
    ours = halved.study.study.get_trials()
    for mine, theirs in zip(ours, study.get_trials(), strict=True):
        assert (mine.state, mine.value) == (theirs.state, theirs.value)
        assert mine.system_attrs == theirs.system_attrs


def test_what_was_stopped_never_outranks_what_was_trained(halved):
    stati = [entry.status for entry in halved.study.entries()]
    assert stati == sorted(stati, key=lambda status: status == PRUNED)
    assert stati.count(PRUNED) > 60
    halved.race(Race(2, 0.1))
    raced = [e for e in halved.study.entries() if len(e.rewards) == 2]
    assert raced
    assert all(entry.status != PRUNED for entry in raced)
    assert "(pruned)" in Result(halved.study, halved.child, halved.progress).table(120)


def test_an_interrupted_search_stops_the_same_children(tmp_path):
    space = SearchSpace()
    whole = search(Staged(space))
    whole.explore(60)
    cut = search(Staged(space, stop_after=31), tmp_path / "study.log")
    with pytest.raises(KeyboardInterrupt):
        cut.explore(60)
    again = search(Staged(space), tmp_path / "study.log")
    again.explore(60)
    assert again.study.outcomes == whole.study.outcomes
    assert again.progress == whole.progress


def test_a_pruner_compares_with_the_latest_and_resumes_with_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(pruning, "LATEST", 10)
    space = SearchSpace()
    whole = search(Staged(space))
    whole.explore(80)
    known = [trial for trial in whole.study.study.get_trials() if trial.intermediate_values]
    kept = whole.pruner._study.get_trials()
    assert 10 <= len(kept) < 20
    assert [t.value for t in kept] == [t.value for t in known[-len(kept) :]]
    for stop_after in (31, 45):
        cut = search(Staged(space, stop_after=stop_after), tmp_path / f"{stop_after}.log")
        with pytest.raises(KeyboardInterrupt):
            cut.explore(80)
        again = search(Staged(space), tmp_path / f"{stop_after}.log")
        again.explore(80)
        assert again.study.outcomes == whole.study.outcomes


@pytest.mark.slow
def test_on_a_network_of_the_user(model, data, child_config):
    result = keras_swish.search_activations(
        model,
        *data[0],
        validation_data=data[1],
        algorithm="random",
        max_trials=8,
        race=Race(seeds=1),
        child_config=child_config,
        pruner="halving",
    )
    outcomes = [by_seed[0] for by_seed in result.study.outcomes.values()]
    stopped = [outcome for outcome in outcomes if outcome.status == PRUNED]
    trained = [outcome for outcome in outcomes if outcome.status == OK]
    assert stopped
    assert all(outcome.steps in (5, 15) and len(outcome.curve) < 4 for outcome in stopped)
    assert all(outcome.steps == 20 and len(outcome.curve) == 4 for outcome in trained)
    assert result.best.status == OK


def test_unknown_pruners_say_what_came(space):
    with pytest.raises(ValueError, match="Unknown pruner 'having'"):
        Pruner("having", Study(space, {}))


def test_children_of_several_learning_rates_are_not_stopped_early(space):
    child = Staged(space)
    child.config = ChildConfig(epochs=EPOCHS, learning_rate=(0.1, 0.03))
    study = Study(space, {})
    with pytest.raises(ValueError, match=r"a single learning rate. Received: .*\(0.1, 0.03\)"):
        Search(
            child,
            study,
            algorithms.create("random", space),
            "random",
            pruner=Pruner("halving", study),
        )


def test_a_call_with_a_pruner_and_several_rates_leaves_no_storage(model, data, tmp_path):
    config = ChildConfig(epochs=2, batch_size=32, learning_rate=(0.1, 0.03))
    with pytest.raises(ValueError, match="a single learning rate"):
        keras_swish.search_activations(
            model,
            *data[0],
            validation_data=data[1],
            pruner="halving",
            child_config=config,
            storage=tmp_path / "study.log",
        )
    assert not list(tmp_path.iterdir())


def test_children_of_a_search_without_a_pruner_are_not_compared_with(space):
    """They have rewards by epoch as well, where these are cheap."""
    study = Study(space, {})
    study.add(space.survey().candidates[0], 0, Outcome(0.5, OK, 10, 1.0, (0.4, 0.5)))
    assert Pruner("halving", study)._finished == []
