"""The search for activation functions, on any Keras model.

Source: Ramachandran et al. 2017, section 2.
"""

from keras_swish.search.api import search_activations
from keras_swish.search.child import Child, ChildConfig, Outcome
from keras_swish.search.children.objectives import Objective
from keras_swish.search.executors import Local, Ray
from keras_swish.search.pruning import Pruner
from keras_swish.search.result import Progress, Result
from keras_swish.search.search import Race, Search
from keras_swish.search.searchable import SearchableActivation
from keras_swish.search.space import SearchSpace
from keras_swish.search.study import Study

__all__ = [
    "Child",
    "ChildConfig",
    "Local",
    "Objective",
    "Outcome",
    "Progress",
    "Pruner",
    "Race",
    "Ray",
    "Result",
    "Search",
    "SearchSpace",
    "SearchableActivation",
    "Study",
    "search_activations",
]
