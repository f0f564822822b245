"""Wire: what parent and shard say to each other, as bytes.

A message is a pickle behind its length. Both ends are the same program of the same
version, started one by the other, and the socket pair between them has no name that
anybody else could open: nothing foreign is ever unpickled. Certificates and keys go as
DER; a key that many devices share is sent once a message.
"""

import io
import pickle
import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

_HEAD: Final = struct.Struct("!Q")


def load_certificate(der: bytes) -> x509.Certificate:
    """Make a certificate again."""
    return x509.load_der_x509_certificate(der)


@lru_cache(maxsize=1024)
def load_key(der: bytes) -> rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    """Make a private key again; the same bytes give the identical key.

    Raises:
        TypeError: It is neither RSA nor EC.
    """
    # Checking the primes again would cost ten times as much as all the rest.
    key = load_der_private_key(der, None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("a device key is RSA or EC")
    return key


class _Pickler(pickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        """Certificates and keys as DER; anything else as always."""
        if isinstance(obj, x509.Certificate):
            return load_certificate, (obj.public_bytes(Encoding.DER),)
        if isinstance(obj, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            der = obj.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            return load_key, (der,)
        return NotImplemented


def encode(message: object) -> bytes:
    """A message as bytes."""
    whole = io.BytesIO()
    whole.write(bytes(_HEAD.size))
    _Pickler(whole, pickle.HIGHEST_PROTOCOL).dump(message)
    with whole.getbuffer() as view:
        _HEAD.pack_into(view, 0, len(view) - _HEAD.size)
    return whole.getvalue()


class Decoder:
    """Puts messages together from what arrives."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        """Take what arrived; gives every message that is now complete."""
        self._waiting += data
        while len(self._waiting) >= _HEAD.size:
            (length,) = _HEAD.unpack_from(self._waiting)
            end = _HEAD.size + length
            if len(self._waiting) < end:
                return
            message = bytes(self._waiting[_HEAD.size : end])
            del self._waiting[:end]
            yield pickle.loads(message)  # noqa: S301 - from our own other half
