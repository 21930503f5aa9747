"""A copy of a model with other activations, and whether the code in it calls them."""

import functools
from typing import Any

import keras

from keras_swish.replacement.copying.copier import Copier, Factory
from keras_swish.replacement.copying.errors import reason
from keras_swish.replacement.gammas import notes_on_unscaled, unscaled_before
from keras_swish.replacement.handing import Holder
from keras_swish.replacement.members import Key
from keras_swish.replacement.places import Places
from keras_swish.replacement.rules import Rule
from keras_swish.replacement.sites import LocatedActivation
from keras_swish.replacement.surroundings import Surroundings
from keras_swish.replacement.watching.lookups import (
    build_again,
    check_is_tracked,
    set_texts,
    spelling,
)
from keras_swish.replacement.watching.observation import observe
from keras_swish.replacement.watching.running import runs_own_code
from keras_swish.replacement.watching.survey import Survey, broken_sites


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
        replaced: The sites that are other ones in the copy: the layer or operation, and None; or
            the layer, and where it holds the activation or the string that names it.
        scaled: Paths of the batch normalisations that now have a gamma, by the originals' ids.
        notes: What to say of those that have none.
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
        changed = [
            (position, located, rule)
            for position, (located, rule) in enumerate(chosen)
            if not rule.is_identity(located.site.old)
        ]
        self.replaced = [
            (located.owner, located.key) if located.key else (located.activation, None)
            for _, located, _ in changed
        ]
        surroundings = Surroundings(model)
        needing = [located for _, located, rule in changed if not rule.homogeneous]
        layers = [located.activation for located in needing if not located.key]
        self.scaled = unscaled_before(surroundings, layers)
        self.notes = notes_on_unscaled(surroundings, needing)
        factories = _Factories(Places(model, surroundings), found)
        for _, located, rule in changed:
            factories.add(located, rule)
        self.copier = Copier(
            factories.layers, factories.attributes, set(self.scaled), shared, factories.followers
        )
        self.broken: dict[int, str] = {}
        try:
            self.model = self.copier.copy_model(model)
            copies = {id(old): new for old, new in self.copier.carried}
            for owner, texts in factories.texts.items():
                set_texts(copies[owner], texts)
                build_again(copies[owner])
            for owner, activation in factories.of_strings:
                check_is_tracked(copies[id(owner)], activation)
        except Exception as error:
            strings = [each for each in changed if each[1].text is not None]
            if not strings:
                raise
            self.broken = {
                position: f"{located.site} cannot be replaced by {rule.name} ({reason(error)})"
                for position, located, rule in strings
            }
            return
        if any(located.key and runs_own_code(located.owner) for _, located, _ in changed):
            names = [(located, rule.name) for _, located, rule in changed]
            broken = broken_sites(names, found, observe(self.model), copies)
            self.broken = {changed[position][0]: line for position, line in broken.items()}


class _Factories:
    """What makes the new activations, for `Copier`.

    Args:
        places: Where the activations of the model stand.
        found: The activations of the model.

    Attributes:
        layers: For layers and operations, by id.
        attributes: For attributes, by the holder's id and the key.
        followers: The holders that get the same activation as an attribute.
        texts: The strings that name new activations, by the holder's id and the key.
        of_strings: The layers that stand where strings were, with their holders.
    """

    def __init__(self, places: Places, found: Survey):
        self.layers: dict[int, Factory] = {}
        self.attributes: dict[tuple[int, Key], Factory] = {}
        self.followers: dict[tuple[int, Key], tuple[Holder, ...]] = {}
        self.texts: dict[int, dict[Key, str]] = {}
        self.of_strings: list[tuple[keras.Layer, keras.Layer]] = []
        self._places = places
        self._found = found

    def add(self, located: LocatedActivation, rule: Rule) -> None:
        """Adds what replaces an activation."""
        place = self._places.of(located)
        if located.key is None:
            self.layers[id(located.activation)] = functools.partial(rule.make_layer, place=place)
            return
        target = id(located.owner), located.key
        self.followers[target] = located.followers
        if rule.keeps_softmax(located.activation):
            softmax = located.activation
            self.attributes[target] = lambda _: rule.make_layer(softmax, place)
            return
        place = place._replace(dtype=self._found.observations.dtypes.get(target))
        make = functools.partial(rule.make_attribute, place=place)
        if located.text is None:
            self.attributes[target] = make
        elif (text := spelling(rule.new)) is not None:
            self.texts.setdefault(target[0], {})[located.key] = text
        else:
            shapes = [each.call.shape for each in self._found.lookups if each.located == located]
            self.attributes[target] = functools.partial(self._of_string, make, shapes[0])

    def _of_string(self, make: Factory, shape: Any, owner: keras.Layer) -> Any:
        """Makes an activation that no string can name: a look-up takes it only if it is built."""
        activation = make(owner)
        if isinstance(activation, keras.Layer):
            self.of_strings.append((owner, activation))
            if not activation.built and shape is not None:
                activation.build(shape)
        return activation
