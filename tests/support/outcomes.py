"""What a program left in its folder, but for the time that it took."""

import csv
import io
import json
import pathlib

import keras
import numpy as np

_TIMED = ("seconds", "images_per_second", "train_seconds", "train_images_per_second")


def read(out: pathlib.Path) -> dict[str, object]:
    """Returns the results, logs and tables under a folder, and the weights of its networks."""
    found: dict[str, object] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.name == "result.json":
            found[name] = _untimed(json.loads(path.read_text()))
        elif path.name in ("log.csv", "results.csv"):
            rows = csv.DictReader(io.StringIO(path.read_text()))
            found[name] = [_untimed(row) for row in rows]
        elif path.name == "model.keras":
            weights = keras.saving.load_model(path, compile=False).weights
            found[name] = [np.asarray(keras.ops.convert_to_numpy(w)).tobytes() for w in weights]
    return found


def _untimed(row: dict) -> dict:
    return {key: value for key, value in row.items() if key not in _TIMED}


def temporaries(out: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files under a folder that were not finished."""
    return list(out.rglob(".*.tmp*"))
