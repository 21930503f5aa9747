import warnings

import keras
import numpy as np
import pytest

import keras_swish
from keras_swish import catalogue
from keras_swish.plot import gallery, plot


def test_functions_and_derivatives_are_drawn():
    figure = plot(["swish", "max(x, 0)"], low=-2, high=2)
    functions, derivatives = figure.axes
    relu = functions.lines[1]
    np.testing.assert_allclose(relu.get_ydata(), np.maximum(relu.get_xdata(), 0))
    np.testing.assert_array_equal(derivatives.lines[1].get_ydata(), relu.get_xdata() > 0)
    labels = [text.get_text() for text in functions.get_legend().get_texts()]
    assert labels == ["swish: x * sigmoid(x)", "max(x, 0)"]


def test_a_derivative_that_the_language_cannot_write_is_drawn():
    x, y = plot("dsinc(x)").axes[1].lines[0].get_data()
    with np.errstate(all="ignore"):
        slope = -np.sin(x) / x - 2 * (np.cos(x) - np.sin(x) / x) / x**2
    np.testing.assert_allclose(y, np.where(x == 0, -1 / 3, slope), atol=2e-3)
    assert len(gallery(["dsinc(x)"]).axes) == 1


def test_one_name_needs_no_list():
    assert len(plot("beta * x").axes[0].lines) == 3  # and the axes
    assert [panel.get_title() for panel in gallery(" swish ").axes] == ["swish"]


def test_gallery_has_a_panel_for_every_entry():
    titles = [panel.get_title() for panel in gallery().axes]
    assert [title for title in titles if title] == list(catalogue.ENTRIES)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["swsh"],), "Did you mean 'swish'"),
        ((["x +"],), "Not a formula"),
        ((["x"], 2, 1), "below"),
        ((["x"], -np.inf, 1), "finite"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot(*arguments)


@pytest.mark.parametrize("draw", [plot, gallery])
def test_what_is_no_text_is_refused(draw):
    for identifiers in (["relu", 3], 3):
        with pytest.raises(TypeError, match=r"are text\. Received: 3"):
            draw(identifiers)


def test_a_gallery_has_columns_and_a_title_for_each_panel():
    with pytest.raises(ValueError, match=r"`columns` must be 1 or more. Received: 0"):
        gallery(["swish"], columns=0)
    with pytest.raises(ValueError, match="Received: 1 titles, 2 functions"):
        gallery(["swish", "relu"], titles=["one"])


def test_betas_that_diverged_leave_the_others_to_be_seen():
    layers = [keras_swish.Swish(name=name) for name in ("first", "second")]
    model = keras.Sequential([keras.Input((3,)), *layers])
    layers[0].beta.assign([np.nan, 1.0, 2.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        figure = keras_swish.plot_betas(model)
        heights = [patch.get_height() for patch in figure.axes[0].patches]
        assert sum(heights) == 5
        for layer in layers:
            layer.beta.assign(np.full(3, np.inf))
        with pytest.raises(ValueError, match="No weight beta is finite"):
            keras_swish.plot_betas(model)
