"""Key usage: may the server's key do what the negotiated cipher suite makes it do?

With static RSA key exchange the client encrypts a secret for the leaf's key: a leaf with
a key usage extension must allow keyEncipherment (RFC 5246 7.4.2). Certificates of newer
profiles no longer do. OpenSSL does not look, neither as server nor as client; BoringSSL
and Mbed TLS do.

The suite is not known while OpenSSL verifies the chain, so the verdict comes when the
handshake is complete, before anything is sent: the peer sees a close_notify where another
client would have sent a fatal alert one flight earlier.
"""

from functools import lru_cache

from cryptography import x509
from OpenSSL import SSL, crypto

from fleetsim.core.cipher_groups import KeyExchange, is_known, key_exchange_of
from fleetsim.core.failure import Failure, verify
from fleetsim.transport import openssl_names as openssl

_KIND = "invalid_purpose"
"""OpenSSL's name for a key that is used for what it is not meant for."""


def key_usage_failure(connection: SSL.Connection) -> Failure | None:
    """Judge the leaf of a client connection whose handshake is complete.

    Returns:
        Why the device must not go on; ``None`` = it may. A resumed session has been
        judged when it was made.
    """
    suite = connection.get_cipher_name() or ""
    if not is_known(suite) or key_exchange_of(suite) is not KeyExchange.RSA:
        return None
    leaf = connection.get_peer_certificate()
    if leaf is None or openssl.is_resumed(connection):
        return None
    if _may_encipher(crypto.dump_certificate(crypto.FILETYPE_ASN1, leaf)):
        return None
    return verify(
        _KIND, f"the certificate's key usage does not allow the RSA exchange of {suite}"
    )


@lru_cache(maxsize=64)
def _may_encipher(leaf_der: bytes) -> bool:
    extensions = x509.load_der_x509_certificate(leaf_der).extensions
    try:
        usage = extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.key_encipherment
