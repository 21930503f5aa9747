import dataclasses

import keras
import numpy as np
import pytest
from fake_child import Fake, rewards, search

import keras_swish
from keras_swish.search import (
    ChildConfig,
    Race,
    Search,
    SearchSpace,
    Study,
    algorithms,
    functions,
)
from keras_swish.search import search as searching
from keras_swish.search.algorithms import surrogate
from keras_swish.search.child import PRUNED, Outcome
from keras_swish.search.result import progress_by_algorithm

pytestmark = pytest.mark.usefixtures("without_graph_optimizer")

pytest.importorskip("optuna")


def test_each_function_is_trained_once_and_the_rest_is_counted(space):
    child = Fake(space)
    done = search(child, None)
    done.explore(300)
    assert done.progress.tried == len(child.trained) == len(set(child.trained)) == 300
    assert all(space.canonical(candidate) == candidate for candidate, _ in child.trained)
    assert done.progress.repeats > 0
    assert done.progress.rejected["not finite"] > 10


def test_an_interrupted_child_leaves_no_trace_in_the_study(space):
    cut = search(Fake(space, stop_after=2), None)
    with pytest.raises(KeyboardInterrupt):
        cut.explore(5)
    assert len(cut.study.entries()) == len(cut.study.outcomes) == 2


@pytest.mark.parametrize("units", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["random", "evolution", "rl", "pqt", "surrogate"])
# At each trial, at none, and at some.
@pytest.mark.parametrize(
    "snapshot_seconds",
    [0.0, pytest.param(1e9, marks=pytest.mark.slow), pytest.param(0.004, marks=pytest.mark.slow)],
)
def test_an_interrupted_search_resumes_as_if_it_had_not_been(
    name, units, snapshot_seconds, tmp_path, space, monkeypatch
):
    def fresh():
        # A larger space learns which candidates are the same from what it is asked.
        return space if units == 1 else SearchSpace(units)

    monkeypatch.setattr(surrogate, "_POOL", 300)
    whole = search(Fake(fresh()), None, name)
    whole.explore(40)
    monkeypatch.setattr(searching, "_SNAPSHOT_SECONDS", snapshot_seconds)
    cut = search(Fake(fresh(), stop_after=23), tmp_path / "study.log", name)
    with pytest.raises(KeyboardInterrupt):
        cut.explore(40)
    child = Fake(fresh())
    again = search(child, tmp_path / "study.log", name)
    again.explore(40)
    assert len(child.trained) == 40 - 23
    assert rewards(again.study) == rewards(whole.study)
    assert again.progress == whole.progress


@pytest.mark.parametrize(
    "name",
    ["exhaustive", "random", "evolution", "rl", "pqt", "surrogate", "optuna:TPESampler"],
)
@pytest.mark.parametrize("snapshot_seconds", [0.0, pytest.param(1e9, marks=pytest.mark.slow)])
def test_a_search_in_a_database_resumes_as_well(
    name, snapshot_seconds, tmp_path, space, monkeypatch
):
    whole = search(Fake(space), None, name)
    whole.explore(15)
    monkeypatch.setattr(searching, "_SNAPSHOT_SECONDS", snapshot_seconds)
    storage = f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(KeyboardInterrupt):
        search(Fake(space, stop_after=9), storage, name).explore(15)
    child = Fake(space)
    again = search(child, storage, name)
    again.explore(15)
    assert len(child.trained) == 15 - 9
    if name.startswith("optuna:") and not snapshot_seconds:
        # A sampler that was restored draws other numbers, and knows all that was trained.
        assert len(again.study) == 15
        return
    assert rewards(again.study) == rewards(whole.study)
    assert again.progress == whole.progress


@pytest.mark.parametrize("names", [("surrogate", "surrogate"), ("random", "pqt")])
def test_two_drivers_share_a_database(names, tmp_path, space):
    pytest.importorskip("sqlalchemy")
    storage = f"sqlite:///{tmp_path}/study.db"
    drivers = [search(Fake(space), storage, name) for name in names]
    for trials in (4, 8, 12):
        for driver in drivers:
            driver.explore(trials)
            assert driver.progress.tried == trials
    for driver in drivers:
        driver.race(Race(2, 0.2))
    # Each knows what it trained; who opens the database knows all, and resumes either search.
    known = {**rewards(drivers[0].study), **rewards(drivers[1].study)}
    found = Study(space, Fake(space).fingerprint(), storage)
    assert rewards(found).keys() == known.keys()
    assert all(known[c].items() <= by_seed.items() for c, by_seed in rewards(found).items())
    assert all(np.isfinite(entry.mean) for entry in found.entries())
    for name in names:
        child = Fake(space)
        again = search(child, storage, name)
        again.explore(14)
        assert not {*child.trained} & {(c, s) for c, by in known.items() for s in by}


def test_what_another_algorithm_has_trained_is_taken_from_the_study_also_when_replayed(
    tmp_path, space
):
    storage = tmp_path / "study.log"
    search(Fake(space), storage, "random").explore(20)
    child = Fake(space)
    first = search(child, storage, "evolution")
    first.explore(25)
    # The first generation is drawn as random search draws.
    assert len(child.trained) < 25
    again = search(Fake(space), storage, "evolution")
    assert again.progress == first.progress
    assert again.algorithm.living == first.algorithm.living
    found = progress_by_algorithm(again.study)
    assert found["evolution"] == first.progress
    assert found["random"].tried == 20


def test_an_old_study_without_proposals_answers(tmp_path, space):
    done = search(Fake(space), None, "exhaustive")
    done.explore(10)
    study = Study(space, Fake(space).fingerprint(), tmp_path / "study.log")
    for candidate, by_seed in done.study.outcomes.items():
        study.add(candidate, 0, by_seed[0], "exhaustive")
    child = Fake(space)
    again = search(child, tmp_path / "study.log", "exhaustive")
    again.explore(12)
    assert len(child.trained) == 2
    assert again.progress.tried == 12
    assert search(child, tmp_path / "study.log", "exhaustive").progress == again.progress


def test_with_other_options_an_algorithm_is_answered_from_the_study(tmp_path, space):
    search(Fake(space), tmp_path / "study.log", "rl").explore(30)
    child = Fake(space)
    study = Study(space, child.fingerprint(), tmp_path / "study.log")
    other = algorithms.create("rl", space, 0, units=4)
    again = Search(child, study, other, "rl", 0)
    again.explore(20)
    assert again.progress.tried == 20
    assert len(child.trained) == len(study) - 30


def test_an_algorithm_that_finds_nothing_new_is_asked_no_more(tmp_path, space, monkeypatch):
    monkeypatch.setattr(searching, "_PATIENCE", 3)
    done = search(Fake(space), tmp_path / "study.log")
    done.explore(None)
    again = search(Fake(space), tmp_path / "study.log")
    again.explore(None)
    assert again.progress == done.progress
    assert done.progress.tried < 3358


def test_exhaustive_ends_by_itself_and_resumes(tmp_path, space):
    child = Fake(space)
    search(child, tmp_path / "study.log", "exhaustive").explore(100)
    second = search(child, tmp_path / "study.log", "exhaustive")
    second.explore(130)
    assert len(child.trained) == 130
    assert len({candidate for candidate, _ in child.trained}) == 130


@pytest.mark.parametrize("name", ["exhaustive", "surrogate"])
def test_an_algorithm_is_of_one_search(name, space):
    algorithm = algorithms.create(name, space)
    Search(Fake(space), Study(space, {}), algorithm, name).explore(2)
    with pytest.raises(ValueError, match="of another search, and would go on"):
        Search(Fake(space), Study(space, {}), algorithm, name)


def test_racing_gives_the_best_more_seeds(space):
    child = Fake(space)
    done = search(child, None)
    done.explore(100)
    done.race(Race(seeds=4, top=0.2))
    entries = done.study.entries()
    four = [entry for entry in entries if len(entry.rewards) == 4]
    once = [entry for entry in entries if len(entry.rewards) == 1]
    assert len(child.trained) == 100 + 3 * 20
    assert min(e.mean for e in four) > np.median([e.mean for e in once])
    assert all(e.status == "ok" for e in four)
    noise, degrees = done.study.noise()
    assert degrees >= 2 * 18 - 2
    assert noise == pytest.approx(0.01, rel=0.3)
    assert len(entries[0].rewards) == 4
    assert entries[0].low < entries[0].mean < entries[0].high


class Lucky(Fake):
    """A child whose first seed is good to a few; later ones are not."""

    def evaluate(self, candidate, seed):
        outcome = super().evaluate(candidate, seed)
        lucky = 0.5 * (seed == 0 and self.space.index(candidate) % 3 == 0)
        return dataclasses.replace(outcome, reward=outcome.reward + lucky)


def raced(child, storage, trials, race, **arguments):
    found = search(child, storage, **arguments)
    found.explore(trials)
    found.race(race)
    return found


def test_the_best_of_a_search_has_all_seeds(space):
    announced = []
    whole = raced(Lucky(space), None, 30, Race(3, 0.05), on_race=announced.append)
    assert len(whole.study) == 30 + sum(announced)
    assert set(whole.study.entries()[0].rewards) == {0, 1, 2}
    # Those that the first seed chose have fallen behind.
    assert sum(len(outcomes) > 1 for outcomes in whole.study.outcomes.values()) > 2


@pytest.mark.parametrize(
    ("kind", "trials", "race", "stop_after"),
    [(Fake, 50, Race(seeds=3, top=0.2), 63), (Lucky, 30, Race(seeds=3, top=0.05), 37)],
)
def test_an_interrupted_race_resumes_with_the_same_candidates(
    kind, trials, race, stop_after, tmp_path, space
):
    whole = raced(kind(space), None, trials, race)
    with pytest.raises(KeyboardInterrupt):
        raced(kind(space, stop_after=stop_after), tmp_path / "study.log", trials, race)
    again = raced(kind(space), tmp_path / "study.log", trials, race)
    assert rewards(again.study) == rewards(whole.study)


def test_a_search_that_was_interrupted_resumes_in_the_same_object(space):
    whole = search(Fake(space), None)
    whole.explore(30)
    for executor in (None, Crowd):
        child = Fake(space, stop_after=13)
        cut = search(child, None, executor=executor and executor(child))
        with pytest.raises(KeyboardInterrupt):
            cut.explore(30)
        child.stop_after = None
        cut.explore(30)
        assert cut.progress.tried == 30
        assert len(child.trained) == len(set(child.trained)) == len(cut.study) == 30
    assert rewards(search_of(space, 30).study) == rewards(whole.study)


def test_a_race_that_was_interrupted_resumes_in_the_same_object(space):
    for executor in (None, Crowd):
        child = Fake(space, stop_after=35)
        cut = search(child, None, executor=executor and executor(child))
        cut.explore(30)
        with pytest.raises(KeyboardInterrupt):
            cut.race(Race(seeds=3, top=0.2))
        child.stop_after = None
        cut.race(Race(seeds=3, top=0.2))
        assert len(child.trained) == len(set(child.trained)) == len(cut.study) == 30 + 2 * 6


def test_a_second_first_seed_is_refused(tmp_path, space):
    search(Fake(space), tmp_path / "study.log").explore(5)
    study = Study(space, Fake(space).fingerprint(), tmp_path / "study.log")
    algorithm = algorithms.create("random", space, 1)
    with pytest.raises(ValueError, match=r"first seed is 0: .*Received: seed=1"):
        Search(Fake(space), study, algorithm, "random", 1)


def search_of(space, trials):
    found = search(Fake(space), None)
    found.explore(trials)
    return found


def test_a_second_first_seed_is_refused_of_functions_to_compare_with_too(space):
    study = Study(space, {})
    study.add_reference("gelu", "gelu", 3, Outcome(0.9, "ok", 10, 1.0), "start")
    with pytest.raises(ValueError, match="first seed is 3"):
        Search(Fake(space), study, algorithms.create("random", space), "random", seed=4)


def test_what_was_stopped_early_is_trained_to_its_end_without_a_pruner(tmp_path, space):
    algorithm = algorithms.create("exhaustive", space, 0)
    candidate = algorithm.order[3]
    study = Study(space, Fake(space).fingerprint(), tmp_path / "study.log")
    study.add(candidate, 0, Outcome(0.1, PRUNED, 1, 1.0, (0.1,)))
    child = Fake(space)
    again = Search(child, study, algorithm, "exhaustive")
    again.explore(8)
    assert (candidate, 0) in child.trained
    (reopened,) = [Study(space, child.fingerprint(), tmp_path / "study.log").outcomes[candidate][0]]
    assert reopened.status != PRUNED


def test_an_algorithm_of_another_space_is_refused(model, data):
    algorithm = algorithms.create("random", SearchSpace(2))
    with pytest.raises(ValueError, match="another `space`"):
        keras_swish.search_activations(
            model, *data[0], validation_data=data[1], algorithm=algorithm, space=SearchSpace(1)
        )


@pytest.mark.slow
def test_a_space_is_not_changed_by_what_it_was_asked_before(model, data):
    """Of several units, the spelling that is asked about first stands for a function."""
    space = SearchSpace(2)
    passed_on = {"input1_2": 1, "u1_2": "x", "input2_2": 1, "u2_2": "x", "b_2": "max(x1,x2)"}
    one = space.candidate(u1="cos(x)", u2="x", b="x1-x2", **passed_on)
    other = space.candidate(u1="-x", u2="cos(x)", b="x1+x2", **passed_on)
    assert space.canonical(one) == space.canonical(other) == one
    found = keras_swish.search_activations(
        model,
        *data[0],
        validation_data=data[1],
        space=space,
        algorithm="random",
        max_trials=1,
        race=Race(seeds=1),
        child_config=ChildConfig(epochs=1),
    )
    assert found.study.space.canonical(other) == other


def test_a_trial_cut_short_by_a_kill_is_trained_again(tmp_path, space):
    journal = tmp_path / "study.log"
    search(Fake(space), journal).explore(5)
    whole = journal.read_bytes()
    for cut in (10, 300):
        journal.write_bytes(whole[:-cut])
        child = Fake(space)
        search(child, journal).explore(7)
        assert len(child.trained) == 3
        assert len(Study(space, child.fingerprint(), journal)) == 7


def test_a_snapshot_of_another_controller_is_named(tmp_path, space, monkeypatch):
    monkeypatch.setattr(searching, "_SNAPSHOT_SECONDS", 0.0)
    search(Fake(space), tmp_path / "study.log", "rl").explore(5)
    algorithm = algorithms.create("rl", space, 0, units=16)
    study = Study(space, Fake(space).fingerprint(), tmp_path / "study.log")
    with pytest.raises(ValueError, match="snapshot is of a controller of another size"):
        Search(Fake(space), study, algorithm, "rl", 0)


@pytest.mark.parametrize("snapshot_seconds", [0.0, 1e9])
def test_a_record_cut_short_by_a_kill_is_made_again(tmp_path, space, monkeypatch, snapshot_seconds):
    """At any byte of the last records: trials, and snapshots between them."""
    whole = search(Fake(space), None, "rl")
    whole.explore(12)
    monkeypatch.setattr(searching, "_SNAPSHOT_SECONDS", snapshot_seconds)
    journal = tmp_path / "study.log"
    search(Fake(space), journal, "rl").explore(8)
    content = journal.read_bytes()
    ends = [len(content)]
    for _ in range(3):
        ends.append(content.rindex(b"\n", 0, ends[-1] - 1) + 1)
    for end in (*ends, ends[0] - 7, ends[1] - 7, ends[2] + 7):
        journal.write_bytes(content[:end])
        child = Fake(space)
        again = search(child, journal, "rl")
        again.explore(12)
        assert len(child.trained) <= 4 + 3
        assert rewards(again.study) == rewards(whole.study)
        assert again.progress == whole.progress


def test_without_its_journal_a_search_begins_again(tmp_path, space):
    search(Fake(space), tmp_path / "study.log").explore(5)
    (tmp_path / "study.log").unlink()
    child = Fake(space)
    search(child, tmp_path / "study.log").explore(5)
    assert len(child.trained) == 5
    assert {path.name for path in tmp_path.iterdir()} == {"study.log", ".study.log.lock"}


class Crowd:
    """An executor of several workers, of whom a random one is done first."""

    def __init__(self, child, slots=4):
        self.child, self.slots, self.jobs = child, slots, []
        self.random = np.random.default_rng(0)
        self.most = 0

    @property
    def idle(self):
        return self.slots - len(self.jobs)

    def submit(self, job, done=None):
        assert self.idle
        assert job not in self.jobs
        self.jobs.append(job)
        self.most = max(self.most, len(self.jobs))

    def wait(self):
        job = self.jobs[self.random.integers(len(self.jobs))]
        outcome = self.child.evaluate(*job)
        self.jobs.remove(job)
        return job, outcome


class Stubborn(algorithms.Algorithm):
    """Proposes each function of a space five times in a row."""

    def __init__(self, space):
        super().__init__(space)
        self.asked, self.told = 0, []

    def ask(self):
        self.asked += 1
        found = self.space.survey().candidates[10 + (self.asked - 1) // 5]
        return algorithms.Proposal(found, self.asked)

    def tell(self, proposal, reward):
        self.told.append((proposal.note, proposal.candidate, reward))


def test_no_worker_waits_while_others_train(space):
    child = Fake(space)
    crowd = Crowd(child)
    done = search(child, None, executor=crowd)
    done.explore(50)
    done.race(Race(2, 0.2))
    assert crowd.most == crowd.slots
    assert not crowd.jobs
    assert len(child.trained) == len(set(child.trained)) == 60
    assert done.progress.tried == 50


def test_what_is_in_training_is_not_trained_twice_and_answers_all_who_asked(space):
    child, algorithm = Fake(space), Stubborn(space)
    done = Search(child, Study(space, {}), algorithm, "stubborn", executor=Crowd(child))
    done.explore(20)
    assert len(child.trained) == 20
    assert done.progress.repeats == len(algorithm.told) - 20
    assert len({note for note, *_ in algorithm.told}) == algorithm.asked
    assert all(
        reward == done.study.outcomes[candidate][0].reward
        for _, candidate, reward in algorithm.told
    )


@pytest.mark.parametrize(
    "name", ["exhaustive", "evolution", "rl", "pqt", "surrogate", "optuna:TPESampler"]
)
@pytest.mark.parametrize("snapshot_seconds", [0.0, 1e9])
def test_with_several_workers_an_interrupted_search_loses_and_repeats_nothing(
    name, snapshot_seconds, tmp_path, space, monkeypatch
):
    monkeypatch.setattr(searching, "_SNAPSHOT_SECONDS", snapshot_seconds)
    trained = []
    for stop_after in (13, 20, None):
        child = Fake(space, stop_after=stop_after)
        cut = search(child, tmp_path / "study.log", name, executor=Crowd(child))
        try:
            cut.explore(50)
        except KeyboardInterrupt:
            waiting = cut._waiting
        trained += child.trained
        if stop_after == 13:
            # The next one's first steps: it has what was in training when the last trial ended.
            resumed = search(Fake(space), tmp_path / "study.log", name)
            assert resumed._waiting.items() <= waiting.items()
            assert resumed.progress.asked <= cut.progress.asked
    assert len(trained) == len(set(trained))
    again = Study(space, Fake(space).fingerprint(), tmp_path / "study.log")
    written = [trial.candidate for trial in again.trials()]
    assert len(written) == len(again.outcomes) == len(trained)
    if name != "optuna:TPESampler":
        assert len(written) == cut.progress.tried == 50


def test_a_sampler_of_optuna_resumes_from_a_snapshot_with_all_rewards(tmp_path, space, monkeypatch):
    monkeypatch.setattr(searching, "_SNAPSHOT_SECONDS", 0.0)
    first = search(Fake(space), tmp_path / "study.log", "optuna:TPESampler")
    first.explore(15)
    again = search(Fake(space), tmp_path / "study.log", "optuna:TPESampler")
    assert len(again.algorithm.study.trials) == first.progress.asked
    assert again.algorithm.study.best_value == first.algorithm.study.best_value
    assert again.progress == first.progress


@pytest.mark.slow
def test_a_network_of_the_user_gets_a_better_activation(model, data, child_config, tmp_path):
    seen = []
    result = keras_swish.search_activations(
        model,
        *data[0],
        validation_data=data[1],
        algorithm="random",
        max_trials=6,
        race=Race(seeds=2, top=0.3),
        child_config=child_config,
        storage=tmp_path / "study.log",
        on_child=lambda *arguments: seen.append(arguments),
    )
    assert len(seen) == len(result.study) == 8
    assert result.best.formula in result.table()
    network = result.model()
    assert network.layers[2].formula == result.best.formula
    for ours, users in zip(network.layers, model.layers):
        if isinstance(users, keras.layers.Dense):
            np.testing.assert_array_equal(ours.get_weights()[0], users.get_weights()[0])


def test_bad_arguments_say_what_came(model, data):
    for arguments, message in [
        ({"max_trials": 2.5}, "Received: max_trials=2.5"),
        ({"max_trials": 0}, "there are none"),
        ({"algorithm": "luck"}, "Unknown algorithm 'luck'"),
        ({"executor": "rey"}, r"Unknown executor 'rey'. Did you mean 'ray'"),
    ]:
        with pytest.raises(ValueError, match=message):
            keras_swish.search_activations(model, *data[0], validation_data=data[1], **arguments)
    with pytest.raises(ValueError, match="Received: seeds=0"):
        Race(seeds=0)
    with pytest.raises(ValueError, match="top=2"):
        Race(top=2)


def given(space, *texts):
    return functions.read(texts, space)


def begun(child, storage, start=(), references=(), **kwargs):
    found = search(child, storage, **kwargs)
    found.begin(given(child.space, *start), given(child.space, *references))
    return found


def test_functions_to_begin_with_are_trained_first_and_nothing_else_need_be(space):
    child = Fake(space)
    found = begun(child, None, ["cos(x) - x", "swish"])
    found.explore(0)
    wanted = [one.candidate for one in given(space, "cos(x) - x", "swish")]
    assert child.trained == [(candidate, 0) for candidate in wanted]
    assert list(found.study.outcomes) == wanted
    assert found.progress.tried == 0
    found.race(Race(seeds=3, top=1))
    assert {len(by_seed) for by_seed in found.study.outcomes.values()} == {3}


def test_entries_say_what_had_them_trained(space, tmp_path):
    found = begun(Fake(space), tmp_path / "study.log", ["cos(x) - x"], ["relu"])
    found.explore(3)
    found.study.add_reference("gelu", "gelu(x)", 0, Outcome(0.5, "ok", 1, 1.0, (0.4, 0.5)), "start")
    for study in (found.study, Study.load(tmp_path / "study.log")):
        references = {entry.formula: entry.algorithm for entry in study.reference_entries()}
        assert references == {"relu": "reference", "gelu": "start"}
        assert study.references["gelu"][0].curve == (0.4, 0.5)
        names = sorted(entry.algorithm for entry in study.entries())
        assert names == ["random", "random", "random", "start"]


def test_references_are_neither_candidates_nor_trials(space):
    child = Fake(space)
    seen = []
    found = begun(child, None, [], ["relu", "swish"], on_child=lambda *job: seen.append(job))
    assert (len(child.trained), len(found.study), len(seen)) == (2, 0, 0)
    found.explore(20)
    assert found.progress.tried == len(found.study) == len(seen) == 20
    found.race(Race(seeds=3, top=0.1))
    assert [len(by_seed) for by_seed in found.study.references.values()] == [3, 3]
    assert [entry.formula for entry in found.study.reference_entries()] == ["relu", "swish"]
    without = search(Fake(space), None)
    without.explore(20)
    without.race(Race(seeds=3, top=0.1))
    assert rewards(found.study) == rewards(without.study)
    assert repr(found.study.entries()) == repr(without.study.entries())


class Constant(Fake):
    """A child to which all is alike, also what is no candidate."""

    def evaluate(self, candidate, seed):
        self.trained.append((candidate, seed))
        return Outcome(0.5, "ok", 1, 0.1)


def test_a_reference_outside_the_space_that_is_given_too_is_trained_once():
    child = Constant(SearchSpace(unary=["sin(x)", "x^2"], binary=["x1 * x2"]))
    crowd = Crowd(child)
    found = begun(child, None, ["relu", "elu"], ["relu", "swish"], executor=crowd)
    assert {job: child.trained.count(job) for job in child.trained} == {
        ("relu", 0): 1,
        ("swish", 0): 1,
        ("elu", 0): 1,
    }
    kinds = {entry.formula: entry.algorithm for entry in found.study.reference_entries()}
    assert kinds == {"relu": "reference", "swish": "reference", "elu": "start"}


def test_when_its_time_is_over_a_search_compares_with_references_alone(space):
    child = Constant(space)
    found = begun(child, None, ["gelu", "swish"], ["relu"], timeout=1e-9)
    assert [entry.formula for entry in found.study.reference_entries()] == ["relu"]
    assert not len(found.study)
    found.explore(5)
    found.race(Race(seeds=2, top=1))
    assert len(child.trained) == 1


def test_when_its_time_is_over_a_search_that_resumes_trains_nothing(space, tmp_path):
    storage, cut = tmp_path / "study.log", Fake(space, stop_after=9)
    with pytest.raises(KeyboardInterrupt):
        search(cut, storage, executor=Crowd(cut)).explore(20)
    child = Fake(space)
    again = search(child, storage, timeout=1e-9)
    assert again._left
    again.explore(20)
    assert not child.trained


def test_a_reference_that_is_proposed_is_not_trained_again(space):
    child = Fake(space)
    algorithm = algorithms.create("exhaustive", space, 0)
    first = str(space.formula(algorithm.order[0]))
    found = begun(child, None, [], [first], name="exhaustive")
    found.explore(5)
    assert len(child.trained) == len(set(child.trained)) == 5
    assert found.study.outcomes[algorithm.order[0]][0] == found.study.references[first][0]
    found.race(Race(seeds=2, top=1))
    assert len(child.trained) == len(set(child.trained)) == 10


@pytest.mark.parametrize("name", ["rl", "surrogate", "evolution"])
@pytest.mark.parametrize("snapshot_seconds", [0.0, 1e9])
def test_a_search_with_functions_of_the_users_resumes(
    name, snapshot_seconds, tmp_path, space, monkeypatch
):
    def searched(child, storage):
        found = begun(child, storage, ["cos(x) - x", "swish"], ["relu", "swish"], name=name)
        found.explore(20)
        found.race(Race(seeds=2, top=0.2))
        return found

    whole = searched(Fake(space), None)
    monkeypatch.setattr(searching, "_SNAPSHOT_SECONDS", snapshot_seconds)
    children = [Fake(space, stop_after=n) for n in (1, 2, 9, None)]
    for child in children[:-1]:
        with pytest.raises(KeyboardInterrupt):
            searched(child, tmp_path / "study.log")
    again = searched(children[-1], tmp_path / "study.log")
    trained = [job for child in children for job in child.trained]
    assert len(trained) == len(set(trained))
    assert rewards(again.study) == rewards(whole.study)
    assert again.study.references == whole.study.references
    assert again.progress == whole.progress


@pytest.mark.slow
def test_what_is_no_candidate_is_trained_and_can_be_the_best(model, data, child_config, tmp_path):
    arguments = {
        "start": ["gelu", "0 * x", "x**2"],
        "max_trials": 0,
        "child_config": child_config,
        "race": Race(seeds=2, top=1),
        "storage": tmp_path / "study.log",
    }
    result = keras_swish.search_activations(model, *data[0], validation_data=data[1], **arguments)
    found = [entry.formula for entry in result.entries()]
    assert sorted(found) == ["0 * x", "gelu", "x * x"]
    assert {entry.formula for entry in result.references()} == {"relu", "swish"}
    assert all(len(entry.rewards) == 2 for entry in [*result.entries(), *result.references()])
    plain = result.child.plain("gelu", 1)
    result.child.compile(plain)
    assert result.child.train(plain, 1).reward == result.study.references["gelu"][1].reward
    again = keras_swish.search_activations(model, *data[0], validation_data=data[1], **arguments)
    assert [entry.formula for entry in again.entries()] == found


@pytest.mark.parametrize("proposed", [algorithms.Proposal((0, 0, 99)), (0, 0, 0)])
def test_what_is_no_candidate_of_the_space_is_refused(proposed, space):
    class Own(algorithms.Algorithm):
        def ask(self):
            return proposed

    child = Fake(space)
    study = Study(space, child.fingerprint(), None)
    with pytest.raises(ValueError, match="'own' must propose a `Proposal` of a candidate"):
        Search(child, study, Own(space), "own").explore(1)
    assert not child.trained
