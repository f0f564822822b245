"""Summary, thresholds and renderings of a run folder. Imports recording, scenario, core; never the engine."""
