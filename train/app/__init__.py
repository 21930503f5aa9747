"""Shared by the programs: flags, main and errors, the work folder, executors."""
