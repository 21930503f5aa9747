"""One model in, the same model with other activations out."""

import dataclasses
import fnmatch
import re
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, overload

import keras

from keras_swish.registry import Identifier
from keras_swish.replacement.advice import check_model
from keras_swish.replacement.copying import Copier, Factory
from keras_swish.replacement.direct_calls import find_direct_calls
from keras_swish.replacement.gammas import unscaled_before
from keras_swish.replacement.members import Key
from keras_swish.replacement.places import Places
from keras_swish.replacement.rules import BetaInitializer, Rule
from keras_swish.replacement.saving import make_savable
from keras_swish.replacement.sites import (
    ActivationSite,
    LocatedActivation,
    locate_activations,
    output_makers,
)
from keras_swish.replacement.surroundings import Surroundings

# Which activation sites: patterns of their paths, or a predicate.
Where = str | re.Pattern | Sequence[str | re.Pattern] | Callable[[ActivationSite], bool]


@dataclasses.dataclass(frozen=True)
class ReplacementReport:
    """What `replace_activations` did.

    Attributes:
        replaced: The sites with another activation.
        kept: All other sites: `reason` says why, where a key of the replacements meant them.
        scaled: Paths of the batch normalisations that now have a gamma, of 1.
        direct_calls: Activations called from Python code, which no replacement of layers reaches.
        notes: What else is not as in the original.
    """

    replaced: tuple[ActivationSite, ...]
    kept: tuple[ActivationSite, ...]
    scaled: tuple[str, ...]
    direct_calls: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self):
        kept = [f"{site}" + (f" ({site.reason})" if site.reason else "") for site in self.kept]
        sections = {
            f"{len(self.replaced)} replaced": self.replaced,
            f"{len(self.kept)} kept": kept,
            "gamma on": self.scaled,
            "called from Python code": self.direct_calls,
            "notes": self.notes,
        }
        lines = []
        for title, entries in sections.items():
            if entries or title.endswith("replaced"):
                lines += [f"{title}:", *(f"  {entry}" for entry in entries)]
        return "\n".join(lines)


def find_activations(model: keras.Model) -> list[ActivationSite]:
    """Returns the activation sites of a model.

    Args:
        model: A Keras model of any class.

    Returns:
        One for each activation layer, activation function of a layer, and activation operation of
        the graph, in the order of the graph. What is shared is listed once; linear activations
        are left out.

    Raises:
        TypeError: If it is no Keras model.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(8, "relu", name="hidden")]
        ... )
        >>> [str(site) for site in keras_swish.find_activations(model)]
        ['hidden (activation): relu']
    """
    check_model(model)
    sites = [located.site for located in locate_activations(model)]
    return [site for site in sites if site.old != "linear"]


@overload
def replace_activations(
    model: keras.Model,
    replacements: Mapping[Any, Identifier],
    *,
    where: Where | None = ...,
    except_last: bool = ...,
    shared: bool = ...,
    beta_initializer: BetaInitializer = ...,
    strict: bool = ...,
    return_report: Literal[False] = ...,
) -> keras.Model: ...


@overload
def replace_activations(
    model: keras.Model,
    replacements: Mapping[Any, Identifier],
    *,
    where: Where | None = ...,
    except_last: bool = ...,
    shared: bool = ...,
    beta_initializer: BetaInitializer = ...,
    strict: bool = ...,
    return_report: Literal[True],
) -> tuple[keras.Model, ReplacementReport]: ...


def replace_activations(
    model: keras.Model,
    replacements: Mapping[Any, Identifier],
    *,
    where: Where | None = None,
    except_last: bool = True,
    shared: bool = True,
    beta_initializer: BetaInitializer = None,
    strict: bool = True,
    return_report: bool = False,
) -> keras.Model | tuple[keras.Model, ReplacementReport]:
    """Returns a new model with the same weights and names, and other activations.

    Activation layers, the `activation` of any layer, operations such as `keras.ops.relu` in a
    graph, and `Lambda` layers around a function of Keras's are found, in nested models, wrappers
    and layers that hold layers too. The original is left as it is.

    The new model is not compiled: an optimizer has to be built for the new weights.

    Args:
        model: Functional, Sequential, or subclassed; it must be built. Its class stays, and what
            several layers share they share in the new model. Of a class that makes its layers in
            its own code, files have the new activations too; what could not be made again from a
            file is refused when it is saved.
        replacements: Old activations and the new ones, as `{"relu": "swish_beta"}`. An old one
            is a name, a formula, a function, a layer class, or a layer, and means what it
            computes: `"relu"` is the function in all its forms and not ReLU6, `"silu"` is
            `"swish"`. A new one is anything that `keras_swish.layer` takes.
        where: Which activation sites: a pattern of their paths as in `fnmatch`, such as
            `"block5_*"`, a compiled regular expression, a list of these, or a function from
            `ActivationSite` to bool. By default all. The gates of recurrent layers are among them
            only where a pattern names them: `where="*recurrent_activation"`.
        except_last: Whether the activations that make the model's outputs stay; in a subclassed
            model, those of the last layer that it owns.
        shared: Whether an activation layer that is called several times stays shared; otherwise
            each call has a layer of its own. An activation that a shared layer holds stays shared.
        beta_initializer: What the new trainable betas start from: a Keras initializer, a
            number, or `"relu_like"`, the value with which the new function is as close to ReLU
            as it gets (possible for `"swish_beta"` and `"prelu"`). By default each
            activation's own.
        strict: Whether to raise where the Python code of a layer calls an activation as a
            function, which cannot be replaced; otherwise a warning says so.
        return_report: Whether to return a `ReplacementReport` too.

    Returns:
        The new model, or with `return_report=True` the model and the report.

    Raises:
        TypeError: If it is no Keras model, or the replacements are no dictionary.
        ValueError: If there is nothing to replace, an activation is unknown, a layer cannot be
            copied, or with `strict=True` an activation is called from Python code.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential(
        ...     [
        ...         keras.Input((4,)),
        ...         keras.layers.Dense(8, "relu", name="hidden"),
        ...         keras.layers.Dense(2, "softmax"),
        ...     ]
        ... )
        >>> swish, report = keras_swish.replace_activations(
        ...     model, {"relu": "swish_beta"}, return_report=True
        ... )
        >>> [str(site) for site in report.replaced]
        ['hidden (activation): relu -> swish_beta']
        >>> swish.count_params() - model.count_params()
        8

    Source: Ramachandran et al. 2017, abstract: "its similarity to ReLU make it easy for
    practitioners to replace ReLUs with Swish units in any neural network".
    """
    check_model(model)
    if not isinstance(replacements, Mapping):
        raise TypeError(
            "`replacements` must be a dictionary from old activations to new ones, such as "
            f"{{'relu': 'swish'}}. Received: {replacements!r}"
        )
    rules = [Rule(old, new, beta_initializer) for old, new in replacements.items()]
    kept_last = output_makers(model) if except_last else set()
    chosen, kept = _select(model, rules, where, kept_last)
    direct_calls = _direct_calls(model, rules)
    if strict and direct_calls:
        raise ValueError(
            "Some activations are called in the code of layers, where they cannot be replaced: "
            f"{'; '.join(direct_calls)}. Make them layers or attributes of the layer, or pass "
            "strict=False to replace the others alone."
        )
    if not chosen:
        raise ValueError(_nothing(rules, kept))
    surroundings = Surroundings(model)
    changed = [each.activation for each, rule in chosen if not (each.key or rule.homogeneous)]
    scaled = unscaled_before(surroundings, changed)
    followers = {(id(one.owner), one.key): one.followers for one, _ in chosen if one.key}
    copier = Copier(*_factories(surroundings, chosen), set(scaled), shared, followers)
    new = copier.copy_model(model)
    replaced = [(one.owner, one.key) if one.key else (one.activation, None) for one, _ in chosen]
    notes = make_savable(model, copier, replaced)
    for note in [*(f"called from Python code: {line}" for line in direct_calls), *notes]:
        warnings.warn(f"replace_activations: {note}", stacklevel=2)
    if not return_report:
        return new
    sites = [dataclasses.replace(located.site, new=rule.name) for located, rule in chosen]
    return new, ReplacementReport(
        tuple(sites), tuple(kept), tuple(scaled.values()), tuple(direct_calls), tuple(notes)
    )


def _select(
    model: keras.Model, rules: list[Rule], where: Where | None, kept_last: set[int]
) -> tuple[list[tuple[LocatedActivation, Rule]], list[ActivationSite]]:
    chosen, kept = [], []
    for located in locate_activations(model):
        rule = next((rule for rule in rules if rule.matches(located.activation)), None)
        reason = rule and _reason_to_keep(located, rule, where, kept_last)
        if rule and not reason:
            chosen.append((located, rule))
        elif rule or located.site.old != "linear":
            kept.append(dataclasses.replace(located.site, reason=reason or ""))
    return chosen, kept


def _reason_to_keep(
    located: LocatedActivation, rule: Rule, where: Where | None, kept_last: set[int]
) -> str | None:
    site = located.site
    if site.old == rule.name and getattr(located.activation, "weights", None):
        return "is that already, with learned weights"
    if id(located.owner if located.key else located.activation) in kept_last:
        return "makes the model's output: see except_last"
    patterns = [where] if isinstance(where, str | re.Pattern) else where
    if callable(patterns):
        fitting = [site] if patterns(site) else []
    else:
        fitting = [pattern for pattern in patterns or ["*"] if _fits(site, pattern)]
    if not fitting:
        return "not chosen by `where`"
    if site.attribute == "recurrent_activation" and "recurrent_activation" not in str(fitting):
        return "a gate, which a pattern in `where` has to name"
    return None


def _fits(site: ActivationSite, pattern: str | re.Pattern) -> bool:
    names = [site.path, f"{site.path}/{site.attribute}"]
    if isinstance(pattern, re.Pattern):
        return any(pattern.search(name) for name in names)
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _factories(
    surroundings: Surroundings, chosen: list[tuple[LocatedActivation, Rule]]
) -> tuple[dict[int, Factory], dict[tuple[int, Key], Factory]]:
    """Returns what makes layers and operations, by id, and attributes, by id and key."""
    places = Places(surroundings)
    layer_factories, attribute_factories = {}, {}
    for located, rule in chosen:
        place = places.of(located)
        if located.key is None:
            layer_factories[id(located.activation)] = partial(rule.make_layer, place=place)
        else:
            target = id(located.owner), located.key
            attribute_factories[target] = partial(rule.make_attribute, place=place)
    return layer_factories, attribute_factories


def _direct_calls(model: keras.Model, rules: list[Rule]) -> list[str]:
    names = {name for rule in rules for name in rule.spellings()}
    return find_direct_calls(model, lambda f: any(rule.matches(f) for rule in rules), names)


def _nothing(rules: list[Rule], kept: list[ActivationSite]) -> str:
    reasons = {site.reason for site in kept if site.reason}
    if reasons:
        return f"Nothing was replaced: all that matches is kept ({'; '.join(sorted(reasons))})."
    counts = Counter(site.old for site in kept).most_common()
    present = ", ".join(f"{count} x {name}" for name, count in counts) or "none"
    wanted = ", ".join(repr(rule.old) for rule in rules) or "no replacements"
    return (
        f"Nothing to replace: the model has no such activation. It has: {present}. "
        f"Received: {wanted}"
    )
