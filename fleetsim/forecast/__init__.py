"""Forecast: who can reach whom, and when, proved by handshakes in memory. Imports transport, pki, scenario, core; never the engine, the lab or a socket."""
