"""Models of other packages of PyPI: found, replaced, saved, trained."""

import family_matrix
import pytest
from third_party_families import THIRD_PARTY

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("family", "check"), family_matrix.cases(THIRD_PARTY))
def test_family(family, check, tmp_path):
    family_matrix.run(family, check, tmp_path)
