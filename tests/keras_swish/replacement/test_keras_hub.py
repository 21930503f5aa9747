"""Tiny models of KerasHub: found, replaced, saved, trained, or refused with the place named."""

import family_matrix
import numpy as np
import pytest
from hub_families import HUB

pytestmark = pytest.mark.slow
pytest.importorskip("keras_hub")


@pytest.mark.parametrize(("family", "check"), family_matrix.cases(HUB))
def test_family(family, check, tmp_path):
    family_matrix.run(family, check, tmp_path)


LOAD = """
import sys
import keras_hub, keras, keras_swish
import numpy as np
for name in sys.argv[1:]:
    x, outputs = np.load(f"{name}.npy", allow_pickle=True)
    model = keras.saving.load_model(f"{name}.keras")
    for one, two in zip(keras.tree.flatten(model(x, training=False)), outputs, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one), two)
    print(name)
"""


def test_files_give_the_models_back_in_a_fresh_process(tmp_path, python):
    names = ["OPTCausalLM", "BertMaskedLM", "ViTImageClassifier", "EfficientNetImageClassifier"]
    families = {family.name: family for family in HUB}
    for name in names:
        subject = family_matrix.Subject(families[name])
        subject.changed.save(tmp_path / f"{name}.keras")
        pair = np.array([None, None])
        pair[:] = subject.x, subject.after
        np.save(tmp_path / f"{name}.npy", pair)
    assert python("-c", LOAD, *names, cwd=tmp_path).stdout.split() == names
