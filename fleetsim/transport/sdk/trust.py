"""Trust: a device's bundle and certificate as the SDK uses them, an ``ssl`` context.

The certificates of the bundle are the CA file. Each of them is an anchor, as urllib3 has
it from Python 3.13 on (``VERIFY_X509_PARTIAL_CHAIN``). The chain is verified at this
machine's clock: the standard library knows no other.
"""

import os
import ssl
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fleetsim.core.sdk_settings import SDK_GROUP
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.exceptions import InputError, Problem
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.sdk.hooks import current

_CIPHERS: Final = "@SECLEVEL=2:" + ":".join(
    suite for suite in SDK_GROUP.suites if not suite.startswith("TLS_")
)


class WatchedContext(ssl.SSLContext):
    """A context that tells the exchange under way when its handshake begins."""

    def wrap_bio(self, *args: Any, **options: Any) -> ssl.SSLObject:
        """Make the TLS object of one connection."""
        made = super().wrap_bio(*args, **options)
        exchange = current()
        if exchange is not None:
            exchange.securing(made)
        return made


def client_context(
    bundle: TrustBundle, identity: ClientIdentity | None
) -> ssl.SSLContext:
    """Make the context of one device; devices without a certificate may share one.

    Args:
        bundle: Trust anchors, not empty.
        identity: Client certificate for mutual TLS.

    Raises:
        InputError: OpenSSL refuses the certificate or its key (too weak for security
            level 2, or they do not belong together).
    """
    context = WatchedContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(
        cadata=b"".join(each.public_bytes(Encoding.DER) for each in bundle.certificates)
    )
    if identity is not None:
        _present(context, identity)
    return context


def _present(context: ssl.SSLContext, identity: ClientIdentity) -> None:
    """Load a certificate through a file in memory: the key never reaches a disk."""
    pieces = [
        identity.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        *(
            each.public_bytes(Encoding.PEM)
            for each in (identity.certificate, *identity.chain)
        ),
    ]
    number = os.memfd_create("fleetsim-identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(number, "wb", closefd=False) as file:
            file.writelines(pieces)
        context.load_cert_chain(f"/proc/self/fd/{number}")
    except ssl.SSLError as exc:
        subject = identity.certificate.subject.rfc4514_string()
        what = exc.reason or str(exc)
        raise InputError(Problem(f"client certificate {subject}", what)) from exc
    finally:
        os.close(number)
