"""The PKI judged by programs nobody here wrote: OpenSSL's command line and nginx."""

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.pki.authority import (
    Authority,
    create_intermediate,
    create_root,
    cross_sign,
    renew,
)
from fleetsim.pki.bundle import BundleForm, encode_bundle
from fleetsim.pki.certificates import Validity, certificates_pem
from fleetsim.pki.crl import Reason, Revocation, build_crl
from fleetsim.pki.files import write_new
from fleetsim.pki.folder import PkiFolder, create_folder
from fleetsim.pki.identities import issue_devices, numbered_ids
from fleetsim.pki.inventory import add_devices, add_server, revoke, write_crls
from fleetsim.pki.keys import KeyType, parse_key_pem
from fleetsim.pki.leaves import (
    Leaf,
    create_self_signed_server,
    issue_device,
    issue_server,
)

# OpenSSL judges by the machine's clock, so these certificates start a day ago.
NOW = datetime.now(UTC)
VALID = Validity.lasting(NOW, 10 * 86400, starts_in_s=-86400)
DEADLINE_S = 20.0
LEGACY = "@SECLEVEL=0"


def openssl(*arguments: object, stdin: bytes = b"") -> str:
    """Run openssl; returns standard output and error, whatever the exit code."""
    done = subprocess.run(
        ["openssl", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=DEADLINE_S,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def require_program(name: str) -> None:
    """Skip without a third-party program; on CI its absence is a failure."""
    if shutil.which(name):
        return
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed")
    pytest.skip(f"{name} is not installed")


@dataclass(frozen=True, slots=True)
class Shelf:
    """A folder to lay PEM files on."""

    path: Path

    def put(self, name: str, data: bytes) -> Path:
        """Write a file and return its path."""
        (self.path / name).write_bytes(data)
        return self.path / name

    def verify(
        self,
        anchor: Authority,
        leaf: Leaf,
        *options: object,
        crls: Sequence[bytes] = (),
    ) -> str:
        """Run ``openssl verify -x509_strict`` on a leaf with its chain."""
        trusted = self.put("anchor.pem", certificates_pem([anchor.certificate]))
        chain = self.put("chain.pem", certificates_pem(leaf.chain) or b"\n")
        subject = self.put("leaf.pem", certificates_pem([leaf.certificate]))
        lists = self.put("crls.pem", b"".join(crls))
        with_lists = ("-crl_check", "-CRLfile", lists) if crls else ()
        untrusted = ("-untrusted", chain) if leaf.chain else ()
        return openssl(
            "verify", "-x509_strict", "-CAfile", trusted, *untrusted, *with_lists,
            *options, subject,
        )  # fmt: skip


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """An empty shelf."""
    return Shelf(tmp_path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchy:
    """Root and two intermediates on RSA-2048, the kind the devices know."""

    root: Authority
    servers: Authority
    devices: Authority


@pytest.fixture(scope="module")
def hierarchy() -> Hierarchy:
    """An RSA hierarchy that is valid on the machine's clock."""
    root = create_root(validity=VALID)
    return Hierarchy(
        root=root,
        servers=create_intermediate(root, validity=VALID),
        devices=create_intermediate(
            root, validity=VALID, common_name="fleetsim devices-ca"
        ),
    )


# ------------------------------------------------------------------- certificates


@pytest.mark.parametrize("ca_type", [KeyType.RSA_1024, KeyType.RSA_2048, KeyType.P256])
@pytest.mark.parametrize("leaf_type", [KeyType.RSA_1024, KeyType.P256])
def test_every_mix_of_keys_verifies(
    shelf: Shelf, ca_type: KeyType, leaf_type: KeyType
) -> None:
    """Server and device chains pass OpenSSL's strict RFC 5280 checks and purposes."""
    root = create_root(validity=VALID, key_type=ca_type)
    middle = create_intermediate(root, validity=VALID, key_type=ca_type)
    server = issue_server(
        middle,
        validity=VALID,
        names=("localhost",),
        ips=("127.0.0.1", "::1"),
        key_type=leaf_type,
    )
    device = issue_device(middle, "2F6913DB", validity=VALID, key_type=leaf_type)
    for options in (
        ("-purpose", "sslserver", "-verify_hostname", "localhost"),
        ("-purpose", "sslserver", "-verify_ip", "127.0.0.1"),
        ("-purpose", "sslserver", "-verify_ip", "::1"),
    ):
        assert ": OK" in shelf.verify(root, server, *options)
    assert ": OK" in shelf.verify(root, device, "-purpose", "sslclient")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(
            ("-purpose", "sslclient"), "unsuitable certificate purpose", id="purpose"
        ),
        pytest.param(
            ("-verify_hostname", "example.com"), "hostname mismatch", id="name"
        ),
        pytest.param(("-verify_ip", "10.0.0.1"), "IP address mismatch", id="address"),
    ],
)
def test_wrong_use_of_a_server_is_refused(
    shelf: Shelf, hierarchy: Hierarchy, options: tuple[str, ...], words: str
) -> None:
    """A server certificate is good for servers of its own names only."""
    leaf = issue_server(
        hierarchy.servers,
        validity=VALID,
        names=("localhost",),
        ips=("127.0.0.1",),
        key_type=KeyType.P256,
    )
    assert words in shelf.verify(hierarchy.root, leaf, *options)


def test_a_certificate_without_subject_verifies(
    shelf: Shelf, hierarchy: Hierarchy
) -> None:
    """Without common name the names count alone, and strict checks pass."""
    leaf = issue_server(
        hierarchy.servers,
        validity=VALID,
        names=("localhost",),
        with_common_name=False,
        with_key_encipherment=False,
        key_type=KeyType.P256,
    )
    assert ": OK" in shelf.verify(hierarchy.root, leaf, "-verify_hostname", "localhost")


def test_a_certificate_expires_in_seconds(shelf: Shelf, hierarchy: Hierarchy) -> None:
    """A lifetime of five seconds is over after five, by OpenSSL's judgement."""
    leaf = issue_server(
        hierarchy.servers,
        validity=Validity.lasting(NOW, 5),
        names=("localhost",),
        key_type=KeyType.P256,
    )
    start = int(NOW.timestamp())
    for offset_s, words in (
        (-1, "certificate is not yet valid"),
        (0, ": OK"),
        (4, ": OK"),
        (5, "certificate has expired"),
    ):
        judged = shelf.verify(hierarchy.root, leaf, "-attime", start + offset_s)
        assert words in judged, offset_s


def test_path_length_is_enforced(shelf: Shelf, hierarchy: Hierarchy) -> None:
    """An intermediate of path length 0 cannot have one below it."""
    below = create_intermediate(
        hierarchy.servers, validity=VALID, common_name="below", key_type=KeyType.P256
    )
    leaf = issue_server(
        below, validity=VALID, names=("localhost",), key_type=KeyType.P256
    )
    assert "path length constraint exceeded" in shelf.verify(hierarchy.root, leaf)


def test_text_and_purposes_of_a_device(shelf: Shelf, hierarchy: Hierarchy) -> None:
    """OpenSSL reads a device certificate as it was meant."""
    device = issue_device(hierarchy.devices, "2F6913DB", validity=VALID)
    file = shelf.put("device.pem", certificates_pem([device.certificate]))
    text = openssl("x509", "-in", file, "-noout", "-text", "-purpose")
    assert "Subject: CN = 2F6913DB" in text
    assert "Signature Algorithm: sha256WithRSAEncryption" in text
    assert re.search(r"Key Usage: critical\n\s+Digital Signature, Key Enciph", text)
    assert "TLS Web Client Authentication" in text
    assert "CA:FALSE" in text
    assert "SSL client : Yes" in text
    assert "SSL server : No" in text


def test_cross_signing_and_renewal(shelf: Shelf, hierarchy: Hierarchy) -> None:
    """A cross-signed root leads to the old one; renewed CAs verify old leaves."""
    new_root = create_root(
        validity=VALID, common_name="new root", key_type=KeyType.P256
    )
    cross = cross_sign(hierarchy.root, new_root, validity=VALID)
    leaf = issue_server(
        cross, validity=VALID, names=("localhost",), key_type=KeyType.P256
    )
    assert ": OK" in shelf.verify(hierarchy.root, leaf)
    alone = Leaf(certificate=leaf.certificate, chain=(), key=leaf.key)
    assert ": OK" in shelf.verify(new_root, alone)
    assert "unable to get local issuer" in shelf.verify(hierarchy.root, alone)
    later = Validity(VALID.not_before, VALID.not_after + timedelta(days=99))
    assert ": OK" in shelf.verify(renew(hierarchy.root, validity=later), leaf)


def test_renewed_with_other_key_is_another_root(
    shelf: Shelf, hierarchy: Hierarchy
) -> None:
    """A root of the same name and another key does not verify the old leaves."""
    leaf = issue_server(
        hierarchy.root, validity=VALID, names=("localhost",), key_type=KeyType.P256
    )
    impostor = create_root(validity=VALID, key_type=KeyType.P256)
    assert ": OK" not in shelf.verify(impostor, leaf)


def test_self_signed_server(shelf: Shelf) -> None:
    """A self-signed server certificate verifies with itself as the anchor."""
    leaf = create_self_signed_server(
        validity=VALID, names=("localhost",), is_ca=True, key_type=KeyType.P256
    )
    itself = Authority(certificate=leaf.certificate, key=leaf.key)
    assert ": OK" in shelf.verify(itself, leaf, "-verify_hostname", "localhost")


def test_rsa_512_authority_and_leaf(shelf: Shelf) -> None:
    """Keys of 512 bit from ``openssl genrsa`` sign and are signed."""
    keys = [parse_key_pem(openssl("genrsa", 512).encode(), "512") for _ in range(2)]
    root = create_root(validity=VALID, key=keys[0])
    leaf = issue_server(root, validity=VALID, names=("localhost",), key=keys[1])
    assert ": OK" in shelf.verify(root, leaf, "-auth_level", "0")
    assert "CA certificate key too weak" in shelf.verify(
        root, leaf, "-auth_level", "1"
    ) or "EE certificate key too weak" in shelf.verify(root, leaf, "-auth_level", "1")


# ------------------------------------------------------------------------- lists


def test_revocation_lists(shelf: Shelf, hierarchy: Hierarchy) -> None:
    """A list revokes what is on it, nothing else; an expired list is no answer."""
    good, bad = (
        issue_device(hierarchy.devices, name, validity=VALID, key_type=KeyType.P256)
        for name in ("0000000A", "0000000B")
    )
    revoked = Revocation(
        bad.certificate.serial_number, NOW - timedelta(hours=1), Reason.KEY_COMPROMISE
    )
    fresh, expired = (
        build_crl(
            hierarchy.devices, [revoked], number=4096, validity=validity
        ).public_bytes(Encoding.PEM)
        for validity in (VALID, Validity.lasting(NOW, 60, starts_in_s=-3600))
    )
    assert ": OK" in shelf.verify(hierarchy.root, good, crls=[fresh])
    assert "certificate revoked" in shelf.verify(hierarchy.root, bad, crls=[fresh])
    assert "CRL has expired" in shelf.verify(hierarchy.root, good, crls=[expired])
    text = openssl("crl", "-noout", "-text", stdin=fresh)
    assert re.search(r"X509v3 CRL Number:\s+4096\b", text)
    # OpenSSL prints whole octets, so an odd number of digits has a 0 in front.
    assert re.search(f"Serial Number: 0?{bad.certificate.serial_number:X}\n", text)
    assert "Key Compromise" in text
    issuer = shelf.put("ca.pem", certificates_pem([hierarchy.devices.certificate]))
    assert "verify OK" in openssl(
        "crl", "-noout", "-CAfile", issuer, "-verify", stdin=fresh
    )


# ------------------------------------------------------------------------ bundles


@pytest.mark.parametrize(
    ("form", "inform"),
    [
        pytest.param(BundleForm.PKCS7_PEM, "PEM", id="pem"),
        pytest.param(BundleForm.PKCS7_DER, "DER", id="der"),
    ],
)
def test_openssl_prints_the_bundle(
    hierarchy: Hierarchy, form: BundleForm, inform: str
) -> None:
    """``openssl pkcs7 -print_certs`` finds every certificate of a bundle."""
    certificates = [hierarchy.root.certificate, hierarchy.servers.certificate]
    printed = openssl(
        "pkcs7",
        "-inform",
        inform,
        "-print_certs",
        stdin=encode_bundle(certificates, form),
    )
    for certificate in certificates:
        assert certificates_pem([certificate]).decode() in printed


@pytest.mark.parametrize(
    ("form", "outform"),
    [
        pytest.param(BundleForm.PKCS7_PEM, "PEM", id="pem"),
        pytest.param(BundleForm.PKCS7_DER, "DER", id="der"),
    ],
)
@pytest.mark.parametrize("is_reversed", [False, True], ids=["in order", "reversed"])
def test_bundle_is_that_of_crl2pkcs7(
    shelf: Shelf,
    hierarchy: Hierarchy,
    form: BundleForm,
    outform: str,
    *,
    is_reversed: bool,
) -> None:
    """A bundle is the file that the documented ``openssl crl2pkcs7 -nocrl`` makes."""
    certificates = [
        hierarchy.root.certificate,
        hierarchy.servers.certificate,
        hierarchy.devices.certificate,
    ]
    if is_reversed:
        certificates.reverse()
    file = shelf.put("chosen.pem", certificates_pem(certificates))
    theirs = shelf.path / "theirs.p7b"
    openssl(
        *("crl2pkcs7", "-nocrl", "-certfile", file),
        *("-outform", outform, "-out", theirs),
    )
    assert encode_bundle(certificates, form) == theirs.read_bytes()


# ------------------------------------------------------------------- live servers


@dataclass(frozen=True, slots=True)
class Server:
    """A server that was started, on loopback."""

    port: int

    def connect(self, *arguments: object, stdin: bytes = b"") -> str:
        """Run ``openssl s_client`` against it."""
        return openssl(
            "s_client", "-connect", f"127.0.0.1:{self.port}", *arguments, stdin=stdin
        )


@contextmanager
def running(command: Sequence[object]) -> Iterator[subprocess.Popen[str]]:
    """Start a program and stop it by its handle."""
    process = subprocess.Popen(
        [str(each) for each in command],
        stdin=subprocess.PIPE,  # s_server hangs up when its input ends
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)


@contextmanager
def s_server(*arguments: object) -> Iterator[Server]:
    """Start ``openssl s_server`` on a free port."""
    command = ("openssl", "s_server", "-accept", "127.0.0.1:0", *arguments)
    with running(command) as process:
        assert process.stdout is not None
        seen: list[str] = []
        for line in process.stdout:
            seen.append(line)
            found = re.match(r"ACCEPT 127\.0\.0\.1:(\d+)", line)
            if found:
                yield Server(int(found[1]))
                return
        pytest.fail("".join(seen))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, hierarchy: Hierarchy) -> PkiFolder:
    """A folder with one server and two devices on RSA-2048, the second revoked."""
    folder = create_folder(
        tmp_path_factory.mktemp("live") / "pki",
        {
            "root": hierarchy.root,
            "intermediate": hierarchy.servers,
            "devices-ca": hierarchy.devices,
        },
        server_authority="intermediate",
        device_authority="devices-ca",
        created=NOW,
        crl_validity=VALID,
    )
    leaf = issue_server(
        folder.server_authority,
        validity=VALID,
        names=("localhost",),
        ips=("127.0.0.1",),
    )
    folder = add_server(folder, "localhost", leaf)
    devices = issue_devices(
        folder.device_authority, numbered_ids(2), validity=VALID, unique_keys=True
    )
    folder = add_devices(
        folder, devices, key_type=KeyType.RSA_2048, unique_keys=True, issued_at=NOW
    )
    folder, _ = revoke(folder, ["00000002"], reason=Reason.SUPERSEDED, at=NOW)
    return write_crls(folder, VALID)


@pytest.mark.server
@pytest.mark.parametrize(
    "suite", ["AES128-SHA", "DHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256"]
)
def test_mutual_tls_with_the_folder(live: PkiFolder, suite: str) -> None:
    """A device and a server of one folder meet in OpenSSL, RSA key exchange too."""
    path = live.path
    with s_server(
        "-cert", path / "server/localhost.pem", "-key", path / "server/localhost.key",
        "-cert_chain", path / "intermediate.pem", "-CAfile", path / "root.pem",
        "-Verify", 2, "-verify_return_error", "-cipher", f"{suite}:{LEGACY}", "-tls1_2",
    ) as server:  # fmt: skip
        printed = server.connect(
            "-cert", path / "devices/00000001.pem", "-key", path / "devices/00000001.key",
            "-cert_chain", path / "devices-ca.pem", "-CAfile", path / "root.pem",
            "-verify_return_error", "-verify_hostname", "localhost",
            "-cipher", f"{suite}:{LEGACY}", "-tls1_2",
        )  # fmt: skip
    assert f"Cipher is {suite}" in printed
    assert "Verify return code: 0 (ok)" in printed
    assert "alert" not in printed


@pytest.mark.server
def test_rsa_key_exchange_with_512_bit(tmp_path: Path) -> None:
    """A 512-bit server key carries AES128-SHA at security level 0."""
    key = parse_key_pem(openssl("genrsa", 512).encode(), "512")
    root = create_root(validity=VALID)
    leaf = issue_server(root, validity=VALID, names=("localhost",), key=key)
    shelf = Shelf(tmp_path)
    anchor = shelf.put("root.pem", certificates_pem([root.certificate]))
    certificate = shelf.put("leaf.pem", leaf.chain_pem())
    write_new(tmp_path / "leaf.key", leaf.key_pem(), is_secret=True)
    with s_server(
        "-cert", certificate, "-key", tmp_path / "leaf.key", "-tls1_2",
        "-cipher", f"AES128-SHA:{LEGACY}",
    ) as server:  # fmt: skip
        printed = server.connect(
            "-CAfile", anchor, "-verify_return_error", "-tls1_2",
            "-cipher", f"AES128-SHA:{LEGACY}",
        )  # fmt: skip
    assert "Cipher is AES128-SHA" in printed
    assert "Server public key is 512 bit" in printed
    assert "Verify return code: 0 (ok)" in printed


@contextmanager
def nginx(folder: PkiFolder, tmp_path: Path) -> Iterator[Server]:
    """Start nginx with mutual TLS and the folder's lists."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    path = folder.path
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"""
        daemon off; master_process off; pid {tmp_path}/pid; error_log stderr;
        events {{ worker_connections 64; }}
        http {{
          access_log off;
          client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;
          fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u;
          scgi_temp_path {tmp_path}/s;
          server {{
            listen 127.0.0.1:{port} ssl;
            ssl_certificate {path}/server/localhost.chain.pem;
            ssl_certificate_key {path}/server/localhost.key;
            ssl_client_certificate {path}/root.pem;
            ssl_crl {path}/crl.pem;
            ssl_verify_client on; ssl_verify_depth 3; ssl_protocols TLSv1.2;
            location / {{ return 200 "verified=$ssl_client_verify"; }}
          }}
        }}
        """
    )
    with running(("nginx", "-c", config, "-p", tmp_path, "-e", "stderr")) as process:
        give_up = time.monotonic() + DEADLINE_S
        while process.poll() is None and time.monotonic() < give_up:
            with socket.socket() as attempt:
                if attempt.connect_ex(("127.0.0.1", port)) == 0:
                    break
            try:
                process.wait(timeout=0.02)
            except subprocess.TimeoutExpired:
                continue
        else:
            assert process.stdout is not None
            pytest.fail(process.stdout.read())
        yield Server(port)


@pytest.mark.server
@pytest.mark.parametrize(
    ("device_id", "words"),
    [
        pytest.param("00000001", "verified=SUCCESS", id="good"),
        pytest.param("00000002", "400 Bad Request", id="revoked"),
    ],
)
def test_nginx_reads_the_folder(
    live: PkiFolder, tmp_path: Path, device_id: str, words: str
) -> None:
    """The front nginx starts on the folder's files and knows who is revoked."""
    require_program("nginx")
    path = live.path
    with nginx(live, tmp_path) as server:
        printed = server.connect(
            "-cert", path / f"devices/{device_id}.pem",
            "-key", path / f"devices/{device_id}.key",
            "-cert_chain", path / "devices-ca.pem", "-CAfile", path / "root.pem",
            "-verify_return_error", "-quiet", "-tls1_2",
            stdin=b"GET / HTTP/1.0\r\n\r\n",
        )  # fmt: skip
    assert words in printed
