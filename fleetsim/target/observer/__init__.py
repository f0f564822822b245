"""What servers say about a run: logs of nginx and HAProxy, counters of Ceph RGW.

A load generator that only believes itself cannot tell a handshake that was refused from
one that never arrived. The front's own log can, and the store counts what it stored.

* A log is read from where it ended when the run began, through rotation; what was lost
  on the way is told (:mod:`fleetsim.target.observer.log_file`).
* Lines of other clients are left out: a request belongs to the fleet when its key begins
  with a device id of the fleet, a refused handshake when the client certificate names a
  device, or else when it came from an address the fleet came from
  (:mod:`fleetsim.target.observer.tally`).
* Counters cannot be split by client; a source says so.

Foreign lines are data of strangers: reading one never raises anything but
:class:`~fleetsim.target.observer.seen.UnreadableLineError`.

Imports core alone; the words of OpenSSL are handed in. Imported by the lab, whose fronts
write the same lines, and by the runner.
"""
