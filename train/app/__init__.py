"""What the programs share: flags, main and errors, the work folder, executors."""
