"""Statistics of a model's activations: dead units, saturation, means and ranges at every site."""

import dataclasses
import math
import os
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_swish import io
from keras_swish.keras_compat import Tensor, ops
from keras_swish.layers import TrainableActivation
from keras_swish.recording import recorder
from keras_swish.replacement.channels import ChannelAxes, Channels
from keras_swish.replacement.recognise import recognise
from keras_swish.replacement.sites import LocatedActivation
from keras_swish.replacement.surroundings import Surroundings

# They have no derivative for each element alone.
_ALONG_AN_AXIS = ("glu", "log_softmax", "softmax", "sparsemax")


@dataclasses.dataclass(frozen=True)
class SiteStatistics:
    """What flows into and out of one activation, over all inputs and all its calls.

    Shares lie between 0 and 1. Those of derivatives are nan for what is not elementwise, such as
    softmax.

    Attributes:
        path: Names of the models and layers down to it, as in `ActivationSite`.
        attribute: The layer's attribute that holds it, as in `ActivationSite`.
        activation: Its name, or its formula, or its class.
        calls: How often it was called: twice for each batch in a layer that is used twice.
        elements: The number of elements of its outputs.
        units: The number of units: of channels, for each call of an activation layer that is
            called several times in one run of the model.
        dead_units: The share of units whose output is 0 over all of the inputs, or another
            constant.
        dead_inputs: The share of input elements at which the derivative is 0, so that no gradient
            passes.
        saturated: The share of input elements at which the derivative is near 0, dead ones too.
        zeros: The share of output elements that are 0.
        input_mean: Mean of its inputs, the pre-activations.
        input_std: Their standard deviation.
        input_min: The least.
        input_max: The largest.
        output_mean: Mean of its outputs.
        output_std: Their standard deviation.
        output_min: The least.
        output_max: The largest.
    """

    path: str
    attribute: str
    activation: str
    calls: int
    elements: int
    units: int
    dead_units: float
    dead_inputs: float
    saturated: float
    zeros: float
    input_mean: float
    input_std: float
    input_min: float
    input_max: float
    output_mean: float
    output_std: float
    output_min: float
    output_max: float

    @property
    def site(self) -> str:
        """The path, with the attribute where there is one."""
        return f"{self.path} ({self.attribute})" if self.attribute else self.path


@dataclasses.dataclass(frozen=True)
class ActivationStatistics:
    """The statistics of all activations of a model; `str` makes a table of them.

    `pandas.DataFrame(statistics.rows)` is the same table.

    Attributes:
        rows: Those of each site, in the order in which the model calls them.
        not_observed: The sites that the model did not call with values: layers that it has and
            does not use, or uses where the backend allows no look inside.
    """

    rows: tuple[SiteStatistics, ...]
    not_observed: tuple[str, ...]

    def total(self, share: str) -> float:
        """Returns a share of all units or elements of the model together.

        Args:
            share: `"dead_units"`, `"dead_inputs"`, `"saturated"` or `"zeros"`.
        """
        parts = [
            (getattr(row, share), row.units if share == "dead_units" else row.elements)
            for row in self.rows
        ]
        parts = [(value, weight) for value, weight in parts if not math.isnan(value)]
        weights = sum(weight for _, weight in parts)
        return sum(value * weight for value, weight in parts) / weights if weights else math.nan

    def to_csv(self, path: str | os.PathLike) -> None:
        """Writes a file with a line for each site."""
        io.write_csv(pathlib.Path(path), [dataclasses.asdict(row) for row in self.rows])

    def __str__(self):
        table = [[title for title, _ in _COLUMNS]]
        table += [[text(row) for _, text in _COLUMNS] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = []
        for line in table:
            cells = [
                cell.ljust(width) if number < 2 else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(line, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        lines += [f"not observed: {site}" for site in self.not_observed]
        return "\n".join(lines)


def _percent(name: str) -> Callable[[SiteStatistics], str]:
    def text(row: SiteStatistics) -> str:
        value = getattr(row, name)
        return "-" if math.isnan(value) else f"{value:.1%}"

    return text


def _number(name: str) -> Callable[[SiteStatistics], str]:
    return lambda row: f"{getattr(row, name):.3g}"


# The columns of the table as text.
_COLUMNS: list[tuple[str, Callable[[SiteStatistics], str]]] = [
    ("site", lambda row: row.site),
    ("activation", lambda row: row.activation),
    ("units", lambda row: str(row.units)),
    *((name.replace("_", " "), _percent(name)) for name in ("dead_units", "dead_inputs")),
    *((name, _percent(name)) for name in ("saturated", "zeros")),
    *(
        (f"{end} {quantity}", _number(f"{end}_{quantity}"))
        for end in ("input", "output")
        for quantity in ("mean", "std", "min", "max")
    ),
]


def activation_statistics(
    model: keras.Model,
    x: Any,
    *,
    batch_size: int | None = None,
    steps: int | None = None,
    training: bool = False,
    saturation_threshold: float = 0.01,
) -> ActivationStatistics:
    """Returns statistics of what flows into and out of each activation of a model.

    All that `keras_swish.find_activations` finds is seen: activation layers, the `activation` of
    any layer, operations of the graph, in nested models, custom layers and the cells of recurrent
    layers, whose every time step is a call. What the Python code of a layer calls as a function
    is not. The model is called operation by operation, so that it takes longer than usual, and is
    the same afterwards: weights, states, what is compiled.

    Args:
        model: A built model.
        x: Inputs as `model.predict` takes them: an array or tensor, a list or dictionary of them,
            or batches: a `tf.data.Dataset`, a `keras.utils.PyDataset`, a PyTorch DataLoader or
            a generator, with targets or without. All batches count as one set of inputs, and
            masked steps as any others.
        batch_size: As in `model.predict`.
        steps: How many batches; by default all.
        training: Whether the model runs as in training, with dropout and statistics of the batch.
        saturation_threshold: The absolute value of the derivative below which an input element
            counts as saturated.

    Returns:
        An `ActivationStatistics`; `keras_swish.plot_statistics` draws it.

    Raises:
        TypeError: If it is no Keras model.
        ValueError: If the model is not built, has no activation, or there is no batch.

    Example:
        >>> import keras, keras_swish
        >>> model = keras.Sequential(
        ...     [
        ...         keras.Input((2,)),
        ...         keras.layers.Dense(4, "relu", name="hidden"),
        ...         keras.layers.Dense(1),
        ...     ]
        ... )
        >>> hidden = model.get_layer("hidden")
        >>> _ = hidden.bias.assign([-9.0, 9.0, 9.0, 9.0])
        >>> x = keras.random.uniform((100, 2), seed=0)
        >>> statistics = keras_swish.activation_statistics(model, x)
        >>> statistics.rows[0].site, statistics.rows[0].dead_units
        ('hidden (activation)', 0.25)
    """
    if not isinstance(model, keras.Model):
        raise TypeError(
            f"`model` must be a keras.Model. Received: {model!r} (of type {type(model).__name__})"
        )
    sites = recorder.activation_sites(model)
    axes = ChannelAxes(Surroundings(model))
    channels: dict[int, Channels | None] = {}
    records: dict[int, _Record] = {}  # a dictionary keeps the order of the first calls

    def on_call(
        located: LocatedActivation, function: Callable[[Tensor], Tensor], x: Tensor, y: Tensor
    ) -> None:
        # What was handed on has one site, whoever calls it.
        key = id(located.site)
        if key not in records:
            records[key] = _Record(located, saturation_threshold)
        if id(located) not in channels:
            channels[id(located)] = axes.of(located)
        records[key].add(located, channels[id(located)], function, x, y)

    for _ in recorder.runs(
        model, sites, x, on_call, batch_size=batch_size, steps=steps, training=training
    ):
        for record in records.values():
            record.calls_in_run = 0
    return ActivationStatistics(
        tuple(record.statistics() for record in records.values()),
        tuple(str(located.site) for located in sites if id(located.site) not in records),
    )


class _Moments:
    """Count, mean, standard deviation and range of numbers that come in parts."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0
        self.low, self.high = math.inf, -math.inf

    def add(self, values: np.ndarray) -> None:
        """Adds an array, whose sizes may be anything."""
        if not values.size:
            return
        mean = float(values.mean())
        difference, total = mean - self.mean, self.count + values.size
        # Chan's formula: exact up to rounding, whatever the parts.
        self.squares += float(np.square(values - mean).sum())
        self.squares += difference**2 * self.count * values.size / total
        self.mean += difference * values.size / total
        self.count = total
        self.low = float(np.minimum(self.low, values.min()))
        self.high = float(np.maximum(self.high, values.max()))

    @property
    def std(self) -> float:
        """The standard deviation of all, not of a sample."""
        return math.sqrt(self.squares / self.count) if self.count else math.nan


class _Record:
    """The statistics of one site while they are collected."""

    def __init__(self, located: LocatedActivation, threshold: float):
        self.site, self.threshold = located.site, threshold
        self.is_elementwise = self.site.old.rpartition(" ")[2] not in _ALONG_AN_AXIS
        self.is_known = recognise(located.activation) is not None
        self.inputs, self.outputs = _Moments(), _Moments()
        self.calls = self.calls_in_run = 0
        self.zeros = self.dead = self.saturated = self.slopes = 0
        # The least and largest output of each unit, and how many there were.
        self.units: dict[tuple[int, int], tuple[np.ndarray, np.ndarray, int]] = {}

    def add(
        self,
        located: LocatedActivation,
        channels: Channels | None,
        function: Callable[[Tensor], Tensor],
        x: Tensor,
        y: Tensor,
    ) -> None:
        """Adds a call."""
        inputs, outputs = _array(x), _array(y)
        self.inputs.add(inputs)
        self.outputs.add(outputs)
        self.zeros += int((outputs == 0).sum())
        # A layer has the same units at each call; an activation layer those of what feeds it.
        owner = self.calls_in_run if located.key is None else id(located.owner)
        self._add_units(owner, outputs, _channel_axis(located.activation, channels, outputs.ndim))
        if self.is_elementwise and inputs.shape == outputs.shape:
            self._add_slopes(function, x)
        self.calls += 1
        self.calls_in_run += 1

    def _add_units(self, owner: int, outputs: np.ndarray, axis: int | None) -> None:
        if not outputs.size:
            return
        by_unit = np.moveaxis(outputs, axis, -1) if axis is not None else outputs[..., None]
        by_unit = by_unit.reshape(-1, by_unit.shape[-1])
        low, high, count = by_unit.min(0), by_unit.max(0), len(by_unit)
        key = owner, len(low)
        if key in self.units:
            before = self.units[key]
            low, high = np.minimum(low, before[0]), np.maximum(high, before[1])
            count += before[2]
        self.units[key] = low, high, count

    def _add_slopes(self, function: Callable[[Tensor], Tensor], x: Tensor) -> None:
        slopes = _array(recorder.slope(function, x))
        if not self.is_known and not _is_elementwise(function, x, slopes):
            self.is_elementwise, self.slopes = False, 0
            return
        sizes = np.abs(slopes)
        self.dead += int((sizes == 0).sum())
        self.saturated += int((sizes < self.threshold).sum())
        self.slopes += sizes.size

    def statistics(self) -> SiteStatistics:
        """Returns the statistics of all calls."""
        dead = units = 0
        for low, high, count in self.units.values():
            # What was seen once is constant, and means nothing unless it is 0.
            dead += int(((low == high) & ((low == 0) | (count > 1))).sum())
            units += len(low)
        elements, slopes = self.outputs.count, self.slopes or math.nan
        return SiteStatistics(
            path=self.site.path,
            attribute=self.site.attribute,
            activation=self.site.old,
            calls=self.calls,
            elements=elements,
            units=units,
            dead_units=dead / units if units else math.nan,
            dead_inputs=self.dead / slopes,
            saturated=self.saturated / slopes,
            zeros=self.zeros / elements if elements else math.nan,
            **{
                f"{end}_{name}": value
                for end, moments in (("input", self.inputs), ("output", self.outputs))
                for name, value in (
                    ("mean", moments.mean),
                    ("std", moments.std),
                    ("min", moments.low),
                    ("max", moments.high),
                )
            },
        )


def _array(x: Tensor) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(x)).astype("float64")


def _is_elementwise(function: Callable[[Tensor], Tensor], x: Tensor, slopes: np.ndarray) -> bool:
    """Says whether a function of the user's own seems to have a derivative for each element alone.

    Args:
        function: The function.
        x: What it was called with.
        slopes: The derivatives there of the sum of all outputs.
    """
    # The outputs with signs: what comes from several of them comes out otherwise than by its own.
    signs = np.random.default_rng(0).choice([-1.0, 1.0], slopes.shape)
    signed = recorder.slope(lambda x: function(x) * ops.cast(signs, x.dtype), x)
    return np.allclose(_array(signed), signs * slopes, rtol=1e-2, atol=1e-6, equal_nan=True)


def _channel_axis(activation: Any, channels: Channels | None, rank: int) -> int | None:
    """Returns the axis of the units, by what feeds the activation as far as that says it."""
    if rank < 2:
        return None
    if isinstance(activation, TrainableActivation) and activation.data_format is not None:
        return 1 if activation.data_format == "channels_first" else rank - 1
    if channels and channels.rank in (None, rank):
        return channels.axis % rank
    is_first = keras.config.image_data_format() == "channels_first"
    return 1 if is_first and rank > 3 else rank - 1
