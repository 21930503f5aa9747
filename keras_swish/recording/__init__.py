"""What flows into and out of a model's activations, seen while the model runs."""
