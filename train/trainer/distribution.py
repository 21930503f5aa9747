"""One run on many devices, and on many machines.

Every device gets the same share of each batch, and has all of the weights. The choice of the engine
includes the statistics of batch normalisation, and what is drawn at random:

* `data_parallel` on TensorFlow is `tf.distribute.MirroredStrategy`: each device normalises with
  the statistics of its own share, and the moving statistics are the mean of the devices'. Small
  shares give noisy statistics, as they did in the paper's own training.
  All devices draw the same random numbers, as Keras does there: dropout and drop path leave out
  the same in each share, at the same places.
* `data_parallel` and `multi_host` on JAX are `keras.distribution.DataParallel`: one program over
  the whole batch, so the statistics are those of the whole batch, as on one device.

`multi_host` needs JAX: Keras's `fit` does not work under TensorFlow's MultiWorkerMirroredStrategy.
TPUs need JAX too: `tf.distribute.TPUStrategy` is not tried.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from typing import Any

import keras

from keras_swish.messages import first_line

from ..errors import ArgumentError, HostLostError
from .recipe import Recipe

# Words of the errors of JAX when a host is lost, from CPUs and from its coordinator.
_LOST = ("Gloo", "UNAVAILABLE", "heartbeat")
STRATEGIES = ("none", "data_parallel", "multi_host")


@dataclasses.dataclass(frozen=True)
class Devices:
    """The devices that a run is spread over.

    Attributes:
        count: Number of devices, over all hosts.
        host: Number of this host, from 0.
        hosts: Number of hosts.
        scope: Context in which the network is built.
        even: Whether each device must get as many images of every batch.
    """

    count: int = 1
    host: int = 0
    hosts: int = 1
    scope: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    even: bool = False

    @property
    def shard(self) -> tuple[int, int]:
        """The part of each batch that this host reads, as `(number, of how many)`."""
        return self.host, self.hosts

    @property
    def writes(self) -> bool:
        """Whether this host is the one that writes the results."""
        return self.host == 0

    def bn_replicas(self, recipe: Recipe) -> int | None:
        """Returns how many devices normalise a share of a batch each; None where it is one batch.

        Example:
            >>> from keras_swish.train.trainer import distribution, recipes
            >>> distribution.ONE_DEVICE.bn_replicas(recipes.RECIPES["short"])
        """
        # On JAX the devices normalise together.
        is_split = keras.backend.backend() == "tensorflow" and not recipe.synchronized_bn
        return self.count if is_split and self.count > 1 else None

    @contextlib.contextmanager
    def watching_hosts(self) -> Iterator[None]:
        """Raises `HostLostError` when another host ends in the middle of a step."""
        try:
            yield
        except (RuntimeError, ValueError) as error:
            if self.hosts == 1 or not any(word in str(error) for word in _LOST):
                raise
            raise HostLostError("another host was lost") from error


ONE_DEVICE = Devices()


def start(
    strategy: str, coordinator: str | None = None, hosts: int | None = None, host: int | None = None
) -> Devices:
    """Prepares the devices; to be called before anything is computed.

    Args:
        strategy: One of `STRATEGIES`.
        coordinator: Address and port of host 0, for "multi_host". By default JAX finds it out
            itself, and the two below, on TPU pods and under Slurm.
        hosts: Number of hosts.
        host: Number of this one, from 0.

    Raises:
        ArgumentError: If the backend cannot do it.

    Example:
        >>> from keras_swish.train.trainer import distribution
        >>> distribution.start("none").count
        1
    """
    backend = keras.backend.backend()
    if strategy == "none":
        return ONE_DEVICE
    if strategy == "data_parallel" and backend == "tensorflow":
        return _mirrored()
    if backend != "jax":
        works = "tensorflow or =jax" if strategy == "data_parallel" else "jax"
        raise ArgumentError("strategy", f"{strategy!r} needs KERAS_BACKEND={works}")
    if strategy == "multi_host":
        _join(coordinator, hosts, host)
    import jax

    return Devices(
        jax.device_count(), jax.process_index(), jax.process_count(), _distributed, even=True
    )


def _distributed() -> contextlib.AbstractContextManager[None]:
    # It stays set, as training needs it too; `keras.utils.clear_session` resets it.
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
    return contextlib.nullcontext()


def _mirrored() -> Devices:
    import tensorflow as tf

    if "TPU_NAME" in os.environ or tf.config.list_physical_devices("TPU"):
        raise ArgumentError("strategy", "on TPUs it needs KERAS_BACKEND=jax")
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])

    def scope() -> contextlib.AbstractContextManager[Any]:
        both = contextlib.ExitStack()
        both.enter_context(strategy.scope())
        both.enter_context(tf.variable_creator_scope(_averaging_statistics))
        return both

    # A device without an image of the last batch would fail: not every operation takes none.
    return Devices(strategy.num_replicas_in_sync, scope=scope, even=True)


def _averaging_statistics(next_creator: Callable[..., Any], **arguments: Any) -> Any:
    """Makes moving statistics one for all devices, where Keras lets each device have its own."""
    if str(arguments.get("name")).startswith("moving_"):
        import tensorflow as tf

        arguments["aggregation"] = tf.VariableAggregation.MEAN
    return next_creator(**arguments)


def _join(coordinator: str | None, hosts: int | None, host: int | None) -> None:
    import jax

    # For CPUs; other devices have collectives of their own.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(coordinator, hosts, host)
    except (RuntimeError, ValueError) as error:
        raise ArgumentError(
            "coordinator",
            f"the hosts cannot be joined ({first_line(error)}); give --hosts and --host too",
        ) from error
