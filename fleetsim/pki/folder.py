"""Folder: a PKI on disk.

::

    DIR/                          0700
      pki.json                    what is here, who signed it, what is revoked
      root.pem  root.key          keys are 0600
      intermediate.pem  .key      issues servers
      devices-ca.pem  .key        issues devices
      crl.pem                     one list per authority: nginx wants them all
      certs_server.p7b            the root, as devices load it
      server/<name>.pem  .key     the certificate alone, and its key
      server/<name>.chain.pem     certificate, then intermediates: what servers load
      devices/<ID>.pem            certificate, then intermediates: what a device sends
      keys/<type>-<id>.key        pooled device keys; devices/<ID>.key when unique

Decisions:

* One file per device certificate, because curl, ``openssl s_client`` and real devices
  take files; but pooled keys once each, so that ten thousand devices are ten thousand
  and some files, not twenty thousand, and a key is copied nowhere.
* Files are only ever added. A second certificate for the same name becomes
  ``<name>.2.pem``; the first stays, so that a revoked device can still knock. The one
  added last is the current one.
* ``pki.json`` is replaced last. A command that dies before leaves files nobody names.
* Keys are not encrypted: the simulator and its TLS fronts must start unattended.
"""

import stat
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.draws import derive_seed
from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.authority import Authority
from fleetsim.pki.bundle import encode_bundle
from fleetsim.pki.certificates import (
    SerialSource,
    Validity,
    certificates_pem,
    parse_certificates_pem,
    random_serial,
    seeded_serials,
)
from fleetsim.pki.crl import Reason, Revocation, build_crl
from fleetsim.pki.files import Additions, new_folder, problem_of, read_file
from fleetsim.pki.index import FILE_NAME, Entry, Index, Kind
from fleetsim.pki.keys import (
    PrivateKey,
    is_pair,
    key_pem,
    parse_key_pem,
)
from fleetsim.pki.problems import refuse

ROOT: Final = "root"
BUNDLE_FILE: Final = "certs_server.p7b"
CRL_FILE: Final = "crl.pem"

_INDEX_MAX_BYTES: Final = 2**30  # about 270 bytes a device: over a million fit


@dataclass(frozen=True, slots=True, kw_only=True)
class PkiFolder:
    """A PKI folder that was read and checked.

    Attributes:
        path: Where it is.
        index: Content of ``pki.json``.
        authorities: Every authority by name; each one's chain and key are in place.
    """

    path: Path
    index: Index
    authorities: Mapping[str, Authority]

    @property
    def server_authority(self) -> Authority:
        """Who issues servers here."""
        return self.authorities[self.index.server_authority]

    @property
    def device_authority(self) -> Authority:
        """Who issues devices here."""
        return self.authorities[self.index.device_authority]

    def next_serials(self) -> SerialSource:
        """Serial numbers for the next command: random, or repeatable when seeded."""
        return serials_from(self.index.serial_seed, len(self.index.certificates))


def serials_from(seed: int | None, already_issued: int) -> SerialSource:
    """Serial numbers that differ from command to command even under one seed."""
    if seed is None:
        return random_serial
    return seeded_serials(derive_seed(seed, already_issued))


def create_folder(
    path: Path,
    authorities: Mapping[str, Authority],
    *,
    server_authority: str,
    device_authority: str,
    created: datetime,
    crl_validity: Validity,
    serial_seed: int | None = None,
) -> PkiFolder:
    """Write a new PKI folder; it appears complete or not at all.

    Args:
        path: Missing or empty; its parent exists.
        authorities: By name, each after its issuer, ``root`` first.
        server_authority: Name of the one that issues servers.
        device_authority: Name of the one that issues devices.
        created: The present, aware.
        crl_validity: Validity of the first, empty revocation lists.
        serial_seed: Recorded for later commands; ``None`` = random serial numbers.

    Raises:
        InputError: When the folder exists already or cannot be written.
    """
    subjects = {each.certificate.subject: name for name, each in authorities.items()}
    entries = tuple(
        entry_of(
            Kind.AUTHORITY,
            name,
            issuer=subjects[each.certificate.issuer],
            certificate=each.certificate,
            files=(f"{name}.pem", f"{name}.key"),
        )
        for name, each in authorities.items()
    )
    index = Index(
        created=created,
        serial_seed=serial_seed,
        crl_number=1,
        server_authority=server_authority,
        device_authority=device_authority,
        certificates=entries,
    )
    with new_folder(path) as staged, Additions(staged) as files:
        for entry in entries:
            authority = authorities[entry.name]
            files.write(entry.certificate, certificates_pem([authority.certificate]))
            files.write(entry.key, key_pem(authority.key), is_secret=True)
        files.write(BUNDLE_FILE, encode_bundle([authorities[ROOT].certificate]))
        files.write(CRL_FILE, crls_pem(authorities, index, crl_validity))
        files.write(FILE_NAME, index.dump())
    return PkiFolder(path=path, index=index, authorities=dict(authorities))


def load_folder(path: Path, *, issuing_at: datetime | None = None) -> PkiFolder:
    """Read a PKI folder and check its authorities.

    Args:
        path: The folder.
        issuing_at: Also refuse authorities that are not valid at this moment;
            ``None`` accepts expired ones.

    Raises:
        InputError: With everything that is wrong: missing or garbled files, keys that
            others can read, that are encrypted or belong to another certificate,
            certificates that are no CA or have expired.
    """
    problems: list[Problem] = []
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        entries = {each.name for each in path.iterdir()}
    except OSError as exc:
        raise InputError(problem_of(path, exc)) from exc
    if FILE_NAME not in entries:
        what = "is not a PKI folder (no pki.json); make one with `fleetsim pki init`"
        raise InputError(Problem(str(path), what))
    if mode & 0o022:
        problems.append(
            Problem(
                str(path),
                f"others can change this folder (mode {mode:04o}); "
                f"run: chmod 700 {path}",
            )
        )
    index_file = path / FILE_NAME
    try:
        index = Index.parse(
            read_file(index_file, max_bytes=_INDEX_MAX_BYTES), str(index_file)
        )
    except InputError as exc:
        raise InputError([*problems, *exc.problems]) from exc
    authorities: dict[str, Authority] = {}
    for entry in index.of_kind(Kind.AUTHORITY):
        try:
            authority = _load_authority(path, entry, authorities)
            authorities[entry.name] = authority
            if issuing_at is not None:
                authority.require_valid(issuing_at)
        except InputError as exc:
            problems.extend(exc.problems)
    named = {each.name for each in index.of_kind(Kind.AUTHORITY)}
    problems.extend(
        Problem(str(index_file), f"there is no authority {name!r}")
        for name in {ROOT, index.server_authority, index.device_authority} - named
    )
    refuse(problems)
    return PkiFolder(path=path, index=index, authorities=authorities)


def entry_of(
    kind: Kind,
    name: str,
    *,
    issuer: str,
    certificate: x509.Certificate,
    files: tuple[str, str],
) -> Entry:
    """Make the index entry of a certificate; ``files`` are certificate and key."""
    return Entry(
        kind=kind,
        name=name,
        serial=f"{certificate.serial_number:x}",
        issuer=issuer,
        certificate=files[0],
        key=files[1],
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
    )


def read_certificates(path: Path, entry: Entry) -> tuple[x509.Certificate, ...]:
    """Read the file of a certificate; the first one in it is the entry's own.

    Raises:
        InputError: When missing, garbled or not the one that was issued.
    """
    file = path / entry.certificate
    certificates = parse_certificates_pem(read_file(file), str(file))
    if certificates[0].fingerprint(hashes.SHA256()).hex() != entry.sha256:
        raise InputError(
            Problem(str(file), f"is not the certificate that {FILE_NAME} names")
        )
    return certificates


def read_key(path: Path, entry: Entry) -> PrivateKey:
    """Read the private key of a certificate.

    Raises:
        InputError: When missing, garbled, encrypted or open to others.
    """
    file = path / entry.key
    return parse_key_pem(read_file(file, is_secret=True), str(file))


def require_pair(
    path: Path, entry: Entry, certificate: x509.Certificate, key: PrivateKey
) -> None:
    """Refuse a key that belongs to another certificate.

    Raises:
        InputError: When it does.
    """
    if not is_pair(certificate, key):
        raise InputError(
            Problem(
                str(path / entry.key),
                f"does not belong to the certificate {path / entry.certificate}",
            )
        )


def crls_pem(
    authorities: Mapping[str, Authority], index: Index, validity: Validity
) -> bytes:
    """Build one list per authority, PEM, numbered with the index's ``crl_number``."""
    return b"".join(
        build_crl(
            authority,
            [
                Revocation(
                    int(each.serial, 16),
                    each.revoked_at,
                    each.reason or Reason.UNSPECIFIED,
                )
                for each in index.certificates
                if each.issuer == name and each.revoked_at is not None
            ],
            number=index.crl_number,
            validity=validity,
        ).public_bytes(Encoding.PEM)
        for name, authority in authorities.items()
    )


def _load_authority(
    path: Path, entry: Entry, loaded: Mapping[str, Authority]
) -> Authority:
    """Read one authority; its issuer, when it has another one, is loaded already."""
    problems: list[Problem] = []
    certificate = key = None
    try:
        certificate = read_certificates(path, entry)[0]
    except InputError as exc:
        problems.extend(exc.problems)
    try:
        key = read_key(path, entry)
    except InputError as exc:
        problems.extend(exc.problems)
    if certificate is None or key is None:
        raise InputError(problems)
    require_pair(path, entry, certificate, key)
    constraints = [
        each.value
        for each in certificate.extensions
        if isinstance(each.value, x509.BasicConstraints)
    ]
    if not any(each.ca for each in constraints):
        raise InputError(
            Problem(str(path / entry.certificate), "is not a CA certificate")
        )
    issuer = loaded.get(entry.issuer)
    chain = () if issuer is None else issuer.presented
    return Authority(certificate=certificate, chain=chain, key=key)
