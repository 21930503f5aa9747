import errno
import json
import threading

import keras
import numpy as np
import pytest

from keras_swish.train.trainer import recipes
from keras_swish.train.trainer.checkpoints import Checkpoints, changed_settings


def test_a_checkpoint_that_another_host_writes_is_not_called_written(tmp_path):
    checkpoints = Checkpoints(tmp_path, {}, writes=False)
    checkpoints.save(None, 1)
    assert checkpoints.wait() is False
    assert not list(tmp_path.iterdir())


@pytest.fixture
def model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


@pytest.fixture
def held_savez(monkeypatch):
    """Lets no checkpoint be written until the event is set."""
    event, savez = threading.Event(), np.savez

    def wait(*arguments, **keywords):
        assert event.wait(60)
        savez(*arguments, **keywords)

    monkeypatch.setattr(np, "savez", wait)
    yield event
    event.set()


def test_training_proceeds_while_a_checkpoint_is_written(model, held_savez, tmp_path):
    checkpoints = Checkpoints(tmp_path, {})
    rows = [{"epoch": 0}]
    expected = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    checkpoints.save(model, 1, log=rows)
    assert checkpoints.paths() == []
    # What comes next is not in it.
    for variable in model.variables:
        variable.assign(variable + 1)
    rows.append({"epoch": 1})
    held_savez.set()
    assert checkpoints.wait() is True
    assert checkpoints.seconds > 0
    assert checkpoints.load(checkpoints.paths()[0], model)["log"] == [{"epoch": 0}]
    for variable, value in zip(model.variables, expected):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


def test_checkpoints_are_written_one_after_the_other(model, held_savez, tmp_path):
    checkpoints = Checkpoints(tmp_path, {})
    checkpoints.save(model, 1)
    second = threading.Thread(target=checkpoints.save, args=(model, 2))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    held_savez.set()
    second.join()
    checkpoints.close()
    assert [path.name for path in checkpoints.paths()] == [
        "step-0000000002.npz",
        "step-0000000001.npz",
    ]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_disk_that_takes_no_more_is_said_and_training_proceeds(
    code, model, tmp_path, monkeypatch, capsys
):
    checkpoints = Checkpoints(tmp_path, {})
    checkpoints.save(model, 1)
    checkpoints.wait()

    def refuse(*arguments, **keywords):
        raise OSError(code, "no more")

    monkeypatch.setattr(np, "savez", refuse)
    checkpoints.save(model, 2)
    assert checkpoints.wait() is False
    checkpoints.raise_if_failed()
    checkpoints.close()
    message = "checkpoint of step 2 not written (no more); the one of step 1 remains\n"
    assert capsys.readouterr().err == message


def test_a_defect_of_the_thread_is_raised_once(model, tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, {})
    monkeypatch.setattr(np, "savez", json.loads)
    checkpoints.save(model, 1)
    with pytest.raises(TypeError):
        checkpoints.wait()
    checkpoints.raise_if_failed()
    checkpoints.close()


def test_of_any_flipped_bit_the_checkpoint_before_is_taken(model, tmp_path, capsys):
    """Where the archive is another, `zipfile` and NumPy raise all kinds of errors."""
    checkpoints = Checkpoints(tmp_path, {"seed": 0})
    expected = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    for step in (1, 2):
        checkpoints.save(model, step, val_accuracy=0.5)
    checkpoints.close()
    newest, older = checkpoints.paths()
    content, broken = newest.read_bytes(), newest.with_suffix(".npz.broken")
    taken = set()
    # The directory, and the header and all of one array.
    first, directory = content.index(b"arr_0.npy"), content.index(b"PK\x01\x02")
    places = [*range(first, first + 300), *range(directory, len(content))]
    for place in places:
        newest.write_bytes(
            content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :]
        )
        for variable in model.variables:
            variable.assign(variable + 1)
        assert checkpoints.best() in (newest, older)
        taken.add(checkpoints.restore(model)["step"])
        for variable, value in zip(model.variables, expected, strict=True):
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)
        broken.unlink(missing_ok=True)
    assert taken == {1, 2}  # some bits mean nothing
    assert "is broken" in capsys.readouterr().err


def test_a_field_that_a_recipe_did_not_have_yet_has_its_default():
    old, new = {"recipe": {"epochs": 2}}, {"recipe": {"epochs": 2, "nesterov": True}}
    assert changed_settings(old, new) == ""
    assert (
        changed_settings(old, {"recipe": {"nesterov": False}}) == "recipe nesterov True, now False"
    )
    sources = [{"recipe": {"source": source}} for source in ("a", "b")]
    assert changed_settings(*sources) == ""
    assert "nesterov" in recipes.DEFAULTS
