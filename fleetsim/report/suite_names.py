"""Suite names: OpenSSL's short names written out as IANA registers them.

Records hold OpenSSL names (what the TLS library says), reports speak IANA ("TLS Cipher
Suites" registry, RFC 5246 A.5). The short names are regular enough to be taken apart;
the test compares every suite of the installed ``openssl ciphers -stdname``.
"""

import re
from typing import Final

_KEY_EXCHANGES: Final = (
    ("ECDHE-ECDSA-", "ECDHE_ECDSA"),
    ("ECDHE-RSA-", "ECDHE_RSA"),
    ("ECDHE-PSK-", "ECDHE_PSK"),
    ("ECDHE-", "ECDHE_RSA"),  # ECDHE-ARIA…: the only suites that leave RSA out
    ("DHE-RSA-", "DHE_RSA"),
    ("DHE-DSS-", "DHE_DSS"),
    ("DHE-PSK-", "DHE_PSK"),
    ("RSA-PSK-", "RSA_PSK"),
    ("SRP-RSA-", "SRP_SHA_RSA"),
    ("SRP-DSS-", "SRP_SHA_DSS"),
    ("SRP-", "SRP_SHA"),
    ("PSK-", "PSK"),
    ("AECDH-", "ECDH_anon"),
    ("ADH-", "DH_anon"),
)
_BLOCK_CIPHER = re.compile(r"(AES|ARIA|CAMELLIA)-?(128|256)\Z")


def iana_name(openssl_name: str) -> str:
    """Give the IANA name of a cipher suite.

    Args:
        openssl_name: For example ``ECDHE-RSA-AES128-GCM-SHA256``; names that start
            with ``TLS_`` (TLS 1.3) are the same in both languages.
    """
    if not openssl_name or openssl_name.startswith("TLS_"):
        return openssl_name
    exchange, rest = "RSA", openssl_name
    for prefix, name in _KEY_EXCHANGES:
        if openssl_name.startswith(prefix):
            exchange, rest = name, openssl_name.removeprefix(prefix)
            break
    if rest.endswith("CHACHA20-POLY1305"):
        return f"TLS_{exchange}_WITH_CHACHA20_POLY1305_SHA256"
    return f"TLS_{_exchange(exchange, rest)}_WITH_{_cipher(rest)}"


def _exchange(exchange: str, rest: str) -> str:
    # RFC 6655 registered these two the other way round
    return "PSK_DHE" if exchange == "DHE_PSK" and rest.endswith("-CCM8") else exchange


def _cipher(rest: str) -> str:
    parts = rest.replace("AES-", "AES").split("-")
    block = _BLOCK_CIPHER.match(parts[0])
    if block is None:  # NULL-SHA and the like
        return "_".join(parts)
    cipher = f"{block[1]}_{block[2]}"
    match parts[1:]:
        case ["CCM8"]:
            return f"{cipher}_CCM_8"
        case [digest] if digest != "CCM":
            return f"{cipher}_CBC_{digest}"
        case others:
            return "_".join((cipher, *others))
