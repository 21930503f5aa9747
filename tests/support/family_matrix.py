"""What a replacement must do in a family of models, as measures and as checks of them.

`Subject` measures; `CHECKS` are what holds for every family; `cases` is the matrix of both, which
the tests run and `benchmarks/replacement.py` writes as a table.
"""

import collections
import contextlib
import functools
import importlib.util
import inspect
import pydoc

import keras
import numpy as np
import pytest
from family import random

import keras_swish
from keras_swish.keras_compat import all_layers

BETAS = keras.initializers.RandomUniform(0.5, 0.9)


class Subject:
    """A family's model with its replacements, each made once."""

    def __init__(self, family):
        keras.utils.set_random_seed(0)
        self.family = family
        self.model, self.x = family.build()
        disturb(self.model)
        with watched_calls() as calls:
            self.before = values(self.model, self.x)
        self.calls = collections.Counter(name for name, _ in calls)
        self.widths = collections.Counter()
        for name, width in calls:
            self.widths[name] += width

    @functools.cached_property
    def sites(self):
        return keras_swish.find_activations(self.model)

    def identity(self, name):
        """The model, an activation replaced by itself."""
        return keras_swish.replace_activations(
            self.model,
            {name: function(name, self.family)},
            except_last=False,
            strict=name not in self.family.called,
        )

    def identity_difference(self):
        """The largest difference that any of the identity replacements makes."""
        return max(
            difference(values(self.identity(name), self.x), self.before)
            for name in self.family.replaceable
        )

    def replace(self, names):
        """The model with `swish_beta` in place of these activations, and the report."""
        # Betas that differ; all of 1 would be no other function for a family of swish.
        options = {"except_last": False, "beta_initializer": BETAS, "return_report": True}
        return keras_swish.replace_activations(
            self.model, dict.fromkeys(names, "swish_beta"), **options
        )

    @functools.cached_property
    def _replaced(self):
        changed, report = self.replace(self.family.to_replace)
        return changed, report, values(changed, self.x)

    @property
    def changed(self):
        return self._replaced[0]

    @property
    def report(self):
        return self._replaced[1]

    @property
    def after(self):
        return self._replaced[2]

    def custom_objects(self):
        """The classes without which not even the original's file can be loaded."""
        layers = [] if self.family.registered else flat_layers(self.model)
        return {type(layer).__name__: type(layer) for layer in layers}

    def loaded(self, folder):
        """The changed model, saved to a file and loaded again."""
        path = folder / "model.keras"
        self.changed.save(path)
        with keras.saving.custom_object_scope(self.custom_objects()):
            return keras.saving.load_model(path)

    def trained(self):
        """How far one step of training moves each beta, which is 0 where it has no gradient."""
        model = self.changed
        outputs = model(self.x, training=False)
        rng = random(1)
        targets = keras.tree.map_structure(
            lambda output: rng.normal(size=output.shape).astype("float32"), outputs
        )
        losses = keras.tree.map_structure(lambda _: keras.losses.MeanSquaredError(), outputs)
        # It moves a weight by its learning rate, however small the gradient. KerasHub's own
        # methods would change the targets.
        keras.Model.compile(model, keras.optimizers.Lion(0.01), losses, run_eagerly=True)
        betas = [layer.beta for layer in swishes(model)]
        before = [keras.ops.convert_to_numpy(beta).copy() for beta in betas]
        keras.Model.train_on_batch(model, self.x, targets)
        return [keras.ops.convert_to_numpy(beta) - old for beta, old in zip(betas, before)]


subject = functools.lru_cache(maxsize=1)(Subject)


# Checks: what holds for every family.


def finds_what_the_source_has(subject):
    family = subject.family
    found = collections.Counter(site.old for site in subject.sites)
    assert found == collections.Counter(family.found) + collections.Counter(family.called)
    reached = found.total() - sum(family.never_called.values())
    assert subject.calls.total() == reached + family.repeated, subject.calls


def identity_changes_no_bit(subject):
    for name in subject.family.found.keys() - subject.family.replaceable:
        with pytest.raises(ValueError, match="is never called"):
            subject.identity(name)
    for name in subject.family.replaceable:
        same = subject.identity(name)
        assert is_of_class(same, subject.model), name
        assert shapes(same) == shapes(subject.model), name
        assert same.count_params() == subject.model.count_params(), name
        off = difference(values(same, subject.x), subject.before)
        assert off <= subject.family.tolerance, name


def replacing_leaves_no_call_of_the_old(subject):
    assert is_of_class(subject.changed, subject.model)
    assert difference(subject.after, subject.before) > 1e-5 * max(map(np.ptp, subject.before))
    with watched_calls() as calls:
        values(subject.changed, subject.x)
    assert not subject.family.to_replace_calls & {name for name, _ in calls}


def betas_are_as_many_as_the_features(subject):
    family = subject.family
    betas = [layer.beta for layer in swishes(subject.changed)]
    assert len(betas) == len(subject.report.replaced)
    replaced = collections.Counter(site.old for site in subject.report.replaced)
    expected = {name: family.found[name] for name in family.to_replace}
    assert replaced == collections.Counter(expected) - collections.Counter(family.never_called)
    assert number_of_betas(subject) == expected_betas(subject)
    added = subject.changed.count_params() - subject.model.count_params()
    assert added == expected_betas(subject) + gammas(subject)


def file_gives_the_model_back(subject, tmp_path):
    loaded = subject.loaded(tmp_path)
    assert is_of_class(loaded, subject.model)
    assert difference(values(loaded, subject.x), subject.after) == 0


def comes_back_bit_for_bit(subject):
    name, *others = subject.family.to_replace
    there = subject.replace([name])[0] if others else subject.changed
    old = function(name, subject.family)
    back = keras_swish.replace_activations(there, {"swish_beta": old}, except_last=False)
    assert difference(values(back, subject.x), subject.before) == 0


def one_step_moves_every_beta(subject):
    moved = [np.mean(change != 0) for change in subject.trained()]
    still = [layer.path for layer, share in zip(swishes(subject.changed), moved) if not share]
    assert len(still) == subject.family.unused, still
    # A feature may be zero for all of the few inputs.
    assert all(share > 0.9 or not share for share in moved), moved


def generates_as_before(subject):
    name = subject.family.to_replace[0]
    texts = [generated(m, subject.x) for m in (subject.model, subject.identity(name))]
    for one, two in zip(*map(keras.tree.flatten, texts), strict=True):
        np.testing.assert_array_equal(one, two)
    changed = generated(subject.changed, subject.x)
    assert [np.shape(y) for y in keras.tree.flatten(changed)] == [
        np.shape(y) for y in keras.tree.flatten(texts[0])
    ]


def is_refused_with_the_place_named(subject):
    with pytest.raises(ValueError, match=subject.family.refused):
        subject.replace(subject.family.to_replace)


CHECKS = (
    finds_what_the_source_has,
    identity_changes_no_bit,
    replacing_leaves_no_call_of_the_old,
    betas_are_as_many_as_the_features,
    file_gives_the_model_back,
    comes_back_bit_for_bit,
    one_step_moves_every_beta,  # the last one, as it changes the model
)
REFUSED = (finds_what_the_source_has, is_refused_with_the_place_named)


def cases(families):
    """The matrix: each family with each check that it is for."""
    return [
        pytest.param(family, check, id=f"{family.name}-{check.__name__}", marks=installed(family))
        for family in families
        for check in checks_of(family)
    ]


def installed(family):
    is_missing = importlib.util.find_spec(family.package) is None
    return pytest.mark.skipif(is_missing, reason=f"needs {family.package}")


def checks_of(family):
    if family.refused:
        return REFUSED
    checks = [c for c in CHECKS if family.loads or c is not file_gives_the_model_back]
    return [*checks, generates_as_before] if family.generates else checks


def run(family, check, tmp_path):
    """Runs a check on a family's model, which is built once for all its checks."""
    arguments = {"tmp_path": tmp_path} if "tmp_path" in inspect.signature(check).parameters else {}
    check(subject(family), **arguments)


# What the measures are made of.


@contextlib.contextmanager
def watched_calls():
    """Gives a list to which each call of an activation of Keras's backend adds name and width.

    What an activation calls in turn is left out. Nothing of the package under test is used.
    """
    backend = keras.ops.relu.__globals__["backend"]
    calls, is_inside = [], False

    def watched(name, function):
        @functools.wraps(function)
        def call(x, *args, **kwargs):
            nonlocal is_inside
            if is_inside:
                return function(x, *args, **kwargs)
            calls.append((name, x.shape[-1]))
            is_inside = True
            try:
                return function(x, *args, **kwargs)
            finally:
                is_inside = False

        return call

    names = [name for name, _ in inspect.getmembers(keras.activations, inspect.isfunction)]
    with pytest.MonkeyPatch.context() as patch:
        for module in (backend.nn, backend.numpy):  # tanh is in the latter
            for name in names:
                if hasattr(module, name):
                    patch.setattr(module, name, watched(name, getattr(module, name)))
        yield calls


def function(name, family):
    """The function that a name of a family's activations means."""
    own = family.own.get(name)
    return own or getattr(keras.activations, name, None) or pydoc.locate(name)


def number_of_betas(subject):
    return int(sum(np.prod(layer.beta.shape) for layer in swishes(subject.changed)))


def expected_betas(subject):
    if subject.family.betas is not None:
        return subject.family.betas
    return sum(subject.widths[name] for name in subject.family.to_replace_calls)


def gammas(subject):
    """The gammas that batch normalisations before a beta get."""
    names = {path.rpartition("/")[2] for path in subject.report.scaled}
    layers = [layer for layer in flat_layers(subject.changed) if layer.name in names]
    return sum(np.prod(layer.gamma.shape) for layer in layers)


def disturb(model, seed=0):
    """Changes every float weight a little, so that no two are equal and none is zero."""
    rng = random(seed)
    for variable in model.weights:
        if keras.backend.is_float_dtype(variable.dtype):
            value = keras.ops.convert_to_numpy(variable)
            noise = 0.1 * (np.std(value) or 1.0) * rng.normal(size=variable.shape)
            is_variance = "variance" in variable.name
            variable.assign(value + (np.abs(noise) if is_variance else noise))
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # it computes with what it made of its weights, as when loaded


def values(model, x):
    outputs = keras.tree.flatten(model(x, training=False))
    return [keras.ops.convert_to_numpy(output) for output in outputs]


def difference(outputs, others):
    """The largest difference between two lists of outputs, none of which is constant."""
    pairs = list(zip(outputs, others, strict=True))
    assert all(np.ptp(other) > 0 for _, other in pairs)
    return max(float(np.max(np.abs(one.astype("float64") - other))) for one, other in pairs)


def is_of_class(copy, model):
    """Whether a copy has the class of the model; one of ours may derive from that."""
    return isinstance(copy, type(model)) and type(copy).__name__ == type(model).__name__


def shapes(model):
    return sorted(tuple(weight.shape) for weight in model.weights)


def flat_layers(model):
    return model._flatten_layers()


def swishes(model):
    return [layer for layer in flat_layers(model) if isinstance(layer, keras_swish.Swish)]


def generated(model, x):
    model.compile(sampler="greedy", run_eagerly=True)
    return model.generate(keras.tree.map_structure(np.array, x), stop_token_ids=None)
