import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fleetsim.core.settings import Credentials, Security
from fleetsim.exceptions import InputError
from fleetsim.lab.settings import LabAddress, TlsVersion
from fleetsim.lab.standalone import (
    StandaloneOptions,
    is_loopback,
    new_credentials,
    parse_versions,
    prepare,
)
from fleetsim.pki.folder import load_folder
from fleetsim.pki.index import Kind

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_new_pki_is_private_and_used_again(tmp_path: Path) -> None:
    """The folder is made once, 0700, keys 0600; a second start uses it as it is."""
    path = tmp_path / "pki"
    options = StandaloneOptions(security=Security.HIGH, names=("lab.example",))
    first = prepare(options, path, NOW)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    keys = list(path.rglob("*.key"))
    assert keys
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}
    again = prepare(options, path, NOW + timedelta(days=3000))
    assert again.settings.fronts == first.settings.fronts
    assert again.client_files == first.client_files
    assert again.notes == ()
    folder = load_folder(path)
    assert len(folder.index.of_kind(Kind.SERVER)) == 1
    assert len(folder.index.of_kind(Kind.DEVICE)) == 1


@pytest.mark.parametrize(
    ("security", "with_tls", "with_client"),
    [
        (Security.LOW, False, False),
        (Security.MEDIUM, True, False),
        (Security.HIGH, True, True),
    ],
)
def test_security_decides_what_is_needed(
    tmp_path: Path, security: Security, *, with_tls: bool, with_client: bool
) -> None:
    """HTTP needs no PKI, mutual TLS needs client CA, CRL and a device."""
    path = tmp_path / "pki"
    lab = prepare(StandaloneOptions(security=security), path, NOW)
    (front,) = lab.settings.fronts
    assert path.exists() is with_tls
    assert (front.tls is not None) is with_tls
    assert (lab.ca_path is not None) is with_tls
    assert (lab.client_files is not None) is with_client
    if front.tls is not None:
        assert front.tls.require_client_certificate is with_client
        assert front.tls.check_crl is with_client


def test_expired_server_certificate_is_used_and_noted(tmp_path: Path) -> None:
    """What has expired may be what is to be tried: it is served, with a note."""
    path = tmp_path / "pki"
    prepare(StandaloneOptions(security=Security.HIGH), path, NOW)
    later = prepare(
        StandaloneOptions(security=Security.HIGH), path, NOW + timedelta(days=4000)
    )
    assert any("not now" in note for note in later.notes)
    assert any("revocation list has expired" in note for note in later.notes)


def test_bad_options_leave_no_folder(tmp_path: Path) -> None:
    """Options are checked before a PKI is made."""
    path = tmp_path / "pki"
    for options in (
        StandaloneOptions(bucket="NOT A BUCKET"),
        StandaloneOptions(region=""),
        StandaloneOptions(limit_bytes=0),
        StandaloneOptions(tls_versions=("2.0",)),
        StandaloneOptions(credentials=Credentials(access_key="a/b", secret_key="c")),
    ):
        with pytest.raises(InputError):
            prepare(options, path, NOW)
    assert not path.exists()


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    """A folder with something else in it is refused, not filled."""
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(InputError, match=r"pki\.json"):
        prepare(StandaloneOptions(), tmp_path, NOW)
    assert [each.name for each in tmp_path.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), ("TLSv1.2", "TLSv1.3")),
        (("1.2",), ("TLSv1.2",)),
        (("TLSv1.3", "1.2"), ("TLSv1.2", "TLSv1.3")),
        (("tlsv1", "1.1"), ("TLSv1", "TLSv1.1")),
        (("1.0", "1.0"), ("TLSv1",)),
    ],
)
def test_versions_as_people_write_them(
    texts: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    """Every usual spelling, any order."""
    assert parse_versions(texts) == tuple(TlsVersion(each) for each in expected)


@pytest.mark.parametrize("texts", [("1.4",), ("ssl3", "x"), ("1.1", "1.3"), ("",)])
def test_impossible_versions_are_refused(texts: tuple[str, ...]) -> None:
    """Unknown versions and ranges with a hole."""
    with pytest.raises(InputError):
        parse_versions(texts)


@pytest.mark.parametrize(
    ("host", "security", "names", "expected"),
    [
        ("127.0.0.1", Security.MEDIUM, (), "https://127.0.0.1:5"),
        ("::1", Security.LOW, (), "http://[::1]:5"),
        ("0.0.0.0", Security.MEDIUM, (), "https://127.0.0.1:5"),  # noqa: S104 - a name
        ("::", Security.MEDIUM, ("lab.example",), "https://lab.example:5"),
        ("localhost", Security.MEDIUM, ("lab.example",), "https://localhost:5"),
    ],
)
def test_endpoint_is_what_clients_use(
    tmp_path: Path,
    host: str,
    security: Security,
    names: tuple[str, ...],
    expected: str,
) -> None:
    """The address bound, or for every-address the name clients were promised."""
    options = StandaloneOptions(host=host, security=security, names=names)
    lab = prepare(options, tmp_path / "pki", NOW)
    assert lab.endpoint(LabAddress({"lab": (host, 5)})) == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - a name
        ("192.0.2.1", False),
        ("lab.example", False),
    ],
)
def test_only_loopback_counts_as_private(host: str, *, expected: bool) -> None:
    """Everything that might be reached from elsewhere earns a warning."""
    assert is_loopback(host) is expected


def test_made_up_credentials_differ_and_hide() -> None:
    """Each start has its own, of AWS's form, and repr never shows the secret."""
    one, other = new_credentials(), new_credentials()
    assert one.access_key != other.access_key
    assert len(one.access_key) == 20
    assert len(one.secret_key) == 40
    assert one.secret_key not in repr(one)
