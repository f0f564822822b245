"""Composition root of one run: prepare (PKI, lab, bindings), execute (engine), audit (target), conclude (report). Imported by cli only."""
