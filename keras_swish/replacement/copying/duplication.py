"""Copies of objects: a layer or model with all that it holds, one copy for one original.

Not from configurations, which say nothing of what is shared, and lose functions of the user's own,
lambdas, and the state of preprocessing layers: object by object, as `copy.deepcopy` does. That goes
through a file where Keras's objects are concerned, and takes along every other model that shares a
layer.
"""

import collections
import dataclasses
import enum
import functools
import gc
import inspect
import re
import types
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import numpy as np

from keras_swish import keras_compat as compat
from keras_swish.replacement.copying.errors import CannotCopyError

# What has no state that one model could change under the other.
_SHARED = (
    type(None),
    type(Ellipsis),
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    range,
    slice,
    enum.Enum,
    re.Pattern,
    np.dtype,
    np.generic,
    types.ModuleType,
    types.BuiltinFunctionType,
    types.CodeType,
    inspect.Signature,
    keras.DTypePolicy,
    keras.layers.InputSpec,
)


class Duplicator:
    """Copies what it is given, each object once.

    Args:
        root: The layer or model that is copied, whose layers and variables a function, or an
            object of a class unknown here, must not take into the copy.
        substitute: Makes the layer that the copy has in place of a layer or operation; returns
            None for what is copied.
        call: Calls such a layer, at the place of a call of the original, and returns its output.
    """

    def __init__(
        self,
        root: keras.Layer,
        substitute: Callable[[Any], Any],
        call: Callable[..., Any],
    ):
        self._substitute = substitute
        self._call = call
        self._copies: dict[int, Any] = {}
        self._originals: dict[int, Any] = {}  # keeps each alive, as its id stands for it
        self._substituted: set[int] = set()
        self._id_sets: list[tuple[dict[str, Any], str]] = []
        layers = compat.all_layers(root)
        variables = [variable for layer in layers for variable in compat.own_variables(layer)]
        values = [compat.raw_value(variable) for variable in variables]
        self._state = {id(one) for one in (*layers, *variables, *values)}

    def copied(self) -> list[tuple[Any, Any]]:
        """Returns each layer and operation, with its copy."""
        pairs = ((one, self._copies[key]) for key, one in self._originals.items())
        return [pair for pair in pairs if isinstance(pair[0], keras.Operation)]

    def copy_of(self, original: Any) -> Any:
        """Returns the copy of what was copied, and None for what was not."""
        return self._copies.get(id(original))

    def duplicate(self, root: keras.Layer) -> Any:
        """Returns the copy of a layer or model.

        Raises:
            CannotCopyError: If an object in it cannot be copied.
        """
        new = self._copy(root)
        for old, copy in self.copied():
            if compat.has_graph(old):
                compat.map_graph_again(copy)
        for _, copy in self.copied():
            if isinstance(copy, keras.Sequential):
                compat.list_layers_of_graph(copy)
        for attributes, name in self._id_sets:
            ids = attributes[name]
            attributes[name] = {id(self._copies[i]) if i in self._copies else i for i in ids}
        originals = [*self._originals.values()]
        variables = [one for one in originals if isinstance(one, keras.Variable)]
        for one in originals:
            if isinstance(one, keras.optimizers.Optimizer):
                pattern, spared = compat.spared_from_weight_decay(one, variables)
                copies = [self._copies[id(variable)] for variable in spared]
                compat.spare_from_weight_decay(self._copies[id(one)], pattern, copies)
        return new

    def _copy(self, old: Any) -> Any:
        if isinstance(old, _SHARED):
            return old
        if id(old) in self._copies:
            return self._copies[id(old)]
        for classes, copy in self._table():
            if isinstance(old, classes):
                return copy(old)
        return self._copy_unknown(old)

    def _table(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        """Returns how to copy objects of which classes; the first that fits."""
        return [
            (keras.Operation, self._copy_operation),
            (keras.KerasTensor, self._copy_symbolic),
            (compat.Tracker, self._copy_tracker),
            (compat.IMMUTABLE, lambda value: value),
            (keras.optimizers.Optimizer, self._copy_optimizer),
            (compat.VALUES, self._copy_value),
            (np.ndarray, self._copy_array),
            (dict, self._copy_dict),
            ((list, set, collections.deque), self._copy_collection),
            ((tuple, frozenset), self._copy_immutable),
            (types.FunctionType, self._copy_function),
            (types.CellType, self._copy_cell),
            (types.MethodType, self._copy_method),
            (functools.partial, self._copy_partial),
            (compat.COMPILED_FUNCTIONS, self._copy_compiled),
            (weakref.ref, self._copy_reference),
            (type, self._check_class),
        ]

    def _remember(self, old: Any, new: Any) -> Any:
        self._copies[id(old)] = new
        self._originals[id(old)] = old
        return new

    # Layers, operations, and the graphs of their calls.

    def _copy_operation(self, old: keras.Operation) -> Any:
        new = self._substitute(old)
        if new is not None:
            self._substituted.add(id(old))
            return self._remember(old, new)
        new = self._remember(old, compat.blank(type(old)))
        attributes = compat.kept_attributes(old)
        if compat.has_graph(old):
            self._copy_nodes(compat.graph_nodes(old))
        for name, value in attributes.items():
            try:
                vars(new)[name] = self._copy(value)
            except CannotCopyError as error:
                if isinstance(error, _NamedError):
                    raise
                raise _NamedError(
                    f"The layer {old.name!r} of class {type(old).__name__} cannot be copied: "
                    f"its attribute {name!r} {error}"
                ) from error
            if name.endswith("_ids") and isinstance(value, set):
                self._id_sets.append((vars(new), name))
        if isinstance(old, keras.layers.InputLayer):
            self._copy_nodes(compat.calls(old))
        compat.after_copy(new)
        return new

    def _copy_nodes(self, nodes: Iterable[Any]) -> None:
        waiting = [node for node in nodes if id(node) not in self._copies]
        inside = {id(tensor) for node in waiting for tensor in node.outputs}
        operations = {id(node.operation): node.operation for node in waiting}
        while waiting:
            later = []
            for node in waiting:
                made = [id(tensor) in self._copies for tensor in node.input_tensors]
                missing = [
                    tensor
                    for tensor, is_made in zip(node.input_tensors, made, strict=True)
                    if not is_made and id(tensor) in inside
                ]
                if missing:
                    later.append(node)
                else:
                    self._copy_node(node)
            if len(later) == len(waiting):
                raise CannotCopyError("holds a graph with a cycle")
            waiting = later
        for operation in operations.values():
            self._order_calls(operation)

    def _copy_node(self, node: Any) -> None:
        new = self._copy(node.operation)
        if id(node) in self._copies:  # that of an InputLayer comes with it
            return
        args, kwargs = self._copy(node.arguments.args), self._copy(node.arguments.kwargs)
        if id(node.operation) in self._substituted:
            if not isinstance(new, keras.layers.Softmax):
                # What stood here may have taken more, such as the slope of an operation.
                args, kwargs = ([*args, *kwargs.values()][0],), {}
            output = self._call(new, *args, **kwargs)
            if output.shape != node.outputs[0].shape:
                raise ValueError(
                    f"{node.operation.name!r} changes the shape of what it takes, from "
                    f"{args[0].shape} to {node.outputs[0].shape}: no other activation does."
                )
            self._remember(node.outputs[0], output)
            self._remember(node, compat.producing_node(output))
            return
        outputs = [self._copy(tensor) for tensor in node.outputs]
        self._remember(node, compat.new_node(new, args, kwargs, outputs))

    def _order_calls(self, operation: Any) -> None:
        """Puts the calls of an operation into the order of the original's."""
        copies = [self._copies.get(id(node)) for node in compat.calls(operation)]
        compat.reorder_calls(self._copies[id(operation)], [one for one in copies if one])

    def _copy_symbolic(self, old: keras.KerasTensor) -> Any:
        new = self._remember(old, object.__new__(type(old)))
        # Its history comes with the call that makes it; of another model's graph, nothing does.
        for name, value in vars(old).items():
            if name != "_keras_history":
                vars(new)[name] = self._copy(value)
        return new

    def _copy_tracker(self, old: Any) -> Any:
        new = self._copy_object(old)
        compat.count_again(new)
        return new

    def _copy_optimizer(self, old: Any) -> Any:
        # It was built for the original's weights.
        return self._remember(old, type(old).from_config(old.get_config()))

    # Values and containers.

    def _copy_value(self, old: Any) -> Any:
        return self._remember(old, compat.copy_value(old))

    def _copy_array(self, old: np.ndarray) -> Any:
        return self._remember(old, old.copy())

    def _copy_dict(self, old: Any) -> Any:
        if hasattr(old, "__wrapped__"):  # TensorFlow's proxy of a dictionary
            return self._copy(old.__wrapped__)
        own: Any = type(old)
        new = self._remember(old, own.__new__(own))
        base: Any = collections.OrderedDict if isinstance(old, collections.OrderedDict) else dict
        if isinstance(old, collections.defaultdict):
            new.default_factory = self._copy(old.default_factory)
        for key, value in base.items(old):
            base.__setitem__(new, self._copy(key), self._copy(value))
        self._copy_attributes(old, new)
        return new

    def _copy_collection(self, old: Any) -> Any:
        own: Any = type(old)
        if type(old).__module__.startswith("tensorflow."):  # its list that tracks what is in it
            return self._remember(old, self._copy(list(old)))
        new = own(maxlen=old.maxlen) if own is collections.deque else own.__new__(own)
        self._remember(old, new)
        bases: tuple[Any, ...] = (list, set, collections.deque)
        base: Any = next(one for one in bases if isinstance(old, one))
        add: Any = base.add if base is set else base.append  # not those that note what is added
        for item in base.__iter__(old):
            add(new, self._copy(item))
        self._copy_attributes(old, new)
        return new

    def _copy_immutable(self, old: Any) -> Any:
        if hasattr(old, "__wrapped__"):  # TensorFlow's proxy of a tuple, which its checkpoints need
            return self._remember(old, type(old)(self._copy(old.__wrapped__)))
        items = [self._copy(item) for item in old]
        if all(one is two for one, two in zip(items, old, strict=True)):
            return old
        base: Any = tuple if isinstance(old, tuple) else frozenset
        return self._remember(old, base.__new__(type(old), items))

    def _copy_attributes(self, old: Any, new: Any) -> None:
        for name, value in getattr(old, "__dict__", {}).items():
            vars(new)[name] = self._copy(value)

    # Functions: those that know a layer of the original must know its copy.

    def _copy_function(self, old: types.FunctionType) -> Any:
        if not self._leads_to_state(old):
            return old
        new = types.FunctionType(
            old.__code__,
            old.__globals__,
            old.__name__,
            self._copy(old.__defaults__),
            self._copy(old.__closure__),
        )
        self._remember(old, new)
        new.__kwdefaults__ = self._copy(old.__kwdefaults__)
        new.__qualname__, new.__doc__ = old.__qualname__, old.__doc__
        self._copy_attributes(old, new)
        return new

    def _copy_cell(self, old: Any) -> Any:
        new = self._remember(old, types.CellType())
        try:
            new.cell_contents = self._copy(old.cell_contents)
        except ValueError as error:  # nothing in it yet
            if isinstance(error, CannotCopyError):
                raise
        return new

    def _copy_method(self, old: types.MethodType) -> Any:
        if not self._leads_to_state(old):
            return old
        new = types.MethodType(self._copy(old.__func__), self._copy(old.__self__))
        return self._remember(old, new)

    def _copy_partial(self, old: functools.partial) -> Any:
        if not self._leads_to_state(old):
            return old
        arguments = self._copy(old.args), self._copy(old.keywords)
        return self._remember(old, type(old)(self._copy(old.func), *arguments[0], **arguments[1]))

    def _copy_compiled(self, old: Any) -> Any:
        if not self._leads_to_state(old):
            return old
        return self._remember(old, compat.compiled_again(old, self._copy))

    def _copy_reference(self, old: weakref.ref) -> Any:
        referent = old()
        if referent is None or not self._leads_to_state(referent):
            return old
        return self._remember(old, weakref.ref(self._copy(referent)))

    # Everything else.

    def _check_class(self, old: type) -> Any:
        if any(self._leads_to_state(value) for value in vars(old).values()):
            raise CannotCopyError(self._not_reached(vars(old).values()))
        return old

    def _copy_unknown(self, old: Any) -> Any:
        if not (self._leads_to_state(old, any_state=True) or _is_plain(old)):
            return old
        try:
            return self._copy_object(old)
        except TypeError as error:
            if not self._leads_to_state(old):
                return old
            raise CannotCopyError(
                f"holds an object of class {type(old).__module__}.{type(old).__qualname__}, which "
                f"leads to the model's weights and cannot be copied ({error})"
            ) from error

    def _copy_object(self, old: Any) -> Any:
        # Of classes written in C, only that of plain namespaces is known to have no more to it.
        is_namespace = type(old) is types.SimpleNamespace
        blank = (types.SimpleNamespace if is_namespace else object).__new__(type(old))
        new = self._remember(old, blank)
        for each in type(old).__mro__:
            slots = vars(each).get("__slots__", ())
            for name in [slots] if isinstance(slots, str) else slots:
                if name not in ("__weakref__", "__dict__") and hasattr(old, name):
                    object.__setattr__(new, name, self._copy(getattr(old, name)))
        self._copy_attributes(old, new)
        return new

    def _leads_to_state(self, start: Any, any_state: bool = False) -> bool:
        """Says whether references lead from an object to a layer or weight of the root.

        Args:
            start: The object.
            any_state: Whether variables and layers that are not the root's count too.
        """
        return next(self._state_behind(start, any_state), None) is not None

    def _state_behind(self, start: Any, any_state: bool = False) -> Iterator[Any]:
        waiting, seen = [start], set()
        while waiting:
            one = waiting.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            if id(one) in self._state or (any_state and isinstance(one, compat.STATEFUL)):
                yield one
            elif isinstance(one, types.FunctionType):  # without the module around it
                waiting += [one.__closure__, one.__defaults__, one.__kwdefaults__, vars(one)]
            elif isinstance(one, weakref.ref):
                continue
            elif not isinstance(one, (*_SHARED, type)) and gc.is_tracked(one):
                is_namespace = isinstance(one, dict) and "__builtins__" in one
                waiting += [] if is_namespace else gc.get_referents(one)

    def _not_reached(self, values: Iterable[Any]) -> str:
        found = [one for value in values for one in self._state_behind(value)]
        weights = [v.path for one in found for v in getattr(one, "variables", [])]
        return (
            "is a class, which cannot be copied, and no attribute of its layers leads to the "
            f"weights {', '.join(weights[:5])}{' and more' if weights[5:] else ''}"
        )


class _NamedError(CannotCopyError):
    """A `CannotCopyError` that says which layer."""


def _is_plain(candidate: Any) -> bool:
    """Says whether an object is of a user's class without more to it than attributes."""
    own = type(candidate)
    if own is types.SimpleNamespace or dataclasses.is_dataclass(own):
        return True
    return (
        own.__module__.split(".")[0] == "__main__"
        and own.__reduce_ex__ is object.__reduce_ex__
        and own.__reduce__ is object.__reduce__
        and not hasattr(own, "__del__")
    )
