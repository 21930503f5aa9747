"""The speed of a run: images a second of its training steps alone."""

import time

# What it is called in the progress bar.
SPEED = "images_per_second"
# Steps at the beginning of `fit` that compile.
_COMPILING = 2


class Stopwatch:
    """Measures training steps alone: without compilation, validation, and saving.

    Args:
        images: Images in a step.
        seconds: Time that steps took before.
        steps: How many those were.

    Example:
        >>> from keras_swish.train.trainer.stopwatch import Stopwatch
        >>> Stopwatch(images=32, seconds=4.0, steps=10).images_per_second
        80.0
    """

    def __init__(self, images: int, seconds: float = 0.0, steps: int = 0) -> None:
        self.images = images
        self.seconds = seconds
        self.steps = steps
        self._to_skip = _COMPILING
        self._recent: float | None = None
        self._began: float | None = None

    @property
    def record(self) -> dict[str, float]:
        """The arguments with which a resumed run measures on."""
        return {"seconds": self.seconds, "steps": self.steps}

    @property
    def images_per_second(self) -> float | None:
        """Images a second over all steps; None where too few were measured."""
        return round(self.images * self.steps / self.seconds, 1) if self.seconds else None

    @property
    def recent(self) -> dict[str, float]:
        """Images a second of the last steps, for a progress bar; empty at first."""
        return {SPEED: round(self.images / self._recent, 1)} if self._recent else {}

    def skip_compilation(self) -> None:
        """Leaves the next steps out."""
        self._to_skip = _COMPILING

    def start(self) -> None:
        """Starts to measure a step."""
        self._began = time.perf_counter()

    def stop(self) -> None:
        """Adds the step to those measured."""
        if self._began is None:
            return
        seconds, self._began = time.perf_counter() - self._began, None
        if self._to_skip:
            self._to_skip -= 1
            return
        self.seconds += seconds
        self.steps += 1
        # About the last twenty.
        self._recent = seconds if self._recent is None else 0.95 * self._recent + 0.05 * seconds
