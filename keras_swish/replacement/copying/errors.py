"""What is said where a layer cannot be copied."""


class CannotCopyError(ValueError):
    """A layer that cannot be made a second time."""
