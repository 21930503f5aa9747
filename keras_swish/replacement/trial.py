"""A copy of a model with other activations, and whether the code in it calls them."""

import re
from collections.abc import Mapping

import keras

from keras_swish.messages import first_line
from keras_swish.replacement.copying import Copier
from keras_swish.replacement.lookups import put_activation, spelling
from keras_swish.replacement.members import Key, is_sequence
from keras_swish.replacement.rules import Rule
from keras_swish.replacement.running import runs_own_code
from keras_swish.replacement.sites import LocatedActivation, children, neighbours
from keras_swish.replacement.survey import Survey, broken_sites
from keras_swish.replacement.watching import observe


class TrialCopy:
    """A copy of a model with other activations, run once to see if its code takes them.

    Args:
        model: The original.
        chosen: The sites with another activation, and what replaces it.
        found: The activations of the original.
        shared: Whether a shared activation layer stays shared.

    Attributes:
        model: The copy.
        copier: What has made it.
        scaled: Paths of the batch normalisations that now have a gamma, by the originals' ids.
        notes: What a file does not give back.
        broken: What is wrong with sites in the user's code, by their positions in `chosen`.
    """

    model: keras.Model

    def __init__(
        self,
        model: keras.Model,
        chosen: list[tuple[LocatedActivation, Rule]],
        found: Survey,
        shared: bool,
    ):
        replaced = [
            (position, located, rule)
            for position, (located, rule) in enumerate(chosen)
            if not rule.is_identity(located.site.old)
        ]
        texts: dict[int, dict[Key, str]] = {}
        objects, others = [], []
        for _, located, rule in replaced:
            text = None if located.text is None else spelling(rule.new)
            if located.text is None or located.key is None:
                others.append((located, rule))
            elif text is None:
                objects.append((located, rule))
            else:
                texts.setdefault(id(located.owner), {})[located.key] = text
        layer_rules, attribute_rules = _by_target(others)
        self.scaled = _unscaled_before(model, layer_rules, "")
        self.copier = Copier(
            {target: rule.make_layer for target, rule in layer_rules.items()},
            {target: rule.make_attribute for target, rule in attribute_rules.items()},
            set(self.scaled),
            shared,
            texts,
        )
        self.notes = [
            f"{located.site.path} ({type(located.owner).__name__}) now holds a layer in "
            f"{located.site.attribute}, where its code takes a string: a file that `save` writes "
            "does not give it back. Save its weights, and load them after replacing the "
            "activations of a fresh model."
            for located, _ in objects
        ]
        self.broken: dict[int, str] = {}
        try:
            self.model = self.copier.copy_model(model)
            copies = {id(old): new for old, new in self.copier.carried}
            for located, rule in objects:
                _put_in_place_of_string(located, rule, copies[id(located.owner)], found)
        except Exception as error:
            if not texts and not objects:
                raise
            self.broken = {
                position: f"{located.site} cannot be replaced by {rule.name} ({_reason(error)})"
                for position, located, rule in replaced
                if located.text is not None
            }
            return
        if any(located.key and runs_own_code(located.owner) for _, located, _ in replaced):
            names = [(located, rule.name) for _, located, rule in replaced]
            broken = broken_sites(names, found, observe(self.model), copies)
            self.broken = {replaced[position][0]: line for position, line in broken.items()}


def _reason(error: Exception) -> str:
    """Returns what an error says, without what Keras writes around it."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    text = str(error.args[0]) if error.args else str(error)
    inner = re.split(r"Error encountered:\s+|Exception encountered:\s+|\x1b\[1m", text)[-1]
    return first_line(ValueError(re.sub(r"\x1b\[\d*m", "", inner)))


def _put_in_place_of_string(
    located: LocatedActivation, rule: Rule, owner: keras.Layer, found: Survey
) -> None:
    """Puts an activation that no string can name where a string was."""
    activation = rule.make_attribute(owner)
    shape = next(each.call.shape for each in found.lookups if each.located == located)
    if isinstance(activation, keras.Layer) and not activation.built and shape is not None:
        activation.build(shape)
    assert located.key is not None
    put_activation(owner, located.key, activation)


def _by_target(
    chosen: list[tuple[LocatedActivation, Rule]],
) -> tuple[dict[int, Rule], dict[tuple[int, Key], Rule]]:
    """Returns the rules for layers and operations, by id, and for attributes, by id and key."""
    layer_rules, attribute_rules = {}, {}
    for located, rule in chosen:
        if located.key is None:
            layer_rules[id(located.activation)] = rule
        else:
            attribute_rules[id(located.owner), located.key] = rule
    return layer_rules, attribute_rules


def _unscaled_before(
    layer: keras.Layer, layer_rules: Mapping[int, Rule], path: str
) -> dict[int, str]:
    """Returns the batch normalisations without gamma before what is no longer homogeneous."""
    unscaled = {}
    for before, after in neighbours(layer):
        rule = layer_rules.get(id(after))
        if rule is None or rule.homogeneous:
            continue
        before_path = f"{path}/{before.name}"
        while is_sequence(before) and before.layers:
            before = before.layers[-1]
            before_path = f"{before_path}/{before.name}"
        if isinstance(before, keras.layers.BatchNormalization) and not before.scale:
            unscaled[id(before)] = before_path.lstrip("/")
    for _, child in children(layer):
        if isinstance(child, keras.Layer) and id(child) not in layer_rules:
            unscaled |= _unscaled_before(child, layer_rules, f"{path}/{child.name}".lstrip("/"))
    return unscaled
