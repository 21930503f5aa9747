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
    nearest = close_matches(received, names)
    hint = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    received = str(received) if len(str(received)) < 100 else f"{str(received)[:100]}..."
    return f"Unknown {noun} {received!r}.{hint} Valid: {valid or ', '.join(names)}."


def close_matches(received: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Returns the names that are nearest to one, whatever the case of its letters.

    Example:
        >>> from keras_swish.messages import close_matches
        >>> close_matches("relu", ["ReLU", "PReLU", "Swish"])
        ['ReLU', 'PReLU']
    """
    by_lower: dict[str, str] = {}
    for name in names:
        by_lower.setdefault(name.lower(), name)
    wanted = str(received)[:100].lower()
    found = difflib.get_close_matches(wanted, by_lower, n=count, cutoff=0.5)
    return [by_lower[name] for name in found]


def first_line(error: BaseException) -> str:
    """Returns the first line of what an error says, or its class, if it says nothing.

    Example:
        >>> from keras_swish.messages import first_line
        >>> first_line(ValueError("no such file"))
        'no such file'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def clock(seconds: float) -> str:
    """Returns a time in minutes and seconds, and in hours where there are any.

    Example:
        >>> from keras_swish.messages import clock
        >>> clock(75.2), clock(7322)
        ('1:15', '2:02:02')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


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
