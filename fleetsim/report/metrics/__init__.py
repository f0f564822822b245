"""Metrics: the counts of a running fleet for Prometheus and OpenTelemetry.

``catalogue`` names every metric once; ``readings`` takes their values from the frames
that live views show; ``prometheus`` and ``otlp`` are two ways to hand them out, and
``dashboard`` is a Grafana dashboard over the same names. Nothing is counted here: one
reading a second, never one per event. Imported by cli.
"""
