"""Swish, and the activation functions of the search that found it, for Keras.

Reference: Ramachandran, Zoph, Le, "Searching for Activation Functions", 2017
(https://arxiv.org/abs/1710.05941).
"""

import importlib
import pathlib

from keras_swish import activations
from keras_swish.callbacks import BetaLogger
from keras_swish.export import export
from keras_swish.layers import SearchedActivation, Swish
from keras_swish.plot import plot_betas
from keras_swish.registry import describe, layer, make_names_known_to_keras, names
from keras_swish.replace import Place, Report, find_activations, replace_activations
from keras_swish.version import __version__

__all__ = [
    "BetaLogger",
    "Place",
    "Report",
    "SearchedActivation",
    "Swish",
    "__version__",
    "activations",
    "describe",
    "export",
    "find_activations",
    "layer",
    "names",
    "plot_betas",
    "replace_activations",
    "search_activations",
]

make_names_known_to_keras()


def __getattr__(name):
    # When they are asked for: the search imports SciPy, which takes longer than all the rest.
    if name in ("models", "search"):
        return importlib.import_module(f"{__name__}.{name}")
    if name == "search_activations":
        return importlib.import_module(f"{__name__}.search").search_activations
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


# In a checkout the sub-packages `models` and `train` lie beside this folder, not
# inside it (setup.cfg maps them). Python started there imports this folder even
# when an installed copy exists, so the checkout's root has to be searched too.
_root = pathlib.Path(__file__).resolve().parent.parent
if (_root / "setup.cfg").is_file() and str(_root) not in __path__:
    __path__.append(str(_root))
del pathlib, _root
