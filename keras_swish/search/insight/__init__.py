"""What can be said of a search: names of functions, noise, and what a surrogate believes."""
