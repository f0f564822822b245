"""nginx and HAProxy as fronts give the same verdicts as the built-in one.

Every test states for which program a device meets something else, and what.
"""

import asyncio
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.settings import TlsRules
from fleetsim.lab.settings import FrontProgram
from fleetsim.pki.authority import create_intermediate
from fleetsim.pki.certificates import Validity
from fleetsim.pki.keys import KeyType
from fleetsim.pki.leaves import Leaf, issue_device, issue_server
from fleetsim.profiles import catalog
from tests.integration.front_rig import (
    PROGRAMS,
    REAL,
    Rig,
    revocation_list,
    rig,
)
from tests.integration.tls_wire import program
from tests.lab.tls_clients import (
    NOW,
    VALID,
    device,
    root,
    server,
    server_p256,
)

pytestmark = pytest.mark.server

NGINX, HAPROXY = REAL
ALL = pytest.mark.parametrize("kind", PROGRAMS)
DEVICE = device("00000001")
REVOKED = device("00000002")
CA = (root("devices").certificate,)
PAST = Validity.lasting(NOW, 1800, starts_in_s=-3600)
TLS13 = TlsRules(max_version="TLSv1.3")
TLS10 = TlsRules(min_version="TLSv1", max_version="TLSv1.1")


@pytest.fixture
async def front(kind: FrontProgram, tmp_path: Path) -> AsyncIterator[Rig]:
    """A lab behind the program of the test."""
    async with rig(kind, tmp_path) as each:
        yield each


# ------------------------------------------------------------------------ cipher groups

ACCEPTED = {
    "everything": "ALL:!aNULL:!eNULL:@SECLEVEL=0",
    "forward secrecy": "ECDHE+AESGCM:ECDHE+CHACHA20",
    "no elliptic curves": "DHE-RSA-AES128-GCM-SHA256:AES128-GCM-SHA256",
    "CBC and static RSA": "AES128-SHA:AES256-SHA256:@SECLEVEL=0",
    "finite-field only": "kDHE+AES:@SECLEVEL=0",
}


@pytest.mark.parametrize("accepted", ACCEPTED)
@pytest.mark.parametrize("kind", REAL)
async def test_groups(kind: FrontProgram, accepted: str, tmp_path: Path) -> None:
    """Each cipher group of each table meets the same suite, or the same alert."""
    profile = catalog.load("canedge2").profile
    groups = {
        (table.name, group.name): group.suites
        for table in profile.cipher_tables
        for group in table.groups
    }
    met: dict[FrontProgram, dict[tuple[str, str], tuple[bool, str, str]]] = {}
    for each in (FrontProgram.BUILTIN, kind):
        folder = tmp_path / each
        folder.mkdir()
        async with rig(each, folder) as front:
            await front.start(cipher_list=ACCEPTED[accepted])
            met[each] = {}
            for name, suites in groups.items():
                attempt = await front.attempt(*suites, rules=profile.tls)
                met[each][name] = attempt.is_served, attempt.suite, attempt.failure
    assert met[kind] == met[FrontProgram.BUILTIN]
    served = {name for name, (is_served, *_) in met[kind].items() if is_served}
    assert served
    if accepted == "forward secrecy":
        assert ("winc-ecdhe-last", "group 1") not in served
        assert ("winc-ecdhe-last", "group 3") in served


@ALL
async def test_no_dhe_without_its_parameters(front: Rig) -> None:
    """``dh_bits: 0`` switches DHE off, also where the program has its own primes."""
    await front.start(dh_bits=0)
    refused = await front.attempt("DHE-RSA-AES128-GCM-SHA256")
    assert refused.failure == "tls.alert.handshake_failure"
    assert (await front.attempt("AES128-GCM-SHA256")).is_served


@pytest.mark.parametrize("bits", [1024, 2048, 3072])
@ALL
async def test_dhe_prime(front: Rig, bits: int) -> None:
    """``openssl s_client`` meets the prime that was asked for."""
    await front.start(dh_bits=bits)
    said = await s_client(
        front, "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0", "-tls1_2"
    )
    assert f"Server Temp Key: DH, {bits} bits" in said


@pytest.mark.parametrize("prefers", [False, True], ids=["client", "server"])
@ALL
async def test_order_of_suites(front: Rig, prefers: bool) -> None:
    """The order of the client or of the server decides, as configured."""
    await front.start(
        cipher_list="AES256-GCM-SHA384:AES128-GCM-SHA256",
        prefer_server_ciphers=prefers,
    )
    attempt = await front.attempt("AES128-GCM-SHA256", "AES256-GCM-SHA384")
    assert attempt.suite == f"AES{'256' if prefers else '128'}-GCM-SHA" + (
        "384" if prefers else "256"
    )


@ALL
async def test_versions(front: Rig) -> None:
    """Old versions are refused by the alert for it, and accepted where allowed."""
    await front.start()
    refused = await front.attempt("AES128-SHA", rules=TLS10)
    assert refused.failure == "tls.alert.protocol_version"
    await front.swap(front.tls(min_version="TLSv1", max_version="TLSv1.1"))
    old = await front.attempt("AES128-SHA", rules=TLS10)
    assert (old.is_served, old.version) == (True, "TLSv1.1")
    await front.swap(front.tls(min_version="TLSv1.3"))
    new = await front.attempt("TLS_AES_128_GCM_SHA256", rules=TLS13)
    assert (new.is_served, new.version) == (True, "TLSv1.3")
    assert (await front.attempt()).failure == "tls.alert.protocol_version"


@ALL
async def test_tls13_suites(front: Rig) -> None:
    """TLS 1.3 suites are limited to those of the settings."""
    await front.start(tls13_suites="TLS_AES_256_GCM_SHA384")
    refused = await front.attempt("TLS_AES_128_GCM_SHA256", rules=TLS13)
    assert refused.failure == "tls.alert.handshake_failure"
    accepted = await front.attempt("TLS_AES_256_GCM_SHA384", rules=TLS13)
    assert (accepted.is_served, accepted.suite) == (True, "TLS_AES_256_GCM_SHA384")


@ALL
async def test_groups_for_key_exchange(front: Rig) -> None:
    """ECDHE uses the groups of the settings, for a client that offers others first."""
    await front.start(curves="P-384")
    said = await s_client(front, "-curves", "P-256:P-384", "-tls1_2")
    assert "Server Temp Key: ECDH, secp384r1, 384 bits" in said
    refused = await front.attempt()
    assert refused.failure == "tls.alert.handshake_failure"


# ------------------------------------------------------------------ client certificates


def weak_device() -> Leaf:
    """A device with a key that only security level 0 or 1 lets through."""
    return issue_device(
        root("devices"), "00000009", validity=VALID, key_type=KeyType.RSA_1024
    )


VISITORS: dict[str, tuple[Leaf | None, bool, str]] = {
    "good": (DEVICE, True, ""),
    "none": (None, False, "tls.alert.handshake_failure"),
    "revoked": (REVOKED, False, "tls.alert.certificate_revoked"),
    "expired": (
        device("00000003", expired=True),
        False,
        "tls.alert.certificate_expired",
    ),
    "of another CA": (device("00000001", ca="other"), False, "tls.alert.unknown_ca"),
    "weak key": (weak_device(), True, ""),
}


@ALL
async def test_client_certificates(front: Rig) -> None:
    """Who is refused is the same everywhere; nginx says so in HTTP, after the handshake."""
    await front.start(client_ca=CA, crls=(revocation_list(REVOKED),))
    for name, (leaf, is_welcome, alert) in VISITORS.items():
        attempt = await front.attempt(leaf=leaf)
        assert attempt.is_served == is_welcome, name
        if is_welcome:
            continue
        if front.kind is NGINX:
            assert (attempt.failure, attempt.status) == ("", 400), name
        else:
            assert (attempt.failure, attempt.status) == (alert, 0), name


@ALL
async def test_client_certificates_in_tls13(front: Rig) -> None:
    """TLS 1.3 changes nothing in who is refused."""
    await front.start(client_ca=CA, crls=(revocation_list(REVOKED),))
    for name, (leaf, is_welcome, _) in VISITORS.items():
        attempt = await front.attempt("TLS_AES_128_GCM_SHA256", leaf=leaf, rules=TLS13)
        assert attempt.is_served == is_welcome, name


@ALL
async def test_optional_client_certificates(front: Rig) -> None:
    """Where a certificate is optional, none is fine and a bad one is not."""
    await front.start(
        client_ca=CA,
        crls=(revocation_list(REVOKED),),
        require_client_certificate=False,
    )
    assert (await front.attempt()).is_served
    assert (await front.attempt(leaf=DEVICE)).is_served
    assert not (await front.attempt(leaf=REVOKED)).is_served


@ALL
async def test_expired_list_refuses_everybody(front: Rig) -> None:
    """A list whose nextUpdate has passed shuts every device out, revoked or not."""
    await front.start(client_ca=CA, crls=(revocation_list(number=2, validity=PAST),))
    attempt = await front.attempt(leaf=DEVICE)
    assert not attempt.is_served
    if front.kind is not NGINX:
        assert attempt.failure == "tls.alert.certificate_expired"


@ALL
async def test_list_of_an_authority_is_missing(front: Rig) -> None:
    """Every authority of a device's chain needs a list, its root's too."""
    below = create_intermediate(root("devices"), validity=VALID, common_name="below")
    deep = issue_device(below, "00000004", validity=VALID)
    await front.start(client_ca=(*CA, below.certificate), crls=(revocation_list(),))
    assert not (await front.attempt(leaf=deep)).is_served
    assert (await front.attempt(leaf=DEVICE)).is_served


@pytest.mark.parametrize("level", [0, 2])
@ALL
async def test_security_level(front: Rig, level: int) -> None:
    """``@SECLEVEL`` of the cipher list decides on weak device keys."""
    await front.start(client_ca=CA, cipher_list=f"ALL:!aNULL:!eNULL:@SECLEVEL={level}")
    assert (await front.attempt(leaf=weak_device())).is_served == (level == 0)
    assert (await front.attempt(leaf=DEVICE)).is_served


# ------------------------------------------------------------------ server certificates


@ALL
async def test_sni_chooses_the_certificate(front: Rig) -> None:
    """Each name gets its certificate; any other name, and none, the default."""
    leaves = (server("localhost"), server("a.example"), server("b.example"))
    await front.start(*leaves, names=((), ("a.example",), ("b.example",)))
    for host, leaf in zip(("localhost", "a.example", "b.example"), leaves, strict=True):
        attempt = await front.attempt(host=host)
        assert (attempt.is_served, attempt.certificate) == (True, leaf.certificate)
    stranger = await front.attempt(host="c.example")
    assert stranger.failure == "tls.verify.hostname_mismatch"
    nameless = await front.attempt(host="127.0.0.1")
    assert nameless.certificate == leaves[0].certificate


@ALL
async def test_two_key_types(front: Rig) -> None:
    """The suite chooses between an RSA and an EC certificate of one name."""
    await front.start(server("localhost"), server_p256())
    for suite, key in (
        ("ECDHE-ECDSA-AES128-GCM-SHA256", ec.EllipticCurvePublicKey),
        ("ECDHE-RSA-AES128-GCM-SHA256", rsa.RSAPublicKey),
        ("AES128-SHA", rsa.RSAPublicKey),
    ):
        attempt = await front.attempt(suite)
        assert attempt.is_served, suite
        assert attempt.certificate is not None
        assert isinstance(attempt.certificate.public_key(), key), suite


@ALL
async def test_two_key_types_without_a_name(front: Rig) -> None:
    """Without SNI HAProxy shows the first certificate alone; RSA is made the first."""
    both = (server_p256(), server("localhost"))
    await front.start(*both)
    assert "RSA" in await s_client(front, "-noservername", "-cipher", "aRSA", "-tls1_2")
    said = await s_client(front, "-noservername", "-cipher", "aECDSA", "-tls1_2")
    assert ("handshake failure" in said) == (front.kind is HAPROXY)


@ALL
async def test_forgotten_intermediate_is_forgotten(front: Rig) -> None:
    """A chain is sent as configured: without its intermediate nobody gets through."""
    below = create_intermediate(root("root"), validity=VALID, common_name="servers")
    whole = issue_server(below, validity=VALID, names=("localhost",))
    await front.start(whole)
    assert (await front.attempt()).is_served
    alone = Leaf(certificate=whole.certificate, key=whole.key, chain=())
    await front.swap(front.tls(alone))
    attempt = await front.attempt()
    assert attempt.failure == "tls.verify.unable_to_get_issuer_cert_locally"
    assert await sent_chain(front) == 1


@ALL
async def test_client_authorities_complete_no_chain(front: Rig) -> None:
    """A lone leaf is sent alone, also when its issuer is among the client's CAs."""
    below = create_intermediate(root("root"), validity=VALID, common_name="servers")
    whole = issue_server(below, validity=VALID, names=("localhost",))
    alone = Leaf(certificate=whole.certificate, key=whole.key, chain=())
    await front.start(
        alone,
        client_ca=(root("root").certificate, below.certificate),
        require_client_certificate=False,
    )
    assert await sent_chain(front) == 1


async def s_client(front: Rig, *options: str) -> str:
    """What ``openssl s_client`` says of a handshake with the front."""
    process = await asyncio.create_subprocess_exec(
        program("openssl"),
        "s_client",
        "-connect",
        f"127.0.0.1:{front.port}",
        *options,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return said.decode("utf-8", "replace")


async def sent_chain(front: Rig) -> int:
    """How many certificates the front sends, by ``openssl s_client``."""
    said = await s_client(front, "-showcerts", "-servername", "localhost")
    return len(re.findall("BEGIN CERTIFICATE", said))


@ALL
async def test_openssl_reads_the_refusal(front: Rig) -> None:
    """A client of others is refused like ours: by alert 44, or by nginx in HTTP."""
    await front.start(client_ca=CA, crls=(revocation_list(REVOKED),))
    chain, key = front.folder / "revoked.pem", front.folder / "revoked.key"
    chain.write_bytes(REVOKED.certificate.public_bytes(Encoding.PEM))
    key.touch(0o600)
    key.write_bytes(REVOKED.key_pem())
    process = await asyncio.create_subprocess_exec(
        *(program("openssl"), "s_client", "-connect", f"127.0.0.1:{front.port}"),
        *("-tls1_2", "-cert", str(chain), "-key", str(key), "-quiet"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said, _ = await process.communicate(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    if front.kind is NGINX:
        assert b"HTTP/1.1 400 Bad Request" in said
    else:
        assert b"SSL alert number 44" in said


# -------------------------------------------------------------------------- the log


@ALL
async def test_log_names_the_same_causes(front: Rig) -> None:
    """Whoever ends TLS, its log becomes entries in the words of the taxonomy."""
    await front.start(
        client_ca=CA,
        crls=(revocation_list(REVOKED),),
        cipher_list="ECDHE+AESGCM:@SECLEVEL=0",
    )
    await front.attempt(leaf=DEVICE)
    await front.attempt(leaf=REVOKED)
    await front.attempt()
    await front.attempt("AES128-SHA", leaf=DEVICE)
    await front.attempt(leaf=DEVICE, host="elsewhere.example")
    await front.attempt(leaf=device("00000001", ca="other"))
    entries = await front.handshakes(6)
    assert [entry["result"] for entry in entries] == [
        "ok",
        "tls.verify.cert_revoked",
        "tls.verify.no_peer_certificate",
        "tls.no_shared_cipher",
        "tls.alert.bad_certificate",
        "tls.verify.unable_to_get_issuer_cert_locally",
    ]
    assert [entry["number"] for entry in entries] == [1, 2, 3, 4, 5, 6]
    first, second = entries[:2]
    assert first["suite"] == "ECDHE-RSA-AES128-GCM-SHA256"
    assert (first["version"], first["server_name"]) == ("TLSv1.2", "localhost")
    assert first["client_subject"] == "CN=00000001"
    # The built-in front names only those it let in.
    revoked = "" if front.kind is FrontProgram.BUILTIN else "CN=00000002"
    assert second["client_subject"] == revoked
    assert int(first["client_serial"], 16) == DEVICE.certificate.serial_number
    host, _, port = first["peer"].rpartition(":")
    assert host == "127.0.0.1"
    assert port.isdecimal()
