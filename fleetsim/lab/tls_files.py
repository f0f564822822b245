"""TLS files: from paths in :class:`TlsSettings` to values a TLS context is built from.

Everything is read before anything is used, and every problem of every file is reported
together.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from cryptography import x509

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.settings import CertificateFiles, TlsSettings
from fleetsim.pki.certificates import parse_certificates_pem
from fleetsim.pki.files import read_file
from fleetsim.pki.keys import is_pair, parse_key_pem
from fleetsim.transport.tls_server import ServerCertificate, ServerTls

_PEM_CRL: Final = b"-----BEGIN X509 CRL-----"


def load_tls(settings: TlsSettings) -> ServerTls:
    """Read the files and check that they fit together.

    Raises:
        InputError: With every missing, garbled, unprotected or mismatched file.
    """
    problems: list[Problem] = []
    certificates = tuple(
        pair
        for files in settings.certificates
        if (pair := _load_pair(files, problems)) is not None
    )
    client_cas: tuple[x509.Certificate, ...] = ()
    if settings.client_ca_path is not None:
        client_cas = _load_certificates(settings.client_ca_path, problems)
    crls = tuple(
        crl for path in settings.crl_paths for crl in _load_crls(path, problems)
    )
    problems.extend(_double_names(settings.certificates))
    if problems:
        raise InputError(problems)
    return ServerTls(
        min_version=settings.min_version.value,
        max_version=settings.max_version.value,
        cipher_list=settings.cipher_list,
        prefer_server_ciphers=settings.prefer_server_ciphers,
        tls13_suites=settings.tls13_suites,
        certificates=certificates,
        dh_bits=settings.dh_bits,
        curves=settings.curves,
        client_cas=client_cas,
        require_client_certificate=settings.require_client_certificate,
        crls=crls,
        check_crl=settings.check_crl,
        session_tickets=settings.session_tickets,
    )


def _load_pair(
    files: CertificateFiles, problems: list[Problem]
) -> ServerCertificate | None:
    chain = _load_certificates(files.chain_path, problems)
    where = str(files.key_path)
    try:
        key = parse_key_pem(read_file(files.key_path, is_secret=True), where)
    except InputError as exc:
        problems.extend(exc.problems)
        return None
    if not chain:
        return None
    if not is_pair(chain[0], key):
        what = f"does not belong to the first certificate of {files.chain_path}"
        problems.append(Problem(where, what))
        return None
    return ServerCertificate(chain=chain, key=key, server_names=files.server_names)


def _load_certificates(
    path: Path, problems: list[Problem]
) -> tuple[x509.Certificate, ...]:
    try:
        return parse_certificates_pem(read_file(path), str(path))
    except InputError as exc:
        problems.extend(exc.problems)
        return ()


def _load_crls(
    path: Path, problems: list[Problem]
) -> tuple[x509.CertificateRevocationList, ...]:
    """Read a file of lists: one in DER, or any number in PEM."""
    try:
        content = read_file(path)
    except InputError as exc:
        problems.extend(exc.problems)
        return ()
    try:
        if _PEM_CRL not in content:
            return (x509.load_der_x509_crl(content),)
        # The library reads only the first PEM block of a text.
        blocks = content.split(_PEM_CRL)[1:]
        return tuple(x509.load_pem_x509_crl(_PEM_CRL + block) for block in blocks)
    except ValueError:
        what = "not a readable certificate revocation list, PEM or DER"
        problems.append(Problem(str(path), what))
        return ()


def _double_names(certificates: Iterable[CertificateFiles]) -> Iterable[Problem]:
    """Find SNI names claimed twice by the same file; RSA beside EC is fine."""
    seen: set[tuple[str, Path]] = set()
    for files in certificates:
        for name in files.server_names:
            entry = (name.lower(), files.chain_path)
            if entry in seen:
                yield Problem(f"server name {name}", f"twice for {files.chain_path}")
            seen.add(entry)
