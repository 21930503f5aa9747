"""The figures of a comparison: nothing is hidden, nothing far away stretches an axis."""

import numpy as np
import pytest

from keras_swish.train.reporting import figures


def test_equal_points_are_moved_apart_and_others_are_not():
    moved = figures._jitter(np.array([85.0, 85.0, 90.0, 85.0]), near=0.1)
    assert len(set(moved[[0, 1, 3]])) == 3
    assert moved[2] == 0
    assert np.abs(moved).max() < 0.3  # within its line


def test_an_axis_is_not_stretched_by_what_failed():
    low, high = figures._range([10.0, 85.0, 86.0, 87.0])
    assert 70 < low < 85
    assert high == 87.0
    assert figures._range([85.0, 87.0])[0] == 85.0


def test_curves_are_shown_where_they_end():
    logs = {"relu": np.linspace(10, 90, 20)[None], "swish": np.linspace(10, 91, 20)[None]}
    low, high = figures._end(logs)
    assert low > 40
    assert high > 91


@pytest.mark.parametrize(
    ("curve", "note"),
    [
        (np.linspace(80, 90, 10)[None], "the same curve as relu"),
        (np.full((1, 10), 10.0), "out of sight: ends at 10"),
        (np.empty((0,)), "diverged"),
        (np.linspace(80, 88, 10)[None], ""),
    ],
)
def test_what_cannot_be_seen_is_said(curve, note):
    logs = {"relu": np.linspace(80, 90, 10)[None], "swish": curve}
    assert figures._note(logs, "swish", (79.0, 91.0)) == note


def test_where_no_log_can_be_read_no_curves_are_drawn(tmp_path):
    row = {"model": "resnet8", "activation": "relu", "seed": 0, "status": "ok", "folder": "lost"}
    assert not figures.curves({"lost": []}, [row], "val_accuracy", 100, tmp_path / "curves.svg")
    assert not (tmp_path / "curves.svg").exists()
