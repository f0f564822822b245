import stat
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    pkcs7,
)

from fleetsim.exceptions import InputError
from fleetsim.pki.authority import create_root
from fleetsim.pki.certificates import Validity, certificates_pem
from fleetsim.pki.folder import PkiFolder, create_folder, load_folder
from fleetsim.pki.keys import KeyType, generate_key, key_pem
from fleetsim.pki.leaves import create_self_signed_server
from tests.pki.conftest import NOW, Hierarchy


@pytest.fixture
def folder(tmp_path: Path, hierarchy: Hierarchy) -> PkiFolder:
    """A fresh folder with root, intermediate and devices-ca."""
    return make(tmp_path / "pki", hierarchy)


def make(path: Path, hierarchy: Hierarchy) -> PkiFolder:
    """Write the hierarchy to a folder."""
    return create_folder(
        path,
        {
            "root": hierarchy.root,
            "intermediate": hierarchy.servers,
            "devices-ca": hierarchy.devices,
        },
        server_authority="intermediate",
        device_authority="devices-ca",
        created=hierarchy.now,
        crl_validity=Validity.lasting(hierarchy.now, 7 * 86400),
    )


def test_what_is_written_loads_again(folder: PkiFolder) -> None:
    """Certificates, chains and keys come back as they were."""
    loaded = load_folder(folder.path, issuing_at=NOW)
    assert loaded.index == folder.index
    assert loaded.authorities.keys() == folder.authorities.keys()
    for name, authority in folder.authorities.items():
        assert loaded.authorities[name].certificate == authority.certificate
        assert loaded.authorities[name].presented == authority.presented
        assert key_pem(loaded.authorities[name].key) == key_pem(authority.key)
    assert loaded.server_authority.certificate.subject.rfc4514_string() == (
        "CN=fleetsim intermediate"
    )
    assert loaded.device_authority.certificate.subject.rfc4514_string() == (
        "CN=fleetsim devices-ca"
    )


def test_layout_and_modes(folder: PkiFolder) -> None:
    """The folder is 0700, keys are 0600, nothing else is in it."""
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    names = {each.name for each in folder.path.iterdir()}
    keys = {"root.key", "intermediate.key", "devices-ca.key"}
    assert names == keys | {
        "pki.json", "root.pem", "intermediate.pem", "devices-ca.pem", "crl.pem",
        "certs_server.p7b",
    }  # fmt: skip
    for name in keys:
        assert stat.S_IMODE((folder.path / name).stat().st_mode) == 0o600


def test_index_holds_no_secret(folder: PkiFolder) -> None:
    """No piece of any private key stands in pki.json."""
    text = (folder.path / "pki.json").read_text()
    for key in folder.path.glob("*.key"):
        for line in key.read_text().splitlines()[1:-1]:
            assert line not in text
    assert "PRIVATE" not in text


def test_bundle_and_lists_are_ready(folder: PkiFolder, hierarchy: Hierarchy) -> None:
    """Devices can load the bundle, TLS fronts the lists: one per authority."""
    bundle = (folder.path / "certs_server.p7b").read_bytes()
    assert pkcs7.load_pem_pkcs7_certificates(bundle) == [hierarchy.root.certificate]
    blocks = (folder.path / "crl.pem").read_bytes().split(b"-----BEGIN X509 CRL")[1:]
    issuers = [
        x509.load_pem_x509_crl(b"-----BEGIN X509 CRL" + block).issuer
        for block in blocks
    ]
    assert issuers == [each.certificate.subject for each in folder.authorities.values()]


Damage = Callable[[Path], object]


def _encrypt(path: Path) -> None:
    text = generate_key(KeyType.P256).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    (path / "root.key").write_bytes(text)


def _wrong_ca(path: Path) -> None:
    other = create_root(validity=Validity.lasting(NOW, 60), key_type=KeyType.P256)
    (path / "root.pem").write_bytes(certificates_pem([other.certificate]))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(
            lambda path: (path / "root.key").chmod(0o644),
            r"root\.key: .*mode 0644.*chmod 600",
            id="readable-key",
        ),
        pytest.param(
            lambda path: path.chmod(0o770),
            r"others can change this folder \(mode 0770\).*chmod 700",
            id="writable-folder",
        ),
        pytest.param(
            lambda path: (path / "root.key").unlink(),
            r"root\.key: No such file",
            id="missing-key",
        ),
        pytest.param(
            lambda path: (path / "root.pem").unlink(),
            r"root\.pem: No such file",
            id="missing-certificate",
        ),
        pytest.param(
            lambda path: (path / "root.pem").write_text("garbage"),
            r"root\.pem: not a readable PEM certificate",
            id="garbled-certificate",
        ),
        pytest.param(
            lambda path: (path / "root.key").write_text("garbage"),
            r"root\.key: not a readable PEM private key",
            id="garbled-key",
        ),
        pytest.param(
            lambda path: (path / "root.key").write_bytes(
                key_pem(generate_key(KeyType.P256))
            ),
            r"root\.key: does not belong to the certificate .*root\.pem",
            id="other-key",
        ),
        pytest.param(_encrypt, r"root\.key: the key is encrypted", id="encrypted-key"),
        pytest.param(
            _wrong_ca,
            r"root\.pem: is not the certificate that pki\.json",
            id="other-ca",
        ),
        pytest.param(
            lambda path: (path / "pki.json").write_text("{}"),
            r"pki\.json: created: Field required",
            id="empty-index",
        ),
        pytest.param(
            lambda path: (path / "pki.json").unlink(),
            "is not a PKI folder",
            id="no-index",
        ),
        pytest.param(
            lambda path: (path / "pki.json").write_text(
                (path / "pki.json")
                .read_text()
                .replace('server_authority": "intermediate', 'server_authority": "x')
            ),
            "there is no authority 'x'",
            id="unknown-authority",
        ),
    ],
)
def test_damage_is_found_and_named(
    folder: PkiFolder, damage: Damage, words: str
) -> None:
    """Each kind of damage is refused with the file and what to do."""
    damage(folder.path)
    with pytest.raises(InputError, match=words) as caught:
        load_folder(folder.path)
    assert caught.value.exit_code == 2


def test_all_damage_is_reported_at_once(folder: PkiFolder) -> None:
    """Three broken files are three problems, not one after the other."""
    (folder.path / "root.key").chmod(0o640)
    (folder.path / "root.pem").write_text("garbage")
    (folder.path / "devices-ca.pem").unlink()
    folder.path.chmod(0o777)
    with pytest.raises(InputError) as caught:
        load_folder(folder.path)
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize(
    ("offset_s", "count"),
    [pytest.param(366 * 86400, 3, id="expired"), pytest.param(-1, 3, id="not-yet")],
)
def test_expired_authorities_are_refused_for_issuing_only(
    folder: PkiFolder, offset_s: float, count: int
) -> None:
    """Expired CAs load for looking at; issuing from them names every one."""
    load_folder(folder.path)
    with pytest.raises(InputError, match="CA CN=fleetsim root") as caught:
        load_folder(folder.path, issuing_at=NOW + timedelta(seconds=offset_s))
    assert len(caught.value.problems) == count


def test_a_certificate_that_is_no_ca_is_refused(tmp_path: Path) -> None:
    """A leaf in the place of an authority is refused."""
    leaf = create_self_signed_server(
        validity=Validity.lasting(NOW, 60), names=("localhost",), key_type=KeyType.P256
    )
    root = create_root(validity=Validity.lasting(NOW, 60), key_type=KeyType.P256)
    path = tmp_path / "pki"
    folder = create_folder(
        path,
        {"root": root},
        server_authority="root",
        device_authority="root",
        created=NOW,
        crl_validity=Validity.lasting(NOW, 60),
    )
    fingerprint = subprocess.run(
        ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
        input=certificates_pem([leaf.certificate]),
        capture_output=True,
        check=True,
    ).stdout.decode()
    digest = fingerprint.strip().partition("=")[2].replace(":", "").lower()
    (path / "root.pem").write_bytes(certificates_pem([leaf.certificate]))
    (path / "root.key").write_bytes(leaf.key_pem())
    index = (path / "pki.json").read_text()
    (path / "pki.json").write_text(
        index.replace(folder.index.certificates[0].sha256, digest)
    )
    with pytest.raises(InputError, match=r"root\.pem: is not a CA certificate"):
        load_folder(path)


def test_missing_folder_is_an_input_error(tmp_path: Path) -> None:
    """A path that is not there is named."""
    with pytest.raises(InputError, match=r"gone: No such file"):
        load_folder(tmp_path / "gone")


def test_an_existing_folder_is_not_overwritten(
    folder: PkiFolder, hierarchy: Hierarchy
) -> None:
    """Making a PKI where one is fails and changes no byte."""
    before = {each: each.read_bytes() for each in folder.path.iterdir()}
    with pytest.raises(InputError, match="exists and is not empty"):
        make(folder.path, hierarchy)
    assert {each: each.read_bytes() for each in folder.path.iterdir()} == before
