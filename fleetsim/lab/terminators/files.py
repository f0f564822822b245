"""Terminator files: certificates, keys, CAs and lists on disk as the programs want them.

They are written anew from values that were read and checked before
(:func:`fleetsim.lab.tls_files.load_tls`): in PEM, whatever they came in, into a folder of
mode 0700, private keys 0600.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.files import write_new
from fleetsim.transport.dh_parameters import DH_PARAMETERS
from fleetsim.transport.tls_server import ServerCertificate, ServerTls

CLIENT_CA: Final = "client-ca.pem"
CRL: Final = "crl.pem"
DH: Final = "dh.pem"

OPENSSL: Final = "openssl.cnf"
"""OpenSSL's configuration for the programs, instead of the machine's."""
OPENSSL_CONTENT: Final = b"""\
openssl_conf = all
[all]
ssl_conf = contexts
[contexts]
system_default = every
[every]
CipherString = DEFAULT:@SECLEVEL=0
"""
"""Level 0 until the cipher list is read: HAProxy loads keys and DHE parameters before
its list, and OpenSSL refuses weak ones at once. Every list then names a level."""

_WORD: Final = re.compile(r"[A-Za-z0-9@!+:,=_.*-]+")


@dataclass(frozen=True, slots=True)
class CertificateFile:
    """Chain and key in one file.

    Attributes:
        name: File name.
        server_names: SNI names it is for; () = the default.
    """

    name: str
    server_names: tuple[str, ...]


def certificate_files(tls: ServerTls) -> tuple[CertificateFile, ...]:
    """Names of the certificate files, those used by default first.

    RSA comes before other key types: HAProxy shows a client without SNI the first one
    alone, and every device here can verify RSA.
    """
    default = defaults(tls.certificates)
    ordered = sorted(
        tls.certificates, key=lambda one: (one not in default, _is_not_rsa(one))
    )
    return tuple(
        CertificateFile(
            f"server-{number}.pem", () if one in default else one.server_names
        )
        for number, one in enumerate(ordered)
    )


def defaults(certificates: Sequence[ServerCertificate]) -> list[ServerCertificate]:
    """Certificates shown to a client whose SNI fits none."""
    unnamed = [one for one in certificates if not one.server_names]
    first = certificates[0]
    return unnamed or [
        one for one in certificates if one.server_names == first.server_names
    ]


def write_files(folder: Path, tls: ServerTls) -> None:
    """Write everything the settings consist of into a new folder.

    Args:
        folder: Must not exist; made with mode 0700.
        tls: The settings.

    Raises:
        OSError: It cannot be written.
    """
    folder.mkdir(mode=0o700)
    for file, content in contents(tls).items():
        write_new(folder / file, content, is_secret=file.startswith("server-"))


def contents(tls: ServerTls) -> dict[str, bytes]:
    """Content of every file by name."""
    default = defaults(tls.certificates)
    ordered = sorted(
        tls.certificates, key=lambda one: (one not in default, _is_not_rsa(one))
    )
    found = {
        f"server-{number}.pem": _certificate_pem(one, tls.dh_bits)
        for number, one in enumerate(ordered)
    }
    if tls.client_cas:
        found[CLIENT_CA] = b"".join(
            each.public_bytes(Encoding.PEM) for each in tls.client_cas
        )
    if tls.check_crl:
        found[CRL] = b"".join(each.public_bytes(Encoding.PEM) for each in tls.crls)
    if tls.dh_bits:
        found[DH] = DH_PARAMETERS[tls.dh_bits]
    return found


def ciphers(tls: ServerTls) -> str:
    """The cipher list in a form both programs take.

    Raises:
        InputError: A character that a configuration file could misunderstand.
    """
    text = re.sub(r"[ ,]+", ":", tls.cipher_list.strip())
    if not tls.dh_bits:
        # HAProxy has parameters of its own, so their lack alone switches nothing off.
        text += ":!kDHE"
    if "@SECLEVEL" not in text:
        # What the built-in front does then; the program's own default is 0 (OPENSSL).
        text += ":@SECLEVEL=2"
    return word("cipher_list", text)


def word(where: str, text: str) -> str:
    """Make sure that a text is one word in a configuration file.

    Raises:
        InputError: It is not.
    """
    if not _WORD.fullmatch(text):
        raise InputError(
            Problem(where, f"{text!r} cannot be written into a configuration file")
        )
    return text


def _certificate_pem(one: ServerCertificate, dh_bits: int) -> bytes:
    """Chain, key and, for HAProxy, the DHE parameters."""
    return b"".join(
        (
            *(each.public_bytes(Encoding.PEM) for each in one.chain),
            one.key.private_bytes(
                Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
            ),
            DH_PARAMETERS[dh_bits] if dh_bits else b"",
        )
    )


def _is_not_rsa(one: ServerCertificate) -> bool:
    return not one.key.__class__.__name__.startswith("RSA")
