"""Layers and models that come back from a file with their new activations.

Keras writes a layer's configuration, and makes it again from that. What a class makes in its own
code, such as the layers of a backbone, then comes back with the old activations, in silence. Such
a layer gets a class of its own here, of the same name, whose configuration is that of the original
with a list of the sites that were replaced, and which is made again from that by replacing.
"""

import dataclasses
import functools
import json
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from keras_swish.keras_compat import (
    all_layers,
    is_root_of_hdf5,
    name_for_files,
    path_of,
    read_from_bytes,
    readable,
    set_scope,
    sublayers,
    unallocated,
    written_as_bytes,
)
from keras_swish.messages import first_line
from keras_swish.replacement.copying.copier import (
    Copier,
    Factory,
    activated_shape,
    call_for_shapes,
)
from keras_swish.replacement.handing import Holder
from keras_swish.replacement.members import (
    Key,
    is_activation_attribute,
    is_keras,
    members,
    own_classes,
    plain_class,
)
from keras_swish.replacement.recognise import describe, function_of, name_of_text, recognise
from keras_swish.replacement.sites import children, paths
from keras_swish.replacement.watching.lookups import strings
from keras_swish.replacement.watching.running import runs_own_code

# The way from a layer to one that it holds: keys of members, and numbers in a model's graph.
Address = tuple[Key | int, ...]

_RECORD = "_keras_swish_record"
_NAME = "keras_swish>Replaced"


class CannotSaveError(ValueError):
    """A model of which no file gives back the activations that replaced others.

    Attributes:
        reason: Why its configuration makes another one; empty where it is the file that cannot.
    """

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@dataclasses.dataclass
class SavedSite:
    """A replaced site, as a file knows it.

    Attributes:
        address: The way to the layer that holds the activation, or to the call in a graph.
        key: Where the layer holds it; None for a call.
        holder: The layer of the new model that holds the activation.
        layers: The new layers, one for each call where the replaced one is no longer shared.
        followers: Address and key of each other holder of the same new activation.
    """

    address: Address
    key: Key | None
    holder: keras.Layer | None
    layers: list[Any]
    followers: list[tuple[Address, Key]]

    def get_config(self) -> dict[str, Any]:
        """Returns the site, with the configurations of the activations that are there now."""
        if self.holder is None or self.key is None:
            activations = self.layers
        else:
            name, *rest = self.key
            activations = [functools.reduce(_item, rest, getattr(self.holder, name))]
        return {
            "address": self.address,
            "key": self.key,
            "activations": [keras.saving.serialize_keras_object(one) for one in activations],
            "followers": self.followers,
        }


def _item(container: Any, key: Any) -> Any:
    if isinstance(container, (dict, list, tuple)):
        return container[key]
    return getattr(container, key)  # of an object that holds settings


@dataclasses.dataclass
class _Record:
    """What a layer of a class made here knows.

    Attributes:
        base: The original, as Keras writes it.
        changed: The entries of its configuration that the replacement changed.
        sites: The replaced sites in it.
        inner: Addresses of the layers in it that are of a class made here too.
        is_checked: Whether it was tried whether a file gives it back.
        reason: Why none does; empty where one does.
    """

    base: dict[str, Any]
    changed: set[str]
    sites: list[SavedSite]
    inner: list[Address]
    is_checked: bool = False
    reason: str = ""


@keras.saving.register_keras_serializable(package="keras_swish")
class Replaced:
    """The part of a class made here that is not the original's class."""

    def get_config(self) -> dict[str, Any]:
        """Returns the original's configuration and the sites that were replaced.

        Raises:
            CannotSaveError: If the layer would not come back from it.
        """
        layer: Any = self
        record: _Record = vars(layer)[_RECORD]
        if not record.is_checked:
            _check_record(layer, layer)
        if record.reason:
            raise CannotSaveError(
                f"The layer {layer.name!r} of class {type(layer).__name__} cannot be saved with "
                f"its new activations, as it would not come back: {record.reason}. Save its "
                "weights with `save_weights`, and load them after replacing the activations of a "
                "fresh model.",
                record.reason,
            )
        if is_root_of_hdf5():
            raise CannotSaveError(
                f"An HDF5 file names the class of a model, here {type(layer).__name__}, which "
                "would make its old activations: save the model as a '.keras' file, or its "
                "weights with `save_weights`."
            )
        config = {**record.base["config"], **_current(layer, record.changed)}
        return {
            "name": layer.name,
            "base": {**record.base, "config": config},
            "sites": [site.get_config() for site in record.sites],
            "inner": record.inner,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> Any:
        """Returns the original, made again, with other activations at the sites."""
        plain = vars(cls).get("_plain_class")
        if plain is not None:  # where no file is read, nobody has to name the class
            if {"base", "sites"} - config.keys():  # `clone_model` takes this one for the original's
                return plain.from_config(config)
            custom_objects = {**(custom_objects or {}), plain.__name__: plain}
        base = config["base"]
        if "name" in base["config"]:
            base = {**base, "config": {**base["config"], "name": config["name"]}}
        original = keras.saving.deserialize_keras_object(base, custom_objects)
        return _replay(original, config)

    def plain_config(self) -> dict[str, Any]:
        """Returns the configuration of which the original's class makes a layer."""
        layer: Any = self
        try:
            return plain_class(layer).get_config(layer)
        except Exception:  # such as one that asks a function for its name
            return vars(layer)[_RECORD].base["config"]

    def __reduce__(self) -> Any:
        # Pickle would look for this class by the name that it has from the original's.
        return read_from_bytes, (written_as_bytes(self),)


@functools.cache
def _replaced_class(plain: type) -> type:
    names = {name: getattr(plain, name) for name in ("__module__", "__qualname__", "__doc__")}
    names["_plain_class"] = plain
    new = type(plain.__name__, (Replaced, plain), names)
    name_for_files(new, _NAME)
    return new


# When activations are replaced.


def make_savable(
    original: keras.Layer,
    copier: Copier,
    replaced: Iterable[tuple[Any, Key | None]],
) -> list[str]:
    """Sees to it that a file gives the copy of a model back, or that none is written.

    Every layer of a class that is not Keras's is made again from its configuration; where that has
    other activations or weights, the layer gets a class made here.

    Args:
        original: The original.
        copier: What copied it.
        replaced: The replaced layers and operations, each with None; and the holders of
            activations, each with the key of its attribute.

    Returns:
        A line for each layer that cannot be saved.
    """
    return _make_savable(original, copier, list(replaced), set(), True)


def _make_savable(
    original: keras.Layer,
    copier: Copier,
    replaced: list[tuple[Any, Key | None]],
    seen: set[int],
    is_outermost: bool,
) -> list[str]:
    """Does so for the layers inside a layer, and then for this one."""
    is_replaced = any(one is original and key is None for one, key in replaced)
    if id(original) in seen or is_replaced:
        return []
    seen.add(id(original))
    inside = _ways(original)
    here = [(one, key) for one, key in replaced if id(one) in inside]
    copy = copier.copy_of(original)
    is_changed = here or copier.rescaled & inside.keys()
    if not is_changed or copy is None or not isinstance(original, keras.Layer):
        return []
    is_trusted = is_keras(plain_class(original)) and not isinstance(original, Replaced)
    notes = []
    for _, child in children(original):
        notes += _make_savable(child, copier, replaced, seen, is_outermost and is_trusted)
    if is_trusted:
        return notes
    earlier = vars(copy).pop(_RECORD, None)
    copy.__class__ = plain_class(original)
    # A layer inside another one is written by itself only where somebody takes it out of there. One
    # with a record keeps it: it may be all that tells what an earlier replacement changed.
    if is_outermost and earlier is None and not _why_not_back(copy, original):
        return []
    sites = [_saved_site(original, copier, one, key, inside) for one, key in here]
    is_wrapped = _wrap(original, copy, sites, _inner(original, copier), earlier)
    if not is_outermost:
        return []
    reason = _check_record(copy, original) if is_wrapped else _why_not_back(copy, original)
    return [f"no file gives back the layer {copy.name!r}: {reason}"] if reason else []


def _ways(layer: keras.Layer) -> dict[int, Address]:
    """Returns the way to each layer and operation in a layer, by its id."""
    return {id(one): address for address, one in _addresses(layer)}


def _check_record(layer: Any, original: keras.Layer) -> str:
    """Notes in a layer's record whether a file gives it back, and returns why not."""
    record: _Record = vars(layer)[_RECORD]
    record.is_checked = True
    record.reason = _why_not_back(layer, original)
    return record.reason


def _wrap(
    original: keras.Layer,
    copy: Any,
    sites: list[SavedSite],
    inner: list[Address],
    earlier: _Record | None,
) -> bool:
    """Gives the copy of a layer a class made here, unless nothing can be written of it."""
    if earlier is not None:
        base, changed = earlier.base, set(earlier.changed)
        new = {(site.address, site.key) for site in sites}
        sites = [s for s in earlier.sites if (s.address, s.key) not in new] + sites
    else:
        try:
            base, changed = _written(original), set()
            base.pop("compile_config", None)
        except Exception:
            return False  # Keras itself says why it cannot be saved
    try:
        config: Any = keras.saving.serialize_keras_object(copy.get_config())
        changed |= {k for k, value in base["config"].items() if config.get(k) != value}
    except Exception:  # such as one that asks the activation for its name
        changed |= set(base["config"])
    vars(copy)[_RECORD] = _Record(base, changed, sites, inner)
    copy.__class__ = _replaced_class(type(copy))
    return True


def _current(layer: Any, changed: set[str]) -> dict[str, Any]:
    """Returns the entries of a layer's own configuration that no replacement changed."""
    try:
        config = plain_class(layer).get_config(layer)
    except Exception:
        return {}
    written: Any = keras.saving.serialize_keras_object(config)
    return {key: value for key, value in written.items() if key not in changed}


def _saved_site(
    original: keras.Layer, copier: Copier, replaced: Any, key: Key | None, ways: dict[int, Address]
) -> SavedSite:
    """Returns what a file has to know of a replaced site in a layer."""
    address = ways[id(replaced)]
    last = address[-1] if key is None else key
    if isinstance(last, int):  # in a graph
        return SavedSite(address, None, None, copier.calls[id(replaced)], [])
    followers = copier.followers.get((id(replaced), key), ()) if key else ()
    if key is None:
        address = address[:-1]
    holder = next(one for way, one in _addresses(original) if way == address)
    following = [(ways[id(one)], held_at) for one, held_at in followers]
    return SavedSite(address, last, copier.copy_of(holder), [], following)


def _inner(original: keras.Layer, copier: Copier) -> list[Address]:
    found = {}
    for address, one in _addresses(original):
        if address and isinstance(copier.copy_of(one), Replaced):
            found.setdefault(id(one), address)
    return list(found.values())


def _addresses(layer: keras.Layer) -> Iterator[tuple[Address, Any]]:
    """Yields a layer and all that it consists of, each with the way to it."""
    yield from _addresses_below((), layer, set())


def _addresses_below(address: Address, layer: Any, seen: set[int]) -> Iterator[tuple[Address, Any]]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    yield address, layer
    if isinstance(layer, keras.Layer):
        for number, (key, child) in enumerate(children(layer)):
            if isinstance(child, keras.Operation):
                yield from _addresses_below((*address, key or number), child, seen)


# Whether a layer comes back from a file.


def _why_not_back(layer: Any, original: keras.Layer) -> str:
    """Returns why a layer's configuration does not give it back; empty where it does."""
    reason = ""
    # What the replacement has not changed is Keras's affair, and the original's class's.
    changed = _settings(layer) - _settings(original)
    with readable(own_classes(layer)):
        for without_weights in (True, False):  # some classes need weights to be made
            try:
                with unallocated(without_weights):
                    again = keras.saving.deserialize_keras_object(_written(layer))
                    if not all(one.built for one in all_layers(again)):
                        call_for_shapes(original, again)
                    is_same = _outline(again) == _outline(layer) and changed <= _settings(again)
            except Exception as error:
                reason = first_line(_first(error))
            else:
                return "" if is_same else "its class makes others from its configuration"
    return reason


def _first(error: BaseException) -> BaseException:
    """Returns the error that led to another one, which Keras words in general."""
    earlier = error.__cause__ or error.__context__
    return _first(earlier) if earlier else error


def _written(layer: keras.Layer) -> dict[str, Any]:
    return json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))


def _outline(layer: keras.Layer) -> tuple[list, list]:
    """Returns a layer's activations, which are one, and the shapes of all weights."""
    numbers: dict[int, int] = {}
    lines = []
    for address, owner in _addresses(layer):
        for key, child in children(owner) if isinstance(owner, keras.Layer) else ():
            name = recognise(child)
            if name is None and isinstance(child, keras.Operation):
                continue
            number = 0
            if isinstance(child, keras.Layer) and child.weights:
                number = numbers.setdefault(id(child), len(numbers) + 1)
            if isinstance(function_of(child), types.FunctionType):  # Keras's, or ours of one name
                name = f"{function_of(child).__module__}.{function_of(child).__name__}"
            lines.append((repr(address), repr(key), name or describe(child), number))
        is_own = isinstance(owner, keras.Layer) and runs_own_code(owner)
        for key, text in strings(owner) if is_own else ():
            if name := name_of_text(text):
                lines.append((repr(address), repr(key), name, 0))
    return sorted(lines), sorted(tuple(v.shape) for v in layer.variables)


# What a class may set of the layers in it that changes nothing of what they compute.
_WITHOUT_EFFECT = {"name", "trainable", "dtype"}


def _settings(layer: keras.Layer) -> set[tuple[str, str, str]]:
    """Returns what tells activations of one name apart: functions themselves, and parameters."""
    lines = set()
    for address, owner in _addresses(layer):
        for key, child in children(owner) if isinstance(owner, keras.Layer) else ():
            text = _settings_of(child)
            if text is not None:
                lines.add((repr(address), repr(key), text))
    return lines


def _settings_of(child: Any) -> str | None:
    function = function_of(child)
    if isinstance(function, functools.partial):
        return repr((id(function.func), function.args, function.keywords))
    if not isinstance(function, keras.Operation):
        return repr(id(function))  # two lambdas have one name, and a file makes another one
    if not isinstance(child, keras.Layer) or isinstance(child, Replaced) or sublayers(child):
        return None
    if recognise(child) is None and is_keras(type(child)):  # such as a table of words
        return None
    try:
        config: Any = keras.saving.serialize_keras_object(child.get_config())
        config = {name: value for name, value in config.items() if name not in _WITHOUT_EFFECT}
        return f"{type(child).__qualname__} {json.dumps(config, sort_keys=True)}"
    except Exception:  # of a layer that has none, or none that can be written
        return None


# When a file is read.


def _replay(original: keras.Layer, config: Mapping[str, Any]) -> Any:
    """Returns a copy of a layer, with other activations at sites that were saved."""
    located = {address: one for address, one in _addresses(original)}
    names = paths(original)
    layer_factories: dict[int, Factory] = {}
    attribute_factories: dict[tuple[int, Key], Factory] = {}
    followers: dict[tuple[int, Key], list[Holder]] = {}
    replaced: list[tuple[Any, Key | None]] = []
    calls: dict[int, list[dict]] = {}
    for site in config["sites"]:
        one = located[_tuples(site["address"])]
        key = _tuples(site["key"])
        held = dict(members(one)).get(key) if key else one
        path = path_of(one) if isinstance(one, keras.Layer) else None
        if key is None:  # in a graph, next to the layer or operation itself
            path = (path or "").rpartition("/")[0]
        elif not path:  # of what is not called yet: that which it gets where it is the outermost
            path = f"{original.name}/{names[id(one)]}".rstrip("/")
        if isinstance(held, keras.Operation) and not (key and is_activation_attribute(key)):
            one, key = held, None
        replaced.append((one, key))
        restored = functools.partial(_restored, path)
        if key is None:
            calls[id(one)] = site["activations"]
            configs = iter(site["activations"])
            layer_factories[id(one)] = functools.partial(_next, restored, configs)
        else:
            attribute_factories[id(one), key] = functools.partial(restored, site["activations"][0])
            followers[id(one), key] = [
                (located[_tuples(address)], _tuples(held_at))
                for address, held_at in site["followers"]
            ]
    is_shared = all(len(each) == 1 for each in calls.values())
    copier = Copier(layer_factories, attribute_factories, set(), is_shared, followers)
    copy = copier.copy_model(original)
    for address in [*map(_tuples, config["inner"]), ()]:
        layer = located[address]
        inside = _ways(layer)
        here = [(one, key) for one, key in replaced if id(one) in inside]
        sites = [_saved_site(layer, copier, one, key, inside) for one, key in here]
        new = copier.copy_of(layer)
        earlier = vars(new).pop(_RECORD, None)
        new.__class__ = plain_class(layer)
        if _wrap(layer, new, sites, _inner(layer, copier), earlier):
            vars(new)[_RECORD].is_checked = True  # as the file was written
    return copy


def _tuples(saved: Any) -> Any:
    """Returns an address or key, of which a file has made lists."""
    return tuple(map(_tuples, saved)) if isinstance(saved, list | tuple) else saved


def _next(restored: Factory, configs: Iterator[Any], host: Any, name: str | None = None) -> Any:
    """Returns the activation of the next call, whose configuration has its name."""
    return restored(next(configs), host)


def _restored(path: str, config: Any, host: Any) -> Any:
    if not isinstance(config, dict):  # the name of one
        return config
    shape = (config.get("build_config") or {}).get("input_shape")
    if isinstance(host, keras.Layer) and host.built:  # a follower of another width
        shape = activated_shape(host) or shape
    # With the number that Keras gives what it has read before, a follower's would be the host's.
    left_out = {"build_config", "shared_object_id"}
    config = {key: value for key, value in config.items() if key not in left_out}
    new = keras.saving.deserialize_keras_object(config)
    if path and isinstance(new, keras.Layer):
        set_scope(new, path)
    if shape is not None and isinstance(new, keras.Layer) and not new.built:
        new.build(tuple(shape))
    return new
