"""Drop path: whole branches are left out at random while training."""

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_swish")
class DropPath(keras.layers.Layer):
    """Sets a branch to zero for some of the images of a training batch.

    The images that are kept are divided by the probability of that, so the expectation stays.

    Args:
        rate: Probability that a branch is dropped, at least 0 and below 1.
        steps: Number of training steps over which the rate rises linearly from zero, or
            `None`: it is `rate` from the first step on. The layer counts the steps itself,
            in a weight that is saved with the others.
        seed: Seed of the random numbers, or `None` for one from Keras's global seed.
        **kwargs: Arguments of every Keras layer.

    Raises:
        ValueError: If the rate or the number of steps is out of range.

    Example:
        >>> import keras
        >>> from keras_swish.models.drop_path import DropPath
        >>> branch = keras.ops.ones((2, 4, 4, 3))
        >>> bool(keras.ops.all(DropPath(0.5)(branch, training=False) == branch))
        True

    Source: Larsson et al. 2017 (FractalNet), section 3; the schedule is that of Zoph et al. 2018
    (NASNet), appendix A.7: ScheduledDropPath.
    """

    def __init__(
        self, rate: float, steps: int | None = None, seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must be at least 0 and below 1. Received: rate={rate}")
        if steps is not None and steps < 1:
            raise ValueError(f"`steps` must be at least 1, or None. Received: steps={steps}")
        self.rate, self.steps, self.seed = rate, steps, seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Creates the counter of steps, if the rate follows a schedule."""
        if self.steps is not None:
            self.step = self.add_weight(
                name="step",
                shape=(),
                initializer="zeros",
                dtype="float32",
                trainable=False,
                autocast=False,  # in bfloat16 it would stop at 256
            )

    def call(self, inputs: Any, training: bool | None = False) -> Any:
        """Returns the branch with some of its images set to zero, in training."""
        if not training or not self.rate:
            return inputs
        # Any: Keras's annotations of its operations are incomplete.
        keep: Any = 1.0 - self.rate
        if self.steps is not None:
            progress: Any = ops.minimum(self.step / self.steps, 1.0)
            keep = 1.0 - self.rate * progress
            self.step.assign_add(1.0)
        sizes: Any = ops.shape(inputs)
        shape = (sizes[0], *(1,) * (len(sizes) - 1))
        kept = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator) < keep
        return inputs * ops.cast(ops.cast(kept, "float32") / keep, inputs.dtype)

    def load_own_variables(self, store: Any) -> None:
        """Loads the counter of steps, where both the file and this layer have one."""
        if self.steps is not None and len(store):
            super().load_own_variables(store)

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments from which `from_config` makes the same layer."""
        return {
            **super().get_config(),
            "rate": self.rate,
            "steps": self.steps,
            "seed": self.seed,
        }
