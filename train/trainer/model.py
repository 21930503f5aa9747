"""The network of a run: built, compiled, with weights drawn from the run's seed."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from keras_swish import models
from keras_swish.keras_compat import (
    LossScaleOptimizer,
    all_layers,
    ema_momentum,
    own_variables,
    unscaled,
)
from keras_swish.layers import weighted_layers
from keras_swish.messages import first_line
from keras_swish.models import weights

from ..errors import as_argument_error
from . import builders, recipes

if TYPE_CHECKING:
    from ..datasets.base import Dataset
    from .trainer import Run


class TrainingNetwork(keras.Model):
    """A network with what only its training needs: an auxiliary loss, and averages of statistics.

    Loss and metrics are those of the network without: the auxiliary loss is added to the loss of a
    training step alone, and with a moving average of the weights there is one of batch
    normalisation's moving statistics too, which are no weights to the optimizer.

    Args:
        network: The network; its second output, if it has one, is the auxiliary classifier.
        recipe: The recipe of its training.

    Source: TF-Slim's `train_image_classifier.py`, which averages all model variables.
    """

    def __init__(self, network: keras.Model, recipe: recipes.Recipe) -> None:
        outputs = network.outputs
        super().__init__(
            network.inputs[0], outputs if len(outputs) > 1 else outputs[0], name=network.name
        )
        self.auxiliary_weight = recipe.auxiliary_weight
        self.auxiliary_loss = _loss(recipe.label_smoothing)
        # Keras takes its losses and metrics to be one for each of these.
        self.output_names = self.output_names[:1]
        self.accumulation_steps = recipe.accumulation_steps
        self.ema_momentum = recipe.ema_momentum
        self.statistics: list[keras.Variable] = []
        self.statistics_averages: list[keras.Variable] = []
        if self.ema_momentum:
            self.statistics = moving_statistics(network)
            self.statistics_averages = [
                self.add_weight(
                    shape=variable.shape,
                    initializer="zeros",
                    trainable=False,
                    aggregation="mean",
                    name=f"average_of_{variable.path.replace('/', '_')}",
                )
                for variable in self.statistics
            ]
            self.calls = self.add_weight(
                shape=(),
                initializer="zeros",
                dtype="int32",
                trainable=False,
                aggregation="only_first_replica",
                name="calls",
            )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the loss, in training with the auxiliary one; then it averages, too."""
        if training and self.statistics:
            self._average_statistics()
        if len(self.outputs) == 1:
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        classified, auxiliary = y_pred
        loss = super().compute_loss(x, y, classified, sample_weight, training)
        if training:
            added: Any = self.auxiliary_loss(y, auxiliary, sample_weight)
            loss += self.auxiliary_weight * added
        return loss

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Returns the metrics of the classifier."""
        classified = y_pred if len(self.outputs) == 1 else y_pred[0]
        return super().compute_metrics(x, y, classified, sample_weight)

    def _average_statistics(self) -> None:
        """Averages the moving statistics, which the step's forward pass has updated."""
        parts = self.accumulation_steps
        calls: Any = self.calls
        share: Any = 1.0 - ema_momentum(self.ema_momentum, calls // parts)
        if parts > 1:
            share = ops.where((calls + 1) % parts == 0, share, 0.0)
        for variable, average in zip(self.statistics, self.statistics_averages, strict=True):
            average.assign(average + share * (variable - average))
        calls.assign(calls + 1)


def moving_statistics(network: keras.Model) -> list[keras.Variable]:
    """Returns the moving means and variances of a network's batch normalisations."""
    return [
        variable
        for layer in all_layers(network)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.built
        for variable in (layer.moving_mean, layer.moving_variance)
    ]


def build(run: "Run", dataset: "Dataset") -> keras.Model:
    """Builds and compiles the network of a run, with weights drawn from its seed.

    Networks that differ in their activation alone get the same kernels: initialisers
    take their seeds in the order of the layers, and an activation's beta takes none.

    Args:
        run: The run.
        dataset: The data that it names: `input_shape`, `classes` and `training_images` are used.

    Raises:
        ArgumentError: If the network cannot be built for this data, or by this recipe.
    """
    keras.utils.set_random_seed(run.seed)
    keras.config.set_dtype_policy(run.dtype_policy)
    recipe = run.recipe
    calls, _ = recipes.parts(recipe, dataset.training_images)
    momentum = recipes.bn_momentum(recipe, calls)
    with as_argument_error("model"):
        arguments = recipes.network_arguments(recipe, run.model, calls)
        model = _create(run, dataset, momentum, arguments)
    if run.weights is not None:
        warm_start(model, run)
    model = for_training(model, recipe)
    optimizer = recipes.optimizer(recipe, dataset.training_images // recipe.batch_size)
    apply_weight_decay(model, recipe, optimizer)
    # Those of the zoo give logits.
    shape = dataset.input_shape if builders.is_own(run.model) else None
    compile_for(model, shape, recipe.label_smoothing, optimizer)
    # Not `optimizer`: in float16, one that scales the loss is around it.
    model.optimizer.build(model.trainable_variables)
    return model


def _create(
    run: "Run", dataset: "Dataset", bn_momentum: float, arguments: dict[str, Any]
) -> keras.Model:
    if not builders.is_own(run.model):
        return models.create(
            run.model,
            input_shape=dataset.input_shape,
            classes=dataset.classes,
            activation=run.activation,
            classifier_activation=None,
            bn_momentum=bn_momentum,
            **arguments,
        )
    images: Any = dataset
    weights = run.weights if run.weights == "imagenet" else None
    model = builders.create(run.model, images, run.activation, weights, **arguments)
    for layer in all_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = bn_momentum
    return model


def for_training(network: keras.Model, recipe: recipes.Recipe) -> keras.Model:
    """Returns the network as the recipe trains it: the same, unless that needs more of it."""
    # JAX normalises over all devices anyway, PyTorch has one.
    if recipe.synchronized_bn and keras.backend.backend() == "tensorflow":
        for layer in all_layers(network):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
    if recipe.auxiliary_weight or recipe.ema_momentum:
        return TrainingNetwork(network, recipe)
    return network


def warm_start(model: keras.Model, run: "Run") -> None:
    """Gives a network the weights that its run starts from, a classifier of other classes none.

    A warning names the weights that keep their initial values.

    Raises:
        ArgumentError: If they are those of another network, or cannot be loaded.
    """
    if run.weights == "imagenet" and builders.is_own(run.model):
        return  # it was built with them
    with as_argument_error("weights"):
        if str(run.weights).endswith(".weights.h5"):
            weights.load_file(model, str(run.weights))
            return
        try:
            if run.weights == "imagenet":
                source = models.create(run.model, weights="imagenet")
            else:
                source: Any = keras.saving.load_model(run.weights, compile=False)
        except ValueError:
            raise
        except Exception as error:  # Keras raises no other than this where it is offline
            raise ValueError(f"cannot be loaded ({first_line(error)})") from error
        if builders.is_own(run.model):
            # Files of runs have no auxiliary classifier.
            main = classifier(model) if len(model.outputs) > 1 else model
            missing = weights.transfer_in_order(source, main)
            taken = set(map(id, main.weights))
            missing += [v.path for v in model.weights if id(v) not in taken]
        else:
            missing = weights.transfer(source, model, new_classifier=True)
    if missing:
        warnings.warn(
            f"{run.weights} has no {weights.few(missing)}: initial values kept", stacklevel=2
        )


def _loss(label_smoothing: float, from_logits: bool = True) -> keras.losses.Loss:
    return keras.losses.CategoricalCrossentropy(from_logits, label_smoothing)


def compile_for(
    model: keras.Model,
    input_shape: tuple[int, ...] | None = None,
    label_smoothing: float = 0.0,
    optimizer: keras.optimizers.Optimizer | None = None,
) -> None:
    """Compiles a network for labels that are one-hot.

    Its metrics are the accuracy and, with more than ten classes, the top-5 accuracy; where it is
    only tested also the cross entropy, as the loss has the penalties that its layers ask for.

    Args:
        model: The network.
        input_shape: Shape of one image, to find out whether each of its outputs is logits or
            probabilities; None: all are logits.
        label_smoothing: As in a recipe.
        optimizer: The optimizer of its training; None if it is only tested.
    """
    classes = model.outputs[0].shape[-1]
    metrics: list[str | keras.metrics.Metric] = ["accuracy"]
    if classes > 10:
        metrics.append(keras.metrics.TopKCategoricalAccuracy(5, name="top_5_accuracy"))
    from_logits = [
        input_shape is None or not gives_probabilities(model, input_shape, number)
        for number in range(len(model.outputs))
    ]
    if optimizer is None:
        metrics.append(
            keras.metrics.CategoricalCrossentropy("cross_entropy", from_logits=from_logits[0])
        )
    if isinstance(model, TrainingNetwork):
        model.auxiliary_loss = _loss(label_smoothing, from_logits[-1])
    if optimizer is not None and dtype_policy(model) == "mixed_float16":
        # Keras goes by the policy of the model itself, which a file does not have.
        optimizer = LossScaleOptimizer(optimizer, name="loss_scale_optimizer")
    model.compile(
        optimizer,  # pyright: ignore[reportArgumentType]
        _loss(label_smoothing, from_logits[0]),
        weighted_metrics=metrics,
    )


def dtype_policy(model: keras.Model) -> str:
    """Returns the dtype policy of a run whose network computes as the layers of this one do."""
    # What has no weights, as an input, may have got the policy of the process that loaded it.
    layers = [x for x in all_layers(model, include_self=False) if own_variables(x)]
    dtypes = {layer.compute_dtype for layer in layers}
    return next((f"mixed_{x}" for x in ("float16", "bfloat16") if x in dtypes), "float32")


def gives_probabilities(model: keras.Model, input_shape: tuple[int, ...], output: int = 0) -> bool:
    """Returns whether an output of a network for images is probabilities, and no logits."""
    images = np.random.default_rng(0).standard_normal((8, *input_shape)).astype("float32")
    outputs = keras.tree.flatten(model(keras.ops.convert_to_tensor(images), training=False))
    array = np.asarray(keras.ops.convert_to_numpy(outputs[output]), "float32")
    return bool(array.min() >= 0 and np.allclose(array.sum(-1), 1, atol=1e-2))


def make_metrics(model: keras.Model) -> None:
    """Makes the metrics' variables, which Keras makes at the first step, to be restored before."""
    blanks = [keras.ops.zeros((1, output.shape[-1])) for output in model.outputs]
    model.compute_metrics(None, blanks[0], blanks if blanks[1:] else blanks[0])
    model.reset_metrics()


def classifier(model: keras.Model) -> keras.Model:
    """Returns the network without what only training needs: optimizer and auxiliary head.

    Its file can be loaded where the training programs are not installed.
    """
    return keras.Model(model.inputs[0], model.outputs[0], name=model.name)


def averages(model: keras.Model) -> list[tuple[keras.Variable, keras.Variable]]:
    """Returns pairs of a variable and its moving average; none where there are no averages."""
    variables = getattr(unscaled(model.optimizer), "averages", [])
    pairs = list(zip(model.trainable_variables, variables, strict=True)) if variables else []
    if isinstance(model, TrainingNetwork):
        pairs += zip(model.statistics, model.statistics_averages, strict=True)
    return pairs


@contextlib.contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Puts the moving averages, where there are any, in place of the weights within the block."""
    pairs = averages(model)
    # Copies: Keras's own callback swaps by additions, which rounds the weights.
    weights = [keras.ops.convert_to_numpy(variable) for variable, _ in pairs]
    for variable, average in pairs:
        # JAX would let both share one buffer, and give it away in the next step.
        variable.assign(keras.ops.convert_to_numpy(average))
    try:
        yield
    finally:
        for (variable, _), value in zip(pairs, weights, strict=True):
            variable.assign(value)


def apply_weight_decay(
    model: keras.Model, recipe: recipes.Recipe, optimizer: keras.optimizers.Optimizer | None = None
) -> None:
    """Puts the L2 penalty on the variables that the recipe decays, or spares AdamW the others.

    Chosen by variable, not by name: a beta is also a part of batch normalisation. The regularizer
    that a network of one's own has for such a variable gives way, or it would be decayed twice.
    """
    decayed = decayed_variables(model, recipe) if recipe.weight_decay else []
    if isinstance(optimizer, keras.optimizers.AdamW):
        ids = set(map(id, decayed))
        optimizer.exclude_from_weight_decay(
            [variable for variable in model.trainable_variables if id(variable) not in ids]
        )
        penalty = None
    else:
        penalty = keras.regularizers.L2(recipe.weight_decay / 2)
    for variable in decayed:
        variable.regularizer = penalty


def decayed_variables(model: keras.Model, recipe: recipes.Recipe) -> list[keras.Variable]:
    """Returns the variables that weight decay acts on."""
    decayed, spared = [], set()
    if not recipe.decay_depthwise:
        # Other layers may hold these, too; their kernels have no name of their own.
        depthwise = keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D
        spared = {id(x.kernel) for x in all_layers(model) if isinstance(x, depthwise) and x.built}
    for layer in _leaves(model):
        kernels = [v for v in layer.trainable_variables if v.name.endswith("kernel")]
        if not recipe.decay_depthwise:
            kernels = [v for v in kernels if v.name != "depthwise_kernel" and id(v) not in spared]
        decayed += kernels
    if recipe.decay_activations:
        # Other layers may hold them; Keras's PReLU is in networks of one's own.
        prelus = [x for x in all_layers(model) if isinstance(x, keras.layers.PReLU)]
        for layer in (*weighted_layers(model), *prelus):
            decayed += layer.trainable_variables
    return decayed


def _leaves(model: keras.Model) -> list[keras.layers.Layer]:
    leaves = []
    for layer in model.layers:
        leaves += _leaves(layer) if isinstance(layer, keras.Model) else [layer]
    return leaves
