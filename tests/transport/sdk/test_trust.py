"""Bundles and certificates as ``ssl`` contexts of the SDK."""

import contextlib
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fleetsim.core.sdk_settings import SDK_GROUP
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.exceptions import InputError
from fleetsim.transport.sdk.trust import client_context
from tests.transport import certificates as made
from tests.transport.pumps import identity_of

ROOT = made.authority()
LOWER = made.authority("Lower", parent=ROOT, number=2)


LEAF = made.leaf(parent=LOWER)


def handshake(
    client: ssl.SSLContext, server: ssl.SSLContext, name: str = "storage.test"
) -> ssl.SSLObject:
    """Both sides in memory, by the standard library alone; gives the server's."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(down, up, server_hostname=name)
    far = server.wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for side in (near, far):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
    assert near.version() is not None
    return far


def open_files() -> list[str]:
    """What this process has open, apart from the folder being read."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.append(str(path.readlink()))
    return [each for each in found if "memfd" in each]


def server_context(folder: Path, ca: made.Issued | None = None) -> ssl.SSLContext:
    """A server that sends its leaf and the intermediate."""
    file = folder / "server.pem"
    file.write_bytes(
        LEAF.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + b"".join(each.public_bytes(Encoding.PEM) for each in LEAF.chain)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=ca.certificate.public_bytes(Encoding.DER))
    return context


@pytest.mark.parametrize("anchor", [ROOT, LOWER], ids=["root", "intermediate"])
def test_every_certificate_of_the_bundle_is_an_anchor(
    tmp_path: Path, anchor: made.Issued
) -> None:
    """A handshake of the standard library with itself succeeds."""
    context = client_context(TrustBundle.of((anchor.certificate,)), None)
    far = handshake(context, server_context(tmp_path))
    assert (far.version(), far.cipher()) == (
        "TLSv1.3",
        ("TLS_AES_256_GCM_SHA384", "TLSv1.3", 256),
    )


def test_nobody_else_is_trusted(tmp_path: Path) -> None:
    """Neither another root nor the CAs of this machine."""
    stranger = made.authority("Stranger", number=3)
    context = client_context(TrustBundle.of((stranger.certificate,)), None)
    assert context.cert_store_stats()["x509"] == 1
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(context, server_context(tmp_path))
    assert caught.value.verify_code == 20


def test_the_name_is_checked(tmp_path: Path) -> None:
    """A certificate for another host is refused."""
    context = client_context(TrustBundle.of((ROOT.certificate,)), None)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    server = server_context(tmp_path)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        handshake(context, server, "other.test")
    assert caught.value.verify_code == 62


@pytest.mark.parametrize("kind", ["rsa-2048", "p256"])
def test_the_device_presents_its_certificate(tmp_path: Path, kind: str) -> None:
    """Through memory: no file with its key is left anywhere, and none is open."""
    devices = made.authority("Devices", number=4)
    own = made.leaf(parent=devices, kind=kind, number=5)
    context = client_context(TrustBundle.of((ROOT.certificate,)), identity_of(own))
    assert open_files() == []
    far = handshake(context, server_context(tmp_path, devices))
    assert far.getpeercert(binary_form=True) == own.certificate.public_bytes(
        Encoding.DER
    )


@pytest.mark.parametrize(
    ("own", "why"),
    [
        (made.leaf(parent=ROOT, kind="rsa-1024", number=6), "TOO_SMALL"),
        (
            made.Issued(made.leaf(parent=ROOT).certificate, made.key("rsa-2048", 9)),
            "MISMATCH",
        ),
    ],
    ids=["too weak for level 2", "another key"],
)
def test_a_certificate_that_cannot_be_used_is_refused(
    own: made.Issued, why: str
) -> None:
    """With its subject; the key is not in the message."""
    with pytest.raises(InputError) as caught:
        client_context(TrustBundle.of((ROOT.certificate,)), identity_of(own))
    assert why in str(caught.value)


def test_it_offers_the_group_that_a_plan_names() -> None:
    """Suite for suite, TLS 1.2 and 1.3."""
    context = client_context(TrustBundle.of((ROOT.certificate,)), None)
    offered = tuple(cipher["name"] for cipher in context.get_ciphers())
    assert offered == SDK_GROUP.suites
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
