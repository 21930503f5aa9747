"""The look of every figure: one palette, one ink, and files that are readable on any page."""

import contextlib
import pathlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from keras_swish import io

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Text and axes: as far from white as from the dark pages of GitHub, so that a figure with a
# transparent background can be read on both.
INK = "#797979"
# Lines: each at least 3 to 1 from white and from black, and told apart by the colour-blind; after
# Okabe and Ito 2008, "Color Universal Design", darkened to be seen on white.
PALETTE = ("#2a7ab8", "#cf5f0a", "#0a8f69", "#b0609a", "#8c7410", "#7267c4")
BASELINE = "#8a8a8a"
# Of figures in reports, in inches: their letters are read on a phone.
WIDTH = 6.0

_STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": "medium",
    "axes.labelsize": "medium",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    # A name from outside may have dollars.
    "text.parse_math": False,
    # Letters as paths, which look the same wherever the page is opened; and the same file each
    # time, or every report would change.
    "svg.fonttype": "path",
    "svg.hashsalt": "keras-swish",
}
# On a page that knows which it is, as a report does, the ink has more contrast.
_INK_ON = {"light": "#32383f", "dark": "#d1d7e0"}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draws figures that are made within the block in the house's look.

    Example:
        >>> from matplotlib import rcParams
        >>> from keras_swish import drawing
        >>> with drawing.style():
        ...     rcParams["text.color"]
        '#797979'
    """
    import matplotlib
    from cycler import cycler

    settings: dict[Any, Any] = {**_STYLE, "axes.prop_cycle": cycler(color=PALETTE)}
    with matplotlib.rc_context(settings):
        yield


def save(figure: "Figure", path: pathlib.Path) -> None:
    """Writes a figure with a transparent background, all or nothing; the suffix gives the format.

    Args:
        figure: A figure that was made within `style`.
        path: The file.

    Raises:
        ValueError: If the path has no suffix, or one that is no format of matplotlib's.
    """
    if not path.suffix:
        raise ValueError(
            f"The file of a figure needs a suffix, such as .svg or .png. Received: {str(path)!r}"
        )
    has_alpha = path.suffix.lower() not in (".jpg", ".jpeg")
    options: dict[str, Any] = {"facecolor": "none" if has_alpha else "white"}
    if path.suffix == ".svg":
        options["metadata"] = {"Date": None}
    with style(), io.atomic(path) as temporary:
        figure.savefig(temporary, dpi=120, **options)


def on_page(svg: str) -> str:
    """Returns the text of a figure for a page that is light or dark as its reader's system is.

    Args:
        svg: The text of a file that `save` wrote.
    """
    rules = "".join(
        f"@media (prefers-color-scheme:{scheme})"
        f"{{[style*='fill: {INK}']{{fill:{ink}!important}}"
        f"[style*='stroke: {INK}']{{stroke:{ink}!important}}}}"
        for scheme, ink in _INK_ON.items()
    )
    return re.sub(r"(<svg\b[^>]*>)", rf"\1<style>{rules}</style>", svg, count=1)
