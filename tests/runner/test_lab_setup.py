"""The lab of a run: certificates on disk as openssl reads them, settings as planned."""

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetsim.lab.settings import TlsVersion
from fleetsim.runner.lab_setup import (
    CLOCK_SLACK,
    CONTROL_FRONT,
    LabKit,
    build_lab,
    new_credentials,
)
from fleetsim.scenario.specs import Anchor
from fleetsim.scenario.target_schema import LabSpec

NOW = datetime.now(UTC).replace(microsecond=0)
MUTUAL = {"name": "m", "security": "high"}
PLAIN = {"name": "p", "security": "low"}


def build(folder: Path, *fronts: dict[str, Any], **spec: Any) -> LabKit:
    """Build a lab with these fronts."""
    data = {"fronts": list(fronts) or [{}], **spec}
    return build_lab(LabSpec.model_validate(data), folder, NOW, base_folder=folder)


def openssl(*arguments: str) -> str:
    """Ask openssl."""
    done = subprocess.run(
        ["openssl", *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_the_server_chain_verifies(tmp_path: Path) -> None:
    """``openssl verify`` accepts leaf and intermediate under the root, for the name."""
    build(tmp_path, {"name": "main"})
    words = openssl(
        *("verify", "-purpose", "sslserver", "-verify_hostname", "localhost"),
        *("-CAfile", str(tmp_path / "root.pem"), "-untrusted"),
        *(str(tmp_path / "main.pem"), str(tmp_path / "main.pem")),
    )
    assert words.endswith(": OK\n")


def test_without_an_intermediate_the_root_issues(tmp_path: Path) -> None:
    """The chain on disk is the leaf alone and its anchor of any kind is the root."""
    front = {"name": "main", "tls": {"certificate": {"intermediate": False}}}
    kit = build(tmp_path, front)
    pem = (tmp_path / "main.pem").read_bytes()
    assert len(x509.load_pem_x509_certificates(pem)) == 1
    assert kit.anchor(Anchor.INTERMEDIATE, "main") == kit.root.certificate


@pytest.mark.parametrize("kind", list(Anchor))
def test_anchors(tmp_path: Path, kind: Anchor) -> None:
    """Root, intermediate and leaf are those of the front's own chain."""
    kit = build(tmp_path, {"name": "main"}, {"name": "other"})
    chain = x509.load_pem_x509_certificates((tmp_path / "main.pem").read_bytes())
    wanted = {
        Anchor.LEAF: chain[0],
        Anchor.INTERMEDIATE: chain[1],
        Anchor.ROOT: kit.root.certificate,
    }
    assert kit.anchor(kind, "main") == wanted[kind]


def test_a_plain_front_has_the_root_as_its_only_anchor(tmp_path: Path) -> None:
    """A front without a certificate cannot be anchored in one."""
    kit = build(tmp_path, PLAIN)
    for kind in Anchor:
        assert kit.anchor(kind, "p") == kit.root.certificate


def test_keys_are_private_and_only_servers_have_one_on_disk(tmp_path: Path) -> None:
    """Key files have mode 0600; the authorities' keys never touch the disk."""
    build(tmp_path, {"name": "main"}, MUTUAL, PLAIN)
    keys = [path for path in tmp_path.iterdir() if b"PRIVATE KEY" in path.read_bytes()]
    assert {path.name for path in keys} == {"main.key", "m.key"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}


def test_validity(tmp_path: Path) -> None:
    """A lifetime of seconds is possible; everything begins a day before the run."""
    front = {"name": "main", "tls": {"certificate": {"lifetime": "90s"}}}
    kit = build(tmp_path, front)
    leaf = kit.servers["main"].certificate
    assert leaf.not_valid_after_utc == NOW + timedelta(seconds=90)
    assert leaf.not_valid_before_utc == NOW - CLOCK_SLACK
    assert kit.root.certificate.not_valid_before_utc == NOW - CLOCK_SLACK


@pytest.mark.parametrize("name", ["root", "intermediate", "devices"])
def test_an_authority_may_end_and_have_another_key(tmp_path: Path, name: str) -> None:
    """Each by itself; the others keep ten years and RSA 2048."""
    spec = {name: {"lifetime": "90s", "key": "p256"}}
    kit = build(tmp_path, authorities=spec)
    found = {
        "root": kit.root,
        "intermediate": kit.server_authority,
        "devices": kit.device_authority,
    }
    short = found.pop(name).certificate
    assert short.not_valid_before_utc == NOW - CLOCK_SLACK
    assert short.not_valid_after_utc == NOW + timedelta(seconds=90)
    assert isinstance(short.public_key(), ec.EllipticCurvePublicKey)
    for other in found.values():
        assert other.certificate.not_valid_after_utc == NOW + timedelta(days=3650)
        assert isinstance(other.certificate.public_key(), rsa.RSAPublicKey)


def test_names_of_the_certificate(tmp_path: Path) -> None:
    """DNS names and addresses go where RFC 5280 wants them."""
    names = ["lab.test", "192.0.2.7", "::1"]
    kit = build(tmp_path, {"name": "main", "tls": {"certificate": {"names": names}}})
    found = kit.servers["main"].certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert found.value.get_values_for_type(x509.DNSName) == ["lab.test"]
    addresses = found.value.get_values_for_type(x509.IPAddress)
    assert [str(each) for each in addresses] == ["192.0.2.7", "::1"]


@pytest.mark.parametrize("key", ["rsa-2048", "p256"])
def test_key_types(tmp_path: Path, key: str) -> None:
    """The key is what the scenario asked for, by openssl's word."""
    build(tmp_path, {"name": "main", "tls": {"certificate": {"key": key}}})
    words = openssl("pkey", "-in", str(tmp_path / "main.key"), "-noout", "-text")
    assert ("2048 bit" if key == "rsa-2048" else "prime256v1") in words


def test_fronts(tmp_path: Path) -> None:
    """Each front is what the scenario says; the control front is plain and apart."""
    hardened = {
        "name": "h",
        "tls": {"versions": ["TLSv1.3", "TLSv1.2"], "session_tickets": True},
    }
    settings = build(tmp_path, hardened, MUTUAL, PLAIN).settings
    by_name = {front.name: front for front in settings.fronts}
    assert set(by_name) == {"h", "m", "p", CONTROL_FRONT}
    tls = by_name["h"].tls
    assert tls is not None
    assert (tls.min_version, tls.max_version) == (
        TlsVersion.TLS_1_2,
        TlsVersion.TLS_1_3,
    )
    assert tls.session_tickets
    assert not tls.require_client_certificate
    mutual = by_name["m"].tls
    assert mutual is not None
    assert mutual.require_client_certificate
    assert mutual.check_crl
    assert all(path.is_file() for path in mutual.crl_paths)
    assert by_name["p"].tls is by_name[CONTROL_FRONT].tls is None
    assert {front.host for front in settings.fronts} == {"127.0.0.1"}


def test_revocation_lists_are_those_of_the_issuers(tmp_path: Path) -> None:
    """Openssl verifies both lists under the authorities clients are checked with."""
    build(tmp_path, MUTUAL)
    for name in ("devices", "root"):
        words = openssl(
            *("crl", "-in", str(tmp_path / f"{name}.crl"), "-noout", "-CAfile"),
            str(tmp_path / "client-ca.pem"),
        )
        assert "verify OK" in words


def test_store(tmp_path: Path) -> None:
    """A store folder is relative to the scenario; the limit is the scenario's."""
    store = {"folder": "objects", "limit": "3MiB"}
    settings = build(tmp_path, store=store, bucket="other").settings
    assert settings.store.folder == tmp_path / "objects"
    assert settings.store.limit_bytes == 3 * 1024**2
    assert settings.store.keep_bodies
    assert settings.buckets == ("other",)


def test_credentials_are_made_up_for_every_run() -> None:
    """Two runs share no key; lengths are the usual ones."""
    one, two = new_credentials(), new_credentials()
    assert one != two
    assert (len(one.access_key), len(one.secret_key)) == (20, 40)
    assert one.secret_key not in repr(one)


def test_secrets_do_not_show(tmp_path: Path) -> None:
    """Neither the kit nor its settings repeat a secret key."""
    kit = build(tmp_path)
    assert kit.credentials.secret_key not in repr(kit)
