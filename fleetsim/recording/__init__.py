"""Attempt records and the run folder they are written to. Imports core."""
