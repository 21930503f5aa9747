"""How many compiled formulas are kept.

Each takes megabytes. What is used after it was given up is compiled again.
"""

CACHED_FORMULAS = 128
# The value, the gradient, and now and then a derivative of the gradient.
CACHED_OPERATIONS = 3 * CACHED_FORMULAS
