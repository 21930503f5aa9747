"""Copies of models with other activations, and what files say of them."""
