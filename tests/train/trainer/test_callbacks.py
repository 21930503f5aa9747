import signal
import threading

import keras
import numpy as np
import pytest

from keras_swish.train.errors import DivergedError, PreemptedError
from keras_swish.train.trainer import callbacks
from keras_swish.train.trainer.epoch_log import EpochLog
from keras_swish.train.trainer.stopwatch import Stopwatch


def test_a_run_that_diverged_names_epoch_and_step():
    counter = callbacks.StepCounter(steps=50, steps_per_epoch=10, step=48, epochs=4)
    callbacks.raise_if_diverged(counter, {"loss": 1.0})
    with pytest.raises(DivergedError, match="the loss is inf in epoch 5, step 8"):
        callbacks.raise_if_diverged(counter, {"loss": np.inf})


def test_progress_in_a_file_moves_once_an_epoch(capsys):
    counter = callbacks.StepCounter(steps=6, steps_per_epoch=3)
    bar = callbacks.ProgressBar("relu", counter)
    for _ in range(2):
        for _ in range(3):
            counter.step += 1
            bar.show_step({"loss": 1.0})
        bar.show_epoch({"loss": 0.5, "val_accuracy": 0.25, "seconds": 9})
    out = capsys.readouterr().out
    assert out.splitlines() == [
        "relu",
        "epoch 0, step 3/6  loss 0.5000  val_accuracy 0.2500",
        "epoch 0, step 6/6  loss 0.5000  val_accuracy 0.2500",
    ]
    assert not set("\r\b\x1b") & set(out)


def test_a_host_that_does_not_write_shows_nothing(capsys):
    counter = callbacks.StepCounter(steps=6, steps_per_epoch=3)
    bar = callbacks.ProgressBar("relu", counter, shown=False)
    bar.show_step({"loss": 1.0})
    bar.show_epoch({"loss": 1.0})
    assert capsys.readouterr().out == ""


def test_a_counter_knows_where_an_epoch_ends():
    counter = callbacks.StepCounter(steps=5, steps_per_epoch=2)
    within = []
    for _ in range(5):
        counter.step += 1
        within.append(counter.is_within_epoch)
    assert within == [True, False, True, False, False]


def test_sigterm_is_noticed_while_watched_and_then_no_more():
    preemption = callbacks.Preemption()
    before = signal.getsignal(signal.SIGTERM)
    with preemption.watched():
        preemption.raise_if_noticed()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(PreemptedError):
            preemption.raise_if_noticed()
    assert signal.getsignal(signal.SIGTERM) == before


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone():
    def work():
        with callbacks.Preemption().watched():
            done.append(True)

    done = []
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done


class Checkpoints:
    """Notes what is saved, in place of a disk."""

    def __init__(self, calls, written=True):
        self.calls = calls
        self.written = written

    def best_accuracy(self):
        return None

    seconds = 0.0

    def save(self, model, **record):
        always = {"step", "epochs", "seconds", "log", "timed"}
        self.calls.append(("save", *sorted(record.keys() - always)))

    def wait(self):
        return self.written

    def raise_if_failed(self):
        pass


class Logger(keras.callbacks.Callback):
    """Notes the epochs that it is told of."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("log", epoch, logs["val_loss"]))


def run_callback(tmp_path, calls, written=True):
    def evaluate(split):
        calls.append(("evaluate", split))
        return {"loss": 2.0, "accuracy": 0.5}

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    counter = callbacks.StepCounter(steps=4, steps_per_epoch=2)
    return callbacks.RunCallback(
        model,
        counter,
        Stopwatch(images=2),
        Checkpoints(calls, written),
        0.0,
        callbacks.Preemption(),
        evaluate,
        lambda: None,
        EpochLog(tmp_path),
        callbacks.ProgressBar("relu", counter, shown=False),
        [Logger(calls)],
    )


def test_an_epoch_is_saved_validated_logged_and_saved_again(tmp_path):
    calls = []
    callback = run_callback(tmp_path, calls)
    model = callback.model
    batches = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    model.fit(*batches, batch_size=2, callbacks=[callback], verbose=0)
    assert calls == [
        ("save",),  # behind the first step
        ("save", "trained"),
        ("evaluate", "validation"),
        ("log", 0, 2.0),
        ("save", "val_accuracy"),
    ]
    (row,) = callback.log.rows
    assert (row["val_accuracy"], row["steps"]) == (0.5, 2)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("written", [True, False])
def test_a_signal_says_that_it_saved_only_where_it_did(written, name, tmp_path):
    callback = run_callback(tmp_path, [], written)
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` lets it be ignored
    with callback.preemption.watched():
        signal.raise_signal(signal.Signals[name])
    assert signal.signal(signal.SIGHUP, before) is signal.SIG_DFL
    with pytest.raises(PreemptedError) as caught:
        callback.save_if_due()
    assert (str(caught.value) == f"stopped by {name}, and saved") == written
    assert caught.value.signal == signal.Signals[name]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_nohup_is_obeyed():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    preemption = callbacks.Preemption()
    with preemption.watched():
        signal.raise_signal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)
    assert not preemption.noticed


@pytest.mark.parametrize(
    ("asked", "took", "due"),
    [
        (30, 0.1, 30),
        (30, 3, 60),  # a twentieth of the time
        (30, 300, 600),  # but not for hours
        (0, 3, 0),  # at every step, as was asked
    ],
)
def test_checkpoints_that_take_long_are_written_less_often(tmp_path, monkeypatch, asked, took, due):
    now = [1000.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    calls = []
    callback = run_callback(tmp_path, calls)
    callback.checkpoint_seconds = asked
    callback.checkpoints.seconds = took
    if due:
        now[0] += due - 1
        callback.save_if_due()
        assert calls == []
        now[0] += 1
    callback.save_if_due()
    assert calls == [("save",)]


def test_what_cannot_be_read_is_said_once(tmp_path, capsys):
    callback = run_callback(tmp_path, [])
    lines = iter([None, "1 image", "1 image", "2 images"])
    callback._unreadable = lambda: next(lines)
    for _ in range(4):
        callback.evaluate("validation")
    assert capsys.readouterr().err == "1 image\n2 images\n"
