"""One model in, the same model with other activations out."""

import dataclasses
import fnmatch
import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, overload

import keras

from keras_swish.registry import Identifier
from keras_swish.replacement.advice import check_model
from keras_swish.replacement.copying.saving import make_savable
from keras_swish.replacement.recognise import difference_from_keras
from keras_swish.replacement.rules import BetaInitializer, Rule, change_of_shape
from keras_swish.replacement.sites import (
    ActivationSite,
    LocatedActivation,
    output_makers,
)
from keras_swish.replacement.trial import TrialCopy
from keras_swish.replacement.watching.observation import CodeCall
from keras_swish.replacement.watching.survey import Survey, code_site, survey

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
        not_examined: Layers of the user's own, and `Lambda` layers, of which it is not known
            whether they compute an activation: their code could not be run, or on values alone,
            of which it may ask, or calls compiled code, or something elementwise that is no known
            activation, such as `maximum(x, 0)`, or `x * (x > 0)`.
    """

    replaced: tuple[ActivationSite, ...]
    kept: tuple[ActivationSite, ...]
    scaled: tuple[str, ...]
    direct_calls: tuple[str, ...]
    notes: tuple[str, ...]
    not_examined: tuple[str, ...] = ()

    def __str__(self):
        kept = [f"{site}" + (f" ({site.reason})" if site.reason else "") for site in self.kept]
        sections = {
            f"{len(self.replaced)} replaced": self.replaced,
            f"{len(self.kept)} kept": kept,
            "gamma on": self.scaled,
            "called from Python code": self.direct_calls,
            "notes": self.notes,
            "not examined": self.not_examined,
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
        are left out. The calls of layers with code of the user's own are run once, on symbolic
        tensors: a string by which that code looks an activation up is a site too, and so is an
        activation that only the code names, which cannot be replaced: its `code` says where it is
        called. Each `old` is a key of the replacements that `replace_activations` takes.

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
    return [site for site in survey(model).sites() if site.old != "linear"]


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
    and layers that hold layers too. The calls of layers with code of the user's own are run once,
    in the original and in the copy: a string by which that code looks its activation up is
    replaced, where the code then calls the new one. The original is left as it is.

    The new model is not compiled: an optimizer has to be built for the new weights.

    Args:
        model: Functional, Sequential, or subclassed; it must be built. A subclassed model, or
            layer, must have a configuration to be made again from (`get_config`).
        replacements: Old activations and the new ones, as `{"relu": "swish_beta"}`. An old one
            is a name, a formula, a function, a layer class, or a layer, and means what it
            computes: `"relu"` is the function in all its forms and not ReLU6, `"silu"` is
            `"swish"`; whatever name `find_activations` gives is an old one too. A new one is
            anything that `keras_swish.layer` takes. A name replaced by itself changes nothing,
            even where Keras means another function by it (a function or a layer as the new one
            does). A layer that was made with a `dtype` keeps it; every other new activation
            computes in the dtype of what it replaces.
        where: Which activation sites: a pattern of their paths as in `fnmatch`, such as
            `"block5_*"`, a compiled regular expression, a list of these, or a function from
            `ActivationSite` to bool. By default all. The gates of recurrent layers are among them
            only where a pattern names them: `where="*recurrent_activation"`.
        except_last: Whether the activations that make the model's outputs stay, of those outputs
            that no other layer takes; in a subclassed model, those of the last layer that it owns.
        shared: Whether an activation layer that is called several times stays shared; otherwise
            each call has a layer of its own. An activation that a shared layer holds stays shared.
        beta_initializer: What the new trainable betas start from: a Keras initializer, a
            number, or `"relu_like"`, the value with which the new function is as close to ReLU
            as it gets (possible for `"swish_beta"` and `"prelu"`). By default each
            activation's own.
        strict: Whether to raise where an activation cannot be replaced: where the Python code of
            a layer calls one that is neither a layer nor in one of its attributes (otherwise a
            warning says so), and where a softmax layer is called with a mask, which only another
            softmax takes, or is over another axis than the last one, which the new one would be
            over (otherwise it is kept, with that reason).
        return_report: Whether to return a `ReplacementReport` too.

    Returns:
        The new model, or with `return_report=True` the model and the report.

    Raises:
        TypeError: If it is no Keras model, or the replacements are no dictionary.
        ValueError: If there is nothing to replace, an activation is unknown, no new one has a
            beta for `beta_initializer`, a new one changes the shape that the old one keeps, a
            layer cannot be made again, or with `strict=True` an activation is called from Python
            code, or with a mask or an axis that the new one does not take.

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
    if where is not None and not callable(where):
        # Once: an iterator would be at its end behind the first site.
        where = _patterns(where)
    found = survey(model, tuple(key for key in replacements if callable(key)))
    printed = {site.old for site in found.sites()}
    rules = [Rule(old, new, beta_initializer, printed) for old, new in replacements.items()]
    if beta_initializer is not None and rules and not any(rule.has_betas for rule in rules):
        raise ValueError(
            "`beta_initializer` is for betas, and no new activation has one. Received: "
            f"beta_initializer={beta_initializer!r}, for {', '.join(rule.name for rule in rules)}"
        )
    kept_last = output_makers(model) if except_last else set()
    chosen, kept = _select(found, rules, where, kept_last)
    chosen, refused = _without_masks_and_axes(chosen, found.observations.masked)
    if refused and strict:
        raise ValueError(
            "Some softmax layers are called with a mask, or are over another axis than the last "
            "one, which the new activations do not take: "
            f"{'; '.join(f'{site.path} by {site.new}' for site in refused)}. Leave them out with "
            "`where`, or pass strict=False to replace the others alone."
        )
    kept += [dataclasses.replace(site, new=None) for site in refused]
    calls, kept_calls = _select_calls(found, rules, where, [each for each, _ in chosen])
    direct_calls = [str(call) for call in calls]
    if strict or not chosen:
        _refuse(direct_calls, bool(chosen))
    if not chosen:
        raise ValueError(_nothing(rules, [*kept, *kept_calls], found))
    _check_shapes(chosen)
    copy = TrialCopy(model, chosen, found, shared)
    while copy.broken:
        direct_calls += copy.broken.values()
        if strict:
            _refuse(direct_calls, len(copy.broken) < len(chosen))
        kept += [dataclasses.replace(chosen[i][0].site, reason=_IN_CODE) for i in copy.broken]
        chosen = [each for i, each in enumerate(chosen) if i not in copy.broken]
        if not chosen:
            raise ValueError(_nothing(rules, [*kept, *kept_calls], found))
        copy = TrialCopy(model, chosen, found, shared)
    notes = make_savable(model, copy.copier, copy.replaced)
    for note in [*(f"called from Python code: {line}" for line in direct_calls), *notes]:
        warnings.warn(f"replace_activations: {note}", stacklevel=2)
    if not return_report:
        return copy.model
    replaced = [dataclasses.replace(located.site, new=rule.name) for located, rule in chosen]
    return copy.model, ReplacementReport(
        tuple(replaced),
        tuple([*kept, *kept_calls]),
        tuple(copy.scaled.values()),
        tuple(direct_calls),
        (*notes, *copy.notes, *_differences(chosen)),
        found.observations.not_examined,
    )


def _patterns(where: Any) -> list[str | re.Pattern]:
    is_one = isinstance(where, str | re.Pattern)
    patterns = [where] if is_one else list(where) if isinstance(where, Iterable) else None
    if patterns is None or not all(isinstance(one, str | re.Pattern) for one in patterns):
        raise TypeError(
            "`where` must be a pattern such as 'block5_*', a compiled regular expression, a list "
            f"of these, or a function of an ActivationSite. Received: {where!r}"
        )
    return patterns


# Why a site is kept that only the code that looks it up can replace.
_IN_CODE = "its code does not take the new one"


def _refuse(direct_calls: list[str], are_others: bool) -> None:
    if direct_calls:
        others = ", or pass strict=False to replace the others alone" if are_others else ""
        raise ValueError(
            "Some activations are called in the code of layers, where they cannot be replaced: "
            f"{'; '.join(direct_calls)}. Make them layers or attributes of the layer{others}."
        )


def _check_shapes(chosen: list[tuple[LocatedActivation, Rule]]) -> None:
    for located, rule in chosen:
        if rule.change_of_shape and not change_of_shape(located.activation):
            raise ValueError(
                f"A new activation must keep the shape of what it is applied to, as {located.site} "
                f"does. Received: {rule.name}, which changes it, such as {rule.change_of_shape}."
            )


def _select(
    found: Survey, rules: list[Rule], where: Where | None, kept_last: set[int]
) -> tuple[list[tuple[LocatedActivation, Rule]], list[ActivationSite]]:
    chosen, kept = [], []
    for located in found.located:
        rule = next((rule for rule in rules if rule.matches(located.activation)), None)
        reason = rule and (
            _reason_to_keep(located, rule, where, kept_last)
            or _not_called(located, found.observations.never_called)
        )
        if rule and not reason:
            chosen.append((located, rule))
        elif rule or located.site.old != "linear":
            kept.append(dataclasses.replace(located.site, reason=reason or ""))
    return chosen, kept


def _not_called(located: LocatedActivation, never_called: Mapping[int, str]) -> str | None:
    """Returns why no call reaches an activation: those that it was handed on to count too."""
    if isinstance(located.activation, keras.Layer):
        return never_called.get(id(located.activation))
    if located.key is None:
        return None
    holders = [located.owner, *(holder for holder, _ in located.followers)]
    reasons = [never_called.get(id(holder)) for holder in holders]
    return reasons[0] if all(reasons) else None


def _without_masks_and_axes(
    chosen: list[tuple[LocatedActivation, Rule]], masked: Collection[int]
) -> tuple[list[tuple[LocatedActivation, Rule]], list[ActivationSite]]:
    """Takes out those whose mask, or whose axis, the new activation would not take."""
    possible, refused = [], []
    for located, rule in chosen:
        reason = ""
        if id(located.activation) in masked and not rule.takes_masks:
            reason = f"is called with a mask, which {rule.name} does not take"
        elif rule.loses_axis(located.activation) and not rule.is_identity(located.site.old):
            reason = f"is over another axis than the last one, which {rule.name} would be over"
        if reason:
            refused.append(dataclasses.replace(located.site, new=rule.name, reason=reason))
        else:
            possible.append((located, rule))
    return possible, refused


def _select_calls(
    found: Survey, rules: list[Rule], where: Where | None, chosen: list[LocatedActivation]
) -> tuple[list[CodeCall], list[ActivationSite]]:
    """Returns the calls in code that the replacements mean, and what else code calls."""
    meant, kept = [], {}
    for call in found.calls:
        if call.site is not None and (call.site in chosen or not call.exact):
            continue
        rule = next((r for r in rules if any(r.matches(each) for each in call.candidates)), None)
        located = LocatedActivation(code_site(call), None, call.layers[0], None)
        reason = rule and _reason_to_keep(located, rule, where, set())
        if rule and not reason and not rule.is_identity(call.name):
            meant.append(call)
        elif call.site is None:
            kept[dataclasses.replace(located.site, reason=reason or "")] = None
    return meant, list(kept)


def _reason_to_keep(
    located: LocatedActivation, rule: Rule, where: Where | None, kept_last: set[int]
) -> str | None:
    site = located.site
    if site.old == rule.name and getattr(located.activation, "weights", None):
        return "is that already, with learned weights"
    if id(located.owner if located.key else located.activation) in kept_last:
        return "makes the model's output: see except_last"
    if callable(where):
        fitting = [site] if where(site) else []
    else:
        patterns: Any = ["*"] if where is None else where
        fitting = [pattern for pattern in patterns if _fits(site, pattern)]
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


def _differences(chosen: list[tuple[LocatedActivation, Rule]]) -> list[str]:
    """Returns notes on the new activations whose names mean something else in Keras."""
    names = [
        rule.name
        for located, rule in chosen
        if rule.is_ours and not rule.is_identity(located.site.old)
    ]
    notes = {name: difference_from_keras(name) for name in names}
    return [f"{name}: {note}" for name, note in notes.items() if note]


def _nothing(rules: list[Rule], kept: list[ActivationSite], found: Survey) -> str:
    reasons = {site.reason for site in kept if site.reason}
    if reasons:
        return f"Nothing was replaced: all that matches is kept ({'; '.join(sorted(reasons))})."
    counts = Counter(site.old for site in kept).most_common()
    present = ", ".join(f"{count} x {name}" for name, count in counts) or "none"
    wanted = ", ".join(repr(rule.old) for rule in rules) or "no replacements"
    return (
        f"Nothing to replace: the model has no such activation. It has: {present}. "
        f"Received: {wanted}"
        + "".join(f". Not examined: {line}" for line in found.observations.not_examined[:3])
    )
