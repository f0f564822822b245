"""Evidence: what the log of a terminator says, in the words of the failure taxonomy."""

from types import MappingProxyType
from typing import Final

from fleetsim.core.failure import Kind
from fleetsim.lab.handshake_log import HandshakeEntry
from fleetsim.target.observer.seen import Seen, Words
from fleetsim.transport import tls_names
from fleetsim.transport.errors import from_openssl_errors
from fleetsim.transport.openssl_names import ERR_LIB_SSL, OpensslError, verify_text

VERDICTS: Final = MappingProxyType(
    {verify_text(code): name for code, name in tls_names.VERIFY_CODES.items()}
)
"""Verdict names by OpenSSL's own text for them."""


def failure_kind(reason: int, verify_code: int = 0) -> str:
    """Failure kind of an OpenSSL reason, as the built-in front would name it."""
    if not reason:
        return Kind.TLS_RESET
    error = OpensslError(ERR_LIB_SSL, reason, "")
    return from_openssl_errors((error,), verify_code).kind


WORDS: Final = Words(
    verdict_of=lambda said: VERDICTS.get(said, ""),
    verdict_named=tls_names.verify_name_of,
    failure_kind=failure_kind,
)
"""The words of OpenSSL for readers of foreign logs."""


def entry_of(seen: Seen) -> HandshakeEntry:
    """Make an entry of a line; it has no number yet."""
    return HandshakeEntry(
        number=0,
        unix_s=seen.unix_s,
        duration_s=0.0,
        peer=seen.peer,
        result=seen.result,
        detail=seen.detail,
        version=seen.version,
        suite=seen.suite,
        resumed=seen.resumed,
        server_name=seen.server_name,
        client_subject=seen.subject,
        client_serial=seen.serial,
    )
