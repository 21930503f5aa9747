import pytest

from keras_swish.messages import unknown


@pytest.mark.parametrize("received", ["TPEsampler", "tpesampler", "TPESAMPLER", "tpe_sampler"])
def test_the_nearest_name_is_found_whatever_the_case(received):
    message = unknown("sampler", received, ["TPESampler", "CmaEsSampler", "GridSampler"])
    assert f"Unknown sampler {received!r}. Did you mean 'TPESampler'" in message


def test_names_that_differ_in_case_alone_are_one_suggestion():
    assert "Did you mean 'RELU'? Valid" in unknown("activation", "relux", ["relu", "RELU"])
