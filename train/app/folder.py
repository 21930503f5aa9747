"""The folder of a program's results: made or resumed, locked, with its settings and its starts."""

import contextlib
import datetime
import pathlib
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from absl.flags import FlagValues

from keras_swish import io

from ..errors import ArgumentError
from ..trainer import distribution, trainer
from ..trainer.checkpoints import changed_settings
from ..trainer.environment import CONFIG, environment, read_record

_LOCK = ".lock"
# The locks on the folders of this process.
_LOCKS = contextlib.ExitStack()


def out_directory(
    flag_values: FlagValues,
    program: str,
    config: dict[str, Any],
    devices: distribution.Devices = distribution.ONE_DEVICE,
    networks: dict[str, dict] | None = None,
    order: dict[str, list[str]] | None = None,
    class_names: Sequence[str] | None = None,
) -> pathlib.Path:
    """Returns the folder for the results, with the settings and this start written into it.

    Args:
        flag_values: Their `out` gets the name of a new folder.
        program: As for `claim`.
        config: As for `claim`.
        devices: The devices of `distribution.start`; of many hosts, one makes the folder.
        networks: As for `claim`; those that are new in the folder are added.
        order: As for `record_start`.
        class_names: What the classes of the data are called.
    """
    if not devices.writes:
        return pathlib.Path(flag_values.out).expanduser()
    out = claim(flag_values, program, config, networks, class_names)
    record_start(out, networks, order, class_names)
    return out


def claim(
    flag_values: FlagValues,
    program: str,
    config: dict[str, Any],
    networks: dict[str, dict] | None = None,
    class_names: Sequence[str] | None = None,
) -> pathlib.Path:
    """Returns the folder for the results, made, locked, with the settings written into it.

    An existing folder is used only when it was made by the same program with the same
    settings, which is how an interrupted run resumes.

    Args:
        flag_values: Their `out` gets the name of a new folder.
        program: Name of the program.
        config: The settings.
        networks: Further settings, for each network of a comparison; the folder may have others.
        class_names: What the classes of the data are called, to be the same, too.

    Raises:
        ArgumentError: If the folder cannot be used.
    """
    if flag_values.out is None:
        flag_values.out = str(_new_folder(program, flag_values.dataset))
    out = pathlib.Path(flag_values.out).expanduser()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentError("out", f"not a folder of results ({error})") from error
    is_new = check(out, program, config, networks, class_names)
    _lock(out)
    io.remove_temporaries(out)
    if is_new:
        io.write_json(out / CONFIG, {"config": {"program": program, **config}, "starts": []})
    return out


def check(
    out: pathlib.Path,
    program: str,
    config: dict[str, Any],
    networks: dict[str, dict] | None = None,
    class_names: Sequence[str] | None = None,
) -> bool:
    """Refuses an existing folder that `claim` would refuse, before any long work begins.

    Args:
        out: The folder.
        program: As for `claim`.
        config: As for `claim`.
        networks: As for `claim`.
        class_names: As for `claim`.

    Returns:
        Whether it has no results yet.

    Raises:
        ArgumentError: If the folder cannot be used.
    """
    try:
        record = read_record(out)
        holds_results = any(
            path.name != _LOCK and not io.is_temporary(path) for path in out.iterdir()
        )
    except (OSError, ValueError) as error:
        raise ArgumentError("out", f"not a folder of results ({error})") from error
    if record is None and holds_results:
        raise ArgumentError("out", "holds other files; choose another folder")
    wanted = {"program": program, **config}
    _refuse_other_settings(record["config"] if record else wanted, wanted, networks or {})
    trainer.check_class_names(record or {}, class_names)
    return record is None


def _refuse_other_settings(
    present: dict[str, Any], wanted: dict[str, Any], networks: dict[str, dict]
) -> None:
    maker = present.get("program")
    if maker != wanted["program"]:
        raise ArgumentError("out", f"is a folder of `keras-swish {maker}`; choose another one")
    present_networks = present.get("networks", {})
    again = {name: own for name, own in networks.items() if name in present_networks}
    changed = changed_settings(present, wanted) or changed_settings(present_networks, again)
    if changed:
        raise ArgumentError(
            "out", f"holds the results of other settings ({changed}); choose another folder"
        )


def record_start(
    out: pathlib.Path,
    networks: dict[str, dict] | None = None,
    order: dict[str, list[str]] | None = None,
    class_names: Sequence[str] | None = None,
) -> None:
    """Writes into a folder of results that this command works on it, and on what.

    Args:
        out: The folder.
        networks: Settings of the networks of a comparison.
        order: The order of the rows of a comparison, as for `runs.read_runs`; those of earlier
            commands follow. Resumed, it may be another one.
        class_names: What the classes of the data are called.
    """
    record = read_record(out)
    assert record is not None, "claim writes it"
    if networks:
        before = record["config"].get("networks", {})
        # What an earlier version did not record is added.
        again = {name: networks.get(name, {}) | own for name, own in before.items()}
        record["config"]["networks"] = networks | again
    if order:
        before = record.get("order", {})
        record["order"] = {
            column: list(dict.fromkeys([*names, *before.get(column, ())]))
            for column, names in order.items()
        }
    if class_names:
        record.setdefault("class_names", [*class_names])
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command(),
        "environment": environment(),
    }
    for before in record["starts"][-1:]:
        threads = before.get("environment", {}).get("threads")
        if threads not in (None, start["environment"]["threads"]):
            print(
                f"{out} was trained on {threads} threads, now on "
                f"{start['environment']['threads']}: the last bits of results may differ",
                file=sys.stderr,
            )
    io.write_json(out / CONFIG, {**record, "starts": [*record["starts"], start]})


def command() -> str:
    """Returns the command line that started this program."""
    return shlex.join([*sys.argv[0].split(), *sys.argv[1:]])


def release_locks() -> None:
    """Leaves the folders of this process to others."""
    _LOCKS.close()


def refuse_url(argument: str, path: str | None, what: str = "results") -> None:
    """Refuses a URL, which would become a folder of its name.

    Raises:
        ArgumentError: It names the argument.
    """
    if "://" in (path or ""):
        message = f"{what} go to a folder that this machine has mounted, no URL"
        raise ArgumentError(argument, message)


def _lock(out: pathlib.Path) -> None:
    """Keeps a second process out of the folder for as long as this one lives."""
    try:
        _LOCKS.enter_context(io.lock(out / _LOCK))
    except BlockingIOError as error:
        raise ArgumentError("out", "another process is writing into this folder") from error
    except OSError as error:
        raise ArgumentError("out", f"cannot be written to ({error.strerror})") from error


def _new_folder(program: str, dataset: str) -> pathlib.Path:
    """Makes a folder under runs/ that no other program started at the same moment gets."""
    readable = re.sub(r"[^\w.]+", "_", dataset).strip("_")
    name = f"{program}-{readable}{datetime.datetime.now():-%Y%m%d-%H%M%S}"
    number = 1
    while True:
        out = pathlib.Path("runs", name if number == 1 else f"{name}-{number}")
        try:
            out.mkdir(parents=True)
            return out
        except FileExistsError:
            number += 1
        except OSError as error:
            raise ArgumentError("out", f"cannot make {out} ({error})") from error
