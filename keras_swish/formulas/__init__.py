"""Formulas of activation functions: their language, derivatives and values."""
