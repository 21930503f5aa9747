"""The accuracies that the Swish paper prints, by its tables.

Ramachandran, Zoph, Le, "Searching for Activation Functions", arXiv:1710.05941v2. Nothing here
was measured by this project, and it was written down without the PDF at hand: a wrong cell is
mended here and nowhere else.
"""

# By function, named as in `keras_swish.catalogue`: the number of the table, then the test accuracy
# in percent of each of these networks, the median of five runs.
CIFAR_NETWORKS = ("resnet164", "wrn_28_10", "densenet_100_12")
CIFAR10 = {
    "relu": (1, 93.8, 95.3, 94.8),
    "swish_beta": (1, 94.5, 95.5, 94.9),
    "max_sigmoid": (1, 94.3, 95.3, 94.8),
    "cos_minus_x": (1, 94.1, 94.8, 94.6),
    "min_sin": (1, 94.0, 95.1, 94.4),
    "arctan_squared_minus_x": (1, 93.9, 94.7, 94.9),
    "max_tanh": (1, 93.9, 94.2, 94.5),
    "sinc_plus_x": (1, 91.5, 92.1, 92.0),
    "x_arcsinh_squared": (1, 85.1, 92.1, 91.1),
    "leaky_relu": (4, 94.2, 95.6, 94.7),
    "prelu": (4, 94.1, 95.1, 94.5),
    "softplus": (4, 94.6, 94.9, 94.7),
    "elu": (4, 94.1, 94.1, 94.4),
    "selu": (4, 93.0, 93.2, 93.9),
    "gelu": (4, 94.3, 95.5, 94.8),
    "swish": (4, 94.7, 95.5, 94.8),
}
CIFAR100 = {
    "relu": (2, 74.2, 77.8, 83.7),
    "swish_beta": (2, 75.1, 78.0, 83.9),
    "max_sigmoid": (2, 74.8, 78.6, 84.2),
    "cos_minus_x": (2, 75.2, 76.6, 81.8),
    "min_sin": (2, 73.4, 77.1, 74.3),
    "arctan_squared_minus_x": (2, 75.2, 76.7, 83.1),
    "max_tanh": (2, 74.8, 76.0, 78.6),
    "sinc_plus_x": (2, 66.1, 68.3, 67.9),
    "x_arcsinh_squared": (2, 52.8, 70.6, 68.1),
    "leaky_relu": (5, 74.2, 78.0, 83.3),
    "prelu": (5, 74.5, 77.3, 81.5),
    "softplus": (5, 76.0, 78.4, 83.7),
    "elu": (5, 75.0, 76.0, 80.6),
    "selu": (5, 73.2, 74.3, 80.8),
    "gelu": (5, 74.7, 78.0, 83.8),
    "swish": (5, 75.1, 78.5, 83.8),
}

# By network: the number of the table, then for each function the top-1 accuracy in percent of one
# run, or of three.
IMAGENET = {
    "nasnet_mobile": {
        "table": 6,
        "leaky_relu": (73.8, 73.9, 74.2),
        "prelu": (74.6, 74.7, 74.7),
        "softplus": (74.0, 74.2, 74.2),
        "elu": (74.1, 74.2, 74.2),
        "selu": (73.6, 73.7, 73.7),
        "gelu": (74.6,),
        "relu": (73.5, 73.6, 73.8),
        "swish": (74.6, 74.7, 74.7),
        "swish_beta": (74.9, 74.9, 75.2),
    },
    "inception_resnet_v2": {
        "table": 7,
        "leaky_relu": (79.5, 79.5, 79.6),
        "prelu": (79.7, 79.8, 80.1),
        "softplus": (80.1, 80.2, 80.4),
        "elu": (75.8, 79.9, 80.0),
        "selu": (79.0, 79.2, 79.2),
        "gelu": (79.6, 79.6, 79.9),
        "relu": (79.5, 79.6, 79.8),
        "swish": (80.2, 80.3, 80.4),
        "swish_beta": (80.2, 80.2, 80.3),
    },
    "mobilenet": {
        "table": 8,
        "leaky_relu": (72.5,),
        "prelu": (74.2,),
        "softplus": (73.6,),
        "elu": (73.9,),
        "selu": (73.2,),
        "gelu": (73.5,),
        "relu": (72.0,),
        "swish": (74.2,),
        "swish_beta": (74.2,),
    },
    "inception_v3": {
        "table": 9,
        "leaky_relu": (78.4,),
        "prelu": (77.7,),
        "softplus": (78.7,),
        "elu": (77.9,),
        "selu": (76.7,),
        "gelu": (77.7,),
        "relu": (78.4,),
        "swish": (78.7,),
        "swish_beta": (78.7,),
    },
    "inception_v4": {
        "table": 10,
        "leaky_relu": (79.3,),
        "prelu": (79.3,),
        "softplus": (79.6,),
        "elu": (79.5,),
        "selu": (78.3,),
        "gelu": (79.0,),
        "relu": (79.2,),
        "swish": (79.3,),
        "swish_beta": (79.3,),
    },
}

# Table 3: on how many of nine networks Swish is better than a baseline, equal, and worse.
# Unverified, like the tables above.
SIGNS = {
    "relu": (9, 0, 0),
    "leaky_relu": (7, 1, 1),
    "prelu": (6, 3, 0),
    "softplus": (6, 2, 1),
    "elu": (8, 0, 1),
    "selu": (8, 1, 0),
    "gelu": (8, 1, 0),
}


SOFTPLUS_NOTE = (
    "The paper's row of softplus, 6 / 2 / 1, does not follow from its tables as written down here: "
    "three networks on CIFAR-10 and five on ImageNet give 4 / 2 / 2, which a ninth network cannot "
    "make 6 / 2 / 1. One of the two is wrong."
)


def accuracy(network: str, activation: str, dataset: str | None = None) -> tuple[float, ...] | None:
    """Returns the accuracies that the paper prints for a network.

    Args:
        network: A name of `keras_swish.models.names()`.
        activation: A name of `keras_swish.names()`.
        dataset: "cifar10", "cifar100" or "imagenet2012"; by default ImageNet for the networks
            that were measured there, CIFAR-10 for the others.

    Returns:
        The accuracy of each run that is printed, in percent, or `None` if there is none.

    Example:
        >>> from keras_swish.models.paper_accuracies import accuracy
        >>> accuracy("nasnet_mobile", "swish_beta"), accuracy("resnet50", "relu")
        ((74.9, 74.9, 75.2), None)
    """
    if network in CIFAR_NETWORKS:
        table = {None: CIFAR10, "cifar10": CIFAR10, "cifar100": CIFAR100}.get(dataset, {})
        row = table.get(activation)
        return row and (row[1 + CIFAR_NETWORKS.index(network)],)
    if dataset not in (None, "imagenet2012"):
        return None
    return IMAGENET.get(network, {}).get(activation)
