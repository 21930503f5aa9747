"""The betas that a comparison's networks have learned."""

import os

import keras
import numpy as np

import keras_swish
from keras_swish.train.reporting import learned

ROW = {"activation": "swish_beta", "model": "small", "status": "ok", "folder": "one"}


def test_betas_are_those_of_the_newest_network(tmp_path):
    folder = tmp_path / "runs/one"
    folder.mkdir(parents=True)
    model = keras.Sequential([keras.Input((3,)), keras_swish.Swish()])
    for value, text in ((1, "half below 1.00"), (2, "half below 2.00")):
        model.set_weights([np.full(3, value)])
        model.save(folder / "model.keras")
        assert text in learned.section(tmp_path, [ROW])
        os.utime(folder / "betas.json", (0, 0))
    # Of a network that is gone, the file has them.
    (folder / "model.keras").unlink()
    assert "half below 2.00" in learned.section(tmp_path, [ROW])
