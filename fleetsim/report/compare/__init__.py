"""Compare: what changed between runs, and whether there is evidence for it.

The method is argued in :mod:`fleetsim.report.compare.bootstrap`; which runs may be
compared at all is decided in :mod:`fleetsim.report.compare.plans`.
"""
