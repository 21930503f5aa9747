"""One model in, the same model with other activations out."""

import dataclasses
import fnmatch
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import keras

from keras_swish import registry
from keras_swish.layers import TrainableActivation
from keras_swish.registry import Identifier, is_homogeneous
from keras_swish.replacement.copying import Copier
from keras_swish.replacement.direct_calls import unreached
from keras_swish.replacement.members import is_keras, is_sequence
from keras_swish.replacement.recognise import describe, function_of, matcher
from keras_swish.replacement.sites import ActivationSite, Found, children, last, neighbours, walk

# The beta with which a function is as close to ReLU as it gets, by the function's name. Swish
# is within 0.28 / beta of it; this is the largest power of two that float16 has.
RELU_LIKE = {"swish_beta": 2.0**15, "prelu": 0.0}

Where = str | re.Pattern | Sequence[str | re.Pattern] | Callable[[ActivationSite], bool]


@dataclasses.dataclass(frozen=True)
class ReplacementReport:
    """What `replace_activations` did.

    Attributes:
        replaced: The places with another activation.
        kept: All other places: `kept` says why, where a key of the replacements meant them.
        scaled: Paths of the batch normalisations that now have a gamma, of 1.
        unreached: Activations that code calls, which no replacement of layers can reach.
        notes: What else is not as in the original.
    """

    replaced: tuple[ActivationSite, ...]
    kept: tuple[ActivationSite, ...]
    scaled: tuple[str, ...]
    unreached: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self):
        lines = [f"{len(self.replaced)} replaced:", *(f"  {place}" for place in self.replaced)]
        if self.kept:
            lines += [f"{len(self.kept)} kept:"]
            lines += [f"  {p}" + (f" ({p.kept})" if p.kept else "") for p in self.kept]
        rest = {
            "gamma on": self.scaled,
            "not reached": self.unreached,
            "notes": self.notes,
        }
        for title, entries in rest.items():
            if entries:
                lines += [f"{title}:", *(f"  {entry}" for entry in entries)]
        return "\n".join(lines)


def find_activations(model: keras.Model) -> list[ActivationSite]:
    """Returns every place of a model where an activation stands.

    Args:
        model: A Keras model of any kind.

    Returns:
        One `ActivationSite` for each activation layer, activation function of a layer, and
        activation operation of the graph, in the order of the graph. What is shared stands there
        once.
        Linear activations are left out.

    Raises:
        TypeError: If it is no Keras model.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential(
        ...     [keras.Input((4,)), keras.layers.Dense(8, "relu", name="hidden")]
        ... )
        >>> [str(place) for place in keras_swish.find_activations(model)]
        ['hidden (activation): relu']
    """
    _check(model)
    return [found.place for found in walk(model, "", set()) if found.place.old != "linear"]


def replace_activations(
    model: keras.Model,
    replacements: Mapping[Identifier, Identifier],
    *,
    where: Where | None = None,
    except_last: bool = True,
    shared: bool = True,
    beta_initializer: str | float | keras.initializers.Initializer | None = None,
    strict: bool = True,
    return_report: bool = False,
) -> keras.Model | tuple[keras.Model, ReplacementReport]:
    """Returns a new model with the same weights and names, and other activations.

    Activation layers, the `activation` of any layer, operations such as `keras.ops.relu` in a
    graph, and `Lambda` layers around a known function are found, in nested models, wrappers
    and layers that hold layers too. The original is left as it is.

    The new model is not compiled: an optimizer has to be built for the new weights.

    Args:
        model: Functional, Sequential, or subclassed; it must be built. A subclassed model, or
            layer, must have a configuration to be made again from (`get_config`).
        replacements: Old activations and the new ones, as `{"relu": "swish_beta"}`. An old one
            is a name, a formula, a function, a layer class, or a layer, and means what it
            computes: `"relu"` is the function in all its forms and not ReLU6, `"silu"` is
            `"swish"`. A new one is anything that `keras_swish.layer` takes.
        where: Which places: a pattern of their paths as in `fnmatch`, such as
            `"block5_*"`, a compiled regular expression, a list of these, or a function from
            `ActivationSite` to bool. By default all. The gates of recurrent layers are among them
            only where a pattern names them: `where="*recurrent_activation"`.
        except_last: Whether the activations that make the model's outputs stay; in a subclassed
            model, those of the last layer that it owns.
        shared: Whether an activation layer called in several places stays shared; otherwise
            each call has a layer of its own. An activation inside a shared layer stays shared.
        beta_initializer: What the new trainable betas start from: a Keras initializer, a
            number, or `"relu_like"`, the value with which the new function is as close to ReLU
            as it gets (possible for `"swish_beta"` and `"prelu"`). By default each
            activation's own.
        strict: Whether to raise where the code of a layer calls an activation as a function,
            which cannot be replaced; otherwise a warning says so.
        return_report: Whether to return a `ReplacementReport` too.

    Returns:
        The new model, or with `return_report=True` the model and the report.

    Raises:
        TypeError: If it is no Keras model, or the replacements are no dictionary.
        ValueError: If nothing was found to replace, an activation is unknown, a layer cannot be
            made again, or with `strict=True` something could not be reached.

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
        >>> [str(place) for place in report.replaced]
        ['hidden (activation): relu -> swish_beta']
        >>> swish.count_params() - model.count_params()
        8

    Source: Ramachandran et al. 2017, abstract: "its similarity to ReLU make it easy for
    practitioners to replace ReLUs with Swish units in any neural network".
    """
    _check(model)
    if not isinstance(replacements, Mapping):
        raise TypeError(
            "`replacements` must be a dictionary from old activations to new ones, such as "
            f"{{'relu': 'swish'}}. Received: {replacements!r}"
        )
    rules = [_Rule(old, new, beta_initializer) for old, new in replacements.items()]
    chosen, kept = _select(model, rules, where, last(model) if except_last else set())
    missed = _unreached(model, rules)
    if strict and missed:
        raise ValueError(
            "Some activations are called in the code of layers, where they cannot be replaced: "
            f"{'; '.join(missed)}. Make them layers or attributes of the layer, or pass "
            "strict=False to replace the others alone."
        )
    if not chosen:
        raise ValueError(_nothing(rules, kept))
    whole = {id(f.thing): rule for f, rule in chosen if not f.key}
    scaled = _unscaled_before(model, whole, "")
    copier = Copier(
        {key: rule.instead_of for key, rule in whole.items()},
        {(id(f.owner), f.key): rule.inside for f, rule in chosen if f.key},
        set(scaled),
        shared,
    )
    new = copier.run(model)
    notes = [*copier.changed_classes, *_reloads_otherwise(copier)]
    for note in [*(f"not reached: {line}" for line in missed), *notes]:
        warnings.warn(f"replace_activations: {note}", stacklevel=2)
    if not return_report:
        return new
    replaced = [dataclasses.replace(f.place, new=rule.name) for f, rule in chosen]
    return new, ReplacementReport(
        tuple(replaced), tuple(kept), tuple(scaled.values()), tuple(missed), tuple(notes)
    )


class _Rule:
    """One entry of the replacements."""

    def __init__(self, old: Identifier, new: Identifier, beta_initializer):
        self.old = old
        self.matches = matcher(old)
        self.new = new
        self.homogeneous = is_homogeneous(new)
        template = registry.layer(new)
        self.name = describe(template)
        self.beta_initializer = _initializer(beta_initializer, template, self.name)

    def instead_of(self, old) -> keras.Layer:
        """Makes the layer for the place of a layer or operation."""
        new = registry.layer(self.new, name=old.name)
        if isinstance(old, keras.Layer):
            new.activity_regularizer = old.activity_regularizer
        return self._prepared(new, _policy(old))

    def inside(self, host: keras.Layer):
        """Makes the activation for a place inside a layer: a function, where that will do."""
        new = registry.layer(self.new)
        function = function_of(new)
        if not isinstance(function, keras.Layer):
            return function
        return self._prepared(function, _policy(host))

    def _prepared(self, new: keras.Layer, policy: keras.DTypePolicy) -> keras.Layer:
        new.dtype_policy = policy
        if self.beta_initializer is not None and isinstance(new, TrainableActivation):
            new.beta_initializer = self.beta_initializer
        return new


def _initializer(beta_initializer, template: keras.Layer, name: str):
    if beta_initializer == "relu_like":
        if name not in RELU_LIKE:
            raise ValueError(
                "`beta_initializer='relu_like'` needs an activation whose beta can make it ReLU: "
                f"{', '.join(RELU_LIKE)}. Received: {name!r}"
            )
        beta_initializer = RELU_LIKE[name]
    if isinstance(beta_initializer, (int, float)):
        return keras.initializers.Constant(beta_initializer)
    return beta_initializer and keras.initializers.get(beta_initializer)


def _policy(old) -> keras.DTypePolicy:
    if isinstance(old, keras.Layer):
        # Of a quantised layer, "int8_from_float32", the activation computes in float32.
        return keras.DTypePolicy(old.dtype_policy.name.rpartition("_from_")[2])
    dtype = old.output.dtype
    return keras.DTypePolicy(f"mixed_{dtype}" if dtype in ("float16", "bfloat16") else dtype)


def _check(model) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a keras.Model. Received: {model!r} (of type {type(model).__name__})"
        )


def _select(model, rules, where, last) -> tuple[list[tuple[Found, _Rule]], list[ActivationSite]]:
    chosen, kept = [], []
    for found in walk(model, "", set()):
        rule = next((rule for rule in rules if rule.matches(found.thing)), None)
        reason = rule and _reason_to_keep(found, rule, where, last)
        if rule and not reason:
            chosen.append((found, rule))
        elif rule or found.place.old != "linear":
            kept.append(dataclasses.replace(found.place, kept=reason or ""))
    return chosen, kept


def _reason_to_keep(found: Found, rule: _Rule, where: Where | None, last: set[int]) -> str | None:
    place = found.place
    if place.old == rule.name and getattr(found.thing, "weights", None):
        return "is that already, with learned weights"
    if id(found.owner if found.key else found.thing) in last:
        return "makes the model's output: see except_last"
    patterns = [where] if isinstance(where, str | re.Pattern) else where
    if callable(patterns):
        chosen = [place] if patterns(place) else []
    else:
        chosen = [p for p in patterns or ["*"] if _fits(place, p)]
    if not chosen:
        return "not chosen by `where`"
    if place.attribute == "recurrent_activation" and "recurrent_activation" not in str(chosen):
        return "a gate, which a pattern in `where` has to name"
    return None


def _fits(place: ActivationSite, pattern: str | re.Pattern) -> bool:
    names = [place.path, f"{place.path}/{place.attribute}"]
    if isinstance(pattern, re.Pattern):
        return any(pattern.search(name) for name in names)
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _unscaled_before(layer, whole: Mapping[int, _Rule], path: str) -> dict[int, str]:
    """Finds the batch normalisations without gamma before what is no longer homogeneous."""
    scaled = {}
    for before, after in neighbours(layer):
        rule = whole.get(id(after))
        if rule is None or rule.homogeneous:
            continue
        where = f"{path}/{before.name}"
        while is_sequence(before) and before.layers:
            before = before.layers[-1]
            where = f"{where}/{before.name}"
        if isinstance(before, keras.layers.BatchNormalization) and not before.scale:
            scaled[id(before)] = where.lstrip("/")
    for _, child in children(layer):
        if isinstance(child, keras.Layer) and id(child) not in whole:
            scaled |= _unscaled_before(child, whole, f"{path}/{child.name}".lstrip("/"))
    return scaled


def _unreached(model: keras.Model, rules: list[_Rule]) -> list[str]:
    names = {name for rule in rules for name in _spellings(rule)}
    return unreached(model, lambda thing: any(rule.matches(thing) for rule in rules), names)


def _spellings(rule: _Rule) -> list[str]:
    name = rule.old if isinstance(rule.old, str) else describe(rule.old)
    return ["silu", "swish"] if name in ("silu", "swish") else [name]


def _reloads_otherwise(copier: Copier) -> list[str]:
    """Finds the layers that a file would give back with the activations of their code."""
    notes = []
    for old, new in copier.carried():
        if is_keras(type(old)) or [*_kinds(old)] == [*_kinds(new)]:
            continue
        try:
            again = type(new).from_config(new.get_config())
            if new.built and not again.built:
                again.build_from_config(new.get_build_config())
            is_kept = [*_kinds(again)] == [*_kinds(new)]
        except Exception:
            is_kept = False
        if not is_kept:
            notes.append(
                f"{new.name} ({type(new).__name__}) makes its activations in its own code: a file "
                "that `save` writes does not give it back with the new ones. Save its weights, "
                "and load them after replacing the activations of a fresh model."
            )
    return notes


def _kinds(layer: keras.Layer) -> Iterator[str]:
    return (found.place.old for found in walk(layer, "", set()))


def _nothing(rules: list[_Rule], kept: list[ActivationSite]) -> str:
    reasons = {place.kept for place in kept if place.kept}
    if reasons:
        return f"Nothing was replaced: all that was found is kept ({'; '.join(sorted(reasons))})."
    counts = Counter(place.old for place in kept).most_common()
    there = ", ".join(f"{count} x {name}" for name, count in counts) or "none"
    wanted = ", ".join(repr(rule.old) for rule in rules) or "no replacements"
    return (
        f"Nothing to replace: the model has no such activation. It has: {there}. Received: {wanted}"
    )
