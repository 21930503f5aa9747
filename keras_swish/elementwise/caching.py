"""How many compiled formulas are kept.

Each takes megabytes. What is used after it was given up is compiled again.
"""

CACHED_FORMULAS = 64
# The value and the gradient of each.
CACHED_OPERATIONS = 2 * CACHED_FORMULAS
