"""Live views: figures of a running fleet, made once a second, and what shows them.

``frame`` holds the values and ``feed`` makes them; the terminal, the web page and metrics
read the same :class:`~fleetsim.report.live.frame.LiveFrame` and work nothing out by
themselves. Imported by runner and cli; knows nothing of the engine.
"""
