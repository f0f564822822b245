"""The one failure taxonomy: ``phase.cause`` words that are written to results.

Kinds are never renamed. Closed families are listed here one by one; three families are
open because their second half is somebody else's registry:

* ``tls.alert.<name>``   the peer's alert, IANA name (RFC 5246 7.2, RFC 8446 6)
* ``tls.verify.<name>``  our own verdict on the peer's chain, ``X509_V_ERR_`` name
* ``s3.<Code>``          the ``Code`` element of an S3 error document

``unclassified`` is a bug metric, not a place to park: its count must stay 0.
Only ``fleetsim.transport.errors`` turns exceptions into failures; the HTTP parser and
the device add the kinds that are theirs to see.
"""

import re
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final


@unique
class Phase(StrEnum):
    """Phase of an attempt in which something was measured or went wrong."""

    DEVICE = "device"  # before the network: no trust, card full
    DNS = "dns"
    TCP = "tcp"
    TLS = "tls"
    SEND = "send"
    WAIT = "wait"  # request sent, no complete response yet
    RUN = "run"  # ended by the run itself


class Kind:
    """The closed part of the taxonomy, as constants."""

    DNS_NOT_FOUND: Final = "dns.not_found"
    DNS_TIMEOUT: Final = "dns.timeout"
    DNS_FAILED: Final = "dns.failed"

    TCP_REFUSED: Final = "tcp.refused"
    TCP_RESET: Final = "tcp.reset"
    TCP_TIMEOUT: Final = "tcp.timeout"
    TCP_UNREACHABLE: Final = "tcp.unreachable"
    TCP_LOCAL_PORTS: Final = "tcp.local_ports_exhausted"
    TCP_LOCAL_FILES: Final = "tcp.local_files_exhausted"

    TLS_NO_SHARED_CIPHER: Final = "tls.no_shared_cipher"
    TLS_RESET: Final = "tls.reset"  # connection lost mid-handshake without an alert
    TLS_TIMEOUT: Final = "tls.timeout"
    TLS_PROTOCOL: Final = "tls.protocol"  # not TLS, bad record, bad parameters
    TLS_OWN_CERTIFICATE: Final = "tls.own_certificate"  # our own key/chain unusable

    HTTP_TIMEOUT: Final = "http.timeout"
    HTTP_RESET: Final = "http.reset"  # connection lost before a complete response
    HTTP_MALFORMED: Final = "http.malformed"
    HTTP_STATUS: Final = "http.status"  # an error status without an S3 error document

    DEVICE_NO_TRUST: Final = "device.no_trusted_certificates"
    DEVICE_CARD_FULL: Final = "device.card_full"
    DEVICE_POWER_CYCLE: Final = "device.power_cycle"  # the attempt was cut off
    DEVICE_BAD_CONFIG: Final = "device.bad_configuration"
    DEVICE_BAD_FIRMWARE: Final = "device.bad_firmware"

    RUN_STOPPED: Final = "run.stopped"
    UNCLASSIFIED: Final = "unclassified"


KINDS: Final[frozenset[str]] = frozenset(
    value for name, value in vars(Kind).items() if not name.startswith("_")
)
OPEN_FAMILIES: Final = ("tls.alert.", "tls.verify.", "s3.")

_OPEN_MEMBER = re.compile(r"(?:tls\.(?:alert|verify)\.[a-z0-9_]+|s3\.[A-Za-z0-9]+)\Z")


def is_kind(text: str) -> bool:
    """Tell whether a text is a member of the taxonomy."""
    return text in KINDS or _OPEN_MEMBER.match(text) is not None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    Attributes:
        kind: Stable class, a member of the taxonomy (see :func:`is_kind`).
        phase: Phase that was under way.
        detail: Words of the peer or the operating system; for people, never branched
            on, never secret.
    """

    kind: str
    phase: Phase
    detail: str = ""


def alert(name: str, detail: str = "") -> Failure:
    """Failure for an alert received from the peer; ``name`` is the IANA name."""
    return Failure(f"tls.alert.{name}", Phase.TLS, detail)


def verify(name: str, detail: str = "") -> Failure:
    """Failure for our own verdict; ``name`` as in ``X509_V_ERR_…``, lower case."""
    return Failure(f"tls.verify.{name}", Phase.TLS, detail)


def s3(code: str, detail: str = "") -> Failure:
    """Failure for an S3 error document; ``code`` is its ``Code`` element."""
    safe = re.sub(r"[^A-Za-z0-9]", "", code)[:64] or "Unknown"
    return Failure(f"s3.{safe}", Phase.WAIT, detail)
