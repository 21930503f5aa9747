"""Recording on PyTorch: a model that is only watched keeps nothing for gradients."""

# Where PyTorch is not installed, a type checker takes this file for it.
# pyright: reportAttributeAccessIssue=false

import contextlib
from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]

from keras_swish.keras_compat import Tensor

# Whether a recurrent layer's loop computes its first step once more beforehand, for its shape.
TRIES_FIRST_STEP = True


def eager() -> contextlib.AbstractContextManager[None]:
    """Lets the model run without a graph for gradients; PyTorch is eager by itself."""
    return torch.no_grad()


def has_value(x: Tensor) -> bool:
    """Says whether a tensor has a value: inside of `torch.func.vmap` it has not."""
    return isinstance(x, torch.Tensor) and not torch._C._functorch.is_functorch_wrapped_tensor(x)


def slope(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Returns the derivative of an elementwise function at each element."""
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        y = function(x)
        if not y.requires_grad:  # a constant
            return torch.zeros_like(x)
        (gradient,) = torch.autograd.grad(y.sum(), x, allow_unused=True)
    return torch.zeros_like(x) if gradient is None else gradient
