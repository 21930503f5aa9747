"""Where a new activation stands: what it is told, and the paths of its weights."""

import re
from typing import NamedTuple

import keras

from keras_swish.keras_compat import path_of
from keras_swish.replacement.channels import ChannelAxes, Channels
from keras_swish.replacement.members import is_graph, is_sequence
from keras_swish.replacement.sites import LocatedActivation
from keras_swish.replacement.surroundings import Surroundings


class Place(NamedTuple):
    """Where a new activation stands.

    Attributes:
        name: Name of the activation in an attribute, after the attribute: a number that Keras
            counts up would be another one in the next model.
        path: Path of the layer that holds it, in this model; None where a model calls it, as it
            calls its other layers.
        scope: The same in a model that is loaded from a file.
        channels: The channel axis of its input, where a layer says it.
    """

    name: str | None = None
    path: str | None = None
    scope: str | None = None
    channels: Channels | None = None


NOWHERE = Place()


class Places:
    """Finds out where the activations of a model stand.

    Args:
        surroundings: Where all parts of the model stand.
    """

    def __init__(self, surroundings: Surroundings):
        self._surroundings = surroundings
        self._axes = ChannelAxes(surroundings)

    def of(self, located: LocatedActivation) -> Place:
        """Returns the place of an activation."""
        owner, channels = located.owner, self._axes.of(located)
        if is_graph(owner) or is_sequence(owner):
            old = located.activation
            path = path_of(old) if isinstance(old, keras.Layer) else None
            return Place(path=(path or "").rpartition("/")[0] or None, channels=channels)
        name = re.sub(r"\W+", "_", "_".join(map(str, located.key or ()))).strip("_") or None
        return Place(name, path_of(owner), self._surroundings.scope(owner), channels)
