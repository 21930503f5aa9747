"""What the code of layers calls: it is run once, watched."""
