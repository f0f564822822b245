"""Forecasts and proofs against the ``openssl`` program: another OpenSSL, no code of ours."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.settings import CipherGroup
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.handshakes import certificate_verdict
from fleetsim.forecast.reacher import Reacher
from fleetsim.transport.tls_context import ClientContexts
from tests.forecast.fleet import (
    DEVICE_CA,
    GROUPS,
    ISSUER,
    NEW_ROOT,
    NEW_SERVER,
    NOW,
    ROOT,
    SERVER,
    server,
    side,
)
from tests.integration.tls_wire import (
    exchange,
    openssl_server,
    program,
    write_identity,
)
from tests.transport.certificates import (
    FUTURE,
    PAST,
    Issued,
    authority,
    crl,
    forged,
    leaf,
)
from tests.transport.pumps import Client, identity_of

pytestmark = pytest.mark.server

CONTEXTS = ClientContexts()
CROSS = authority("New Root", parent=ROOT, number=3)
EXPIRED_CROSS = authority("New Root", parent=ROOT, number=3, not_after=PAST)
CHAINS: dict[str, tuple[x509.Certificate, ...]] = {
    "good": SERVER.chain,
    "leaf only": SERVER.chain[:1],
    "expired": leaf(parent=ISSUER, not_after=PAST).chain,
    "of the future": leaf(parent=ISSUER, not_before=FUTURE).chain,
    "forged": forged(SERVER).chain,
    "new root": NEW_SERVER.chain,
    "cross-signed": (*NEW_SERVER.chain, CROSS.certificate),
    "expired cross-sign": (*NEW_SERVER.chain, EXPIRED_CROSS.certificate),
    "self-signed": leaf().chain,
    "under no CA": leaf(parent=leaf("no CA", parent=ROOT, number=6)).chain,
    "expired issuer": leaf(
        parent=authority("past", parent=ROOT, not_after=PAST, number=8)
    ).chain,
    "wildcard": leaf(parent=ISSUER, dns=("*.test",)).chain,
    "another name": leaf(parent=ISSUER, dns=("other.test",)).chain,
}
ANCHORS: dict[str, tuple[Issued, ...]] = {
    "root": (ROOT,),
    "issuer": (ISSUER,),
    "both roots": (ROOT, NEW_ROOT),
    "new root": (NEW_ROOT,),
    "expired root": (authority("Old Root", number=1, not_after=PAST),),
}


def pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """PEM, one after the other."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def openssl_verdict(
    folder: Path,
    chain: tuple[x509.Certificate, ...],
    anchors: tuple[Issued, ...],
    host: str,
    unix_s: int,
) -> str:
    """First error of ``openssl verify``, empty when it accepts the chain."""
    files = {
        "leaf.pem": chain[:1],
        "rest.pem": chain[1:],
        "anchors.pem": tuple(one.certificate for one in anchors),
    }
    for name, certificates in files.items():
        (folder / name).write_bytes(pem(certificates))
    name_option = "-verify_ip" if host[0].isdigit() else "-verify_hostname"
    untrusted = ("-untrusted", "rest.pem") if chain[1:] else ()
    result = subprocess.run(
        (
            *(program("openssl"), "verify", "-partial_chain", "-trusted_first"),
            *("-no-CApath", "-no-CAstore", "-CAfile", "anchors.pem"),
            *("-purpose", "sslserver", "-auth_level", "0"),
            *("-attime", str(unix_s), name_option, host, *untrusted, "leaf.pem"),
        ),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    found = re.search(
        r"^error \d+ at \d+ depth lookup: (.*)$", result.stderr, re.MULTILINE
    )
    assert (found is None) is (result.returncode == 0), result.stderr
    return found[1] if found else ""


@pytest.mark.parametrize("anchors", ANCHORS)
@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_judged_as_by_openssl_verify(
    tmp_path: Path, name: str, anchors: str
) -> None:
    """Same verdict, same first check that fails, whatever chain and anchor."""
    chain, trusted = CHAINS[name], ANCHORS[anchors]
    theirs = openssl_verdict(tmp_path, chain, trusted, "storage.test", NOW)
    ours = certificate_verdict(CONTEXTS, side(*trusted), chain)
    # OpenSSL 4 says more of a certificate that is not valid yet than OpenSSL 3.
    assert (ours is None) is (theirs == "")
    assert (ours.detail if ours else "").startswith(theirs)


@pytest.mark.parametrize("host", ["storage.test", "a.test", "x.a.test", "127.0.0.1"])
@pytest.mark.parametrize("name", ["good", "wildcard", "another name"])
def test_a_name_is_judged_as_by_openssl_verify(
    tmp_path: Path, name: str, host: str
) -> None:
    """Host names, wildcards and addresses."""
    theirs = openssl_verdict(tmp_path, CHAINS[name], (ROOT,), host, NOW)
    ours = certificate_verdict(CONTEXTS, side(host=host), CHAINS[name])
    assert (ours is None) is (theirs == "")


@pytest.mark.parametrize("moment", [PAST, FUTURE])
@pytest.mark.parametrize("offset_s", [-86_400, -1, 1, 86_400])
def test_a_date_is_judged_as_by_openssl_verify(
    tmp_path: Path, moment: object, offset_s: int
) -> None:
    """On either side of every date that matters."""
    unix_s = int(moment.timestamp()) + offset_s  # type: ignore[attr-defined]  # a table of dates
    issued = leaf(parent=ISSUER, not_before=PAST, not_after=FUTURE)
    theirs = openssl_verdict(tmp_path, issued.chain, (ROOT,), "storage.test", unix_s)
    ours = certificate_verdict(CONTEXTS, side(unix_s=unix_s), issued.chain)
    assert (ours is None) is (theirs == "")


MINE = leaf("00000001", parent=DEVICE_CA, dns=(), addresses=(), number=30)
OTHER = leaf("00000002", parent=DEVICE_CA, dns=(), addresses=(), number=31)


@pytest.mark.parametrize(
    ("issued", "options", "identity"),
    [
        (SERVER, (), None),
        (SERVER, ("-cipher", "AES256-SHA:@SECLEVEL=0"), None),
        (SERVER, ("-tls1_3",), None),
        (SERVER, ("-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), None),
        (NEW_SERVER, (), None),
        (leaf(parent=ISSUER, kind="p256"), (), None),
        (leaf(parent=ISSUER, not_after=PAST), (), None),
        (SERVER, ("mutual",), MINE),
        (SERVER, ("mutual",), OTHER),
        (SERVER, ("mutual",), None),
    ],
    ids=[
        "good",
        "no suite in common",
        "no version in common",
        "second group",
        "another root",
        "EC key",
        "expired",
        "revoked device",
        "device",
        "no client certificate",
    ],
)
def test_reach_is_what_openssl_s_server_gives(
    tmp_path: Path, issued: Issued, options: tuple[str, ...], identity: Issued | None
) -> None:
    """The same device over TCP on ``openssl s_server``: same groups, same failures."""
    is_mutual = "mutual" in options
    device = side(identity=identity_of(identity) if identity else None)
    changes: dict[str, Any] = {}
    if is_mutual:
        lists = (crl(DEVICE_CA, [MINE.certificate]), crl(ROOT))
        authorities = (DEVICE_CA.certificate, ROOT.certificate)
        changes = {
            "client_cas": authorities,
            "require_client_certificate": True,
            "check_crl": True,
            "crls": lists,
        }
        (tmp_path / "ca.pem").write_bytes(pem(authorities))
        # The program reads one list, so it is asked about the device alone.
        (tmp_path / "crl.pem").write_bytes(lists[0].public_bytes(Encoding.PEM))
        options = ("-CAfile", "ca.pem", "-Verify", "4", "-verify_return_error")
        options += ("-CRL", "crl.pem", "-crl_check")
    if "-cipher" in options:
        changes["cipher_list"] = options[options.index("-cipher") + 1]
    if "-tls1_3" in options:
        changes["min_version"] = "TLSv1.3"
    else:
        options += ("-tls1_2",)
        changes["max_version"] = "TLSv1.2"
    if "-cipher" not in options:
        options += ("-cipher", "ALL:@SECLEVEL=0")
    mine = Reacher().reach(device, server(issued, **changes), NOW)
    write_identity(tmp_path, "server", issued)
    (tmp_path / "rest.pem").write_bytes(pem(issued.chain[1:]))
    with openssl_server(
        tmp_path,
        *("-cert", "server.pem", "-key", "server.key", "-cert_chain", "rest.pem"),
        *options,
    ) as port:
        theirs = tuple(_over_tcp(device.bundle, g, port, identity) for g in GROUPS)
    ours = tuple(
        (each.failure.kind if each.failure else "", each.suite) for each in mine.groups
    )
    assert ours == theirs


def _over_tcp(
    bundle: TrustBundle, group: CipherGroup, port: int, identity: Issued | None
) -> tuple[str, str]:
    client = Client(
        suites=group.suites,
        anchors=bundle.certificates,
        identity=identity_of(identity) if identity else None,
    )
    outcome = exchange(client.pump(), port)
    if outcome.failure is not None:
        return outcome.failure.kind, ""
    return "", outcome.pump.handshake_info().suite
