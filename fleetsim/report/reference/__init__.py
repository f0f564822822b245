"""Reference: what the program knows about itself, as pages for people.

Everything is taken from where the program has it: the failure taxonomy, the thresholds,
the metrics, the columns of the records, the JSON Schema of scenarios. So a page cannot say
something else than the program does. Imported by cli.
"""
