"""Handshake log: what became of every TLS handshake a front took part in, bounded."""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from fleetsim.core.failure import Failure
from fleetsim.transport.tls_names import alert_name_of

OK: Final = "ok"
"""Result of a handshake that was completed and accepted."""

_ALERT_RECORD: Final = 21  # ContentType alert, RFC 8446 5.1
_HEADER_BYTES: Final = 5
_VERDICT: Final = "tls.verify."
_MOST_NAMES: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeEntry:
    """One handshake as the server saw it.

    Attributes:
        number: Running number within the front, from 1.
        unix_s: When it ended, wall clock.
        duration_s: From accept to the end.
        peer: Client address, ``host:port``.
        result: ``ok`` or the failure kind.
        detail: Words of the TLS library; for people.
        alert_sent: IANA name of the fatal alert sent, empty when none is known.
        alert_received: IANA name of the fatal alert received, empty when none.
        version: Negotiated version, empty when it did not come that far.
        suite: Negotiated suite (OpenSSL name), empty when it did not come that far.
        resumed: Whether an earlier session was resumed.
        server_name: Name the client asked for (SNI), empty when none.
        client_subject: Subject of the client certificate (RFC 4514), empty when none.
        client_serial: Its serial number in hex, empty when none.
    """

    number: int
    unix_s: float
    duration_s: float
    peer: str
    result: str
    detail: str = ""
    alert_sent: str = ""
    alert_received: str = ""
    version: str = ""
    suite: str = ""
    resumed: bool = False
    server_name: str = ""
    client_subject: str = ""
    client_serial: str = ""


class HandshakeLog:
    """The newest handshakes of a front, and the count of all of them by result.

    Args:
        max_entries: Entries kept; older ones are dropped, never their counts.
    """

    def __init__(self, max_entries: int) -> None:
        self._entries: deque[HandshakeEntry] = deque(maxlen=max_entries)
        self._results: Counter[str] = Counter()
        self._total = 0
        self._resumed = 0
        self._refused: Counter[tuple[str, str]] = Counter()

    @property
    def total(self) -> int:
        """Handshakes so far, dropped entries included."""
        return self._total

    @property
    def resumed(self) -> int:
        """Completed handshakes so far that resumed a session."""
        return self._resumed

    @property
    def refused(self) -> tuple[tuple[str, str, int], ...]:
        """Subject of the client certificate, result and count of what failed.

        Handshakes that failed before the client named itself are not among them.
        """
        return tuple(
            (subject, result, count)
            for (subject, result), count in sorted(self._refused.items())
        )

    @property
    def next_number(self) -> int:
        """Number the next entry must carry."""
        return self._total + 1

    def add(self, entry: HandshakeEntry) -> None:
        """Add the next entry; its number is :attr:`next_number`."""
        self._total += 1
        self._results[entry.result] += 1
        if entry.result == OK:
            self._resumed += entry.resumed
        elif entry.client_subject and len(self._refused) < _MOST_NAMES:
            self._refused[entry.client_subject, entry.result] += 1
        self._entries.append(entry)

    def by_result(self) -> dict[str, int]:
        """Count of all handshakes per result, sorted by result."""
        return dict(sorted(self._results.items()))

    def after(self, number: int = 0, limit: int = 1000) -> tuple[HandshakeEntry, ...]:
        """Return kept entries with a larger number, oldest first.

        Args:
            number: Last number the caller has seen.
            limit: Most entries returned; the oldest are returned first, so that a
                caller who asks again with the last number gets the rest.
        """
        found: Iterable[HandshakeEntry]
        found = (entry for entry in self._entries if entry.number > number)
        return tuple(entry for entry, _ in zip(found, range(limit), strict=False))


# Which alert OpenSSL sends for its verdict on a client certificate, where RFC 8446 6.2
# leaves a choice. Needed for TLS 1.3 alone: there alerts are encrypted.
_ALERT_OF_VERDICT: Final = MappingProxyType(
    {
        "cert_has_expired": "certificate_expired",
        "crl_has_expired": "certificate_expired",
        "cert_revoked": "certificate_revoked",
        "cert_signature_failure": "decrypt_error",
        "crl_signature_failure": "decrypt_error",
        "invalid_purpose": "unsupported_certificate",
        "no_peer_certificate": "certificate_required",
        **dict.fromkeys(
            (
                "unable_to_get_issuer_cert",
                "unable_to_get_issuer_cert_locally",
                "unable_to_verify_leaf_signature",
                "unable_to_get_crl",
                "unable_to_get_crl_issuer",
                "depth_zero_self_signed_cert",
                "self_signed_cert_in_chain",
                "cert_chain_too_long",
                "path_length_exceeded",
                "invalid_ca",
            ),
            "unknown_ca",
        ),
        **dict.fromkeys(
            (
                "cert_not_yet_valid",
                "crl_not_yet_valid",
                "cert_rejected",
                "cert_untrusted",
                "ee_key_too_small",
                "ca_key_too_small",
                "ca_md_too_weak",
            ),
            "bad_certificate",
        ),
    }
)


def alert_sent(failure: Failure, last_flight: bytes) -> str:
    """Tell which fatal alert ended a handshake on our side.

    Args:
        failure: Why it ended.
        last_flight: Ciphertext sent at the end: an alert not yet encrypted is read
            from it.

    Returns:
        The IANA name; empty when none was sent or it cannot be known.
    """
    start = 0
    while start + _HEADER_BYTES <= len(last_flight):
        length = int.from_bytes(last_flight[start + 3 : start + 5], "big")
        content = last_flight[start + _HEADER_BYTES : start + _HEADER_BYTES + length]
        if last_flight[start] == _ALERT_RECORD and len(content) == 2:
            return alert_name_of(content[1])
        start += _HEADER_BYTES + length
    if last_flight and failure.kind.startswith(_VERDICT):
        verdict = failure.kind.removeprefix(_VERDICT)
        return _ALERT_OF_VERDICT.get(verdict, "certificate_unknown")
    return ""
