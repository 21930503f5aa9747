import signal
import threading

import numpy as np
import pytest

from keras_swish.train.errors import DivergedError, PreemptedError
from keras_swish.train.trainer import callbacks, checkpoints


def test_the_diverged_callback_names_epoch_and_step():
    position = callbacks.Position(steps=50, steps_per_epoch=10, step=48, epochs=4)
    callback = callbacks.StopWhenDiverged(position)
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(DivergedError, match="the loss is inf in epoch 5, step 8"):
        callback.on_train_batch_end(2, {"loss": np.inf})


def test_progress_in_a_file_moves_once_an_epoch(capsys):
    position = callbacks.Position(steps=6, steps_per_epoch=3)
    progress = callbacks.Progress("relu", position)
    for epoch in range(2):
        position.on_epoch_begin(epoch)
        for batch in range(3):
            position.on_train_batch_end(batch)
            progress.on_train_batch_end(batch, {"loss": 1.0})
        progress.on_epoch_end(epoch, {"loss": 0.5, "val_accuracy": 0.25, "seconds": 9})
    out = capsys.readouterr().out
    assert out.startswith("relu\n")
    assert out.count("val_accuracy: 0.25") == 2
    assert "6/6" in out
    assert "seconds" not in out


def test_a_position_knows_where_an_epoch_ends():
    position = callbacks.Position(steps=5, steps_per_epoch=2)
    within = []
    for batch in range(5):
        position.on_train_batch_end(batch)
        within.append(position.is_within_epoch)
    assert within == [True, False, True, False, False]


def test_sigterm_is_noticed_while_watched_and_then_no_more():
    preemption = callbacks.Preemption()
    before = signal.getsignal(signal.SIGTERM)
    with preemption.watched():
        preemption.stop()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(PreemptedError):
            preemption.stop()
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


@pytest.mark.parametrize("written", [True, False])
def test_sigterm_says_that_it_saved_only_where_it_did(written):
    class Checkpoints:
        def best_accuracy(self):
            return None

        def save(self, model, **record):
            return written

    preemption = callbacks.Preemption()
    preemption.noticed = True
    position = callbacks.Position(steps=5, steps_per_epoch=2)
    checkpoint = callbacks.Checkpoint(Checkpoints(), position, preemption, 1e9)
    with pytest.raises(PreemptedError) as caught:
        checkpoint.save()
    assert (str(caught.value) == "stopped by SIGTERM, and saved") == written


def test_a_checkpoint_that_another_host_writes_is_not_called_written(tmp_path):
    assert checkpoints.Checkpoints(tmp_path, {}, writes=False).save(None, 1) is False
