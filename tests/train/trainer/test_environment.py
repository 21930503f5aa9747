import json

import keras

from keras_swish.train.trainer.environment import environment


def test_the_environment_names_versions_and_hardware():
    found = environment()
    assert found["keras"] == keras.__version__
    assert found["devices"]
    json.dumps(found)
