"""Where a new activation stands: what it is told, and the paths of its weights."""

import re
from typing import NamedTuple

import keras

from keras_swish.keras_compat import all_layers, mask_of, path_of
from keras_swish.replacement.channels import ChannelAxes, Channels
from keras_swish.replacement.masks import StopMask
from keras_swish.replacement.members import is_graph, is_keras, is_sequence
from keras_swish.replacement.sites import LocatedActivation
from keras_swish.replacement.surroundings import Surroundings
from keras_swish.replacement.watching.running import runs_own_code


class Place(NamedTuple):
    """Where a new activation stands.

    Attributes:
        name: Name of the activation in an attribute, after the attribute: a number that Keras
            counts up would be another one in the next model.
        path: Path of the layer that holds it, in this model; None where a model calls it, as it
            calls its other layers.
        scope: The same in a model that is loaded from a file.
        channels: The channel axis of its input, where a layer says it.
        stops_mask: Whether a mask may come with its input, and ends there.
        dtype: The dtype of its input, where the code that calls it has been seen to do so.
    """

    name: str | None = None
    path: str | None = None
    scope: str | None = None
    channels: Channels | None = None
    stops_mask: bool = False
    dtype: str | None = None


NOWHERE = Place()


class Places:
    """Finds out where the activations of a model stand.

    Args:
        model: The model.
        surroundings: Where all its parts stand.
    """

    def __init__(self, model: keras.Model, surroundings: Surroundings):
        self._surroundings = surroundings
        self._has_masks = any(_makes_masks(layer) for layer in all_layers(model))
        self._axes = ChannelAxes(surroundings)

    def of(self, located: LocatedActivation) -> Place:
        """Returns the place of an activation."""
        owner, channels = located.owner, self._axes.of(located)
        stops_mask = self._stops_mask(located)
        if is_graph(owner) or is_sequence(owner):
            old = located.activation
            path = path_of(old) if isinstance(old, keras.Layer) else None
            return Place(None, (path or "").rpartition("/")[0] or None, None, channels, stops_mask)
        name = re.sub(r"\W+", "_", "_".join(map(str, located.key or ()))).strip("_") or None
        scope = self._surroundings.scope(owner)
        return Place(name, path_of(owner), scope, channels, stops_mask)

    def _stops_mask(self, located: LocatedActivation) -> bool:
        old, owner = located.activation, located.owner
        nodes = self._surroundings.calls(old) if isinstance(old, keras.Operation) else []
        before = [any(mask_of(tensor) is not None for tensor in n.input_tensors) for n in nodes]
        if getattr(old, "supports_masking", False) and not isinstance(old, StopMask):
            after = [mask_of(node.outputs[0]) is not None for node in nodes]
            return any(came and not left for came, left in zip(before, after, strict=True))
        if nodes and self._surroundings.holder(owner) is None:
            return any(before)
        # In a nested model, or in code, no symbolic tensor says what will come.
        is_called = is_graph(owner) or is_sequence(owner) or runs_own_code(owner)
        return is_called and self._has_masks


def _makes_masks(layer: keras.Layer) -> bool:
    if isinstance(layer, keras.layers.Lambda):
        return layer.mask is not None
    makes = isinstance(layer, keras.layers.Masking) or getattr(layer, "mask_zero", False)
    return makes or not is_keras(type(layer).compute_mask)
