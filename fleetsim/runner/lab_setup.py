"""LabSetup: from a plan's lab section to certificates on disk and lab settings.

Every run makes its own PKI: a root that the devices trust, an intermediate that issues
the servers, another that issues the devices. Keys live in a private folder that is
gone after the run; the lab process reads them from there.
"""

import ipaddress
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.settings import Credentials, Security
from fleetsim.lab.settings import (
    CertificateFiles,
    ClockSettings,
    CredentialSettings,
    FrontSettings,
    LabSettings,
    StoreSettings,
    TlsSettings,
    TlsVersion,
)
from fleetsim.pki.authority import Authority, create_intermediate, create_root
from fleetsim.pki.certificates import Validity, certificates_pem
from fleetsim.pki.crl import build_crl
from fleetsim.pki.files import write_new
from fleetsim.pki.keys import KeyType
from fleetsim.pki.leaves import Leaf, issue_server
from fleetsim.scenario.specs import Anchor
from fleetsim.scenario.target_schema import (
    AuthoritySpec,
    CertificateSpec,
    FrontSpec,
    LabSpec,
    TlsSpec,
)

CONTROL_FRONT: Final = "fleetsim-control"
"""Plain HTTP on loopback, for the control plane alone: no device is sent there."""

CA_LIFETIME: Final = timedelta(days=3650)
CLOCK_SLACK: Final = timedelta(days=1)
"""Certificates begin this much before the run, so that slow clocks accept them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabKit:
    """A lab, ready to start, and what the fleet must know of it.

    Attributes:
        settings: For the lab process.
        credentials: S3 credentials of the fleet, made up for the run.
        control_credentials: Those of the control plane: the fleet's may be taken away.
        root: Root of the PKI.
        servers: Certificate of each TLS front.
        server_authority: Who issued them.
        device_authority: Who issues device certificates.
    """

    settings: LabSettings
    credentials: Credentials
    control_credentials: Credentials
    root: Authority
    servers: Mapping[str, Leaf]
    server_authority: Authority
    device_authority: Authority

    def anchor(self, kind: Anchor, front: str) -> x509.Certificate:
        """The certificate a device trusts: of the root, an intermediate or the leaf."""
        leaf = self.servers.get(front)
        match kind:
            case Anchor.ROOT:
                return self.root.certificate
            case Anchor.INTERMEDIATE:
                return leaf.chain[0] if leaf and leaf.chain else self.root.certificate
            case Anchor.LEAF:
                return leaf.certificate if leaf else self.root.certificate


def new_credentials(
    random_hex: Callable[[int], str] = secrets.token_hex,
) -> Credentials:
    """Make up S3 credentials of the usual lengths."""
    return Credentials(
        access_key=f"FLEET{random_hex(8).upper()[:15]}", secret_key=random_hex(20)
    )


def build_lab(
    spec: LabSpec,
    folder: Path,
    now: datetime,
    *,
    base_folder: Path,
    calendar_scale: float | None = None,
) -> LabKit:
    """Issue the certificates and describe the lab.

    Args:
        spec: Lab section of the plan.
        folder: Private folder (0700) for keys and certificates.
        now: Present time of the calendar, aware: run time 0.
        base_folder: Folder that relative paths of the scenario refer to.
        calendar_scale: Calendar seconds per second; ``None`` = the lab goes by this
            machine's clock. A calendar stands at ``now`` until the run starts it.

    Raises:
        InputError: A key type that cannot be made.
        RecordingError: The folder cannot be written.
    """
    long = Validity(now - CLOCK_SLACK, now + CA_LIFETIME)
    own = spec.authorities
    root = create_root(
        validity=_validity(own.root, now),
        common_name="fleetsim lab root",
        key_type=KeyType(own.root.key),
    )
    server_authority = create_intermediate(
        root,
        validity=_validity(own.intermediate, now),
        common_name="fleetsim lab servers",
        key_type=KeyType(own.intermediate.key),
    )
    device_authority = create_intermediate(
        root,
        validity=_validity(own.devices, now),
        common_name="fleetsim lab devices",
        key_type=KeyType(own.devices.key),
    )
    write_new(folder / "root.pem", certificates_pem([root.certificate]))
    write_new(
        folder / "client-ca.pem",
        certificates_pem([device_authority.certificate, root.certificate]),
    )
    for name, authority in (("root", root), ("devices", device_authority)):
        crl = build_crl(authority, (), number=1, validity=long)
        write_new(folder / f"{name}.crl", crl.public_bytes(Encoding.PEM))
    servers: dict[str, Leaf] = {}
    fronts: list[FrontSettings] = []
    for front in spec.fronts:
        tls = front.effective_tls
        if tls is None:
            fronts.append(_front(front, None))
            continue
        leaf = _server(tls, server_authority, root, now)
        servers[front.name] = leaf
        write_new(folder / f"{front.name}.pem", leaf.chain_pem())
        write_new(folder / f"{front.name}.key", leaf.key_pem(), is_secret=True)
        fronts.append(_front(front, _tls(front, tls, folder)))
    fronts.append(
        FrontSettings(
            name=CONTROL_FRONT, scheme="http", host="127.0.0.1", is_control=True
        )
    )
    credentials, control_credentials = new_credentials(), new_credentials()
    store = spec.store
    return LabKit(
        settings=LabSettings(
            fronts=tuple(fronts),
            buckets=(spec.bucket,),
            region=spec.region,
            credentials=(
                CredentialSettings.of(credentials),
                CredentialSettings.of(control_credentials),
            ),
            store=StoreSettings(
                folder=base_folder / store.folder if store.folder else None,
                limit_bytes=store.limit,
                keep_bodies=store.keep_bodies,
            ),
            virtual_hosts=tuple(dict.fromkeys(front.host for front in spec.fronts)),
            clock=None
            if calendar_scale is None
            else ClockSettings(epoch_unix_s=now.timestamp(), scale=calendar_scale),
        ),
        credentials=credentials,
        control_credentials=control_credentials,
        root=root,
        servers=servers,
        server_authority=server_authority,
        device_authority=device_authority,
    )


def _validity(spec: AuthoritySpec | CertificateSpec, now: datetime) -> Validity:
    return Validity(now - CLOCK_SLACK, now + timedelta(seconds=max(1.0, spec.lifetime)))


def _server(tls: TlsSpec, issuer: Authority, root: Authority, now: datetime) -> Leaf:
    spec = tls.certificate
    names: list[str] = []
    ips: list[str] = []
    for name in spec.names:
        (ips if _is_ip(name) else names).append(name)
    return issue_server(
        issuer if spec.intermediate else root,
        validity=_validity(spec, now),
        names=names,
        ips=ips,
        key_type=KeyType(spec.key),
    )


def _front(front: FrontSpec, tls: TlsSettings | None) -> FrontSettings:
    return FrontSettings(
        name=front.name,
        scheme="http" if tls is None else "https",
        host="127.0.0.1" if front.host == "localhost" else front.host,
        port=front.port,
        tls=tls,
    )


def _tls(front: FrontSpec, tls: TlsSpec, folder: Path) -> TlsSettings:
    is_mutual = front.security is Security.HIGH
    versions = sorted(TlsVersion(version) for version in tls.versions)
    return TlsSettings(
        min_version=versions[0],
        max_version=versions[-1],
        cipher_list=tls.ciphers,
        tls13_suites=tls.tls13_suites,
        certificates=(
            CertificateFiles(
                chain_path=folder / f"{front.name}.pem",
                key_path=folder / f"{front.name}.key",
            ),
        ),
        dh_bits=tls.dh_bits,
        client_ca_path=folder / "client-ca.pem" if is_mutual else None,
        require_client_certificate=is_mutual,
        crl_paths=(folder / "devices.crl", folder / "root.crl") if is_mutual else (),
        check_crl=is_mutual,
        session_tickets=tls.session_tickets,
    )


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
