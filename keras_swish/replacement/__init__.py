"""One model in, the same model with other activations out."""
