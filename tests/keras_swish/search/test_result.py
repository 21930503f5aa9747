import numpy as np
import pytest
from fake_child import Fake, search

from keras_swish.search import Result

pytest.importorskip("optuna")


def test_one_seed_states_no_interval(space):
    done = search(Fake(space), None)
    done.explore(20)
    entries = done.study.entries()
    assert [e.mean for e in entries] == sorted((e.mean for e in entries), reverse=True)
    assert np.isnan(entries[0].low)
    table = Result(done.study, done.child, done.progress).table(5)
    assert "Noise of the child: not known" in table
    assert table.count("\n| `") == 5
