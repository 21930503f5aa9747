import numpy as np
import pytest

from keras_swish.train import callbacks
from keras_swish.train.errors import DivergedError


def test_the_diverged_callback_names_epoch_and_step():
    callback = callbacks.StopWhenDiverged()
    callback.on_epoch_begin(4)
    callback.on_train_batch_end(0, {"loss": 1.0})
    with pytest.raises(DivergedError, match="the loss is inf in epoch 5, step 3"):
        callback.on_train_batch_end(2, {"loss": np.inf})


def test_progress_in_a_file_moves_once_an_epoch(capsys):
    progress = callbacks.Progress("relu", epochs=2, steps_per_epoch=3)
    progress.on_train_begin()
    for epoch in range(2):
        progress.on_epoch_begin(epoch)
        for batch in range(3):
            progress.on_train_batch_end(batch, {"loss": 1.0})
        progress.on_epoch_end(epoch, {"loss": 0.5, "val_accuracy": 0.25, "seconds": 9})
    out = capsys.readouterr().out
    assert out.startswith("relu\n")
    assert out.count("val_accuracy: 0.25") == 2
    assert "6/6" in out
    assert "seconds" not in out
