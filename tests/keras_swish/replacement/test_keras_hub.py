"""Tiny models of KerasHub: found, replaced, saved, trained, or refused with the place named."""

import family_matrix
import pytest
from hub_families import HUB

pytestmark = pytest.mark.slow
pytest.importorskip("keras_hub")


@pytest.mark.parametrize(("family", "check"), family_matrix.cases(HUB))
def test_family(family, check, tmp_path):
    family_matrix.run(family, check, tmp_path)
