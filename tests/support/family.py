"""A tiny model of a family of models, and what its source says of its activations."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

# Activations that squash or normalise: gates and attention. They stay where others are replaced.
GATES = {"sigmoid", "hard_sigmoid", "softmax", "tanh"}


@dataclasses.dataclass(frozen=True, eq=False)
class Family:
    """A tiny model of a family, and what its source says of its activations.

    Attributes:
        package: The package that has to be installed.
        model: The class or function that makes the model.
        build: Returns the model and its inputs.
        found: Activation sites that can be replaced, by the name that reports give them.
        called: Those that only Python code calls, which are listed and refused.
        repeated: Calls in one pass beyond one for each site, of layers that are called again.
        never_called: Sites of layers that no call reaches, by name.
        betas: Trainable betas after the replacement by `swish_beta`; by default as many as
            the features that the replaced activations are called with.
        variant: What tells two families of one class apart.
        replaced: The names that `swish_beta` replaces; by default all but gates.
        computes: The function of Keras's backend that a name of the package's own calls.
        own: The function that a name of `found` is, where it is not Keras's of that name.
        refused: Part of the message with which the replacement is refused.
        unused: Betas whose output nothing uses, so that no step moves them.
        registered: Whether Keras can load the original's file without `custom_objects`.
        loads: Whether Keras can load the original's file at all.
        generates: Whether it has `generate`.
        tolerance: The largest difference that the identity replacement may make.
        note: What a reader of the table should know.
    """

    package: str
    model: str
    build: Callable[[], tuple[keras.Model, Any]]
    found: Mapping[str, int]
    called: Mapping[str, int] = dataclasses.field(default_factory=dict)
    repeated: int = 0
    never_called: Mapping[str, int] = dataclasses.field(default_factory=dict)
    betas: int | None = None
    variant: str = ""
    replaced: tuple[str, ...] = ()
    computes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    own: Mapping[str, Callable] = dataclasses.field(default_factory=dict)
    refused: str = ""
    unused: int = 0
    registered: bool = True
    loads: bool = True
    generates: bool = False
    tolerance: float = 0.0
    note: str = ""

    @property
    def name(self):
        return self.model + self.variant

    @property
    def replaceable(self):
        """The names of `found` that some call reaches."""
        found = self.found.items()
        return [name for name, count in found if count > self.never_called.get(name, 0)]

    @property
    def to_replace(self):
        names = [*self.found, *self.called]
        return self.replaced or [name for name in names if name not in GATES] or names

    @property
    def to_replace_calls(self):
        """The backend's functions that the activations to replace call."""
        backend_names = {"swish": "silu", **self.computes}
        return {backend_names.get(name, name) for name in self.to_replace}


def random(seed=0):
    return np.random.default_rng(seed)


def images(size=32, batch=4):
    return random().uniform(-1, 1, (batch, size, size, 3)).astype("float32")


def fused(layers):
    """Facts of attention that Keras computes in one operation, without its softmax layer."""
    return {"never_called": {"softmax": layers}, "note": "attention in one operation"}
