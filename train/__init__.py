"""The training programs; `keras-swish --help` lists them."""
