"""Models written for other runtimes, and compared with Keras."""
