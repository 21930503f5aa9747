"""The state of a layer, carried into its copy."""

import tempfile

import keras

from keras_swish.keras_compat import own_variables


class CannotCopyError(ValueError):
    """A layer that cannot be made a second time."""


def carry_state(old: keras.Layer, new: keras.Layer) -> None:
    """Copies the state that a layer owns itself, without that of its sublayers.

    Variable by variable: `save_own_variables` of a layer with LoRA would merge its kernels.

    Raises:
        CannotCopyError: If the layers' variables do not correspond.
    """
    for variable, copy in paired_variables(old, new):
        # A copy: on JAX a step of one model would else delete the other one's weights.
        copy.assign(keras.ops.copy(variable.value))
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
    if hasattr(old, "finalize_state") and old.built:
        new.finalize_state()


def paired_variables(
    old: keras.Layer, new: keras.Layer
) -> list[tuple[keras.Variable, keras.Variable]]:
    """Pairs the variables that two layers of one class own.

    By name where names tell: a quantised layer makes its variables in another order when it is
    made from its configuration. In order where they do not, as where Keras numbers them.

    Raises:
        CannotCopyError: If they differ in number or shape.
    """
    old_variables, new_variables = own_variables(old), own_variables(new)
    by_name = {variable.name: variable for variable in new_variables}
    have_unique_names = len(by_name) == len(new_variables)
    if have_unique_names and {variable.name for variable in old_variables} <= set(by_name):
        new_variables = [by_name[variable.name] for variable in old_variables]
    shapes, new_shapes = ([tuple(v.shape) for v in vs] for vs in (old_variables, new_variables))
    if shapes != new_shapes:
        raise CannotCopyError(
            f"The layer {old.name!r} of class {type(old).__name__} cannot be made again from "
            f"its configuration: it has the variables {_shapes(old)}, the copy {_shapes(new)}."
        )
    return list(zip(old_variables, new_variables, strict=True))


def _shapes(layer: keras.Layer) -> str:
    return ", ".join(f"{v.name} {tuple(v.shape)}" for v in own_variables(layer)) or "none"
