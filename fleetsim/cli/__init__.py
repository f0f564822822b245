"""The typer command line: one file per command, no logic."""
