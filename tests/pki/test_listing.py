import json
import subprocess
from pathlib import Path

import pytest

from fleetsim.exceptions import InputError
from fleetsim.pki.certificates import Validity
from fleetsim.pki.folder import PkiFolder, create_folder
from fleetsim.pki.inventory import add_server
from fleetsim.pki.keys import KeyType
from fleetsim.pki.leaves import issue_server
from fleetsim.pki.listing import list_certificates
from tests.pki.conftest import NOW, YEAR, Hierarchy


@pytest.fixture
def folder(tmp_path: Path, hierarchy: Hierarchy) -> PkiFolder:
    """A folder with a root that issued one RSA server."""
    made = create_folder(
        tmp_path / "pki",
        {"root": hierarchy.root},
        server_authority="root",
        device_authority="root",
        created=NOW,
        crl_validity=Validity.lasting(NOW, 60),
    )
    leaf = issue_server(
        hierarchy.root,
        validity=YEAR,
        names=("localhost",),
        ips=("::1",),
        key_type=KeyType.RSA_1024,
    )
    return add_server(made, "localhost", leaf)


def test_a_row_says_what_openssl_says(folder: PkiFolder) -> None:
    """Serial, fingerprint and subject are those that ``openssl x509`` prints."""
    row = list_certificates(folder)[1]
    printed = subprocess.run(
        ["openssl", "x509", "-noout", "-serial", "-fingerprint", "-sha256", "-subject",
         "-in", str(folder.path / row.file)],
        capture_output=True, check=True, text=True,
    ).stdout.splitlines()  # fmt: skip
    assert int(printed[0].removeprefix("serial="), 16) == int(row.serial, 16)
    assert printed[1].partition("=")[2].replace(":", "") == row.sha256
    assert printed[2].replace(" ", "") == f"subject={row.subject}"


def test_rows_describe_the_certificates(folder: PkiFolder) -> None:
    """Kind, key, usages, names and dates are those of the certificate."""
    root, server = list_certificates(folder)
    assert (root.kind, root.name, root.key) == ("authority", "root", "EC secp256r1")
    assert root.usage == ("keyCertSign", "cRLSign")
    assert root.alternative_names == ()
    assert server.key == "RSA 1024"
    assert server.usage == ("digitalSignature", "keyEncipherment", "serverAuth")
    assert server.alternative_names == ("localhost", "::1")
    assert server.issuer == root.subject
    assert (server.not_before, server.not_after) == (YEAR.not_before, YEAR.not_after)
    assert server.revoked_at is None


def test_rows_are_json(folder: PkiFolder) -> None:
    """A row is JSON with RFC 3339 times."""
    document = json.loads(json.dumps(list_certificates(folder)[0].as_json()))
    assert document["not_before"] == "2026-11-22T12:00:00Z"
    assert document["revoked_at"] is None


def test_chosen_entries_only(folder: PkiFolder) -> None:
    """Only the entries asked for are read."""
    (folder.path / "root.pem").unlink()
    entry = folder.index.certificates[1]
    assert [each.name for each in list_certificates(folder, (entry,))] == ["localhost"]


def test_all_unreadable_certificates_are_named(folder: PkiFolder) -> None:
    """Every missing or garbled file is reported, not the first one only."""
    (folder.path / "root.pem").unlink()
    (folder.path / "server" / "localhost.chain.pem").write_text("garbage")
    with pytest.raises(InputError) as caught:
        list_certificates(folder)
    assert len(caught.value.problems) == 2
