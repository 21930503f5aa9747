"""Where the parts of a model stand: what holds each of them, and what it is called with."""

from collections.abc import Callable
from typing import Any

import keras

from keras_swish.keras_compat import calls, graph_nodes, path_of, producer
from keras_swish.replacement.members import Key, is_graph, is_sequence
from keras_swish.replacement.sites import children


class Surroundings:
    """Says of each layer and operation in a model what is around it.

    Args:
        model: The model.
    """

    def __init__(self, model: keras.Model):
        self._holders: dict[int, Any] = {}
        self._in_graphs: set[int] = set()  # ids of the calls in the graphs of the model
        self._takers: dict[int, list[Any]] = {}
        self._visit(model)

    def _visit(self, layer: keras.Layer) -> None:
        # The layers of a Sequential model do not name its input, but its graph does.
        held = [child for _, child in children(layer)]
        for node in graph_nodes(layer) if is_graph(layer) or is_sequence(layer) else []:
            self._in_graphs.add(id(node))
            held.append(node.operation)
            for tensor in node.input_tensors:
                self._takers.setdefault(id(tensor), []).append(node)
        for child in held:
            if isinstance(child, keras.Operation) and id(child) not in self._holders:
                self._holders[id(child)] = layer
                if isinstance(child, keras.Layer):
                    self._visit(child)

    def holder(self, operation: Any) -> Any:
        """Returns the layer or model that holds a layer or operation, None for the model itself."""
        return self._holders.get(id(operation))

    def calls(self, operation: Any) -> list[Any]:
        """Returns the calls of a layer or operation in the model's graphs, oldest first."""
        return [node for node in calls(operation) if id(node) in self._in_graphs]

    def takers(self, tensor: keras.KerasTensor) -> list[Any]:
        """Returns the calls in the model's graphs that take a tensor."""
        return self._takers.get(id(tensor), [])

    def outside(self, input_layer: Any) -> list[keras.KerasTensor]:
        """Returns what a nested model is called with in place of one of its input layers."""
        model = self.holder(input_layer)
        if model is None:
            return []
        index = [id(producer(tensor)[0]) for tensor in model.inputs].index(id(input_layer))
        return [node.input_tensors[index] for node in self.calls(model)]

    def name_path(self, layer: Any) -> str:
        """Returns the names of what holds a layer, the model's own left out, and its own."""
        names = []
        while self.holder(layer) is not None:
            names.append(layer.name)
            layer = self.holder(layer)
        return "/".join(reversed(names))

    def nearest(self, owner: Any, place: Key | Any, say: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Asks the layers that a layer holds, as far as their order tells what feeds what.

        Args:
            owner: The layer.
            place: Key of one of its members, or a member that is a layer.
            say: Gives what a layer says, or None.

        Returns:
            What the nearest layer before that place says, and the nearest one behind it.
        """
        held = list(children(owner))
        position = next(
            (i for i, (key, child) in enumerate(held) if child is place or key == place), 0
        )
        before, after = reversed(held[:position]), held[position + 1 :]
        answers = (
            (said for _, child in side if isinstance(child, keras.Layer) and (said := say(child)))
            for side in (before, after)
        )
        first, second = (next(side, None) for side in answers)
        return first, second

    def scope(self, host: keras.Layer) -> str | None:
        """Returns the path that Keras gives a layer when it loads the model from a file.

        That is without the names of models around it, whose layers Keras then makes before the
        model, or outside of its scope.
        """
        outermost = host
        while (holder := self.holder(outermost)) is not None:
            if isinstance(holder, keras.Model):
                break
            outermost = holder
        path, prefix = path_of(host), path_of(outermost)
        return path and path.removeprefix((prefix or "").removesuffix(outermost.name))
