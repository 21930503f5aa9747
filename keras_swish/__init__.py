"""Swish, and the activation functions of the search that found it, for Keras.

Reference: Ramachandran, Zoph, Le, "Searching for Activation Functions", 2017
(https://arxiv.org/abs/1710.05941).
"""

import importlib
from typing import TYPE_CHECKING, Any

from keras_swish.startup import end_quietly

end_quietly()  # before Keras is imported

# ruff: noqa: E402
# Keras finds a class in a file only if it was imported: `models` and `optimizers` have some.
from keras_swish import activations, models
from keras_swish import optimizers as optimizers
from keras_swish.callbacks import BetaLogger, StatisticsLogger
from keras_swish.export.export import export
from keras_swish.layers import SearchedActivation, Swish
from keras_swish.plot import plot_betas, plot_statistics
from keras_swish.registry import describe, layer, names, register, register_with_keras
from keras_swish.replacement.replace import (
    ActivationSite,
    ReplacementReport,
    find_activations,
    replace_activations,
)
from keras_swish.statistics import ActivationStatistics, SiteStatistics, activation_statistics
from keras_swish.version import __version__

if TYPE_CHECKING:
    from keras_swish import search
    from keras_swish.search import search_activations

__all__ = [
    "ActivationSite",
    "ActivationStatistics",
    "BetaLogger",
    "ReplacementReport",
    "SearchedActivation",
    "SiteStatistics",
    "StatisticsLogger",
    "Swish",
    "__version__",
    "activation_statistics",
    "activations",
    "describe",
    "export",
    "find_activations",
    "layer",
    "models",
    "names",
    "plot_betas",
    "plot_statistics",
    "register",
    "replace_activations",
    "search",
    "search_activations",
]

register_with_keras()


def __getattr__(name: str) -> Any:
    # On first use: the search imports SciPy, which takes longer than all the rest.
    if name == "search":
        return importlib.import_module(f"{__name__}.search")
    if name == "search_activations":
        return importlib.import_module(f"{__name__}.search").search_activations
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
