"""Several processes for one fleet: shards of one plan, each in a process of its own, and the fleet they make together.

The parent owns what there is once: target, timeline, truth check, run folder. A shard owns
its devices: every ``n``-th of the plan. Between them is one private socket pair and nothing
else; private keys travel over it and over nothing else.

::

    parent                                        shard (fleetsim.runner.shards.child)
    ShardedFleet ── ShardProcess ◄─ socket pair ─► ShardFleet (a Fleet), Recorder
        job, go, calls, surroundings ──►
                     ◄── ready, glances (5/s), ticks (1/s), answers, ended

* All shards build their devices first; then the parent names one run time 0 for all
  (the system's monotonic clock is the same in every process).
* *Glances* carry the small figures that conditions of a timeline ask for; *ticks* carry
  progress, latency histograms and the generator's health. Counts are added, never averaged.
* A shard whose process dies takes its devices along: they are ``asleep`` from then on, the
  run goes on, and its verdict is ``invalid``: what was measured is a smaller fleet than the
  one that was planned. Figures up to its last tick are kept, and so are its records up to
  its last flush.
* A shard ends when its parent does: the socket pair then ends. A shard that stops
  answering is killed at the end of the run and counts as died.

Imported by ``fleetsim.runner.run``.
"""
