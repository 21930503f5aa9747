"""All activations of a model: in its layers and graphs, looked up by strings, called in code."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras

from keras_swish.keras_compat import all_layers, calls
from keras_swish.replacement.members import is_keras, members
from keras_swish.replacement.sites import (
    ActivationSite,
    LocatedActivation,
    locate_activations,
    paths,
)
from keras_swish.replacement.watching.lookups import Lookup, find_lookups
from keras_swish.replacement.watching.observation import CodeCall, Observations, observe
from keras_swish.replacement.watching.running import runs_own_code


@dataclasses.dataclass(frozen=True)
class Survey:
    """The activations of a model.

    Attributes:
        located: Those that can be replaced: layers, operations, members of layers, and strings.
        lookups: The strings among them, with the calls that they lead to.
        calls: The activations that only code names, and those inside the functions of sites.
        observations: What running the calls of layers showed.
        order: The place of each layer and operation, by id.
    """

    located: tuple[LocatedActivation, ...]
    lookups: tuple[Lookup, ...]
    calls: tuple[CodeCall, ...]
    observations: Observations
    order: Mapping[int, int]

    def sites(self) -> list[ActivationSite]:
        """Returns the sites of all, in the order of the model."""
        sites = [located.site for located in self.located]
        sites += dict.fromkeys(code_site(call) for call in self.calls if call.site is None)
        return sorted(sites, key=lambda site: self.order.get(id(site.layer), len(self.order)))


def survey(model: keras.Model, functions: tuple[object, ...] = ()) -> Survey:
    """Returns the activations of a model, after running the calls of its layers once.

    Args:
        model: The model.
        functions: Functions and layer classes of the user's own that stand for activations.

    Raises:
        TypeError: If a layer of such a class is no activation.
    """
    classes = _activation_classes(model, functions)
    observations = observe(model, functions, classes)
    by_layer = paths(model)
    lookups = find_lookups(observations.calls, by_layer)
    strings = {(id(each.located.owner), each.located.key): each.located for each in lookups}
    looked_up = {each.call for each in lookups}
    located = [
        each
        for each in locate_activations(model, classes)
        if not each.is_kept or (id(each.owner), each.key) in observations.reached
    ]
    return Survey(
        (*located, *strings.values()),
        tuple(lookups),
        tuple(call for call in observations.calls if call not in looked_up),
        observations,
        {key: place for place, key in enumerate(by_layer)},
    )


def _activation_classes(model: keras.Model, keys: tuple[object, ...]) -> tuple[type, ...]:
    """Returns the layer classes of the user's own among the keys of a replacement."""
    own = [key for key in keys if isinstance(key, type) and issubclass(key, keras.Layer)]
    own = [key for key in own if not is_keras(key)]
    for layer in all_layers(model):
        if isinstance(layer, (*own,)) and any(not _keeps_shape(node) for node in calls(layer)):
            raise TypeError(
                f"The layer {layer.name!r} of class {type(layer).__name__}, which is to be "
                "replaced, is no activation: that takes one tensor and returns one of its shape."
            )
    return (*own,)


def _keeps_shape(node: Any) -> bool:
    # Its mask, if it takes one, is a tensor too.
    before, after = node.arguments.args, node.outputs
    is_one = len(after) == 1 and len(before) == 1 and isinstance(before[0], keras.KerasTensor)
    return is_one and before[0].shape == after[0].shape


def code_site(call: CodeCall) -> ActivationSite:
    """Returns what reports say of an activation that code calls."""
    return ActivationSite(call.path, "", call.name, layer=call.layers[0], code=call.location)


def broken_sites(
    chosen: list[tuple[LocatedActivation, str]],
    before: Survey,
    after: Observations,
    copies: Mapping[int, keras.Layer],
) -> dict[int, str]:
    """Returns what is wrong with the sites in the user's code, in a copy where they are replaced.

    Args:
        chosen: The sites that were replaced, each with the name of the new activation.
        before: The activations of the original.
        after: What running the copy's layers showed.
        copies: The copies of layers, by the originals' ids.

    Returns:
        A line for each site whose new activation the copy's code doesn't call, or whose old one it
        calls still, by the position in `chosen`.
    """
    failures = [line for line in after.not_examined if line not in before.observations.not_examined]
    reason = f" that works: {failures[0]}" if failures else ""
    lines = {}
    replaced = [located for located, _ in chosen]
    for position, (located, name) in enumerate(chosen):
        owner = copies.get(id(located.owner))
        if located.key is None or owner is None or not runs_own_code(located.owner):
            continue
        lookups = [lookup for lookup in before.lookups if lookup.located == located]
        was_reached = (id(located.owner), located.key) in before.observations.reached
        # Where it was handed on, the layers that got it call it.
        was_called = not located.followers and (lookups or was_reached)
        if was_called and not _is_called(located, lookups, owner, name, after, copies):
            calls = "; ".join(str(lookup.call) for lookup in lookups) or str(located.site)
            attribute = located.site.attribute
            lines[position] = f"{calls}, where {name} in {attribute} changes nothing{reason}"
        elif _is_called_still(located, name, before, replaced, after, owner):
            lines[position] = f"{located.site}: its code calls it as well, not from there"
    return lines


def _is_called(
    located: LocatedActivation,
    lookups: list[Lookup],
    owner: keras.Layer,
    name: str,
    after: Observations,
    copies: Mapping[int, keras.Layer],
) -> bool:
    """Says whether what stands at a site of the copy is called."""
    held = dict(members(owner)).get(located.key) if located.key else None
    if {(id(held), None), (id(owner), located.key)} & after.reached:
        return True
    return any(
        call.name == name
        and call.location == lookup.call.location
        and call.layers[0] is copies.get(id(lookup.call.layers[0]), call.layers[0])
        for lookup in lookups
        for call in after.calls
    )


def _is_called_still(
    located: LocatedActivation,
    name: str,
    before: Survey,
    replaced: list[LocatedActivation],
    after: Observations,
    owner: keras.Layer,
) -> bool:
    """Says whether the copy's code calls what was replaced, not led to it by a kept string."""
    if name == located.site.old:
        return False
    known = {_pair(call) for call in before.observations.calls if call.layers[0] is located.owner}
    led_to = {True: set(), False: set()}
    for lookup in before.lookups:
        led_to[lookup.located in replaced].add(_pair(lookup.call))
    known -= led_to[True] - led_to[False]
    return any(
        call.layers[0] is owner and call.name == located.site.old and _pair(call) not in known
        for call in after.calls
    )


def _pair(call: CodeCall) -> tuple[str, str]:
    return call.location, call.name
