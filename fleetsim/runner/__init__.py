"""Composition root of one run: prepare (PKI, keys, lab, bindings), execute (engine, with the timeline beside it), audit (target), conclude (report). Imported by cli only."""
