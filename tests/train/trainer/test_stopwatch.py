from keras_swish.train.trainer import stopwatch as module


def test_a_stopwatch_measures_steps_alone(monkeypatch):
    now = iter([0, 90, 100, 190, 200, 202, 300, 302.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(now))
    stopwatch = module.Stopwatch(images=8)
    for _ in range(4):
        assert stopwatch.images_per_second is None
        stopwatch.start()
        stopwatch.stop()
        stopwatch.stop()  # what follows is no step
        if stopwatch.steps:
            break
    # Two that compile are left out, and so is the time between.
    assert stopwatch.images_per_second == 4.0
    stopwatch.start()
    stopwatch.stop()
    assert stopwatch.record == {"seconds": 4.0, "steps": 2}
    assert stopwatch.recent == {"images_per_second": 4.0}
    resumed = module.Stopwatch(8, **stopwatch.record)
    assert (resumed.images_per_second, resumed.recent) == (4.0, {})
