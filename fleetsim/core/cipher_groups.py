"""Cipher groups: names of the cipher suites and the fallback ladder.

Theory of operation of the ladder (CSS Electronics, CANedge documentation, "S3
security"): a device offers the suites of group 1; when a connection attempt fails it
goes on to the next group, and it ends on the last one, which it keeps. No step back is
described. How long the group is remembered is not public; a reset at power-on is the
plain reading and therefore the default. Each point is a knob of
:class:`~fleetsim.core.settings.FallbackPolicy`.

A position counts from 0. A *connection* below is one attempt to get one job done, with
all its retries; a *handshake attempt* is one try of it::

    start_of_connection ─► attempt ─ fails ─► next_group ─► attempt …
                              └───── succeeds ─► after_success
    power-on ─► after_power_cycle

Only DNS, TCP and TLS failures are failed connection attempts. Whatever happens on an
open connection never moves the ladder, not even an alert that arrives there (in TLS 1.3
a server judges the client certificate after the client is done, RFC 8446 4.4.2.4).
Neither do failures of the load generator itself (out of ports or file descriptors): a
real device would not have seen them.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final, assert_never

from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.settings import AdvanceOn, FallbackPolicy, GroupMemory, StepBack


@unique
class KeyExchange(StrEnum):
    """How the session key is agreed on and the server authenticated."""

    RSA = "RSA"  # static RSA: the leaf needs keyEncipherment
    DHE_RSA = "DHE-RSA"
    ECDHE_RSA = "ECDHE-RSA"
    ECDHE_ECDSA = "ECDHE-ECDSA"
    TLS13 = "TLS1.3"  # negotiated apart from the suite (RFC 8446 4.2.7)


@dataclass(frozen=True, slots=True, kw_only=True)
class CipherSuite:
    """A cipher suite and its two names.

    Attributes:
        openssl: Name in ``openssl ciphers``.
        iana: Name in the IANA registry "TLS Cipher Suites".
        key_exchange: Key exchange and authentication.
    """

    openssl: str
    iana: str
    key_exchange: KeyExchange


def _table(key_exchange: KeyExchange, *names: str) -> tuple[CipherSuite, ...]:
    """Make the rows of one key exchange from ``"openssl iana"`` pairs."""
    rows = []
    for pair in names:
        openssl, iana = pair.split()
        rows.append(CipherSuite(openssl=openssl, iana=iana, key_exchange=key_exchange))
    return tuple(rows)


# Holds the sixteen suites of the Wi-Fi module that the reference device is taken to
# use (Microchip WINC1500 driver, socket.h: AES-CBC and AES-128-GCM only) and what
# today's servers and clients prefer.
SUITES: Final[tuple[CipherSuite, ...]] = (
    *_table(
        KeyExchange.RSA,
        "AES128-SHA TLS_RSA_WITH_AES_128_CBC_SHA",
        "AES128-SHA256 TLS_RSA_WITH_AES_128_CBC_SHA256",
        "AES128-GCM-SHA256 TLS_RSA_WITH_AES_128_GCM_SHA256",
        "AES256-SHA TLS_RSA_WITH_AES_256_CBC_SHA",
        "AES256-SHA256 TLS_RSA_WITH_AES_256_CBC_SHA256",
        "AES256-GCM-SHA384 TLS_RSA_WITH_AES_256_GCM_SHA384",
    ),
    *_table(
        KeyExchange.DHE_RSA,
        "DHE-RSA-AES128-SHA TLS_DHE_RSA_WITH_AES_128_CBC_SHA",
        "DHE-RSA-AES128-SHA256 TLS_DHE_RSA_WITH_AES_128_CBC_SHA256",
        "DHE-RSA-AES128-GCM-SHA256 TLS_DHE_RSA_WITH_AES_128_GCM_SHA256",
        "DHE-RSA-AES256-SHA TLS_DHE_RSA_WITH_AES_256_CBC_SHA",
        "DHE-RSA-AES256-SHA256 TLS_DHE_RSA_WITH_AES_256_CBC_SHA256",
        "DHE-RSA-AES256-GCM-SHA384 TLS_DHE_RSA_WITH_AES_256_GCM_SHA384",
        "DHE-RSA-CHACHA20-POLY1305 TLS_DHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    *_table(
        KeyExchange.ECDHE_RSA,
        "ECDHE-RSA-AES128-SHA TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
        "ECDHE-RSA-AES128-SHA256 TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256 TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-RSA-AES256-SHA TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
        "ECDHE-RSA-AES256-SHA384 TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384 TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-RSA-CHACHA20-POLY1305 TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    *_table(
        KeyExchange.ECDHE_ECDSA,
        "ECDHE-ECDSA-AES128-SHA TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
        "ECDHE-ECDSA-AES128-SHA256 TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES256-SHA TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
        "ECDHE-ECDSA-AES256-SHA384 TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384",
        "ECDHE-ECDSA-AES256-GCM-SHA384 TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305 TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        "ECDHE-ECDSA-AES128-CCM TLS_ECDHE_ECDSA_WITH_AES_128_CCM",
        "ECDHE-ECDSA-AES128-CCM8 TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8",
    ),
    *_table(
        KeyExchange.TLS13,
        "TLS_AES_128_GCM_SHA256 TLS_AES_128_GCM_SHA256",
        "TLS_AES_256_GCM_SHA384 TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256 TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_CCM_SHA256 TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_CCM_8_SHA256 TLS_AES_128_CCM_8_SHA256",
    ),
)

_BY_OPENSSL: Final = {suite.openssl: suite for suite in SUITES}
_BY_IANA: Final = {suite.iana: suite for suite in SUITES}


def is_known(openssl: str) -> bool:
    """Tell whether a suite (OpenSSL name) is in the table."""
    return openssl in _BY_OPENSSL


def iana_name(openssl: str) -> str:
    """Give the IANA name of a suite, or the name itself when it is not in the table.

    Reports must be able to print whatever was negotiated, hence no error.
    """
    suite = _BY_OPENSSL.get(openssl)
    return suite.iana if suite else openssl


def openssl_name(iana: str) -> str:
    """Give the OpenSSL name of a suite, or the name itself when not in the table."""
    suite = _BY_IANA.get(iana)
    return suite.openssl if suite else iana


def key_exchange_of(openssl: str) -> KeyExchange:
    """Give the key exchange of a suite (OpenSSL name).

    Raises:
        KeyError: The suite is not in the table (see :func:`is_known`).
    """
    return _BY_OPENSSL[openssl].key_exchange


def is_tls13(suite: str) -> bool:
    """Tell whether a suite (OpenSSL name) is one of TLS 1.3 (RFC 8446 B.4)."""
    found = _BY_OPENSSL.get(suite)
    return found is not None and found.key_exchange is KeyExchange.TLS13


# ---------------------------------------------------------------- the ladder

_CONNECTION_PHASES: Final = frozenset({Phase.DNS, Phase.TCP, Phase.TLS})
_GENERATOR_KINDS: Final = frozenset({Kind.TCP_LOCAL_PORTS, Kind.TCP_LOCAL_FILES})

# What other suites could mend: RFC 5246 7.2.2 handshake_failure ("unable to negotiate
# an acceptable set of security parameters") and insufficient_security. A group may mix
# TLS 1.2 and 1.3 suites, so the next one may also bring the version asked for.
_CIPHER_KINDS: Final = frozenset(
    {
        Kind.TLS_NO_SHARED_CIPHER,
        "tls.alert.handshake_failure",
        "tls.alert.insufficient_security",
        "tls.alert.protocol_version",
    }
)


def advances(failure: Failure, policy: FallbackPolicy) -> bool:
    """Tell whether a failure moves the device on to the next cipher group."""
    if failure.phase not in _CONNECTION_PHASES or failure.kind in _GENERATOR_KINDS:
        return False
    match policy.advance_on:
        case AdvanceOn.ANY_FAILURE:
            return True
        case AdvanceOn.TLS_FAILURE:
            return failure.phase is Phase.TLS
        case AdvanceOn.CIPHER_FAILURE:
            return failure.phase is Phase.TLS and failure.kind in _CIPHER_KINDS
        case AdvanceOn.NEVER:
            return False
        case _:
            assert_never(policy.advance_on)


def next_group(
    position: int, count: int, failure: Failure, policy: FallbackPolicy
) -> int:
    """Choose the group of the next attempt after a failure.

    Args:
        position: Group of the failed attempt, 0..count-1.
        count: Groups on the ladder, >= 1.
        failure: Why the attempt failed.
        policy: Rules of the device.

    Returns:
        Position of the next attempt; the last group is kept, never passed.

    Source:
        CANedge documentation, "S3 security", cipher groups.
    """
    if advances(failure, policy):
        return min(position + 1, count - 1)
    return position


def after_success(position: int, policy: FallbackPolicy) -> int:
    """Give the position after a connection was opened with group ``position``."""
    return 0 if policy.step_back is StepBack.AFTER_SUCCESS else position


def after_power_cycle(position: int, policy: FallbackPolicy) -> int:
    """Give the position at power-on of a device that was at ``position``."""
    return position if policy.memory is GroupMemory.FOREVER else 0


def start_of_connection(position: int, policy: FallbackPolicy) -> int:
    """Give the position for the first attempt of a new connection.

    Not to be called between the retries of one connection: with
    ``GroupMemory.CONNECTION`` the ladder would never be climbed.
    """
    return 0 if policy.memory is GroupMemory.CONNECTION else position
