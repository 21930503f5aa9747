"""The datasets that a run is trained on."""
