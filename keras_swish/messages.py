"""What errors say."""

import difflib
from collections.abc import Iterable


def unknown(kind: str, received: str, known: Iterable[str], valid: str | None = None) -> str:
    """Returns the message for an unknown name: what came, the nearest, all valid ones.

    `valid` says in words what is valid where the known names are too many to list.
    """
    known = sorted(known)
    nearest = difflib.get_close_matches(str(received)[:100], known, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(map(repr, nearest))}?" if nearest else ""
    received = str(received) if len(str(received)) < 100 else f"{str(received)[:100]}..."
    return f"Unknown {kind} {received!r}.{hint} Valid: {valid or ', '.join(known)}."


def first_line(error: BaseException) -> str:
    """Returns the first line of what an error says, or its kind, if it says nothing.

    Example:
        >>> from keras_swish.messages import first_line
        >>> first_line(ValueError("no such file"))
        'no such file'
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def differences(present: dict, wanted: dict, prefix: str = "") -> str:
    """Returns in which entries settings differ from what is wanted; empty where they agree.

    Entries of `present` alone count for nothing; dictionaries inside are compared in the same way.

    Example:
        >>> from keras_swish.messages import differences
        >>> differences({"seed": 1, "recipe": {"epochs": 2}}, {"seed": 1, "recipe": {"epochs": 3}})
        'recipe epochs 2, now 3'
    """
    found = []
    for key, value in wanted.items():
        there = present.get(key)
        if isinstance(there, dict) and isinstance(value, dict):
            found.append(differences(there, value, f"{prefix}{key} "))
        elif there != value:
            found.append(f"{prefix}{key} {_short(there)}, now {_short(value)}")
    return "; ".join(filter(None, found))


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
