"""Which activations of a network are searched for: those that shape features."""

import fnmatch
from collections.abc import Iterator, Sequence

import keras

from keras_swish.keras_compat import all_layers, graph_nodes, producer
from keras_swish.messages import unknown
from keras_swish.replacement.recognise import ALIASES
from keras_swish.replacement.replace import ReplacementReport, find_activations
from keras_swish.replacement.sites import ActivationSite, children, output_makers

# Functions of several elements at once: what stands for one of them must see all.
_NOT_ELEMENTWISE = {"softmax", "log_softmax", "sparsemax", "glu"}
# Functions whose product with features opens and closes a gate.
_GATES = {"sigmoid", "hard_sigmoid", "sparse_sigmoid"}
_ROLES = ("a gate", "attention or another softmax", "an output")


def searched_sites(
    model: keras.Model, activations: Sequence[str] | None = None
) -> list[ActivationSite]:
    """Returns the activations of a model that a search replaces.

    Args:
        model: The model.
        activations: What to search for: names of functions, such as "relu"; paths of activations,
            or patterns of them, such as "block1_*" or "lstm/*"; names of attributes, such as
            "recurrent_activation". By default all activations but gates (those of recurrent layers,
            and those whose output is multiplied with features), softmax and the outputs.

    Raises:
        ValueError: If there is none, or one that is named is not there.

    Example:
        >>> import keras
        >>> from keras_swish.search.children.sites import searched_sites
        >>> model = keras.Sequential(
        ...     [keras.Input((5, 3)), keras.layers.LSTM(4), keras.layers.Dense(8, "relu", name="d"),
        ...      keras.layers.Dense(2, "softmax")]
        ... )
        >>> [str(site) for site in searched_sites(model)]
        ['d (activation): relu']
    """
    sites = find_activations(model)
    outputs = output_makers(model)
    gates = {id(layer) for layer in _gates(model)}
    cells = [
        layer
        for layer in all_layers(model)
        if hasattr(layer, "state_size") and not isinstance(layer, keras.Model)
    ]
    recurrent = {id(layer) for cell in cells for layer in all_layers(cell)}
    roles = [_role(site, outputs, gates, recurrent) for site in sites]
    if activations is None:
        chosen = [site for site, role in zip(sites, roles, strict=True) if not role]
        if not chosen:
            raise ValueError(_nothing(sites, roles))
        return chosen
    is_list = isinstance(activations, list | tuple | set) and bool(activations)
    if not (is_list and all(isinstance(name, str) for name in activations)):
        raise ValueError(
            f"`activations` must be a list of names, such as ['relu']. Received: {activations!r}"
        )
    named: dict[int, ActivationSite] = {}
    for name in activations:
        fitting = [
            number
            for number, (site, role) in enumerate(zip(sites, roles, strict=True))
            # The function of an output is that of its loss: it has to be named by where it is.
            if _fits(site, name) or (_is_function(site, name) and role != _ROLES[2])
        ]
        if not fitting:
            raise ValueError(_missing(name, sites, roles))
        named |= {number: sites[number] for number in fitting}
    return [named[number] for number in sorted(named)]


def replaced_sites(
    sites: list[ActivationSite], activations: Sequence[str] | None, report: ReplacementReport
) -> list[ActivationSite]:
    """Returns those of the activations that another one can stand for.

    Not the softmax of attention, which is called with a mask, nor what no call reaches.

    Args:
        sites: What `searched_sites` returned.
        activations: What it was given.
        report: What came of replacing them.

    Raises:
        ValueError: If of what a name means none can be replaced.
    """
    replaced = set(map(key, report.replaced))
    reasons = {key(site): site.reason for site in report.kept}
    for name in activations or ():
        meant = [site for site in sites if _fits(site, name) or _is_function(site, name)]
        if not any(key(site) in replaced for site in meant):
            raise ValueError(
                f"{name!r} of `activations` cannot be searched for: {_path(meant[0])} "
                f"{reasons.get(key(meant[0])) or 'cannot be replaced'}."
            )
    return [site for site in sites if key(site) in replaced]


def is_output(model: keras.Model, sites: list[ActivationSite]) -> bool:
    """Says whether one of the activations makes an output of the model."""
    outputs = output_makers(model)
    return any(id(site.layer) in outputs for site in sites)


def key(site: ActivationSite) -> tuple[str, str]:
    """Returns what distinguishes a site from all others of its model."""
    return site.path, site.attribute


def _is_function(site: ActivationSite, name: str) -> bool:
    return ALIASES.get(name, name) == site.old


def _fits(site: ActivationSite, pattern: str) -> bool:
    path = f"{site.path}/{site.attribute}".strip("/")
    return pattern == site.attribute or any(
        fnmatch.fnmatchcase(name, pattern) for name in (site.path, path)
    )


def _role(site: ActivationSite, outputs: set[int], gates: set[int], recurrent: set[int]) -> str:
    """Returns why an activation is not searched for unless it is named; empty if it is."""
    if id(site.layer) in recurrent:
        return _ROLES[0]
    if site.old in _GATES and id(site.layer) in gates:
        return _ROLES[0]
    if id(site.layer) in outputs:
        return _ROLES[2]
    return _ROLES[1] if site.old in _NOT_ELEMENTWISE else ""


def _gates(layer: keras.Layer) -> Iterator[object]:
    """Yields the layers and operations whose outputs are multiplied with others."""
    for before, after in _neighbours(layer):
        if type(after).__name__ == "Multiply":
            yield before
            # Only its shape is another one.
            yield from (
                source
                for source, passed in _neighbours(layer)
                if passed is before and isinstance(before, keras.layers.Reshape)
            )
    for _, child in children(layer):
        if isinstance(child, keras.Layer):
            yield from _gates(child)


def _neighbours(layer: keras.Layer) -> list[tuple[object, object]]:
    """Returns the pairs of layers or operations of a model of which one feeds the other."""
    return [
        (producer(tensor)[0], node.operation)
        for node in (graph_nodes(layer) if isinstance(layer, keras.Model) else ())
        for tensor in node.input_tensors
    ]


def _nothing(sites: list[ActivationSite], roles: list[str]) -> str:
    if not sites:
        return "The model has no activation to search for: all its layers are linear."
    present = "; ".join(f"{site}, {role}" for site, role in zip(sites, roles, strict=True))
    return (
        "The model has no activation that shapes features. Name what to search for with "
        f"`activations`, such as activations=[{_path(sites[0])!r}]. It has: {present}."
    )


def _missing(name: str, sites: list[ActivationSite], roles: list[str]) -> str:
    outputs = [site for site, role in zip(sites, roles, strict=True) if role == _ROLES[2]]
    if any(site.old == ALIASES.get(name, name) for site in outputs):
        return (
            f"{name!r} is the function of the model's output alone, which is searched for only "
            f"where its path is named: activations=[{_path(outputs[0])!r}]."
        )
    return unknown("activation of this model", name, {*(s.old for s in sites), *map(_path, sites)})


def _path(site: ActivationSite) -> str:
    return f"{site.path}/{site.attribute}" if site.attribute else site.path
