"""Devices, servers and authorities that forecasts are tested with."""

from typing import Any

from cryptography import x509

from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.handshakes import ClientSide
from fleetsim.forecast.prover import DeviceView, Front
from fleetsim.transport.tls_server import ServerCertificate, ServerTls
from tests.transport.certificates import (
    DEVICE_UNIX_S,
    Issued,
    authority,
    crl,
    leaf,
)

NOW = DEVICE_UNIX_S
GROUPS = (
    CipherGroup("group 1", ("AES128-SHA",)),
    CipherGroup("group 2", ("AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256")),
)
ROOT = authority("Old Root", number=1)
ISSUER = authority("Old Issuer", parent=ROOT, number=2)
SERVER = leaf(parent=ISSUER)
NEW_ROOT = authority("New Root", number=3)
NEW_ISSUER = authority("New Issuer", parent=NEW_ROOT, number=4)
NEW_SERVER = leaf(parent=NEW_ISSUER)
DEVICE_CA = authority("Devices", parent=ROOT, number=5)


def side(*anchors: Issued, **changes: Any) -> ClientSide:
    """A device that trusts these, the old root by default."""
    trusted = anchors or (ROOT,)
    values: dict[str, Any] = {
        "bundle": TrustBundle.of(one.certificate for one in trusted),
        "groups": GROUPS,
        "rules": TlsRules(),
        "host": "storage.test",
        "unix_s": NOW,
    }
    return ClientSide(**(values | changes))


def view(*anchors: Issued, **changes: Any) -> DeviceView:
    """The same, as the prover sees it."""
    return DeviceView(side=side(*anchors, **changes))


def server(
    issued: Issued = SERVER,
    chain: tuple[x509.Certificate, ...] | None = None,
    **changes: Any,
) -> ServerTls:
    """A server that takes every suite."""
    certificate = ServerCertificate(chain=chain or issued.chain, key=issued.key)
    values: dict[str, Any] = {
        "certificates": (certificate,),
        "cipher_list": "ALL:@SECLEVEL=0",
    }
    return ServerTls(**(values | changes))


def fronts(*servers: ServerTls) -> tuple[Front, ...]:
    """What stands at an endpoint."""
    return tuple(
        Front(name=f"front {number}", tls=tls) for number, tls in enumerate(servers, 1)
    )


def device(name: str = "00000001", number: int = 30, **changes: Any) -> Issued:
    """A device certificate."""
    values: dict[str, Any] = {"parent": DEVICE_CA, "dns": (), "addresses": ()}
    return leaf(name, number=number, **(values | changes))


def mutual(*revoked: Issued, **changes: Any) -> ServerTls:
    """A server that wants client certificates and checks the list."""
    values: dict[str, Any] = {
        "client_cas": (DEVICE_CA.certificate, ROOT.certificate),
        "require_client_certificate": True,
        "check_crl": True,
        "crls": (crl(DEVICE_CA, [one.certificate for one in revoked]), crl(ROOT)),
    }
    return server(**(values | changes))
