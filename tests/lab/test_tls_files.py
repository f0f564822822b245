from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from fleetsim.exceptions import InputError
from fleetsim.lab.settings import TlsSettings
from fleetsim.lab.tls_files import load_tls
from fleetsim.pki.crl import build_crl
from tests.lab.tls_clients import VALID, root, server, server_p256


def write_key(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """Write a private key with a mode."""
    path.touch(mode=mode)
    path.chmod(mode)
    path.write_bytes(content)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good files: an RSA and an EC pair, a CA, revocation lists."""
    (tmp_path / "rsa.pem").write_bytes(server("localhost").chain_pem())
    write_key(tmp_path / "rsa.key", server("localhost").key_pem())
    (tmp_path / "ec.pem").write_bytes(server_p256().chain_pem())
    write_key(tmp_path / "ec.key", server_p256().key_pem())
    ca = root("devices")
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    lists = [build_crl(ca, (), number=number, validity=VALID) for number in (1, 2)]
    (tmp_path / "both.crl").write_bytes(
        b"".join(each.public_bytes(Encoding.PEM) for each in lists)
    )
    (tmp_path / "der.crl").write_bytes(lists[0].public_bytes(Encoding.DER))
    return tmp_path


def pair(folder: Path, chain: str, key: str, *names: str) -> dict[str, Any]:
    """Paths of a chain and a key."""
    return {
        "chain_path": folder / chain,
        "key_path": folder / key,
        "server_names": names,
    }


def settings(*certificates: dict[str, Any], **changes: Any) -> TlsSettings:
    """TLS settings on these pairs."""
    return TlsSettings.model_validate({"certificates": certificates, **changes})


def test_everything_is_read(folder: Path) -> None:
    """Chains, keys, SNI names, CA and every revocation list of a file arrive."""
    tls = load_tls(
        settings(
            pair(folder, "rsa.pem", "rsa.key"),
            pair(folder, "ec.pem", "ec.key", "localhost"),
            client_ca_path=folder / "ca.pem",
            require_client_certificate=True,
            crl_paths=[folder / "both.crl", folder / "der.crl"],
            check_crl=True,
            min_version="TLSv1.2",
            max_version="TLSv1.2",
        )
    )
    assert tls.certificates[0].chain == (server("localhost").certificate,)
    assert tls.certificates[1].server_names == ("localhost",)
    assert tls.client_cas == (root("devices").certificate,)
    assert len(tls.crls) == 3
    assert tls.check_crl
    assert tls.require_client_certificate
    assert (tls.min_version, tls.max_version) == ("TLSv1.2", "TLSv1.2")


def test_unusable_keys_are_refused(folder: Path) -> None:
    """Open, encrypted, foreign and garbled keys are named together, secrets are not."""
    key = server("localhost").key
    write_key(folder / "open.key", server("localhost").key_pem(), 0o640)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass")
    )
    write_key(folder / "encrypted.key", encrypted)
    write_key(folder / "garbled.key", b"-----BEGIN PRIVATE KEY-----\nsecret\n")
    with pytest.raises(InputError) as caught:
        load_tls(
            settings(
                pair(folder, "rsa.pem", "open.key"),
                pair(folder, "rsa.pem", "encrypted.key"),
                pair(folder, "rsa.pem", "garbled.key"),
                pair(folder, "rsa.pem", "ec.key"),
                pair(folder, "rsa.pem", "missing.key"),
            )
        )
    found = {Path(each.where).name: each.what for each in caught.value.problems}
    assert set(found) == {
        "open.key",
        "encrypted.key",
        "garbled.key",
        "ec.key",
        "missing.key",
    }
    assert "chmod 600" in found["open.key"]
    assert "encrypted" in found["encrypted.key"]
    assert "does not belong" in found["ec.key"]
    assert "secret" not in str(caught.value)


def test_unusable_public_files_are_refused(folder: Path) -> None:
    """Missing and garbled chains, CAs and lists are all named."""
    for name in ("bad.pem", "bad.crl"):
        (folder / name).write_bytes(b"nonsense")
    (folder / "half.crl").write_bytes((folder / "both.crl").read_bytes()[:-60])
    with pytest.raises(InputError) as caught:
        load_tls(
            settings(
                pair(folder, "missing.pem", "rsa.key"),
                client_ca_path=folder / "bad.pem",
                crl_paths=[folder / "bad.crl", folder / "half.crl", folder / "no.crl"],
            )
        )
    assert [Path(each.where).name for each in caught.value.problems] == [
        "missing.pem",
        "bad.pem",
        "bad.crl",
        "half.crl",
        "no.crl",
    ]


def test_name_given_twice_is_refused(folder: Path) -> None:
    """The same chain for the same name twice is a mistake; RSA beside EC is not."""
    load_tls(
        settings(
            pair(folder, "rsa.pem", "rsa.key", "a.example"),
            pair(folder, "ec.pem", "ec.key", "a.example"),
        )
    )
    with pytest.raises(InputError, match=r"server name A\.example: twice"):
        load_tls(
            settings(
                pair(folder, "rsa.pem", "rsa.key", "a.example"),
                pair(folder, "rsa.pem", "rsa.key", "A.example"),
            )
        )
