"""Evidence: what the log of a terminator says, in the words of the failure taxonomy."""

import re
from types import MappingProxyType
from typing import Final

from fleetsim.core.failure import Kind
from fleetsim.transport import tls_names
from fleetsim.transport.errors import from_openssl_errors
from fleetsim.transport.openssl_names import ERR_LIB_SSL, OpensslError, verify_text

VERDICTS: Final = MappingProxyType(
    {verify_text(code): name for code, name in tls_names.VERIFY_CODES.items()}
)
"""Verdict names by OpenSSL's own text for them."""

_PACKED: Final = re.compile(r"error:([0-9A-Fa-f]{8}):")
_LIBRARY_SHIFT: Final = 23
_REASON_MASK: Final = 0x7FFFFF


def openssl_reason(said: str) -> int:
    """Reason code of the first packed OpenSSL 3 error in a text; 0 = there is none.

    ``error:0A0000C1:SSL routines::no shared cipher``: eight hex digits, library number
    from bit 23 up, reason below (``ERR_PACK`` of OpenSSL 3's err.h).
    """
    found = _PACKED.search(said)
    if found is None:
        return 0
    packed = int(found[1], 16)
    return packed & _REASON_MASK if packed >> _LIBRARY_SHIFT == ERR_LIB_SSL else 0


def failure_kind(reason: int, verify_code: int = 0) -> str:
    """Failure kind of an OpenSSL reason, as the built-in front would name it."""
    if not reason:
        return Kind.TLS_RESET
    error = OpensslError(ERR_LIB_SSL, reason, "")
    return from_openssl_errors((error,), verify_code).kind


def text(value: object) -> str:
    """Text of a log field; a lone dash stands for nothing."""
    return value if isinstance(value, str) and value != "-" else ""
