"""PURE. YAML scenario to Scenario (every problem with its line) to Plan (seeded, sharded). Imports core only."""
