"""The same tests on the other backends, each in a process of its own."""

# One network of each family against keras.applications, and what all networks share.
TESTS = ["tests/models/test_applications.py", "tests/models/test_networks.py"]
