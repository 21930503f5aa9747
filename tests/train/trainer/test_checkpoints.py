from keras_swish.train.trainer import recipes
from keras_swish.train.trainer.checkpoints import Checkpoints, changed_settings


def test_a_checkpoint_that_another_host_writes_is_not_called_written(tmp_path):
    assert Checkpoints(tmp_path, {}, writes=False).save(None, 1) is False
    assert not list(tmp_path.iterdir())


def test_a_field_that_a_recipe_did_not_have_yet_has_its_default():
    old, new = {"recipe": {"epochs": 2}}, {"recipe": {"epochs": 2, "nesterov": True}}
    assert changed_settings(old, new) == ""
    assert (
        changed_settings(old, {"recipe": {"nesterov": False}}) == "recipe nesterov True, now False"
    )
    sources = [{"recipe": {"source": source}} for source in ("a", "b")]
    assert changed_settings(*sources) == ""
    assert "nesterov" in recipes.DEFAULTS
