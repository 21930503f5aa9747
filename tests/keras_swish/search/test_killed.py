"""A search that is killed, as `kill -9` does, is the uninterrupted one once it has resumed."""

import multiprocessing
import sys
import time

import pytest
from fake_child import Fake, rewards, search

from keras_swish.search import Race, SearchSpace, Study

pytest.importorskip("optuna")
pytest.importorskip("sqlalchemy")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="forks, so as not to import everything"),
]

TRIALS = 45


class Noted(Fake):
    """A child that notes in a file that it trains, and takes a moment."""

    def __init__(self, space, path):
        super().__init__(space)
        self.path = path

    def evaluate(self, candidate, seed):
        with open(self.path, "a") as file:
            print(*candidate, seed, file=file)
        time.sleep(0.005)
        return super().evaluate(candidate, seed)


def searched(name, storage, units, path, trials=TRIALS):
    found = search(Noted(SearchSpace(units), path), storage, name)
    found.explore(trials)
    found.race(Race(seeds=2, top=0.2))
    return found


@pytest.fixture
def start():
    """Starts a search in a process of its own, which is killed if the test leaves it."""
    started, context = [], multiprocessing.get_context("fork")

    def start(*arguments):
        started.append(context.Process(target=searched, args=arguments))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.join()


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


def wait_for(process, path, count):
    while len(lines(path)) < count:
        assert process.is_alive()
        time.sleep(0.001)


JOURNAL, SQLITE = "{}/study.log", "sqlite:///{}/study.db"


NAMES = ["surrogate", "optuna:TPESampler", "rl", "pqt", "evolution", "random", "exhaustive"]


@pytest.mark.parametrize(
    ("name", "units", "form"),
    [
        *((name, 1, form) for name in NAMES for form in (JOURNAL, SQLITE)),
        *((name, 2, JOURNAL) for name in NAMES[:-1]),
    ],
)
def test_a_killed_search_resumes_as_if_it_had_not_been(name, units, form, start, tmp_path):
    whole = searched(name, None, units, tmp_path / "whole")
    storage, path, killed = form.format(tmp_path), tmp_path / "trained", 0
    for count in (5, 40, 50):
        process = start(name, storage, units, path)
        wait_for(process, path, count)
        process.kill()
        process.join()
        killed += process.exitcode == -9
    assert killed == 3
    process = start(name, storage, units, path)
    process.join()
    assert process.exitcode == 0
    again = Study.load(storage)
    assert rewards(again) == rewards(whole.study)
    assert [entry.formula for entry in again.entries()] == [
        entry.formula for entry in whole.study.entries()
    ]
    # No child was written twice, and trained twice only what was in training when it was killed.
    assert len(list(again.trials())) == len(again)
    assert len(lines(path)) <= len(lines(tmp_path / "whole")) + killed


@pytest.mark.parametrize("names", [("surrogate", "surrogate"), ("surrogate", "evolution")])
def test_two_processes_search_at_once_with_one_database(names, start, tmp_path):
    storage = SQLITE.format(tmp_path)
    Study(SearchSpace(), Fake(SearchSpace()).fingerprint(), storage)  # its tables
    paths = [tmp_path / str(number) for number in range(2)]
    processes = [start(name, storage, 1, path, 20) for name, path in zip(names, paths)]
    for process in processes:
        process.join()
        assert process.exitcode == 0
    found = Study.load(storage)
    trained = {line for path in paths for line in lines(path)}
    children = {(*c, seed) for c, by_seed in found.outcomes.items() for seed in by_seed}
    assert {tuple(map(int, line.split())) for line in trained} == children
    # What is there is not trained again by either.
    for name in names:
        process = start(name, storage, 1, tmp_path / "again", 20)
        process.join()
        assert process.exitcode == 0
    assert not {*lines(tmp_path / "again")} & trained
    assert all(entry.status != "pruned" for entry in Study.load(storage).entries())


def test_a_journal_belongs_to_one_process_until_that_is_killed(start, space, tmp_path):
    storage, path = JOURNAL.format(tmp_path), tmp_path / "trained"
    first = start("surrogate", storage, 1, path, 2000)
    wait_for(first, path, 3)
    with pytest.raises(ValueError, match="Another process searches with"):
        search(Fake(space), storage)
    first.kill()
    first.join()
    search(Fake(space), storage).explore(5)
