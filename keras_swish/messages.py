"""Parts of error messages."""

import difflib
from collections.abc import Iterable


def unknown(noun: str, received: str, names: Iterable[str], valid: str | None = None) -> str:
    """Returns the message for an unknown name: what was received, the nearest, all valid ones.

    Args:
        noun: What the name should be the name of, such as `"activation"`.
        received: The name.
        names: The valid names.
        valid: Describes them where they are too many to list.

    Example:
        >>> from keras_swish.messages import unknown
        >>> unknown("activation", "swsh", ["relu", "swish"])
        "Unknown activation 'swsh'. Did you mean 'swish'? Valid: relu, swish."
    """
    names = sorted(names)
    nearest = difflib.get_close_matches(str(received)[:100], names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    received = str(received) if len(str(received)) < 100 else f"{str(received)[:100]}..."
    return f"Unknown {noun} {received!r}.{hint} Valid: {valid or ', '.join(names)}."


def first_line(error: BaseException) -> str:
    """Returns the first line of what an error says, or its class, if it says nothing.

    Example:
        >>> from keras_swish.messages import first_line
        >>> first_line(ValueError("no such file"))
        'no such file'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def differences(present: dict, wanted: dict, prefix: str = "") -> str:
    """Returns in which entries settings differ from what is wanted; empty where they agree.

    Entries of `present` alone are ignored; dictionaries in it are compared in the same way.

    Example:
        >>> from keras_swish.messages import differences
        >>> differences({"seed": 1, "recipe": {"epochs": 2}}, {"seed": 1, "recipe": {"epochs": 3}})
        'recipe epochs 2, now 3'
    """
    parts = []
    for key, value in wanted.items():
        current = present.get(key)
        if isinstance(current, dict) and isinstance(value, dict):
            parts.append(differences(current, value, f"{prefix}{key} "))
        elif current != value:
            parts.append(f"{prefix}{key} {_short(current)}, now {_short(value)}")
    return "; ".join(filter(None, parts))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
