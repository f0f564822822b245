"""Names of the files in a run folder: the contract between a run and its reports."""

from typing import Final

MANIFEST: Final = "manifest.json"
RECORDS_STREAM: Final = "records.arrows"
RECORDS: Final = "records.parquet"
TIMELINE: Final = "timeline.jsonl"
LATENCY_LOG: Final = "latency.hlog"
STATES_STREAM: Final = "states.arrows"
STATES: Final = "states.parquet"
DEVICES: Final = "devices.parquet"
FIGURES: Final = "figures.json"
GENERATOR: Final = "generator.json"
AUDIT: Final = "audit.json"
SUMMARY: Final = "summary.json"
SHARDS: Final = "shards"
