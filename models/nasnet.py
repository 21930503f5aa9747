"""NASNet-A: two cells that a search found, repeated.

Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition", 2018.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Unpack

import keras
from keras import layers

from .drop_path import DropPath
from .network import Network, NetworkArguments, Published, Tensor

# The paper's figure 4. A block applies an operation to each of two inputs and adds the
# results: (operation, input, operation, input). Inputs are h, the cell before this one; p, the
# cell before that one; or the number of an earlier block.
Block = tuple[str, str | int, str, str | int]
_NORMAL: tuple[Block, ...] = (
    ("sep5", "h", "sep3", "p"),
    ("sep5", "p", "sep3", "p"),
    ("avg3", "h", "none", "p"),
    ("avg3", "p", "avg3", "p"),
    ("sep3", "h", "none", "h"),
)
_REDUCTION: tuple[Block, ...] = (
    ("sep5", "h", "sep7", "p"),
    ("max3", "h", "sep7", "p"),
    ("avg3", "h", "sep5", "p"),
    ("none", 2, "avg3", 1),
    ("sep3", 1, "max3", "h"),
)
# The outputs that a cell concatenates.
_NORMAL_OUTPUTS: tuple[str | int, ...] = ("p", 1, 2, 3, 4, 5)
_REDUCTION_OUTPUTS: tuple[str | int, ...] = (2, 3, 4, 5)

# By cells, penultimate filters, stem filters and skip_reduction.
_PUBLISHED = {
    (4, 1056, 32, False): Published(size=224, application="NASNetMobile"),
    (6, 4032, 96, True): Published(size=331, application="NASNetLarge"),
}


def nasnet(
    cells: int = 4,
    penultimate_filters: int = 1056,
    stem_filters: int = 32,
    skip_reduction: bool = False,
    auxiliary: bool = False,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    drop_path_steps: int | None = None,
    **common: Unpack[NetworkArguments],
) -> keras.Model:
    """Builds NASNet-A (`cells` @ `penultimate_filters`), by default the mobile one.

    With 4 @ 1056 and with 6 @ 4032 (stem of 96 filters, `skip_reduction`) it is, weight for
    weight, that of `keras.applications`.

    Args:
        cells: Number of normal cells in each of the three stages.
        penultimate_filters: Channels before the classifier; a multiple of 96.
        stem_filters: Filters of the first convolution.
        skip_reduction: Whether the cell behind a reduction takes, as its second input, the
            cell before the reduction's own input.
        auxiliary: Whether the network has a second output, of the auxiliary classifier that
            was trained with it, at a weight of 0.4.
        dropout: Rate of the dropout before the classifier; 0.5 in the authors' code.
        drop_path: Rate of the drop path in the last cell; it grows linearly with the cells'
            number. In the authors' code 0.3 for the large network, none for the mobile one.
        drop_path_steps: Number of training steps over which the drop path rises to its rate,
            in the authors' code all of them; `None`: it has its rate from the first step on.
        **common: Arguments of every network, see `keras_swish.models.network.Network`. By default
            images of 224x224x3 (the large network: 331x331x3), here from 32x32 up and of known
            height and width, and 1000 classes.

    Returns:
        A `keras.Model` from images, `(batch, *input_shape)`, float, to `(batch, classes)`, or
        to a list of two such outputs.

    Raises:
        ValueError: If the number of cells or filters, or one of `common`, does not fit.

    Example:
        >>> from keras_swish.models import nasnet
        >>> nasnet.nasnet(cells=1, penultimate_filters=96, activation="swish").output_shape
        (None, 1000)

    Source: Zoph et al. 2018, figures 2 and 4 and appendix A.
    """
    if cells < 1:
        raise ValueError(f"`cells` must be at least 1. Received: cells={cells}")
    if penultimate_filters < 96 or penultimate_filters % 96:
        raise ValueError(
            "`penultimate_filters` must be a multiple of 96. "
            f"Received: penultimate_filters={penultimate_filters}"
        )
    if not 0 <= drop_path < 1:
        raise ValueError(
            f"`drop_path` must be at least 0 and below 1. Received: drop_path={drop_path}"
        )
    form = (cells, penultimate_filters, stem_filters, skip_reduction)
    published = dataclasses.replace(
        _PUBLISHED.get(form, Published()), bn_momentum=0.9997, any_size=False
    )
    net = Network(published, **common)
    filters = penultimate_filters // 24
    # Name, filters, whether it is a reduction cell.
    plan = [("stem_cell1", filters // 4, True), ("stem_cell2", filters // 2, True)]
    for stage, width in enumerate((filters, 2 * filters, 4 * filters), 1):
        if stage > 1:
            plan.append((f"reduction{stage - 1}", width, True))
        plan += [(f"stage{stage}_cell{cell}", width, False) for cell in range(1, cells + 1)]

    x = net.conv(net.image, stem_filters, 3, "stem_conv", 2, "valid")
    x = net.norm(x, "stem_bn")
    previous, second = None, None
    for number, (name, width, reduces) in enumerate(plan, 1):
        drop = functools.partial(DropPath, drop_path * number / len(plan), drop_path_steps)
        y = _cell(net, x, previous, width, reduces, name + "_", drop if drop_path else None)
        if not (skip_reduction and name.startswith("reduction")):
            previous = x
        x = y
        if auxiliary and name == f"stage2_cell{cells}":
            second = net.auxiliary_classifier(net.act(x, "auxiliary_act"))
    x = net.act(x, "act")
    return net.model(x, dropout, second)


def _cell(
    net: Network,
    x: Tensor,
    previous: Tensor | None,
    filters: int,
    reduces: bool,
    at: str,
    drop: Callable[..., DropPath] | None,
) -> Tensor:
    h = net.act(x, at + "act")
    h = net.conv(h, filters, 1, at + "conv")
    h = net.norm(h, at + "bn")
    p = x if previous is None else _fitted(net, previous, x, filters, at + "previous_")
    states: dict[str | int, Tensor] = {"h": h, "p": p}
    for number, block in enumerate(_REDUCTION if reduces else _NORMAL, 1):
        branches = []
        for side, operation, source in (("left", *block[:2]), ("right", *block[2:])):
            name = f"{at}block{number}_{side}_"
            # Only the inputs from outside of the cell are not reduced yet.
            stride = 2 if reduces and source in ("h", "p") else 1
            y = _operation(net, states[source], operation, filters, stride, name)
            if drop and operation != "none":
                y = drop(name=name + "drop_path")(y)
            branches.append(y)
        states[number] = layers.Add(name=f"{at}block{number}_add")(branches)
    outputs = _REDUCTION_OUTPUTS if reduces else _NORMAL_OUTPUTS
    return net.concat([states[key] for key in outputs], at + "concat")


def _operation(
    net: Network, x: Tensor, operation: str, filters: int, stride: int, at: str
) -> Tensor:
    if operation == "none":
        return x
    name, size = operation[:3], int(operation[3:])
    if name == "sep":
        for number, conv_stride in ((1, stride), (2, 1)):
            x = net.act(x, f"{at}act{number}")
            x = net.separable_conv(x, filters, size, f"{at}conv{number}", conv_stride)
            x = net.norm(x, f"{at}bn{number}")
        return x
    padding = "same"
    if stride > 1:
        # As the published weights were trained: the border takes part in a pooling, as zeros.
        padding = "valid"
        x = layers.ZeroPadding2D([(side % 2, size // 2) for side in net.size(x)], name=at + "pad")(
            x
        )
    pooling = {"avg": layers.AveragePooling2D, "max": layers.MaxPooling2D}[name]
    return pooling(size, stride, padding=padding, name=at + "pool")(x)


def _fitted(net: Network, previous: Tensor, x: Tensor, filters: int, at: str) -> Tensor:
    """Gives the output of the cell before the last one the size and channels of this cell."""
    previous = net.act(previous, at + "act")
    if net.size(previous) == net.size(x):
        previous = net.conv(previous, filters, 1, at + "conv")
        return net.norm(previous, at + "bn")
    # Every second pixel, next to every second one from the next row and column on.
    shifted = layers.ZeroPadding2D(((0, 1), (0, 1)), name=at + "pad")(previous)
    shifted = layers.Cropping2D(((1, 0), (1, 0)), name=at + "crop")(shifted)
    halves = []
    for number, half in enumerate((previous, shifted), 1):
        half = layers.AveragePooling2D(1, 2, name=f"{at}pool{number}")(half)
        halves.append(net.conv(half, filters // 2, 1, f"{at}conv{number}"))
    return net.norm(net.concat(halves, at + "concat"), at + "bn")
