"""A search that is made up once for all tests of a file."""

import made_up_search
import pytest

from keras_swish.search import SearchSpace, Study


@pytest.fixture(scope="module")
def space():
    return SearchSpace()


@pytest.fixture(scope="module")
def made(tmp_path_factory, space):
    """The folder of a search of 60 candidates by two algorithms, as if trained."""
    pytest.importorskip("optuna")
    out = tmp_path_factory.mktemp("search")
    made_up_search.write(out, space)
    return out


@pytest.fixture(scope="module")
def study(made):
    return Study.load(made / "study.log")
