"""How a child's network is compiled: as the user's model was, or as a `ChildConfig` says."""

import functools
import json
from typing import TYPE_CHECKING, Any

import keras

from keras_swish import optimizers
from keras_swish.keras_compat import (
    compile_arguments,
    overrides,
    set_since_made,
    since_made,
    spared_from_weight_decay,
    unscaled,
)
from keras_swish.messages import first_line, unknown
from keras_swish.search.children import rewards
from keras_swish.search.children.networks import all_optimizers, for_json, inner_layers
from keras_swish.search.children.objectives import remade

if TYPE_CHECKING:
    from keras_swish.search.child import ChildConfig

OPTIMIZERS = {
    "sgd": functools.partial(optimizers.SGD, momentum=0.9, nesterov=True),
    "adam": keras.optimizers.Adam,
    "rmsprop": functools.partial(optimizers.RMSprop, momentum=0.9, epsilon=1.0),
}
_NO_LOSSES = {"get", "serialize", "deserialize"}
# Of `compile`: what a child takes over besides optimizer and loss.
_TAKEN = ("loss_weights", "metrics", "weighted_metrics", "run_eagerly", "jit_compile")


class Compiler:
    """Compiles networks like a model.

    Args:
        model: The model, compiled or not.
        loss: What to train with instead of the loss that it was compiled with, or None.
        config: How children are trained.
        scales_loss: Whether the optimizer scales the loss, for half precision; by default as that
            of the model does, or would if it were compiled.

    Attributes:
        loss: What is trained with.
        scales_loss: Whether the optimizer scales the loss.

    Raises:
        ValueError: If there is no loss, or the optimizer cannot be made again.
    """

    def __init__(
        self,
        model: keras.Model,
        loss: Any,
        config: "ChildConfig",
        scales_loss: bool | None = None,
    ):
        self.config = config
        self._arguments = compile_arguments(model)
        self._compiled = self._arguments.get("optimizer")
        if isinstance(self._compiled, str):  # the model's own knows what was set since
            self._compiled = unscaled(model.optimizer)
        self._is_half = model.dtype_policy.name == "mixed_float16"
        if scales_loss is None:
            is_scaled = isinstance(
                getattr(model, "optimizer", None), keras.optimizers.LossScaleOptimizer
            )
            scales_loss = self._is_half and (is_scaled or not self._arguments)
        self.scales_loss = scales_loss
        has_own = self._arguments and overrides(model, "compile")
        self._own: Any = model.get_compile_config() if has_own else None
        self.loss = loss if loss is not None else self._arguments.get("loss")
        if self.loss is None and not self._arguments:
            raise ValueError("The model is not compiled: pass its `loss`, or compile it.")
        for name in keras.tree.flatten(loss):
            if isinstance(name, str):
                _check_loss(name)
        names_optimizer = config.optimizer is not None or config.learning_rate is not None
        self._takes_optimizer = bool(self._arguments) and not names_optimizer
        self._optimizers = all_optimizers(model) if self._takes_optimizer else []
        if self._takes_optimizer:
            self._optimizer(1)  # to refuse at once what cannot be made again
        for one in self._optimizers:
            if spared_from_weight_decay(one, model.variables)[1]:
                raise ValueError(
                    "The optimizer that the model is compiled with excludes variables of this "
                    "model from weight decay, and children have others: name them, as in "
                    "`optimizer.exclude_from_weight_decay(var_names=['bias'])`."
                )

    def compile(self, network: keras.Model, steps: int) -> None:
        """Compiles a network for so many steps, and lets its batch statistics converge."""
        momentum = self.config.bn_momentum
        if momentum is None:
            momentum = optimizers.converged_bn_momentum(steps)
        for layer in inner_layers(network):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = momentum
        optimizer = self._optimizer(steps)
        # Not left to Keras, which asks for the network's own policy: that is not in files.
        if self.scales_loss and not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        if self._own is not None:
            self._compile_as_own(network, optimizer)
        else:
            arguments = {name: self._arguments[name] for name in _TAKEN if self._arguments}
            if self._arguments:
                arguments["auto_scale_loss"] = False
            network.compile(
                optimizer=optimizer,
                loss=self.loss,
                **{name: _fresh(value) for name, value in arguments.items()},
            )
        for old, new in zip(self._optimizers, all_optimizers(network), strict=False):
            set_since_made(new, *since_made(old))
        # Their state is then there to be read before the first step.
        for optimizer in all_optimizers(network):
            if not optimizer.built:
                optimizer.build(network.trainable_variables)

    def _compile_as_own(self, network: keras.Model, optimizer: keras.optimizers.Optimizer) -> None:
        """Compiles a network by a `compile` of the user's, with all of its arguments."""
        name = f"{type(network).__name__} has a `compile` of its own, which"
        others: dict[str, Any] = {} if self._takes_optimizer else {"optimizer": optimizer}
        if rewards.name_of(self.loss) != rewards.name_of(self._arguments["loss"]):
            others["loss"] = self.loss
        if missing := sorted(others.keys() - self._own.keys()):
            raise ValueError(
                f"{name} cannot be given another {missing[0]}: let `get_compile_config` return "
                f"{missing[0]!r}, or leave the choice to the compiled model."
            )
        serialized = {key: keras.saving.serialize_keras_object(others[key]) for key in others}
        network.compile_from_config({**self._own, **serialized})
        if not network.compiled:
            raise ValueError(
                f"{name} cannot be repeated for children: give it `get_compile_config` and "
                "`compile_from_config`."
            )

    def _optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        config = self.config
        if self._takes_optimizer:
            compiled: Any = keras.optimizers.get(self._compiled)
            refusal = (
                f"The optimizer that the model is compiled with, {type(compiled).__name__}, "
                "cannot be made again for each child ({}): give it a `get_config` of all arguments "
                "of its constructor, or pass a ChildConfig with another `optimizer`."
            )
            try:
                new = type(compiled).from_config(compiled.get_config())
            except (TypeError, ValueError, NotImplementedError) as error:
                raise ValueError(refusal.format(first_line(error))) from error
            if rewards.lacks_config(new) and rewards.name_of(new) != rewards.name_of(compiled):
                raise ValueError(refusal.format("it would have other settings"))
            return new
        schedule = optimizers.learning_rate_schedule(
            "cosine", config.rates[0], steps, round(config.warmup * steps)
        )
        return OPTIMIZERS[config.optimizer or "sgd"](schedule)

    def fingerprint(self) -> dict[str, Any]:
        """Returns what distinguishes this way to compile, as JSON can hold it."""
        if not self._arguments:
            return {}
        found = {
            name: rewards.name_of(self._arguments[name])
            for name in ("loss_weights", "metrics", "weighted_metrics")
            if self._arguments[name] is not None
        }
        if self._takes_optimizer:
            config = rewards.without_number(self._optimizer(1).get_config())
            found["optimizer"] = rewards.as_text(config)
        patterns = [spared_from_weight_decay(one)[0] for one in self._optimizers]
        if any(patterns):  # of names in any order, as they come from a set
            names = [sorted(one.pattern.split("|")) if one else [] for one in patterns]
            found["weight_decay_excludes"] = json.dumps(names)
        if self._own:
            found["own"] = json.dumps(_without_numbers(self._own), sort_keys=True, default=for_json)
        if self._is_half and not self.scales_loss:
            found["auto_scale_loss"] = "False"
        return {"compiled": found} if found else {}


def _check_loss(name: str) -> None:
    try:
        keras.losses.get(name)
    except ValueError as error:
        names = {one for one in vars(keras.losses) if one.islower() and not one.startswith("_")}
        raise ValueError(unknown("loss", name, names - _NO_LOSSES)) from error


def _without_numbers(config: Any) -> Any:
    if isinstance(config, dict):
        config = rewards.without_number(config)
        return {name: _without_numbers(value) for name, value in config.items()}
    return [*map(_without_numbers, config)] if isinstance(config, list | tuple) else config


def _fresh(value: Any) -> Any:
    """Returns metrics with a state of their own: those of the user's model are its own."""
    if isinstance(value, dict):
        return {key: _fresh(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_fresh(part) for part in value]
    if isinstance(value, keras.metrics.Metric):
        return remade(value)
    return value
