import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time
import types

import numpy as np
import pytest

from keras_swish.search import Race, Search, Study, algorithms, executors
from keras_swish.search.child import OK, PRUNED

pytest.importorskip("optuna")


def test_unknown_executors_say_what_came():
    with pytest.raises(ValueError, match=r"Unknown executor 'rey'. Did you mean 'ray'"):
        executors.get("rey")


def test_local_asks_for_a_job_when_the_one_before_is_done():
    happened = []

    def jobs():
        for number in range(3):
            happened.append(f"asked for {number}")
            yield number

    def work(number):
        happened.append(f"did {number}")
        return 2 * number

    with executors.Local().start(work) as local:
        assert list(executors.compute_all(local, jobs())) == [(0, 0), (1, 2), (2, 4)]
    assert happened == [f"{what} {number}" for number in range(3) for what in ("asked for", "did")]


def test_a_worker_ends_what_was_done_before_its_last_stage(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(get=lambda work: work))
    happened = []

    def stages(job):
        try:
            yield from range(3)
        finally:
            happened.append(f"ended {job}")

    def work(job):
        happened.append(f"did {job}")

    worker = executors._keeping_worker()()
    sent = [(work, stages)]
    for arguments in (("a", 1), ("b", 1), ("c", None), ("d", 1), (None, None)):
        worker.compute(sent, *arguments)
    assert happened == ["ended a", "ended b", "did c", "ended d"]


def test_local_stops_a_child_as_soon_as_it_is_told_to(child, space):
    candidate = space.candidate(u1="x", u2="x", b="x1*x2")
    whole = child.evaluate(candidate, 0)
    seen = []

    def done(*arguments):
        seen.append(arguments)
        return len(seen) == 2

    local = executors.start_for(child)
    local.submit((candidate, 0), done)
    assert local.idle == 0
    job, outcome = local.wait()
    assert local.idle == 1
    assert (outcome.status, outcome.steps, len(outcome.curve)) == (PRUNED, whole.steps // 2, 2)
    assert seen[1] == (job, outcome) == ((candidate, 0), outcome)
    local.submit((candidate, 0), lambda job, outcome: outcome.status != PRUNED)
    _, outcome = local.wait()
    assert (outcome.status, outcome.reward, outcome.steps) == (OK, whole.reward, whole.steps)
    assert outcome.curve[-1] == whole.reward


@pytest.mark.parametrize("by_epoch", [False, True])
def test_what_runs_out_of_memory_is_named(child, space, by_epoch, monkeypatch):
    class ResourceExhaustedError(Exception):
        """What TensorFlow raises, by its name."""

    candidate = space.candidate(u1="x", u2="sin(x)", b="x1*x2")
    for error in (MemoryError(), ResourceExhaustedError("OOM when allocating\na tensor")):

        def fails(*_, error=error):
            raise error

        local = executors.start_for(child)
        monkeypatch.setattr(child, "train_by_epoch" if by_epoch else "evaluate", fails)
        local.submit((candidate, 3), (lambda *_: True) if by_epoch else None)
        with pytest.raises(MemoryError, match=r"^No memory was left to train .*sin.* with seed 3"):
            local.wait()
    monkeypatch.setattr(child, "train_by_epoch" if by_epoch else "evaluate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # nothing else is taken for it
        local.wait()


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two workers."""
    ray = pytest.importorskip("ray")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    # The classes of this file are not to be found by workers under the name it has in a test.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield ray
    ray.shutdown()


class Slow:
    """A child that takes its time, and leaves its process's number before it trains.

    The process that begins number `kill_at`, or does the next of its stages, is killed once.
    """

    def __init__(self, child, directory, kill_at=None):
        self.child, self.directory, self.kill_at = child, directory, kill_at
        self.space, self.config = child.space, child.config

    def _log(self, candidate):
        with open(self.directory / "trained", "a") as file:
            print(os.getpid(), self.space.index(candidate), file=file)
        time.sleep(0.3)
        if self.kill_at and len(self.log()) >= self.kill_at:
            with contextlib.suppress(FileExistsError), open(self.directory / "killed", "x") as file:
                file.write(str(self.space.index(candidate)))
                file.flush()
                os.kill(os.getpid(), signal.SIGKILL)

    def evaluate(self, candidate, seed):
        self._log(candidate)
        return self.child.evaluate(candidate, seed)

    def train_by_epoch(self, candidate, seed):
        for outcome in self.child.train_by_epoch(candidate, seed):
            self._log(candidate)
            yield outcome

    def log(self):
        path = self.directory / "trained"
        lines = path.read_text().splitlines() if path.exists() else []
        return [tuple(map(int, line.split())) for line in lines]


def explored(child, executor, storage=None, pruner=None):
    study = Study(child.space, {}, storage)
    search = Search(child, study, algorithms.create("random", child.space), "random")
    search.executor = executors.start_for(child, executor)
    with search.executor:
        search.explore(8)
        search.race(Race(2, 0.3))
    return search


def rewards(study):
    return {
        candidate: {s: o.reward for s, o in by.items()} for candidate, by in study.outcomes.items()
    }


@pytest.mark.ray
@pytest.mark.slow
def test_a_lost_workers_child_is_trained_again_and_all_rewards_are_those_of_local(
    child, cluster, tmp_path
):
    slow = Slow(child, tmp_path, kill_at=4)
    found = explored(slow, "ray", tmp_path / "study.log")
    assert found.progress.tried == 8
    trials = found.study.study.get_trials(deepcopy=False)
    assert len(trials) == len(found.study) == 8 + 3
    log = slow.log()
    assert len(log) == 8 + 3 + 1
    # Two workers, of whom one may have come late, and the one that took over.
    assert len({process for process, _ in log}) in (2, 3)
    killed = int((tmp_path / "killed").read_text())
    assert [index for _, index in log].count(killed) >= 2
    assert rewards(found.study) == rewards(explored(child, "local").study)


@pytest.mark.ray
@pytest.mark.slow
def test_a_child_that_can_be_stopped_is_brought_as_far_as_it_was(child, cluster, tmp_path, space):
    slow = Slow(child, tmp_path, kill_at=3)
    candidate = space.candidate(u1="x", u2="x", b="x1*x2")
    asked = []
    with executors.start_for(slow, "ray") as two:
        assert two.slots == 2
        two.submit((candidate, 0), lambda *arguments: asked.append(arguments) or len(asked) == 3)
        _, outcome = two.wait()
    assert [len(arguments[-1].curve) for arguments in asked] == [1, 2, 3]
    assert (outcome.status, len(outcome.curve)) == (PRUNED, 3)
    here = child.train_by_epoch(candidate, 0)
    assert [next(here) for _ in range(3)][-1].curve == outcome.curve
    assert len(slow.log()) == 2 * 3


@pytest.mark.ray
@pytest.mark.slow
def test_what_a_child_raises_is_raised_here_and_what_was_found_is_kept(child, cluster, tmp_path):
    class Broken(Slow):
        def evaluate(self, candidate, seed):
            if len(self.log()) > 3:
                raise ArithmeticError("the data is gone")
            return super().evaluate(candidate, seed)

    with pytest.raises(ArithmeticError, match=r"^the data is gone$"):
        explored(Broken(child, tmp_path), "ray", tmp_path / "study.log")
    assert len(Study(child.space, {}, tmp_path / "study.log")) in (2, 3, 4)


@pytest.mark.ray
@pytest.mark.slow
def test_a_child_that_always_kills_its_worker_is_named(child, cluster, tmp_path, monkeypatch):
    class Deadly(Slow):
        def evaluate(self, candidate, seed):
            os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr("keras_swish.search.cluster.RETRIES", 1)
    with pytest.raises(RuntimeError, match=r"lost 1 times while it trained .* with seed 0"):
        explored(Deadly(child, tmp_path), "ray")


@pytest.mark.ray
def test_a_worker_that_has_no_memory_left_is_named_by_its_job(monkeypatch):
    ray = pytest.importorskip("ray")
    for lost in (
        ray.exceptions.OutOfMemoryError("the node is low on memory"),
        ray.exceptions.WorkerCrashedError(),
        ray.exceptions.ActorDiedError(),
    ):

        def get(reference, lost=lost):
            raise lost

        made = executors.Ray()
        made._ray = types.SimpleNamespace(
            get=get, wait=lambda references: (references, []), exceptions=ray.exceptions
        )
        made._running = {"reference": (None, ("candidate", 3), None, 1)}
        with pytest.raises(executors.WorkerLostError) as caught:
            made.wait()
        assert caught.value.job == ("candidate", 3)
        assert caught.value.__cause__ is lost


@pytest.mark.ray
@pytest.mark.slow
def test_a_search_whose_worker_ran_out_of_memory_resumes(child, cluster, tmp_path):
    class Greedy(Slow):
        def evaluate(self, candidate, seed):
            if len(self.log()) > 3 and not (self.directory / "more").exists():
                np.ones(1 << 50)
            return super().evaluate(candidate, seed)

    with pytest.raises(MemoryError, match=r"^No memory was left to train .* with seed 0 \(Unable"):
        explored(Greedy(child, tmp_path), "ray", tmp_path / "study.log")
    assert len(Study(child.space, {}, tmp_path / "study.log")) in range(1, 5)
    (tmp_path / "more").touch()
    found = explored(Greedy(child, tmp_path), "ray", tmp_path / "study.log")
    assert rewards(found.study) == rewards(explored(child, "local").study)


@pytest.mark.ray
@pytest.mark.slow
def test_more_than_the_cluster_has_is_refused(child, cluster):
    with pytest.raises(ValueError, match="no run fits into the Ray cluster, which has 2 CPU"):
        executors.start_for(child, executors.Ray(cpus=3))


DRIVER = """
    import os, pathlib, sys, time
    import ray
    from keras_swish.search import ChildConfig, Search, SearchSpace, Study, algorithms, executors
    from collections import namedtuple

    fields = "reward status steps seconds curve logs rates"
    Outcome = namedtuple("Outcome", fields, defaults=((), {}, ()))

    class Sleep:
        def __init__(self, space):
            self.space, self.config = space, ChildConfig()

        def evaluate(self, candidate, seed):
            with open("trained", "a") as file:
                print(self.space.index(candidate), file=file)
            time.sleep(0.3)
            return Outcome(self.space.index(candidate) % 7 / 10, "ok", 1, 0.3)

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    space = SearchSpace()
    child = Sleep(space)
    study = Study(space, {}, "study.log")
    with executors.start_for(child, "ray") as executor:
        algorithm = algorithms.create("evolution", space, population=6, sample=3)
        search = Search(child, study, algorithm, "evolution", executor=executor)
        search.explore(24)
    print(search.progress.tried, len(study))
"""


@pytest.mark.ray
@pytest.mark.slow
def test_a_killed_drivers_search_resumes_from_its_storage(tmp_path, root):
    pytest.importorskip("ray")
    script = tmp_path / "driver.py"
    script.write_text(textwrap.dedent(DRIVER))
    path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
    options = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": path}, "text": True}
    driver = subprocess.Popen([sys.executable, script], **options)
    journal = tmp_path / "study.log"
    while not journal.exists() or journal.read_bytes().count(b"candidate") < 9:
        assert driver.poll() is None
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    done = subprocess.run([sys.executable, script], **options, capture_output=True)
    assert done.stdout.splitlines()[-1:] == ["24 24"], done.stderr
    trained = pathlib.Path(tmp_path / "trained").read_text().split()
    # What was in training, on two workers, and no more.
    assert 24 < len(trained) <= 26
    assert len(set(trained)) == 24
