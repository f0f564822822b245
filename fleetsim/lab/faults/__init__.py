"""Faults: what can go wrong on the way between a device and a server, at the TCP level.

One small class per fault, each a rule about bytes (:mod:`fleetsim.lab.faults.flow`) that
knows no socket and no clock; :mod:`fleetsim.lab.faults.path` applies them to one
connection. The lab's fronts use that inside their own process; in front of any other
server, also a real endpoint, stands a front that only relays
(:mod:`fleetsim.lab.faults.relay`).
"""
