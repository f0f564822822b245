"""Inventory: adding to a PKI folder, taking out of it, revoking.

Every function takes a loaded folder and returns the changed one; on disk the change is
complete once ``pki.json`` is replaced. Commands of several processes are kept apart by
:func:`fleetsim.pki.files.locked`, which the caller holds from loading to the last
change.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.certificates import Validity, certificates_pem
from fleetsim.pki.crl import Reason
from fleetsim.pki.files import Additions, problem_of, replace_file
from fleetsim.pki.folder import (
    CRL_FILE,
    PkiFolder,
    crls_pem,
    entry_of,
    read_certificates,
    read_key,
    require_pair,
)
from fleetsim.pki.identities import DeviceIdentity
from fleetsim.pki.index import FILE_NAME, Batch, Entry, Index, Kind
from fleetsim.pki.keys import KeyType, PrivateKey
from fleetsim.pki.leaves import Leaf
from fleetsim.pki.problems import refuse

_STEM_MAX: Final = 150
_SERIAL = re.compile(r"(?:0x)?[0-9a-f]+\Z")


def add_server(folder: PkiFolder, name: str, leaf: Leaf) -> PkiFolder:
    """Store a server certificate issued by the folder's server authority.

    Args:
        folder: The folder.
        name: Name to find it by: its first DNS name or address.
        leaf: Certificate, chain and key.

    Raises:
        InputError: When a file cannot be written.
    """
    with Additions(folder.path) as files:
        stem = _free_stem(_names_in(folder.path / "server"), name)
        certificate = f"server/{stem}.chain.pem"
        key = f"server/{stem}.key"
        files.write(f"server/{stem}.pem", certificates_pem([leaf.certificate]))
        files.write(certificate, leaf.chain_pem())
        files.write(key, leaf.key_pem(), is_secret=True)
        entry = entry_of(
            Kind.SERVER,
            name,
            issuer=folder.index.server_authority,
            certificate=leaf.certificate,
            files=(certificate, key),
        )
        index = folder.index.with_certificates([entry])
        files.commit(FILE_NAME, index.dump())
    return replace(folder, index=index)


def add_devices(
    folder: PkiFolder,
    identities: Iterable[DeviceIdentity],
    *,
    key_type: KeyType,
    unique_keys: bool,
    issued_at: datetime,
) -> PkiFolder:
    """Store device certificates issued by the folder's device authority.

    Args:
        folder: The folder.
        identities: Consumed one by one: ten thousand are never in memory at once.
        key_type: Kind of their keys, recorded.
        unique_keys: Whether each has its own key; decides where keys are written.
        issued_at: The present, aware; recorded.

    Raises:
        InputError: When a file cannot be written; then none of them is added.
    """
    entries: list[Entry] = []
    key_files: dict[str, str] = {}
    taken = _names_in(folder.path / "devices")
    known_keys = {each.key for each in folder.index.certificates}
    with Additions(folder.path) as files:
        for identity in identities:
            stem = _free_stem(taken, identity.device_id)
            taken.add(f"{stem}.pem")
            certificate = files.write(f"devices/{stem}.pem", identity.chain_pem())
            digest = x509.SubjectKeyIdentifier.from_public_key(
                identity.key.public_key()
            ).digest.hex()
            key_file = key_files.get(digest)
            if key_file is None:
                key_file = (
                    f"devices/{stem}.key"
                    if unique_keys
                    else f"keys/{key_type}-{digest[:16]}.key"
                )
                if key_file not in known_keys:
                    files.write(key_file, identity.key_pem(), is_secret=True)
                key_files[digest] = key_file
            entries.append(
                entry_of(
                    Kind.DEVICE,
                    identity.device_id,
                    issuer=folder.index.device_authority,
                    certificate=identity.certificate,
                    files=(certificate, key_file),
                )
            )
        batch = Batch(
            issued_at=issued_at,
            devices=len(entries),
            key_type=key_type,
            keys=len(key_files),
            unique_keys=unique_keys,
        )
        index = folder.index.with_certificates(entries)
        index = index.model_copy(update={"batches": (*index.batches, batch)})
        files.commit(FILE_NAME, index.dump())
    return replace(folder, index=index)


def revoke(
    folder: PkiFolder, selectors: Sequence[str], *, reason: Reason, at: datetime
) -> tuple[PkiFolder, tuple[Entry, ...]]:
    """Mark certificates as revoked; the lists are written by :func:`write_crls`.

    Args:
        folder: The folder.
        selectors: Device ids, server or authority names (every unrevoked certificate
            of that name) or serial numbers in hex.
        reason: Why.
        at: Since when, aware.

    Returns:
        The changed folder and what is newly revoked.

    Raises:
        InputError: With every selector that names nothing, something already revoked,
            or the root (nobody stands above it to revoke it). Nothing changes then.
    """
    problems: list[Problem] = []
    chosen: set[str] = set()
    by_name: dict[str, list[Entry]] = {}
    by_serial = {each.serial: each for each in folder.index.certificates}
    for each in folder.index.certificates:
        by_name.setdefault(each.name, []).append(each)
    for selector in selectors:
        found = by_name.get(selector) or _with_serial(by_serial, selector)
        valid = [each for each in found if each.revoked_at is None]
        if not found:
            what = "no certificate has this name or serial number"
            problems.append(Problem(f"revoke {selector}", what))
        elif not valid:
            since = f"{found[-1].revoked_at:%Y-%m-%dT%H:%M:%SZ}"
            what = f"is already revoked since {since}"
            problems.append(Problem(f"revoke {selector}", what))
        elif any(
            each.kind is Kind.AUTHORITY and each.issuer == each.name for each in valid
        ):
            what = "a root cannot be revoked; take it out of the trust bundles"
            problems.append(Problem(f"revoke {selector}", what))
        chosen.update(each.serial for each in valid)
    refuse(problems)
    update = {"revoked_at": at.replace(microsecond=0), "reason": reason}
    certificates = tuple(
        each.model_copy(update=update) if each.serial in chosen else each
        for each in folder.index.certificates
    )
    index = folder.index.model_copy(update={"certificates": certificates})
    changed = _commit(folder, index)
    return changed, tuple(each for each in certificates if each.serial in chosen)


def write_crls(folder: PkiFolder, validity: Validity) -> PkiFolder:
    """Write ``crl.pem`` anew: one list per authority, with the next number.

    Raises:
        InputError: When a file cannot be written.
    """
    number = folder.index.crl_number + 1
    index = folder.index.model_copy(update={"crl_number": number})
    lists = crls_pem(folder.authorities, index, validity)
    changed = _commit(folder, index)
    replace_file(folder.path / CRL_FILE, lists)
    return changed


def load_server(folder: PkiFolder, name: str) -> Leaf:
    """Read the current certificate and key of a server.

    Raises:
        InputError: When there is none of that name, or its files are unusable.
    """
    entries = [each for each in folder.index.of_kind(Kind.SERVER) if each.name == name]
    if not entries:
        known = sorted({each.name for each in folder.index.of_kind(Kind.SERVER)})
        what = f"there is none; known: {', '.join(known) or 'none'}"
        raise InputError(Problem(f"server {name!r} in {folder.path}", what))
    entry = entries[-1]
    certificate, *chain = read_certificates(folder.path, entry)
    key = read_key(folder.path, entry)
    require_pair(folder.path, entry, certificate, key)
    return Leaf(certificate=certificate, chain=tuple(chain), key=key)


def load_devices(
    folder: PkiFolder, device_ids: Sequence[str] | None = None
) -> tuple[DeviceIdentity, ...]:
    """Read the current identities of devices, revoked ones too.

    Args:
        folder: The folder.
        device_ids: Which ones, in this order; ``None`` = all, oldest first.

    Raises:
        InputError: With every id that has no certificate and every unusable file.
    """
    current = {each.name: each for each in folder.index.of_kind(Kind.DEVICE)}
    wanted = tuple(current) if device_ids is None else tuple(device_ids)
    problems = [
        Problem(f"device {each}", f"has no certificate in {folder.path}")
        for each in wanted
        if each not in current
    ]
    keys: dict[str, PrivateKey] = {}
    one_of_each_key = {
        current[each].key: current[each] for each in wanted if each in current
    }
    for entry in one_of_each_key.values():
        try:
            keys[entry.key] = read_key(folder.path, entry)
        except InputError as exc:
            problems.extend(exc.problems)
    identities: list[DeviceIdentity] = []
    for device_id in wanted:
        if device_id not in current or current[device_id].key not in keys:
            continue  # already among the problems
        entry = current[device_id]
        key = keys[entry.key]
        try:
            certificate, *chain = read_certificates(folder.path, entry)
            require_pair(folder.path, entry, certificate, key)
        except InputError as exc:
            problems.extend(exc.problems)
            continue
        identities.append(
            DeviceIdentity(
                device_id=device_id,
                certificate=certificate,
                chain=tuple(chain),
                key=key,
            )
        )
    refuse(problems)
    return tuple(identities)


def _with_serial(by_serial: Mapping[str, Entry], selector: str) -> list[Entry]:
    text = selector.lower().replace(":", "")
    if not _SERIAL.match(text):
        return []
    entry = by_serial.get(text.removeprefix("0x").lstrip("0"))
    return [] if entry is None else [entry]


def _commit(folder: PkiFolder, index: Index) -> PkiFolder:
    replace_file(folder.path / FILE_NAME, index.dump())
    return replace(folder, index=index)


def _names_in(folder: Path) -> set[str]:
    try:
        return {each.name for each in folder.iterdir()}
    except FileNotFoundError:
        return set()
    except OSError as exc:
        raise InputError(problem_of(folder, exc)) from exc


def _free_stem(taken: set[str], name: str) -> str:
    """Make a file name without extension that no file in the sub-folder has."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:_STEM_MAX]
    stem = f"_{stem[1:]}" if stem.startswith((".", "-")) else stem
    candidate, number = stem, 2
    while not taken.isdisjoint(
        f"{candidate}{suffix}" for suffix in (".pem", ".key", ".chain.pem")
    ):
        candidate, number = f"{stem}.{number}", number + 1
    return candidate
