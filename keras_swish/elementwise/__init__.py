"""Elementwise operations: one pass forward and one backward, on every backend."""
