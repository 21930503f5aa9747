import pytest

from keras_swish.search import cluster


@pytest.mark.parametrize(
    ("machines", "needs", "slots"),
    [
        ([(8, 2)], (1, 0), 8),
        ([(8, 2)], (3, 0), 2),
        ([(8, 2)], (1, 0.5), 4),
        ([(8, 2)], (0, 1), 2),
        ([(3, 0), (3, 0)], (2, 0), 2),  # what is left over on two machines is no third
        ([(1, 0)], (0.2, 0), 5),
        ([(1, 0)], (0.1, 0), 10),
        ([(8, 2)], (1, 0.6), 2),  # one GPU is not shared with another
        ([(8, 2)], (1, 0.3), 6),
        ([(8, 2), (8, 0)], (1, 1), 2),
    ],
)
def test_as_many_jobs_are_computed_at_once_as_fit_on_single_machines(machines, needs, slots):
    machines = [{"CPU": float(cpus), "GPU": float(gpus)} for cpus, gpus in machines]
    assert cluster.slots(machines, dict(zip(("CPU", "GPU"), needs))) == slots
