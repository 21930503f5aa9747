"""What to do with a model that is none of Keras 3."""

from typing import Any

import keras

_ADVICE = {
    "model class": "Pass a model of this class, called or built, and not the class.",
    "layer": "A layer is replaced in a model: pass keras.Sequential([keras.Input(shape), layer]). "
    "To make a new layer with another activation, pass `activation` to its class.",
    "tf_keras": "This is a model of Keras 2, of which Keras 3 makes its own: write it with "
    "model.save('model.h5'), and pass keras.models.load_model('model.h5').",
    "torch": "In a PyTorch module, set the layers that keras_swish.layer(name) returns as its "
    "attributes yourself.",
}

# Where other frameworks' classes are from; none of them is imported.
_FRAMEWORKS = {"tf_keras": "tf_keras", "tensorflow.python.keras": "tf_keras", "torch.nn": "torch"}


def check_model(model: Any) -> None:
    """Raises an error that says what to do instead where this is no Keras model.

    Raises:
        TypeError: If it is no Keras model.

    Example:
        >>> import keras
        >>> from keras_swish.replacement.advice import check_model
        >>> check_model(keras.Sequential())
    """
    if isinstance(model, keras.Model):
        return
    advice = _ADVICE.get(_kind(model) or "", "")
    raise TypeError(
        f"`model` must be a keras.Model. Received: {model!r} (of type {type(model).__name__})"
        + (f". {advice}" if advice else "")
    )


def _kind(model: Any) -> str | None:
    if isinstance(model, type):
        return "model class" if issubclass(model, keras.Model) else None
    if isinstance(model, keras.Layer):
        return "layer"
    for each in type(model).__mro__:
        for module, kind in _FRAMEWORKS.items():
            if f"{each.__module__}.".startswith(f"{module}."):
                return kind
    return None
