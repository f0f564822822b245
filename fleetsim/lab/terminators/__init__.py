"""Terminators: nginx and HAProxy as the TLS fronts of the lab, instead of the built-in one.

What an operator runs in front of an S3 store decides what a device meets when a
certificate, a cipher list or a revocation list changes. A rehearsal can therefore be run
with the real programs: same certificates, keys, suites, lists and clients.

::

    device ─TCP─► front of the lab ─Unix─► nginx │ HAProxy ─Unix─► S3 endpoint of the lab
                  (outage, faults)         (TLS ends here)          (plain HTTP)

The listening address stays the lab's own, so that outages, resets and faults are the same
whatever terminates TLS; the program is reached over a Unix socket in a private folder,
with the client's address in a PROXY protocol header (version 1), as behind any TCP
balancer. A swap writes a new *generation* of files, has the program check them, reloads
it, and sends new connections to the socket that only the new generation listens on: not
one of them meets the old settings.

Differences that stay, each held by a test in ``tests/integration/test_real_front*.py``:

================================  =====================  ============================
what a device sees                nginx                  HAProxy
================================  =====================  ============================
no, revoked, expired, unknown     handshake completes,   as built-in: alert in the
client certificate                then HTTP 400          handshake
no client certificate at all      HTTP 400               as built-in: handshake_failure
cipher group after such a         stays: the handshake   as built-in: advances, and the
refusal                           did not fail           device comes back *degraded*
idle kept connection at a swap    closed; a request on   kept when only certificates
                                  its way is lost, and   or revocation lists changed,
                                  sent again             else one more answer, with
                                                         ``Connection: close``
upload under way at a swap        answered, then closed  answered; then as above
``Expect: 100-continue``          answered by nginx      passed to the S3 endpoint
no SNI, two key types             chosen by suite        first certificate only
handshake log                     failures, and those    the same
                                  followed by a request
================================  =====================  ============================

The *verdict* is the same everywhere: a refused device is refused, in one phase or the
other, and a device that built-in lets in is let in. A threshold on the failure kind
(``tls.alert.certificate_revoked``; ``http.status`` behind nginx) or on ``degraded`` after
a refused client certificate is about the phase, not about the verdict.

Sessions are never resumed across a swap: caches are off, and with tickets every swap is a
reload, which makes new ticket keys (HAProxy keeps them when a list changes in memory, and
would let a revoked device resume).
The machine's clock is theirs: a calendar is refused for them where they judge client
certificates.
"""
