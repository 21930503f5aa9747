"""The look of figures: readable on light and dark pages, and by the colour-blind."""

import itertools
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from keras_swish import drawing, plot

WHITE, DARK = "#ffffff", "#121212"  # Chromium's page in dark mode
# Brettel, Viénot and Mollon 1997 / Viénot et al. 1999: linear RGB as a dichromat sees it.
DICHROMATS = {
    "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


def linear(color):
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(a, b):
    """WCAG 2.2's."""
    low, high = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("color", [*drawing.PALETTE, drawing.BASELINE])
@pytest.mark.parametrize("page", [WHITE, DARK])
def test_every_colour_is_seen_on_every_page(color, page):
    assert contrast(color, page) >= 3  # WCAG's for graphics


@pytest.mark.parametrize("page", [WHITE, DARK])
def test_letters_are_read_on_every_page(page):
    assert contrast(drawing.INK, page) >= 4.2


@pytest.mark.parametrize("kind", DICHROMATS)
def test_the_first_two_colours_are_told_apart_by_the_colour_blind(kind):
    seen = [np.array(DICHROMATS[kind]) @ linear(color) for color in drawing.PALETTE[:2]]
    assert np.abs(seen[0] - seen[1]).max() > 0.2


def test_colours_differ():
    for a, b in itertools.combinations(drawing.PALETTE, 2):
        assert np.abs(linear(a) - linear(b)).max() > 0.08, (a, b)


def test_a_file_is_the_same_each_time_and_transparent(tmp_path):
    for name in ("a.svg", "b.svg"):
        drawing.save(plot.plot(["swish", "relu"]), tmp_path / name)
    text = (tmp_path / "a.svg").read_text()
    assert text == (tmp_path / "b.svg").read_text()
    assert "#ffffff" not in text
    assert drawing.INK in text


def test_a_name_with_dollars_is_drawn_as_it_is(tmp_path):
    with drawing.style():
        figure = Figure()
        figure.subplots().set_title(r"$\x$")
    drawing.save(figure, tmp_path / "a.svg")


def test_a_file_without_a_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"needs a suffix, such as .svg or .png. Received: .*fig"):
        drawing.save(plot.plot("swish"), tmp_path / "fig")
    assert not list(tmp_path.iterdir())


def test_a_page_gives_the_ink_more_contrast():
    svg = f'<?xml version="1.0"?><svg width="1"><g style="fill: {drawing.INK}"/></svg>'
    text = drawing.on_page(svg)
    inks = re.findall(r"scheme:(\w+)\).*?\{fill:(#\w+)", text)
    pages = {"light": WHITE, "dark": DARK}
    assert dict(inks).keys() == pages.keys()
    assert all(contrast(ink, pages[scheme]) > 7 for scheme, ink in inks)
    assert text.index("<style>") < text.index("<g ")
