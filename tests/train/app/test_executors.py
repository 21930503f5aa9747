import os
import pickle
import signal
import threading
import time

import pytest

from keras_swish.search import Local, Ray, cluster
from keras_swish.train.app import executors
from keras_swish.train.errors import ArgumentError, PreemptedError
from keras_swish.train.trainer import recipes, trainer

# What `from_flags` returns.
RAY = Ray(limit_threads=False, retried=(PreemptedError,))


def test_an_argument_error_comes_back_from_another_process():
    error = pickle.loads(pickle.dumps(ArgumentError("out", "is full")))
    assert (error.argument, str(error)) == ("out", "is full")


def test_without_ray_its_executor_is_refused_at_once(call, monkeypatch, tmp_path):
    find_spec = executors.importlib.util.find_spec
    monkeypatch.setattr(
        executors.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "ray" else find_spec(name, *rest),
    )
    code, _, err = call("compare", "--executor=ray", f"--out={tmp_path / 'out'}")
    assert code == 2
    assert "--executor=ray: needs Ray: pip install 'keras-swish[ray]'" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("gpus", "flag"), [(0.0, "run_cpus"), (1.0, "run_gpus")])
def test_a_job_that_fits_nowhere_is_refused(gpus, flag):
    with (
        pytest.raises(ArgumentError, match=r"no run fits .* which has 8 CPU, 0 GPU") as caught,
        executors.as_flag_error(Ray(9.0, gpus)),
    ):
        cluster.slots([{"CPU": 8.0}], {"CPU": 9.0, "GPU": gpus})
    assert caught.value.argument == flag


@pytest.fixture
def two_workers(monkeypatch):
    """A Ray cluster of two workers."""
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def kill_in_its_third_epoch(directory, before):
    """Kills the process that trains in a folder, as soon as the log has two rows."""
    while len(log := trainer.read_log(directory)) < 2:
        time.sleep(0.005)
    before += log[:1]  # the second row may be younger than its checkpoint
    os.kill(int((directory / "processes").read_text()), signal.SIGKILL)


@pytest.mark.slow
def test_a_lost_workers_run_resumes_and_all_results_are_those_of_local(tiny, tmp_path, two_workers):
    recipe = recipes.Recipe("a test", 40, 16, learning_rate=0.1, schedule="cosine")
    runs = [trainer.Run("tiny", "resnet8", "swish_beta", seed, recipe) for seed in (0, 1)]
    shared = {"dataset": tiny, "checkpoint_seconds": 0}

    def train(run, directory, **options):
        directory.mkdir(parents=True, exist_ok=True)
        with open(directory / "processes", "a") as file:
            print(os.getpid(), file=file)
        return trainer.train(run, directory=directory, **options)

    def jobs(name):
        return [{"run": run, "directory": tmp_path / name / str(run.seed)} for run in runs]

    log = []
    threading.Thread(
        target=kill_in_its_third_epoch, args=(tmp_path / "ray/0", log), daemon=True
    ).start()
    executed = executors.execute(RAY, train, jobs("ray"), shared)
    found = [(job["run"].seed, result) for job, result in executed]
    assert sorted(seed for seed, _ in found) == [0, 1]
    processes = [(tmp_path / f"ray/{seed}/processes").read_text().split() for seed in (0, 1)]
    assert [len(of_one) for of_one in processes] == [2, 1]
    # It resumed and did not begin again: the first epoch has the time of the first process.
    assert trainer.read_log(tmp_path / "ray/0")[:1] == log
    timing = {"seconds", "images_per_second"}
    for job, expected in executors.execute(Local(), train, jobs("local"), shared):
        result = dict(found)[job["run"].seed]
        assert {k: v for k, v in result.items() if k not in timing} == {
            k: v for k, v in expected.items() if k not in timing
        }


@pytest.mark.slow
def test_what_a_run_raises_on_ray_is_raised_here(two_workers):
    def work(number):
        raise ArgumentError("model", f"job {number} cannot be built")

    with pytest.raises(ArgumentError, match=r"^job 0 cannot be built$") as caught:
        list(executors.execute(RAY, work, [{"number": 0}], {}))
    assert caught.value.argument == "model"


@pytest.mark.slow
def test_a_preempted_workers_job_is_started_again(two_workers, tmp_path):
    def work(directory):
        if not (directory / "began").exists():
            (directory / "began").touch()
            raise PreemptedError("stopped by SIGTERM, and saved")
        return "done"

    ((_, result),) = executors.execute(RAY, work, [{"directory": tmp_path}], {})
    assert result == "done"


@pytest.mark.slow
def test_ray_asks_for_a_job_when_a_worker_is_free(two_workers):
    asked = []

    def jobs():
        for number in range(6):
            asked.append(number)
            yield {"number": number}

    done = []
    for _, result in executors.execute(RAY, lambda number: number, jobs(), {}):
        done.append(result)
        assert len(asked) <= len(done) + 2
    assert sorted(done) == list(range(6))
