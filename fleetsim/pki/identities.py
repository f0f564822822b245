"""Identities: device certificates by the ten thousand.

Where the time goes (one 2.25 GHz core, RSA-2048 throughout): an RSA-2048 key costs
25 to 100 ms, a signature about 0.35 ms, everything else of a certificate under 0.1 ms.
Ten thousand keys of their own would be the better part of ten minutes, so devices share
a pool of RSA keys by default. Certificates stay individual (subject, serial, dates),
handshakes cost the same; only an observer who compares public keys can tell. P-256 keys
cost 0.02 ms and RSA keys of their own can be had by ``unique_keys``.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain as joined
from typing import Final

from cryptography import x509

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.authority import Authority
from fleetsim.pki.certificates import (
    SerialSource,
    Usage,
    Validity,
    authority_key_identifier,
    certificates_pem,
    random_serial,
    sign_certificate,
    subject_key_identifier,
)
from fleetsim.pki.keys import KeyType, PrivateKey, generate_keys, key_pem
from fleetsim.pki.leaves import device_extensions
from fleetsim.pki.names import subject
from fleetsim.pki.problems import refuse

DEFAULT_POOL_SIZE: Final = 32

_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIdentity:
    """Certificate and key of one device.

    Attributes:
        device_id: Device id, also the certificate's common name.
        certificate: The device's certificate.
        chain: Certificates between it and the root, its issuer first, without the root.
        key: Its private key, perhaps shared with other devices; not shown by ``repr``.
    """

    device_id: str
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey = field(repr=False)

    def chain_pem(self) -> bytes:
        """Encode what the device presents: its certificate, then the chain."""
        return certificates_pem((self.certificate, *self.chain))

    def key_pem(self) -> bytes:
        """Encode the private key, unencrypted PKCS#8 PEM. A secret."""
        return key_pem(self.key)


def numbered_ids(count: int, first: int = 1) -> tuple[str, ...]:
    """Make ``count`` device ids of 8 upper-case hex digits, counting from ``first``.

    Raises:
        InputError: When ``count`` < 1 or the numbers leave 0..2**32-1.
    """
    if count < 1:
        raise InputError(Problem("device count", f"must be at least 1, not {count}"))
    if first < 0 or first + count > 1 << 32:
        raise InputError(
            Problem("device ids", f"{count} from {first:X} do not fit 8 hex digits")
        )
    return tuple(f"{number:08X}" for number in range(first, first + count))


def parse_ids(text: bytes, where: str) -> tuple[str, ...]:
    """Read device ids: one a line; blank lines and ``#`` comments are skipped.

    Raises:
        InputError: When it is not text or holds no id.
    """
    try:
        lines = text.decode().splitlines()
    except UnicodeDecodeError as exc:
        raise InputError(Problem(where, "is not UTF-8 text")) from exc
    ids = tuple(each for line in lines if (each := line.partition("#")[0].strip()))
    if not ids:
        raise InputError(Problem(where, "holds no device id"))
    return ids


def check_device_ids(device_ids: Sequence[str]) -> None:
    """Refuse ids that cannot be a common name and a file name, and repeated ids.

    Raises:
        InputError: With every problem, long lists cut short.
    """
    problems: list[Problem] = []
    seen: set[str] = set()
    for device_id in device_ids:
        if not _DEVICE_ID.match(device_id):
            what = "must be 1 to 64 letters, digits, '.', '_' or '-'"
            problems.append(Problem(f"device id {device_id!r}", what))
        elif device_id in seen:
            problems.append(Problem(f"device id {device_id!r}", "appears twice"))
        seen.add(device_id)
    if not device_ids:
        problems.append(Problem("device ids", "there are none"))
    refuse(problems)


def issue_devices(
    authority: Authority,
    device_ids: Sequence[str],
    *,
    validity: Validity,
    key_type: KeyType = KeyType.RSA_2048,
    pool_size: int = DEFAULT_POOL_SIZE,
    unique_keys: bool = False,
    keys: Sequence[PrivateKey] = (),
    usages: Sequence[Usage] = (Usage.CLIENT_AUTH,),
    serials: SerialSource = random_serial,
) -> Iterator[DeviceIdentity]:
    """Issue one certificate per device, lazily, in the order of the ids.

    Device *i* gets key *i* modulo the size of the pool.

    Args:
        authority: Who signs.
        device_ids: Ids, each once.
        validity: From when to when.
        key_type: Kind of the devices' keys.
        pool_size: How many keys the devices share; never more than devices.
        unique_keys: A key of its own for every device instead of the pool.
        keys: A pool to use instead of generating one.
        usages: Extended key usages.
        serials: Where the serial numbers come from.

    Raises:
        InputError: At the call, not at the first item: bad ids, pool or key type.
    """
    check_device_ids(device_ids)
    if not keys and not unique_keys:
        keys = tuple(generate_keys(key_type, min(pool_size, len(device_ids))))
    if keys:
        pool = tuple(_PooledKey.of(key, usages) for key in keys)
        drawn = (pool[index % len(pool)] for index in range(len(device_ids)))
    else:
        made = generate_keys(key_type, len(device_ids))
        first = _PooledKey.of(next(made), usages)  # so that a bad type fails here
        drawn = (
            each
            for each in joined((first,), (_PooledKey.of(key, usages) for key in made))
        )
    issuer = (authority_key_identifier(authority.certificate), False)
    return (
        DeviceIdentity(
            device_id=device_id,
            certificate=sign_certificate(
                subject_name=subject(device_id),
                public_key=pooled.key.public_key(),
                issuer_name=authority.certificate.subject,
                issuer_key=authority.key,
                validity=validity,
                serial=serials(),
                extensions=(*pooled.extensions, issuer),
            ),
            chain=authority.presented,
            key=pooled.key,
        )
        for device_id, pooled in zip(device_ids, drawn, strict=True)
    )


@dataclass(frozen=True, slots=True)
class _PooledKey:
    """A key with the extensions that depend on nothing else."""

    key: PrivateKey
    extensions: tuple[tuple[x509.ExtensionType, bool], ...]

    @classmethod
    def of(cls, key: PrivateKey, usages: Sequence[Usage]) -> "_PooledKey":
        public_key = key.public_key()
        identifier = (subject_key_identifier(public_key), False)
        return cls(key, (*device_extensions(public_key, usages), identifier))
