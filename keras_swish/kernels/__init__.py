"""Elementwise functions that neither overflow on the way nor lose their tails.

The frameworks' own elementary functions are off by up to 60 units in the last place
(TensorFlow's erfc), or overflow before their result does (sinh), or take ten times as long
as a copy (XLA's cos and arctan on a CPU). These here keep within 4 in float32, take the limit
at infinity where there is one, keep NaN, and are made of operations that every backend,
compiler and exporter has. In float64 they are the plain formulas.

Polynomials are fitted to least relative error (Lawson's iteration on Chebyshev nodes, in 50
digits); their coefficients are given lowest power first.
"""
